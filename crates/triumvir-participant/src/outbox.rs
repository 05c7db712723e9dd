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

/// What is left after a session's end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Left {
    /// Another session with the same replica, which was opened meanwhile.
    Replacement,
    /// Sessions with other replicas.
    Others,
    /// No session at all.
    Nothing,
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

    /// The session that was given `ended` is down. Says what is left.
    pub(crate) fn close(&self, replica: ReplicaId, ended: &CancellationToken) -> Left {
        ended.cancel();
        let mut sessions = self.lock();
        if sessions
            .get(&replica)
            .is_some_and(|link| link.ended.is_cancelled())
        {
            sessions.remove(&replica);
        }
        up(&sessions);
        if sessions.contains_key(&replica) {
            Left::Replacement
        } else if sessions.is_empty() {
            Left::Nothing
        } else {
            Left::Others
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use triumvir_protocol::{Answer, Digest, Message, TxnId};

    fn envelope() -> Envelope {
        (
            TxnId::at_millis(1),
            Digest([0; 32]),
            Message::Answer(Answer::Aborted),
        )
    }

    #[test]
    fn a_session_that_does_not_keep_up_is_dropped_and_the_others_are_not() {
        let (peers, mut commands) = mpsc::channel(1);
        let outbox = Outbox::new(peers);
        let [(one, mut slow), (two, mut fast)] = [mpsc::channel(1), mpsc::channel(9)];
        let slow_ended = outbox.open(ReplicaId(1), one);
        let fast_ended = outbox.open(ReplicaId(2), two);
        for _ in 0..2 {
            outbox.deliver(vec![(Target::Coordinators, envelope())]);
        }
        assert!(slow_ended.is_cancelled() && !fast_ended.is_cancelled());
        assert!(slow.try_recv().is_ok() && slow.try_recv().is_err());
        assert!(fast.try_recv().is_ok() && fast.try_recv().is_ok());

        // A session that takes another's place is not closed by the end of that one.
        let (newer, mut queue) = mpsc::channel(9);
        let newer_ended = outbox.open(ReplicaId(2), newer);
        assert!(fast_ended.is_cancelled());
        assert_eq!(outbox.close(ReplicaId(2), &fast_ended), Left::Replacement);
        let peer = triumvir_protocol::ParticipantId(3);
        let messages = [Target::Coordinator(ReplicaId(2)), Target::Peer(peer)];
        outbox.deliver(messages.map(|target| (target, envelope())).to_vec());
        assert!(queue.try_recv().is_ok() && !newer_ended.is_cancelled());
        assert_eq!(outbox.close(ReplicaId(1), &slow_ended), Left::Others);
        assert_eq!(outbox.close(ReplicaId(2), &newer_ended), Left::Nothing);
        assert!(matches!(commands.try_recv(), Ok(PeerCommand::Send(to, _)) if to == peer));
    }
}
