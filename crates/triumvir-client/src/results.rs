//! What a committed transaction returned.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message as _;
use triumvir_protocol::TxnId;
use triumvir_wire::{Applied, Code, limits, v1};

use crate::Value;

/// A transaction that is committed: applied at every participant, or sure to be.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Committed {
    /// Its id; the last attempt's, when conflicts were retried.
    pub txn: TxnId,
    /// Under how many ids it was tried, this one included.
    pub attempts: u32,
    /// What its operations returned.
    pub results: Results,
}

/// What the operations of a transaction returned, by participant.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Results(BTreeMap<String, Bytes>);

/// The transaction is committed, and what a participant's operations returned cannot be had.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ResultsError {
    /// The participant is not part of the transaction, or could not be asked again after a change of
    /// leader.
    #[error("the transaction is committed, and {participant} left no results")]
    Missing {
        /// The participant.
        participant: String,
    },
    /// The participant's results are not those of a key-value resource.
    #[error(
        "the transaction is committed, and the results of {participant} cannot be read: {reason}"
    )]
    Unreadable {
        /// The participant.
        participant: String,
        /// What is wrong with them.
        reason: String,
    },
}

impl ResultsError {
    /// The transaction is committed, whatever became of its results.
    pub fn applied(&self) -> Applied {
        Applied::Applied
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        Code::UnreadableResults.as_str()
    }
}

impl Results {
    /// One result for each operation at `participant`, in order: with get the value, if there is one;
    /// with add the sum; else `None`.
    pub fn at(&self, participant: &str) -> Result<Vec<Option<Value>>, ResultsError> {
        let Some(bytes) = self.0.get(participant) else {
            return Err(ResultsError::Missing {
                participant: participant.to_owned(),
            });
        };
        decode(bytes).map_err(|reason| ResultsError::Unreadable {
            participant: participant.to_owned(),
            reason,
        })
    }

    /// The bytes that a resource of its own kind returned.
    pub fn raw(&self, participant: &str) -> Option<&Bytes> {
        self.0.get(participant)
    }

    /// The participants that left results.
    pub fn participants(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(crate) fn from_wire(parts: Vec<v1::PartResult>) -> Self {
        let by_name = |part: v1::PartResult| (part.participant, part.results);
        Self(parts.into_iter().map(by_name).collect())
    }
}

fn decode(bytes: &Bytes) -> Result<Vec<Option<Value>>, String> {
    let results = v1::KvResults::decode(bytes.clone()).map_err(|error| error.to_string())?;
    if results.version != limits::KV_VERSION {
        return Err(format!("they have version {}", results.version));
    }
    // A field that this version does not know must not pass for "no value".
    if results.encoded_len() != bytes.len() {
        return Err("they have fields that this version does not know".to_owned());
    }
    results.results.into_iter().map(value).collect()
}

/// A result's value, if it has one.
pub(crate) fn value(result: v1::KvResult) -> Result<Option<Value>, String> {
    match result.value.map(Value::from_wire) {
        None => Ok(None),
        Some(Some(value)) => Ok(Some(value)),
        Some(None) => Err("a value is of a kind that this version does not know".to_owned()),
    }
}
