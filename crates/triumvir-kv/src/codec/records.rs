//! The messages as they are encoded. A field number never changes its meaning; see `codec.rs`.

use prost::{Message, Oneof};

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
