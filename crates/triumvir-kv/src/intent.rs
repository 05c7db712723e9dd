//! The durable form of a branch that has voted.

use std::collections::BTreeSet;

use crate::{Age, Changes, Key, LockMode, LockSet, Vote};

/// Everything that a branch needs to stand again after a restart. It is durable before the vote
/// leaves.
///
/// Keys that are changed are locked exclusively, keys that were only read are locked shared, so
/// that no intent can hold a change without its lock.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Intent {
    age: Age,
    changes: Changes,
    shared: BTreeSet<Key>,
}

impl Intent {
    /// `shared` keys that are changed too are left out: their lock is exclusive.
    pub(crate) fn new(age: Age, changes: Changes, shared: impl IntoIterator<Item = Key>) -> Self {
        let shared = shared
            .into_iter()
            .filter(|key| changes.change(key).is_none())
            .collect();
        Self {
            age,
            changes,
            shared,
        }
    }

    /// The age that the transaction came with.
    pub fn age(&self) -> Age {
        self.age
    }

    /// What a commit stores.
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    /// The keys that were read and not changed.
    pub fn shared(&self) -> &BTreeSet<Key> {
        &self.shared
    }

    /// READ if nothing is changed, else YES.
    pub fn vote(&self) -> Vote {
        if self.changes.is_empty() {
            Vote::Read
        } else {
            Vote::Yes
        }
    }

    /// All locks that the branch holds.
    pub fn locks(&self) -> LockSet {
        let exclusive = self
            .changes
            .iter()
            .map(|(key, _)| (key.clone(), LockMode::Exclusive));
        let shared = self
            .shared
            .iter()
            .map(|key| (key.clone(), LockMode::Shared));
        exclusive.chain(shared).collect()
    }
}
