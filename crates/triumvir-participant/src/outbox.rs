//! Where durable messages go: to live sessions and to the peers. Never waits, so that the writer's
//! thread may call it; what finds no place is lost, and the protocol repeats it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use triumvir_protocol::{ReplicaId, Target};

use crate::frames::Envelope;
use crate::peers::PeerCommand;

/// The one way out of this process.
#[derive(Debug)]
pub(crate) struct Outbox {
    sessions: Mutex<HashMap<ReplicaId, SessionLink>>,
    peers: mpsc::Sender<PeerCommand>,
}

#[derive(Debug)]
struct SessionLink {
    queue: mpsc::Sender<Envelope>,
    /// Cancelled when the session is not wanted any more.
    ended: CancellationToken,
}

impl Outbox {
    pub(crate) fn new(peers: mpsc::Sender<PeerCommand>) -> Self {
        Self {
            sessions: Mutex::default(),
            peers,
        }
    }

    /// The session with `replica` is up; one that stood before ends. The token is cancelled when this
    /// one shall end.
    pub(crate) fn open(
        &self,
        replica: ReplicaId,
        queue: mpsc::Sender<Envelope>,
    ) -> CancellationToken {
        let ended = CancellationToken::new();
        let link = SessionLink {
            queue,
            ended: ended.clone(),
        };
        let mut sessions = self.lock();
        if let Some(old) = sessions.insert(replica, link) {
            old.ended.cancel();
        }
        up(&sessions);
        ended
    }

    /// The session that was given `ended` is down.
    pub(crate) fn close(&self, replica: ReplicaId, ended: &CancellationToken) {
        ended.cancel();
        let mut sessions = self.lock();
        if sessions
            .get(&replica)
            .is_some_and(|link| link.ended.is_cancelled())
        {
            sessions.remove(&replica);
        }
        up(&sessions);
    }

    /// Sends messages that are durable, in order for each target.
    pub(crate) fn deliver(&self, messages: Vec<(Target, Envelope)>) {
        let mut sessions = self.lock();
        for (target, envelope) in messages {
            match target {
                Target::Coordinator(replica) => push(&mut sessions, replica, envelope),
                Target::Coordinators => {
                    let replicas: Vec<_> = sessions.keys().copied().collect();
                    for replica in replicas {
                        push(&mut sessions, replica, envelope.clone());
                    }
                }
                Target::Peer(peer) => {
                    if self
                        .peers
                        .try_send(PeerCommand::Send(peer, envelope))
                        .is_err()
                    {
                        dropped("peers");
                    }
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ReplicaId, SessionLink>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn push(sessions: &mut HashMap<ReplicaId, SessionLink>, replica: ReplicaId, envelope: Envelope) {
    let Some(link) = sessions.get(&replica) else {
        return dropped("no-session");
    };
    if let Err(error) = link.queue.try_send(envelope) {
        if matches!(error, mpsc::error::TrySendError::Full(_)) {
            tracing::warn!(%replica, "the session's queue is full; the session is dropped");
        }
        link.ended.cancel();
        sessions.remove(&replica);
        dropped("session");
    }
}

fn up(sessions: &HashMap<ReplicaId, SessionLink>) {
    metrics::gauge!("triumvir_participant_sessions_up").set(sessions.len() as f64);
}

/// Counts a message that found no place.
pub(crate) fn dropped(place: &'static str) {
    metrics::counter!("triumvir_participant_messages_dropped_total", "place" => place).increment(1);
}
