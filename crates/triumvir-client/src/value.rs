//! Values of the key-value resource, as a client sees them.

use bytes::Bytes;
use triumvir_wire::v1;

/// What stands under a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// Opaque bytes.
    Bytes(Bytes),
    /// A number that [`add`](crate::add) can change.
    Integer(i64),
}

impl Value {
    /// The number, if it is one.
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            Self::Bytes(_) => None,
        }
    }

    /// The bytes, if it is not a number.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Integer(_) => None,
        }
    }

    /// The text, if it is bytes in UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        self.as_bytes()
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
    }

    /// None: the message has a kind of value that this version does not know.
    pub(crate) fn from_wire(wire: v1::KvValue) -> Option<Self> {
        wire.kind.map(|kind| match kind {
            v1::kv_value::Kind::Bytes(bytes) => Self::Bytes(bytes),
            v1::kv_value::Kind::Integer(number) => Self::Integer(number),
        })
    }

    pub(crate) fn into_wire(self) -> v1::KvValue {
        let kind = match self {
            Self::Bytes(bytes) => v1::kv_value::Kind::Bytes(bytes),
            Self::Integer(number) => v1::kv_value::Kind::Integer(number),
        };
        v1::KvValue { kind: Some(kind) }
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<Bytes> for Value {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(Bytes::copy_from_slice(bytes))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Bytes(text.into())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}
