//! Exchanges with the other participants: which streams reach whom. They exist only while somebody is
//! in doubt. What is said in them is decided by the owner of the branches.

mod outgoing;
mod service;

use std::collections::HashMap;
use std::sync::Arc;

use backon::ExponentialBackoff;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use triumvir_protocol::ParticipantId;

use crate::dial;
use crate::frames::Envelope;
use crate::member::Member;
use crate::outbox::dropped;

pub(crate) use service::PeerService;

/// The most streams that one peer may have open to this process; one more closes the oldest.
const STREAMS_PER_PEER_MAX: usize = 4;
/// How many commands wait for the hub.
pub(crate) const COMMANDS_MAX: usize = 16_384;

/// What the hub is told.
#[derive(Debug)]
pub(crate) enum PeerCommand {
    /// This is to reach a peer, on whatever stream there is, or on a new one.
    Send(ParticipantId, Envelope),
    /// A peer has opened a stream.
    Opened(ParticipantId, mpsc::Sender<Envelope>),
    /// A stream that a peer had opened has ended.
    Ended(ParticipantId, mpsc::Sender<Envelope>),
}

/// Owns the sending ends of all streams.
pub(crate) struct Hub {
    /// This process, as peers know it.
    id: ParticipantId,
    member: Arc<Member>,
    commands: mpsc::Receiver<PeerCommand>,
    streams: HashMap<ParticipantId, Vec<mpsc::Sender<Envelope>>>,
    dialed: JoinSet<(ParticipantId, bool)>,
    /// Peers that could not be reached, and when they are tried again. What is for them meanwhile is
    /// lost, and the protocol repeats it.
    unreachable: HashMap<ParticipantId, (ExponentialBackoff, Instant)>,
}

impl Hub {
    pub(crate) fn new(
        id: ParticipantId,
        member: Arc<Member>,
        commands: mpsc::Receiver<PeerCommand>,
    ) -> Self {
        Self {
            id,
            member,
            commands,
            streams: HashMap::new(),
            dialed: JoinSet::new(),
            unreachable: HashMap::new(),
        }
    }

    /// Runs until nobody can tell it anything any more.
    pub(crate) async fn run(mut self) {
        loop {
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(PeerCommand::Send(peer, envelope)) => self.send(peer, envelope),
                    Some(PeerCommand::Opened(peer, stream)) => self.opened(peer, stream),
                    Some(PeerCommand::Ended(peer, stream)) => self.ended(peer, &stream),
                    None => return,
                },
                Some(Ok((peer, reached))) = self.dialed.join_next() => {
                    self.hold_off(peer, reached);
                    self.prune(peer);
                }
            }
        }
    }

    fn send(&mut self, peer: ParticipantId, envelope: Envelope) {
        self.prune(peer);
        let newest = self
            .streams
            .get(&peer)
            .and_then(|streams| streams.last().cloned());
        let held = self
            .unreachable
            .get(&peer)
            .is_some_and(|held| Instant::now() < held.1);
        let stream = match newest {
            Some(stream) => stream,
            None if held => return dropped("unreachable-peer"),
            None => self.dial(peer),
        };
        if stream.try_send(envelope).is_err() {
            // Full: the peer does not read. The next message opens another stream.
            dropped("peer");
            self.ended(peer, &stream);
        }
    }

    fn ended(&mut self, peer: ParticipantId, stream: &mpsc::Sender<Envelope>) {
        if let Some(streams) = self.streams.get_mut(&peer) {
            streams.retain(|other| !other.same_channel(stream));
        }
        self.prune(peer);
    }

    /// A stream of our own; what is sent meanwhile waits in it.
    fn dial(&mut self, peer: ParticipantId) -> mpsc::Sender<Envelope> {
        let (queue, waiting) = mpsc::channel(self.member.config.limits.peer_queue_max);
        let (member, own) = (self.member.clone(), self.id);
        self.dialed.spawn(async move {
            let name = member.directory.name(peer);
            let exchange = outgoing::exchange(&member, own, peer, waiting).await;
            match &exchange {
                Ok(()) => tracing::debug!(peer = name, "exchange closed"),
                Err(error) => tracing::warn!(peer = name, %error, "no exchange with the peer"),
            }
            (peer, exchange.is_ok())
        });
        self.streams.entry(peer).or_default().push(queue.clone());
        queue
    }

    /// A peer that was not reached is left alone for a while.
    fn hold_off(&mut self, peer: ParticipantId, reached: bool) {
        if reached {
            self.unreachable.remove(&peer);
            return;
        }
        let network = &self.member.config.network;
        let fresh = || {
            let pauses = dial::pauses(network.reconnect_min, network.reconnect_max);
            (pauses, Instant::now())
        };
        let (pauses, until) = self.unreachable.entry(peer).or_insert_with(fresh);
        *until = Instant::now() + pauses.next().unwrap_or(network.reconnect_max);
    }

    fn opened(&mut self, peer: ParticipantId, stream: mpsc::Sender<Envelope>) {
        self.prune(peer);
        let streams = self.streams.entry(peer).or_default();
        if streams.len() >= STREAMS_PER_PEER_MAX {
            streams.remove(0);
        }
        streams.push(stream);
    }

    /// Forgets the streams of `peer` that have ended.
    fn prune(&mut self, peer: ParticipantId) {
        if let Some(streams) = self.streams.get_mut(&peer) {
            streams.retain(|stream| !stream.is_closed());
            if streams.is_empty() {
                self.streams.remove(&peer);
            }
        }
    }
}
