//! What a transaction can ask of this resource.

use std::sync::Arc;

use crate::limits::check_operations;
use crate::{CodecError, Key, LockMode, LockSet, Value};

/// One operation. The operations of a branch run in order and see each other's effects.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Operation {
    /// Sets `key` to `value`.
    Put {
        /// The key.
        key: Key,
        /// Its new value.
        value: Value,
    },
    /// Removes `key`, which need not be there.
    Delete {
        /// The key.
        key: Key,
    },
    /// Answers with the value of `key`.
    Get {
        /// The key.
        key: Key,
    },
    /// Adds `delta` to the integer under `key` and answers with the sum. An absent key counts as 0.
    ///
    /// Refused when the key holds bytes, when the sum overflows, and when the sum is out of bounds,
    /// whatever the value was before.
    Add {
        /// The key.
        key: Key,
        /// What is added; may be negative.
        delta: i64,
        /// The smallest sum that is allowed.
        min: Option<i64>,
        /// The largest sum that is allowed.
        max: Option<i64>,
    },
    /// Refuses the branch unless `key` is as expected.
    Expect {
        /// The key.
        key: Key,
        /// The value, or that the key is absent.
        expected: Option<Value>,
    },
}

impl Operation {
    /// The key that the operation is about.
    pub fn key(&self) -> &Key {
        match self {
            Self::Put { key, .. }
            | Self::Delete { key }
            | Self::Get { key }
            | Self::Add { key, .. }
            | Self::Expect { key, .. } => key,
        }
    }

    /// The lock that the operation needs on its key.
    pub fn lock_mode(&self) -> LockMode {
        match self {
            Self::Put { .. } | Self::Delete { .. } | Self::Add { .. } => LockMode::Exclusive,
            Self::Get { .. } | Self::Expect { .. } => LockMode::Shared,
        }
    }
}

/// All operations of one transaction on one branch. Within all limits, by construction.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Operations(Arc<[Operation]>);

impl Operations {
    /// Checks the limits: see [`OPERATIONS_MAX`](crate::OPERATIONS_MAX),
    /// [`KEY_BYTES_MAX`](crate::KEY_BYTES_MAX), [`VALUE_BYTES_MAX`](crate::VALUE_BYTES_MAX) and
    /// [`OPERATIONS_BYTES_MAX`](crate::OPERATIONS_BYTES_MAX).
    ///
    /// An empty list is allowed: it locks nothing and votes READ.
    ///
    /// # Errors
    ///
    /// The limit that is exceeded.
    pub fn new(operations: impl Into<Arc<[Operation]>>) -> Result<Self, CodecError> {
        let operations = operations.into();
        check_operations(&operations)?;
        Ok(Self(operations))
    }

    /// The operations in order.
    pub fn as_slice(&self) -> &[Operation] {
        &self.0
    }

    /// Every key that the operations name, with the strongest lock that one of them needs.
    pub fn locks(&self) -> LockSet {
        let mut locks = LockSet::new();
        for operation in self.iter() {
            let mode = locks
                .entry(operation.key().clone())
                .or_insert(LockMode::Shared);
            *mode = (*mode).max(operation.lock_mode());
        }
        locks
    }
}

impl std::ops::Deref for Operations {
    type Target = [Operation];

    fn deref(&self) -> &[Operation] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_lock_wins_whatever_the_order() {
        let get = |key: &str| Operation::Get { key: key.into() };
        let delete = |key: &str| Operation::Delete { key: key.into() };
        let operations =
            Operations::new([get("a"), delete("a"), delete("b"), get("b"), get("c")]).unwrap();
        let expected = [
            ("a".into(), LockMode::Exclusive),
            ("b".into(), LockMode::Exclusive),
            ("c".into(), LockMode::Shared),
        ];
        assert_eq!(operations.locks(), LockSet::from(expected));
    }
}
