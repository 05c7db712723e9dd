//! A branch as it stands on disk.

use super::ParticipantTimer;
use crate::{Accepted, Ballot, Digest, Mode, NoReason, Payload, Terms, TxnId, Value};

/// One participant's side of one transaction, once it has voted. Kept until the horizon passes it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Branch {
    /// The content that it stands for; any other content under this id is refused by it.
    pub digest: Digest,
    /// How far it has come.
    pub state: BranchState,
    /// What the operations returned, given again with a repeated vote.
    pub results: Payload,
}

/// How far a branch has come.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum BranchState {
    /// Voted YES; in doubt, with its locks.
    Prepared {
        /// List, mode and digest.
        terms: Terms,
        /// The transaction's age, for its locks after a restart.
        age: TxnId,
        /// Nothing below this ballot will be accepted.
        promised: Ballot,
        /// What was accepted; at a peer's ballot, and abort.
        accepted: Option<Accepted>,
    },
    /// Accepted commit at a coordinator's ballot: the outcome is commit.
    PreCommitted {
        /// List, mode and digest.
        terms: Terms,
        /// The transaction's age.
        age: TxnId,
        /// The ballot of the commit.
        ballot: Ballot,
    },
    /// Changed nothing; its shared locks are kept until it hears the outcome.
    Read {
        /// List, mode and digest.
        terms: Terms,
        /// The transaction's age.
        age: TxnId,
        /// The outcome was heard.
        released: bool,
    },
    /// Applied.
    Committed,
    /// Undone.
    Aborted,
    /// Never prepared: the tombstone of a NO.
    Refused(NoReason),
}

impl Branch {
    /// Prepared, pre-committed, or read and not released: it holds locks.
    pub fn is_live(&self) -> bool {
        self.is_in_doubt()
            || matches!(
                self.state,
                BranchState::Read {
                    released: false,
                    ..
                }
            )
    }

    /// Prepared or pre-committed: it has changes that wait for the outcome.
    pub fn is_in_doubt(&self) -> bool {
        matches!(
            self.state,
            BranchState::Prepared { .. } | BranchState::PreCommitted { .. }
        )
    }

    /// The age and list of a branch that holds locks.
    pub fn live(&self) -> Option<(&Terms, TxnId)> {
        match &self.state {
            BranchState::Prepared { terms, age, .. }
            | BranchState::PreCommitted { terms, age, .. }
            | BranchState::Read {
                terms,
                age,
                released: false,
            } => Some((terms, *age)),
            _ => None,
        }
    }

    pub(super) fn outcome_at_horizon(&self) -> Option<Value> {
        match self.state {
            BranchState::Prepared { .. } => Some(Value::Abort),
            BranchState::PreCommitted { .. } => Some(Value::Commit),
            _ => None,
        }
    }

    pub(super) fn timers(&self) -> &'static [ParticipantTimer] {
        match &self.state {
            BranchState::Prepared { terms, .. } if terms.mode == Mode::ThreePhase => {
                &[ParticipantTimer::Inquire, ParticipantTimer::Fence]
            }
            BranchState::Prepared { .. }
            | BranchState::Read {
                released: false, ..
            } => &[ParticipantTimer::Inquire],
            BranchState::PreCommitted { .. } => &[ParticipantTimer::Finish],
            _ => &[],
        }
    }
}
