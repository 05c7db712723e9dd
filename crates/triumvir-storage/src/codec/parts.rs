//! Fields that records, branches and snapshots share.

use std::sync::Arc;

use prost::{Enumeration, Message};
use triumvir_protocol::{
    Accepted, Ballot, Digest, Mode, NoReason, ParticipantId, Terms, TxnId, Value,
};

use super::CodecError;

#[derive(Clone, PartialEq, Message)]
pub(super) struct StoredTerms {
    #[prost(uint32, repeated, tag = "1")]
    participants: Vec<u32>,
    #[prost(bool, tag = "2")]
    two_phase: bool,
    #[prost(bytes = "vec", tag = "3")]
    digest: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct StoredBallot {
    #[prost(uint32, tag = "1")]
    round: u32,
    #[prost(uint32, tag = "2")]
    owner: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub(super) enum StoredValue {
    Unspecified = 0,
    Commit = 1,
    Abort = 2,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct StoredAccepted {
    #[prost(message, required, tag = "1")]
    ballot: StoredBallot,
    #[prost(enumeration = "StoredValue", tag = "2")]
    value: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct StoredNo {
    #[prost(uint32, tag = "1")]
    kind: u32,
    #[prost(string, tag = "2")]
    code: String,
    #[prost(string, tag = "3")]
    detail: String,
    #[prost(bool, tag = "4")]
    retryable: bool,
}

impl From<&Terms> for StoredTerms {
    fn from(terms: &Terms) -> Self {
        Self {
            participants: ids(&terms.participants),
            two_phase: terms.mode == Mode::TwoPhase,
            digest: terms.digest.0.to_vec(),
        }
    }
}

impl TryFrom<StoredTerms> for Terms {
    type Error = CodecError;

    fn try_from(stored: StoredTerms) -> Result<Self, CodecError> {
        let mode = if stored.two_phase {
            Mode::TwoPhase
        } else {
            Mode::ThreePhase
        };
        let participants = stored.participants.into_iter().map(ParticipantId);
        Ok(Terms::from_parts(
            mode,
            digest(&stored.digest)?,
            participants,
        )?)
    }
}

impl From<Ballot> for StoredBallot {
    fn from(Ballot { round, owner }: Ballot) -> Self {
        Self { round, owner }
    }
}

impl From<StoredBallot> for Ballot {
    fn from(StoredBallot { round, owner }: StoredBallot) -> Self {
        Self { round, owner }
    }
}

impl From<Value> for StoredValue {
    fn from(value: Value) -> Self {
        match value {
            Value::Commit => Self::Commit,
            Value::Abort => Self::Abort,
        }
    }
}

pub(super) fn value(stored: i32) -> Result<Value, CodecError> {
    match StoredValue::try_from(stored) {
        Ok(StoredValue::Commit) => Ok(Value::Commit),
        Ok(StoredValue::Abort) => Ok(Value::Abort),
        _ => Err(CodecError::Field("value")),
    }
}

impl From<Accepted> for StoredAccepted {
    fn from(Accepted { ballot, value }: Accepted) -> Self {
        Self {
            ballot: ballot.into(),
            value: StoredValue::from(value).into(),
        }
    }
}

impl TryFrom<StoredAccepted> for Accepted {
    type Error = CodecError;

    fn try_from(stored: StoredAccepted) -> Result<Self, CodecError> {
        Ok(Self {
            ballot: stored.ballot.into(),
            value: value(stored.value)?,
        })
    }
}

impl From<&NoReason> for StoredNo {
    fn from(reason: &NoReason) -> Self {
        let kind = match reason {
            NoReason::Resource {
                code,
                detail,
                retryable,
            } => {
                return Self {
                    kind: 1,
                    code: code.to_string(),
                    detail: detail.to_string(),
                    retryable: *retryable,
                };
            }
            NoReason::Overtaken => 2,
            NoReason::Timeout => 3,
            NoReason::WorkLost => 4,
            NoReason::OtherContent => 5,
        };
        Self {
            kind,
            ..Self::default()
        }
    }
}

impl TryFrom<StoredNo> for NoReason {
    type Error = CodecError;

    fn try_from(stored: StoredNo) -> Result<Self, CodecError> {
        Ok(match stored.kind {
            1 => Self::Resource {
                code: stored.code.into(),
                detail: stored.detail.into(),
                retryable: stored.retryable,
            },
            2 => Self::Overtaken,
            3 => Self::Timeout,
            4 => Self::WorkLost,
            5 => Self::OtherContent,
            _ => return Err(CodecError::Field("reason")),
        })
    }
}

pub(super) fn ids(participants: &[ParticipantId]) -> Vec<u32> {
    participants.iter().map(|id| id.0).collect()
}

pub(super) fn participants(stored: &[u32]) -> Arc<[ParticipantId]> {
    stored.iter().map(|id| ParticipantId(*id)).collect()
}

pub(super) fn digest(stored: &[u8]) -> Result<Digest, CodecError> {
    stored
        .try_into()
        .map(Digest)
        .map_err(|_| CodecError::Field("digest"))
}

pub(super) fn bits(number: u128) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

pub(super) fn number(stored: &[u8], field: &'static str) -> Result<u128, CodecError> {
    stored
        .try_into()
        .map(u128::from_be_bytes)
        .map_err(|_| CodecError::Field(field))
}

pub(super) fn txn(stored: &[u8]) -> Result<TxnId, CodecError> {
    Ok(TxnId::from_u128(number(stored, "txn")?))
}
