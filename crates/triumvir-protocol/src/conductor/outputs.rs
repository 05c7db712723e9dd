//! What goes into and comes out of the conductor.

use std::collections::BTreeMap;

use crate::{
    AbortReason, Digest, Ended, NoReason, Outcome, ParticipantId, Payload, Record, Request, Terms,
    TxnId, Value, Work,
};

/// Someone that waits for an answer; the driver draws the number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Caller(pub u64);

/// A client's wish to commit.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Submission {
    /// The transaction.
    pub txn: TxnId,
    /// List, mode and digest, made from `work`.
    pub terms: Terms,
    /// Every participant's part.
    pub work: BTreeMap<ParticipantId, Work>,
    /// The id of the first attempt at the same work: its age for wait-die.
    pub age: TxnId,
}

/// What is refused before anything is done.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Limits {
    /// Transactions that are not decided.
    pub inflight_max: usize,
    /// Records that have not ended.
    pub open_max: usize,
}

/// Why a transaction is aborted.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum AbortCause {
    /// This participant voted NO, durably.
    No(ParticipantId, NoReason),
    /// The log says so.
    Recorded(AbortReason),
    /// The log says so and not why.
    Unexplained,
}

/// An answer to a caller.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Reply {
    /// Committed: applied, or sure to be.
    Committed {
        /// By participant, what its operations returned; those missing could not be asked again
        /// after a change of leader.
        results: BTreeMap<ParticipantId, Payload>,
    },
    /// Aborted: nothing of it is or will be applied.
    Aborted(AbortCause),
    /// The id belongs to a transaction with other content; this one never commits.
    IdInUse,
    /// At or below the horizon: its outcome is no longer known here.
    Expired,
    /// A limit is reached: this request began nothing.
    Busy,
    /// Another content is under way under this id, and which of the two the id belongs to is not
    /// recorded: this request began nothing. An earlier one for the same content may have.
    Contested,
    /// There is no record, which binds nobody.
    NoRecord,
}

impl Reply {
    pub(crate) fn aborted(reason: Option<AbortReason>) -> Self {
        Self::Aborted(reason.map_or(AbortCause::Unexplained, AbortCause::Recorded))
    }

    pub(crate) fn ended(ended: &Ended) -> Self {
        match ended.outcome {
            Value::Commit => Self::Committed {
                results: BTreeMap::new(),
            },
            Value::Abort => Self::aborted(ended.reason),
        }
    }
}

/// The conductor's timers; each comes back as an event.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ConductorTimer {
    /// [`on_vote_timeout`](crate::Conductor::on_vote_timeout).
    Vote,
    /// [`on_resend`](crate::Conductor::on_resend): set again while it is needed, so that the driver
    /// can back off.
    Resend,
}

/// A step of a transaction, for metrics and for people. Decides nothing.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Milestone {
    /// can-commit was sent.
    Begun,
    /// This participant voted: YES, READ (true) or NO (false).
    Voted(ParticipantId, bool),
    /// All voted, and the pre-commit record was proposed.
    Prepared,
    /// A record of the transaction was applied.
    Recorded,
    /// The outcome is certain.
    Decided(Outcome, Option<AbortCause>),
    /// Every YES voter confirmed the outcome, or the abort was recorded.
    Ended,
}

/// The effects of one call, in the order in which they were caused.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ConductorOutputs {
    /// Records to propose, in order.
    pub propose: Vec<Record>,
    /// Requests to participants.
    pub send: Vec<(ParticipantId, TxnId, Digest, Request)>,
    /// Answers to callers.
    pub replies: Vec<(Caller, TxnId, Reply)>,
    /// Timers to start.
    pub timers: Vec<(TxnId, ConductorTimer)>,
    /// For metrics and people.
    pub milestones: Vec<(TxnId, Milestone)>,
}

impl ConductorOutputs {
    pub(crate) fn send(&mut self, to: ParticipantId, txn: TxnId, digest: Digest, request: Request) {
        self.send.push((to, txn, digest, request));
    }

    pub(crate) fn reply(&mut self, caller: Caller, txn: TxnId, reply: Reply) {
        self.replies.push((caller, txn, reply));
    }

    pub(crate) fn timer(&mut self, txn: TxnId, timer: ConductorTimer) {
        self.timers.push((txn, timer));
    }

    pub(crate) fn milestone(&mut self, txn: TxnId, milestone: Milestone) {
        self.milestones.push((txn, milestone));
    }
}
