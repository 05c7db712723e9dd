//! A value shared between states, with its hash. Nothing of the protocol.

use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use foldhash::quality::FixedState;

/// A value whose hash is known. Two of them are equal if their hashes are: 64 bits, as the checker
/// itself compares states.
pub(crate) struct Shared<T> {
    hash: u64,
    value: Arc<T>,
}

impl<T: Hash> Shared<T> {
    pub(crate) fn new(value: T) -> Self {
        let hash = hash(&value);
        let value = Arc::new(value);
        Self { hash, value }
    }
}

impl<T> Shared<T> {
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }
}

/// The hash of `value`, the same in every thread and run.
pub(crate) fn hash(value: &impl Hash) -> u64 {
    FixedState::default().hash_one(value)
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        let value = Arc::clone(&self.value);
        Self { value, ..*self }
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> PartialEq for Shared<T> {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
    }
}

impl<T> Eq for Shared<T> {}

impl<T> Hash for Shared<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl<T: fmt::Debug> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}
