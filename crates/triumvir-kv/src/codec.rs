//! The durable forms: what is accepted, and what is said about the rest. Rubbish gives an error,
//! never a panic. How operations and results travel is not known here.
//!
//! Each form is one protobuf message whose first field is the version of the format, now 1; another
//! version is refused. The messages are the structs of `records.rs`; as a schema:
//!
//! ```proto
//! message Intent { uint32 version = 1; bytes age = 2; repeated Change changes = 3;
//!                  repeated bytes shared = 4; }
//! message Change { bytes key = 1; Value value = 2; }
//! message Value  { oneof kind { bytes bytes = 1; sint64 integer = 2; } }
//!
//! message Stored { uint32 version = 1; Value value = 2; }
//! ```

mod convert;
mod records;

use crate::limits::{KEY_BYTES_MAX, OPERATIONS_BYTES_MAX, OPERATIONS_MAX, VALUE_BYTES_MAX};

const FORMAT_VERSION: u32 = 1;

/// Why bytes are not one of the forms of this crate, or which limit is exceeded.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CodecError {
    /// Not a protobuf message.
    #[error("not a message: {0}")]
    Message(#[from] prost::DecodeError),
    /// A format of another version.
    #[error("format version {found}; this program knows version 1")]
    Version {
        /// The version that the bytes claim.
        found: u32,
    },
    /// A field is missing or has a kind that is not known.
    #[error("{0} is missing or of an unknown kind")]
    Missing(&'static str),
    /// The fields do not fit together.
    #[error("{0}")]
    Inconsistent(&'static str),
    /// A key exceeds [`KEY_BYTES_MAX`].
    #[error("a key of {bytes} bytes exceeds {KEY_BYTES_MAX}")]
    KeyTooLarge {
        /// Its size.
        bytes: usize,
    },
    /// A value exceeds [`VALUE_BYTES_MAX`].
    #[error("a value of {bytes} bytes exceeds {VALUE_BYTES_MAX}")]
    ValueTooLarge {
        /// Its size.
        bytes: usize,
    },
    /// More than [`OPERATIONS_MAX`] operations.
    #[error("{count} operations exceed {OPERATIONS_MAX}")]
    TooMany {
        /// How many there are.
        count: usize,
    },
    /// Operations exceed [`OPERATIONS_BYTES_MAX`] in all.
    #[error("{bytes} bytes of operations exceed {OPERATIONS_BYTES_MAX}")]
    TooLarge {
        /// What they count.
        bytes: usize,
    },
}

impl CodecError {
    /// Whether the content is well formed and only too large.
    pub fn is_limit(&self) -> bool {
        match self {
            Self::KeyTooLarge { .. }
            | Self::ValueTooLarge { .. }
            | Self::TooMany { .. }
            | Self::TooLarge { .. } => true,
            Self::Message(_) | Self::Version { .. } | Self::Missing(_) | Self::Inconsistent(_) => {
                false
            }
        }
    }
}
