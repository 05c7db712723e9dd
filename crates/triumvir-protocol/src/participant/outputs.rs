//! What goes into and comes out of a participant.

use super::Branch;
use crate::{
    Answer, Ballot, Digest, Epoch, Horizon, Inquiry, NoReason, ParticipantId, Payload, ReplicaId,
    Request, TxnId, Work,
};

/// Who speaks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Source {
    /// A coordinator replica under this epoch.
    Coordinator(ReplicaId, Epoch),
    /// Another participant.
    Peer(ParticipantId),
}

/// Who is spoken to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Target {
    /// Every coordinator replica.
    Coordinators,
    /// One coordinator replica.
    Coordinator(ReplicaId),
    /// Another participant.
    Peer(ParticipantId),
}

impl From<Source> for Target {
    fn from(source: Source) -> Self {
        match source {
            Source::Coordinator(replica, _) => Self::Coordinator(replica),
            Source::Peer(peer) => Self::Peer(peer),
        }
    }
}

/// What a participant says.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Message {
    /// About its own branch.
    Answer(Answer),
    /// To a peer.
    Request(Request),
    /// To the coordinators.
    Inquiry(Inquiry),
}

/// What must be durable before anything is sent.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Force {
    /// The branch stands like this.
    Branch(TxnId, Branch),
    /// The horizon; in the same write as what it lets be forgotten. Alone with [`Force::Forget`] it
    /// need not be hurried.
    Horizon(Horizon),
    /// The branch is forgotten.
    Forget(TxnId),
}

/// What the resource is to do.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Action {
    /// Do the work and make it durable; report with
    /// [`on_prepared`](crate::Participant::on_prepared).
    Prepare {
        /// The operations, or what was done before.
        work: Work,
        /// The id of the transaction's first attempt.
        age: TxnId,
    },
    /// Stop a prepare that may be under way, and undo work that was never voted on. A prepare under
    /// way still reports. No other report.
    Cancel,
    /// Apply and release; report with [`on_applied`](crate::Participant::on_applied).
    Commit,
    /// Undo and release; report with [`on_undone`](crate::Participant::on_undone).
    Abort,
    /// Release the shared locks of a READ vote. No report.
    Release,
}

/// How a prepare went.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum PrepareResult {
    /// Changes are durable, or in the write that the report causes.
    Yes {
        /// What the operations returned.
        results: Payload,
    },
    /// Nothing was changed; shared locks are held.
    Read {
        /// What the operations returned.
        results: Payload,
    },
    /// Nothing was done.
    No(NoReason),
}

/// The participant's timers; each comes back as an event.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ParticipantTimer {
    /// [`on_work_timeout`](crate::Participant::on_work_timeout).
    Work,
    /// T1: [`on_inquire`](crate::Participant::on_inquire).
    Inquire,
    /// T2: [`on_fence`](crate::Participant::on_fence). The driver delays it by the participant's
    /// rank in the list, with jitter.
    Fence,
    /// T3: [`on_finish`](crate::Participant::on_finish).
    Finish,
}

/// Something that no correct execution shows: an operator must hear of it. Nothing was changed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Alarm {
    /// A request that presumes a vote, and there is no branch.
    NoBranch,
    /// An abort for a committed branch, or a commit for an aborted one.
    Contradiction,
}

/// The effects of one call.
///
/// Order: everything in `force` is durable before anything in `send` leaves. Actions and timers need
/// not wait.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ParticipantOutputs {
    /// One write, in order.
    pub force: Vec<Force>,
    /// What may leave after it.
    pub send: Vec<(Target, TxnId, Digest, Message)>,
    /// What may leave at once: always empty but for a broken rule.
    #[cfg(feature = "mutants")]
    pub send_unforced: Vec<(Target, TxnId, Digest, Message)>,
    /// What the resource is to do.
    pub actions: Vec<(TxnId, Action)>,
    /// Timers to start.
    pub timers: Vec<(TxnId, ParticipantTimer)>,
    /// For the operator.
    pub alarms: Vec<(TxnId, Alarm)>,
}

impl ParticipantOutputs {
    pub(super) fn answer(&mut self, to: Target, txn: TxnId, digest: Digest, answer: Answer) {
        self.send.push((to, txn, digest, Message::Answer(answer)));
    }

    pub(super) fn ask(
        &mut self,
        peer: ParticipantId,
        txn: TxnId,
        digest: Digest,
        request: Request,
    ) {
        self.send
            .push((Target::Peer(peer), txn, digest, Message::Request(request)));
    }

    pub(super) fn inquire(&mut self, txn: TxnId, inquiry: Inquiry) {
        let digest = inquiry.terms.digest;
        self.send
            .push((Target::Coordinators, txn, digest, Message::Inquiry(inquiry)));
    }

    pub(super) fn timer(&mut self, txn: TxnId, timer: ParticipantTimer) {
        self.timers.push((txn, timer));
    }

    pub(super) fn ack(
        &mut self,
        early: bool,
        to: Target,
        txn: TxnId,
        digest: Digest,
        ballot: Ballot,
    ) {
        #[cfg(feature = "mutants")]
        if early {
            let ack = Message::Answer(Answer::Ack { ballot });
            self.send_unforced.push((to, txn, digest, ack));
            return;
        }
        let _ = early;
        self.answer(to, txn, digest, Answer::Ack { ballot });
    }
}
