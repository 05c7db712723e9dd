//! A branch while the engine knows it. Private to the engine.

use crate::{Age, Intent, LockSet, Operations, Storage};

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Branch {
    pub(super) age: Age,
    /// What the branch claims; it holds all of it once it is not waiting any more.
    pub(super) locks: LockSet,
    pub(super) phase: Phase,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Phase {
    /// Claims are in the queues; the operations have not run.
    Waiting(Operations),
    /// The vote may be out; the outcome is not known.
    Voted(Intent),
    /// The outcome is commit; the storage has not shown the changes yet.
    Committed(Intent),
}

impl Branch {
    /// Whether the branch is committed and `storage` shows all its changes.
    pub(super) fn is_stored<S: Storage>(&self, storage: &S) -> Result<bool, S::Error> {
        let Phase::Committed(intent) = &self.phase else {
            return Ok(false);
        };
        for (key, value) in intent.changes().iter() {
            if storage.value(key)?.as_ref() != value {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
