//! What coordinators and participants say to each other about one transaction. The transaction's id
//! and digest travel beside each of these.

use std::sync::Arc;

use crate::{Accepted, Ballot, Horizon, Payload, Terms, TxnId, Value, Work};

/// What a participant is asked or told, by a leader or by a peer.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Request {
    /// Do the work, make it durable, vote. Without `work` it only asks for a vote that stands, or
    /// for the content.
    CanCommit {
        /// The list, mode and digest.
        terms: Terms,
        /// This participant's part.
        work: Option<Work>,
        /// The id of the transaction's first attempt: its age for wait-die.
        age: TxnId,
    },
    /// Accept `value` at `ballot`. With commit at a coordinator's ballot this is *pre-commit*.
    Accept {
        /// The attempt.
        ballot: Ballot,
        /// Its value.
        value: Value,
    },
    /// Promise to accept nothing below `ballot`, and say what was accepted.
    Fence {
        /// The attempt.
        ballot: Ballot,
    },
    /// The transaction is committed; the sender holds evidence.
    DoCommit,
    /// The transaction is aborted; the sender holds evidence.
    Abort,
    /// A prepared peer asks for your state. One that has not voted refuses for good.
    Poll,
    /// The applied horizon, in answer to an inquiry about a transaction that it covers.
    Horizon(Horizon),
}

/// What a participant says about its branch. All of it is durable before it is said.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Answer {
    /// Prepared: changes and vote are durable.
    Yes {
        /// What the operations returned.
        results: Payload,
    },
    /// Nothing was changed; shared locks are kept until the outcome.
    Read {
        /// What the operations returned.
        results: Payload,
    },
    /// A tombstone stands: this branch will never prepare under this digest.
    No {
        /// Why.
        reason: NoReason,
    },
    /// No vote, no tombstone: the content is missing.
    NeedPayload,
    /// Accepted at this ballot (a coordinator's commit: pre-committed).
    Ack {
        /// The attempt.
        ballot: Ballot,
    },
    /// Will accept nothing below this ballot.
    Promise {
        /// The attempt.
        ballot: Ballot,
        /// What was accepted below it.
        accepted: Option<Accepted>,
    },
    /// The ballot was too low.
    Refuse {
        /// The highest ballot promised.
        promised: Ballot,
        /// What was accepted.
        accepted: Option<Accepted>,
    },
    /// Prepared and in doubt.
    Prepared {
        /// The highest ballot promised.
        promised: Ballot,
        /// What was accepted.
        accepted: Option<Accepted>,
    },
    /// Pre-committed: the outcome is commit, not yet applied here.
    Decided,
    /// Applied, locks released.
    Committed {
        /// What the operations returned; only in answer to can-commit.
        results: Option<Payload>,
    },
    /// Undone, locks released.
    Aborted,
    /// No branch, and the id is at or below the participant's horizon.
    Forgotten {
        /// The participant's horizon.
        horizon: Horizon,
    },
}

/// A participant in doubt asks every coordinator replica.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Inquiry {
    /// The list, mode and digest, so that any leader can adopt the transaction.
    pub terms: Terms,
}

/// Why a branch will never prepare.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum NoReason {
    /// The resource refused the work.
    Resource {
        /// The resource's own stable word for it, such as `minimum`.
        code: Arc<str>,
        /// For a person.
        detail: Arc<str>,
        /// Whether the same work may succeed in a new transaction (a lock conflict, say).
        retryable: bool,
    },
    /// An abort, a fence, an inquiry or a poll came before the vote.
    Overtaken,
    /// The work did not finish in time.
    Timeout,
    /// The process restarted after the work and before can-commit, or operations are missing.
    WorkLost,
    /// The branch stands under the same id with other content.
    OtherContent,
}

impl NoReason {
    /// The stable word for this reason.
    pub fn code(&self) -> &str {
        match self {
            Self::Resource { code, .. } => code,
            Self::Overtaken => "overtaken",
            Self::Timeout => "timeout",
            Self::WorkLost => "work-lost",
            Self::OtherContent => "other-content",
        }
    }

    /// Whether the same work may succeed in a new transaction.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Resource { retryable, .. } => *retryable,
            Self::Overtaken | Self::Timeout => true,
            Self::WorkLost | Self::OtherContent => false,
        }
    }
}
