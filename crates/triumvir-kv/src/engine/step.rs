//! What the engine answers and reports.

use crate::{Intent, Key, Refusal, Results};
use triumvir_protocol::TxnId;

/// What a branch that prepared may vote.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Vote {
    /// It changes something.
    Yes,
    /// It changes nothing; its shared locks stay until the outcome.
    Read,
}

/// A branch that can commit.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Prepared {
    /// What is to be durable before the vote leaves.
    pub intent: Intent,
    /// What the operations answer. The engine does not keep it.
    pub results: Results,
}

impl Prepared {
    /// The vote that goes with the intent.
    pub fn vote(&self) -> Vote {
        self.intent.vote()
    }
}

/// What became of a branch.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[must_use]
pub enum Step {
    /// It ran and holds its locks.
    Prepared(Prepared),
    /// It will not run and holds nothing.
    Refused(Refusal),
    /// It waits for locks; [`Engine::advance`](crate::Engine::advance) reports what becomes of it.
    Waiting,
    /// It has voted before, and nothing was done. The vote on record stands.
    Standing,
}

/// What [`Engine::advance`](crate::Engine::advance) reports.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Event {
    /// A read that waited may read now: see [`Engine::read`](crate::Engine::read).
    Read {
        /// The number under which it waited.
        reader: u64,
    },
    /// A branch that waited has run or is refused.
    Branch {
        /// Its transaction.
        txn: TxnId,
        /// What became of it; never [`Step::Waiting`].
        step: Step,
    },
}

/// Whether a read outside transactions may go on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[must_use]
pub enum ReadStep {
    /// Now.
    Ready,
    /// [`Engine::advance`](crate::Engine::advance) will say when.
    Waiting,
}

/// Two branches that have voted claim conflicting locks, which no engine lets happen: what was
/// recovered cannot be trusted, and the participant must not serve.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("cannot recover {txn}: key {key} is claimed by {holder} too")]
pub struct RecoverError {
    /// The transaction that was to be recovered.
    pub txn: TxnId,
    /// The first key in conflict.
    pub key: Key,
    /// The other transaction.
    pub holder: TxnId,
}
