//! The messages as they are encoded. A field number never changes its meaning; see `codec.rs`.

use prost::{Message, Oneof};

#[derive(Clone, PartialEq, Message)]
pub(super) struct OperationsRecord {
    #[prost(uint32, tag = "1")]
    pub(super) version: u32,
    #[prost(message, repeated, tag = "2")]
    pub(super) operations: Vec<OperationRecord>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct OperationRecord {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) key: Vec<u8>,
    #[prost(oneof = "ActRecord", tags = "2, 3, 4, 5, 6")]
    pub(super) act: Option<ActRecord>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum ActRecord {
    #[prost(message, tag = "2")]
    Put(ValueRecord),
    #[prost(message, tag = "3")]
    Delete(NothingRecord),
    #[prost(message, tag = "4")]
    Get(NothingRecord),
    #[prost(message, tag = "5")]
    Add(AddRecord),
    #[prost(message, tag = "6")]
    Expect(MaybeRecord),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ValueRecord {
    #[prost(oneof = "KindRecord", tags = "1, 2")]
    pub(super) kind: Option<KindRecord>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum KindRecord {
    #[prost(bytes, tag = "1")]
    Bytes(Vec<u8>),
    #[prost(sint64, tag = "2")]
    Integer(i64),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct MaybeRecord {
    #[prost(message, optional, tag = "1")]
    pub(super) value: Option<ValueRecord>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AddRecord {
    #[prost(sint64, tag = "1")]
    pub(super) delta: i64,
    #[prost(sint64, optional, tag = "2")]
    pub(super) min: Option<i64>,
    #[prost(sint64, optional, tag = "3")]
    pub(super) max: Option<i64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct NothingRecord {}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ResultsRecord {
    #[prost(uint32, tag = "1")]
    pub(super) version: u32,
    #[prost(message, repeated, tag = "2")]
    pub(super) results: Vec<ResultRecord>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ResultRecord {
    #[prost(oneof = "AnswerRecord", tags = "1, 2, 3")]
    pub(super) kind: Option<AnswerRecord>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum AnswerRecord {
    #[prost(message, tag = "1")]
    Done(NothingRecord),
    #[prost(message, tag = "2")]
    Value(MaybeRecord),
    #[prost(sint64, tag = "3")]
    Sum(i64),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct IntentRecord {
    #[prost(uint32, tag = "1")]
    pub(super) version: u32,
    /// The 16 bytes of the id, most significant first.
    #[prost(bytes = "vec", tag = "2")]
    pub(super) age: Vec<u8>,
    #[prost(message, repeated, tag = "3")]
    pub(super) changes: Vec<ChangeRecord>,
    #[prost(bytes = "vec", repeated, tag = "4")]
    pub(super) shared: Vec<Vec<u8>>,
}

/// Without a value: the key is deleted.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ChangeRecord {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) key: Vec<u8>,
    #[prost(message, optional, tag = "2")]
    pub(super) value: Option<ValueRecord>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct StoredRecord {
    #[prost(uint32, tag = "1")]
    pub(super) version: u32,
    #[prost(message, optional, tag = "2")]
    pub(super) value: Option<ValueRecord>,
}
