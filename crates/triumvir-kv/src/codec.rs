//! The binary forms: what is accepted, the limits, and what is said about the rest. Rubbish gives
//! an error, never a panic.
//!
//! Each form is one protobuf message whose first field is the version of the format, now 1; another
//! version is refused. The messages are the structs of `records.rs`; as a schema:
//!
//! ```proto
//! message Operations { uint32 version = 1; repeated Operation operations = 2; }
//! message Operation  { bytes key = 1; oneof act { Value put = 2; Nothing delete = 3;
//!                      Nothing get = 4; Add add = 5; Maybe expect = 6; } }
//! message Value      { oneof kind { bytes bytes = 1; sint64 integer = 2; } }
//! message Maybe      { Value value = 1; }
//! message Add        { sint64 delta = 1; optional sint64 min = 2; optional sint64 max = 3; }
//! message Nothing    {}
//!
//! message Results    { uint32 version = 1; repeated Result results = 2; }
//! message Result     { oneof kind { Nothing done = 1; Maybe value = 2; sint64 sum = 3; } }
//!
//! message Intent     { uint32 version = 1; bytes age = 2; repeated Change changes = 3;
//!                      repeated bytes shared = 4; }
//! message Change     { bytes key = 1; Value value = 2; }
//!
//! message Stored     { uint32 version = 1; Value value = 2; }
//! ```

mod convert;
mod records;

pub(crate) use convert::check_operations;

/// The largest key: 4 KiB.
pub const KEY_BYTES_MAX: usize = 4 << 10;
/// The largest value: 1 MiB.
pub const VALUE_BYTES_MAX: usize = 1 << 20;
/// The most operations of one branch.
pub const OPERATIONS_MAX: usize = 1024;
/// The most that the operations of one branch take, encoded or counted: 2 MiB. An operation counts
/// as its key, its value and 64 bytes, which is more than it takes when encoded.
pub const OPERATIONS_BYTES_MAX: usize = 2 << 20;
/// The most that the results of one branch take, encoded or counted: 2 MiB. A result counts as its
/// value and 64 bytes.
pub const RESULTS_BYTES_MAX: usize = 2 << 20;

/// More than an operation or a result takes beside its key and its bytes: at most six nested fields
/// of a tag byte and a length of up to four bytes, or three numbers of ten, and a share of the
/// version.
pub(crate) const ENTRY_OVERHEAD_BYTES: usize = 64;

const FORMAT_VERSION: u32 = 1;

/// Why bytes are not one of the forms of this crate, or why operations are not accepted.
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
    /// More than [`OPERATIONS_MAX`] operations or results.
    #[error("{count} operations exceed {OPERATIONS_MAX}")]
    TooMany {
        /// How many there are.
        count: usize,
    },
    /// More than [`OPERATIONS_BYTES_MAX`] or [`RESULTS_BYTES_MAX`] in all.
    #[error("{bytes} bytes in all exceed {bytes_max}")]
    TooLarge {
        /// Size of the whole.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
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
