//! Ballots and the values accepted at them.

use std::fmt;

use crate::ParticipantId;

/// The number of an attempt to choose a value; lexicographic order, so two proposers never share one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Ballot {
    /// The attempt.
    pub round: u32,
    /// 0 for the coordinator, else the participant that started the round.
    pub owner: u32,
}

impl Ballot {
    /// The ballot of the pre-commit record: no attempt is lower.
    pub const ZERO: Self = Self { round: 0, owner: 0 };

    /// A coordinator's ballot.
    pub const fn coordinator(round: u32) -> Self {
        Self { round, owner: 0 }
    }

    /// A peer's ballot.
    pub const fn peer(round: u32, owner: ParticipantId) -> Self {
        Self {
            round,
            owner: owner.0,
        }
    }

    /// Whether a participant, not the coordinator, started this attempt.
    pub const fn is_peer(self) -> bool {
        self.owner != 0
    }
}

impl fmt::Debug for Ballot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.round, self.owner)
    }
}

impl fmt::Display for Ballot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What a ballot proposes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Value {
    /// All participants apply their changes.
    Commit,
    /// All participants undo their changes.
    Abort,
}

/// A value accepted at a ballot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Accepted {
    /// The attempt.
    pub ballot: Ballot,
    /// Its value.
    pub value: Value,
}

impl fmt::Debug for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}@{:?}", self.value, self.ballot)
    }
}

/// How a transaction ended.
pub type Outcome = Value;
