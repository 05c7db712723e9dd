//! What the operations of a branch answer.

use std::sync::Arc;

use crate::Value;

/// The answer of one operation.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum OperationResult {
    /// Of put, delete and expect: done, and it holds.
    Done,
    /// Of get: what stands under the key, if anything.
    Value(Option<Value>),
    /// Of add: the new value.
    Sum(i64),
}

/// One answer per operation, in the order of the operations.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Results(Arc<[OperationResult]>);

impl Results {
    /// The answers in order.
    pub fn as_slice(&self) -> &[OperationResult] {
        &self.0
    }

    /// The caller has checked the limits.
    pub(crate) fn from_vec(results: Vec<OperationResult>) -> Self {
        Self(results.into())
    }
}

impl std::ops::Deref for Results {
    type Target = [OperationResult];

    fn deref(&self) -> &[OperationResult] {
        &self.0
    }
}
