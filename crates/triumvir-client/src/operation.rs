//! What a transaction does at one participant: key-value operations, a payload of the participant's
//! own kind, or work that was done there before.

use bytes::Bytes;
use prost::Message as _;
use triumvir_protocol::Incarnation;
use triumvir_wire::{limits, v1};

use crate::Value;

/// One operation of the key-value resource. Operations at one participant run in order and see each
/// other's effects; each has one result.
#[derive(Clone, PartialEq, Debug)]
pub struct Operation(v1::KvOperation);

/// An addition, whose bounds can still be set.
#[derive(Clone, PartialEq, Debug)]
#[must_use]
pub struct Add {
    key: Bytes,
    sum: v1::KvAdd,
}

/// A participant's part, or a piece of it.
#[derive(Clone, PartialEq, Debug)]
pub enum Part {
    /// Key-value operations, in order.
    Operations(Vec<Operation>),
    /// Bytes that the participant's own resource understands. At most 2 MiB.
    Payload(Bytes),
    /// Work that was done at the participant before commit is asked for.
    Done {
        /// The participant's incarnation when it did the work.
        incarnation: Incarnation,
        /// How many operations it did.
        operations: u64,
    },
}

/// Sets a key.
pub fn put(key: impl AsRef<[u8]>, value: impl Into<Value>) -> Operation {
    Operation::new(key, v1::kv_operation::Kind::Put(value.into().into_wire()))
}

/// Removes a key, which need not be there.
pub fn delete(key: impl AsRef<[u8]>) -> Operation {
    Operation::new(key, v1::kv_operation::Kind::Delete(v1::KvDelete {}))
}

/// Reads a key, under a lock that is kept until the outcome.
pub fn get(key: impl AsRef<[u8]>) -> Operation {
    Operation::new(key, v1::kv_operation::Kind::Get(v1::KvGet {}))
}

/// Adds to the number under a key, which counts as 0 when it is absent; the result is the sum.
pub fn add(key: impl AsRef<[u8]>, delta: i64) -> Add {
    let sum = v1::KvAdd {
        delta,
        min: None,
        max: None,
    };
    Add {
        key: Bytes::copy_from_slice(key.as_ref()),
        sum,
    }
}

/// The participant votes NO unless the key has this value.
pub fn expect(key: impl AsRef<[u8]>, value: impl Into<Value>) -> Operation {
    let value = Some(value.into().into_wire());
    Operation::new(key, v1::kv_operation::Kind::Expect(v1::KvExpect { value }))
}

/// The participant votes NO unless the key is absent.
pub fn expect_absent(key: impl AsRef<[u8]>) -> Operation {
    Operation::new(
        key,
        v1::kv_operation::Kind::Expect(v1::KvExpect { value: None }),
    )
}

/// A payload for a participant with a resource of its own.
pub fn payload(bytes: impl Into<Bytes>) -> Part {
    Part::Payload(bytes.into())
}

/// Work that was done at the participant before.
pub fn done(incarnation: Incarnation, operations: u64) -> Part {
    Part::Done {
        incarnation,
        operations,
    }
}

impl Operation {
    fn new(key: impl AsRef<[u8]>, kind: v1::kv_operation::Kind) -> Self {
        Self(v1::KvOperation {
            key: Bytes::copy_from_slice(key.as_ref()),
            kind: Some(kind),
        })
    }
}

impl Add {
    /// The smallest sum that is allowed; below it, the participant votes NO.
    pub fn min(mut self, min: i64) -> Self {
        self.sum.min = Some(min);
        self
    }

    /// The largest sum that is allowed; above it, the participant votes NO.
    pub fn max(mut self, max: i64) -> Self {
        self.sum.max = Some(max);
        self
    }
}

impl From<Add> for Operation {
    fn from(Add { key, sum }: Add) -> Self {
        Self(v1::KvOperation {
            key,
            kind: Some(v1::kv_operation::Kind::Add(sum)),
        })
    }
}

impl From<Operation> for Part {
    fn from(operation: Operation) -> Self {
        Self::Operations(vec![operation])
    }
}

impl From<Add> for Part {
    fn from(add: Add) -> Self {
        Operation::from(add).into()
    }
}

impl From<Vec<Operation>> for Part {
    fn from(operations: Vec<Operation>) -> Self {
        Self::Operations(operations)
    }
}

impl Part {
    /// Joins another piece for the same participant; only operations can be joined.
    pub(crate) fn join(&mut self, other: Self) -> Result<(), ()> {
        match (self, other) {
            (Self::Operations(own), Self::Operations(other)) => {
                own.extend(other);
                Ok(())
            }
            _ => Err(()),
        }
    }

    pub(crate) fn into_wire(self) -> v1::Work {
        let kind = match self {
            Self::Operations(operations) => {
                let operations = v1::KvOperations {
                    version: limits::KV_VERSION,
                    operations: operations
                        .into_iter()
                        .map(|operation| operation.0)
                        .collect(),
                };
                v1::work::Kind::Payload(operations.encode_to_vec().into())
            }
            Self::Payload(bytes) => v1::work::Kind::Payload(bytes),
            Self::Done {
                incarnation,
                operations,
            } => v1::work::Kind::Done(v1::WorkDone {
                incarnation: incarnation.0,
                operations,
            }),
        };
        v1::Work { kind: Some(kind) }
    }
}
