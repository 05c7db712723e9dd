//! How the core's values stand on disk and in the log: protobuf messages behind one version byte.
//!
//! The log's entries travel between replicas in this same form, so that they are encoded once.
//! Decoding checks everything that the core relies on; what does not pass never reaches a machine.

mod branch;
mod coordinator;
mod parts;
mod records;

pub use branch::{decode_branch, encode_branch};
pub use coordinator::{decode_coordinator, encode_coordinator};
pub use records::{decode_records, encode_records};

use prost::Message;
use triumvir_protocol::{RecordError, TermsError};

/// The version that every value begins with.
const VERSION: u8 = 1;

/// Why stored bytes are not what they should be.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// Written by a release that this one does not know.
    #[error("stored in format {found}; this release reads format {VERSION}")]
    Version {
        /// The version byte.
        found: u8,
    },
    /// Not the message that it should be.
    #[error("stored bytes cannot be decoded")]
    Malformed(#[from] prost::DecodeError),
    /// A field is missing or out of range.
    #[error("stored field `{0}` is missing or out of range")]
    Field(&'static str),
    /// A list of participants that is not one.
    #[error(transparent)]
    Terms(#[from] TermsError),
    /// A record that must not be applied.
    #[error(transparent)]
    Record(#[from] RecordError),
}

fn encode(message: &impl Message) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + message.encoded_len());
    bytes.push(VERSION);
    message.encode(&mut bytes).expect("a vector grows");
    bytes
}

fn decode<M: Message + Default>(bytes: &[u8]) -> Result<M, CodecError> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => Ok(M::decode(rest)?),
        Some((&found, _)) => Err(CodecError::Version { found }),
        None => Err(CodecError::Field("version")),
    }
}
