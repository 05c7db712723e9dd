//! Why a message from the wire is refused. What a caller hears of it is in `status.rs`.

use triumvir_protocol::TermsError;

/// A message that cannot be one of ours: which field, and why. Nothing was done with it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WireError {
    /// A field that must be there is not.
    #[error("{field} is missing or of an unknown kind")]
    Missing {
        /// The field.
        field: &'static str,
    },
    /// An identifier or a digest of the wrong size.
    #[error("{field} has {found} bytes and must have {expected}")]
    Length {
        /// The field.
        field: &'static str,
        /// Bytes that it must have.
        expected: usize,
        /// Bytes that it has.
        found: usize,
    },
    /// An enumeration's value that this version does not know, or none.
    #[error("{field} is {value}, which is not known")]
    Unknown {
        /// The field.
        field: &'static str,
        /// Its number.
        value: i32,
    },
    /// A number that is reserved.
    #[error("{field} is 0, which is reserved")]
    Zero {
        /// The field.
        field: &'static str,
    },
    /// A transaction id that is not a UUIDv7.
    #[error("{field} is not a UUIDv7")]
    NotV7 {
        /// The field.
        field: &'static str,
    },
    /// A list of participants that no transaction has.
    #[error("{field}: {source}")]
    List {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        source: TermsError,
    },
    /// More than a limit of [`limits`](crate::limits) allows.
    #[error("{field} has {found} and may have {max}")]
    TooMany {
        /// The field.
        field: &'static str,
        /// How many, or how many bytes.
        found: usize,
        /// The limit.
        max: usize,
    },
    /// Something that this sender never says.
    #[error("{field}: {what}")]
    Misplaced {
        /// The field.
        field: &'static str,
        /// What must not be there.
        what: &'static str,
    },
}
