//! Batches of records: what one entry of the log holds.

use prost::{Message, Oneof};
use triumvir_protocol::{
    AbortReason, DiskId, Horizon, Incarnation, ParticipantId, Record, Register, ReplicaId,
};

use super::parts::{
    StoredBallot, StoredTerms, StoredValue, bits, digest, ids, number, participants, txn, value,
};
use super::{CodecError, decode, encode};

#[derive(Clone, PartialEq, Message)]
struct StoredBatch {
    #[prost(message, repeated, tag = "1")]
    records: Vec<StoredRecord>,
}

#[derive(Clone, PartialEq, Message)]
struct StoredRecord {
    #[prost(bytes = "vec", tag = "1")]
    txn: Vec<u8>,
    #[prost(oneof = "Kind", tags = "2, 3, 4, 5, 6, 7, 8, 9")]
    kind: Option<Kind>,
}

#[derive(Clone, PartialEq, Oneof)]
enum Kind {
    #[prost(message, tag = "2")]
    PreCommit(StoredPreCommit),
    #[prost(message, tag = "3")]
    Abort(StoredAbort),
    #[prost(message, tag = "4")]
    Accept(StoredAccept),
    #[prost(enumeration = "StoredValue", tag = "5")]
    End(i32),
    #[prost(bytes = "vec", tag = "6")]
    Horizon(Vec<u8>),
    #[prost(message, tag = "7")]
    Activate(StoredActivate),
    #[prost(message, tag = "8")]
    Register(StoredRegister),
    #[prost(uint32, tag = "9")]
    Remove(u32),
}

#[derive(Clone, PartialEq, Message)]
struct StoredPreCommit {
    #[prost(message, required, tag = "1")]
    terms: StoredTerms,
    #[prost(uint32, repeated, tag = "2")]
    voters: Vec<u32>,
}

#[derive(Clone, PartialEq, Message)]
struct StoredAbort {
    #[prost(bytes = "vec", optional, tag = "1")]
    digest: Option<Vec<u8>>,
    #[prost(message, required, tag = "2")]
    reason: StoredAbortReason,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct StoredAbortReason {
    #[prost(uint32, tag = "1")]
    kind: u32,
    #[prost(uint32, tag = "2")]
    participant: u32,
}

#[derive(Clone, PartialEq, Message)]
struct StoredAccept {
    #[prost(message, required, tag = "1")]
    ballot: StoredBallot,
    #[prost(enumeration = "StoredValue", tag = "2")]
    value: i32,
    #[prost(message, required, tag = "3")]
    expected: StoredBallot,
}

#[derive(Clone, PartialEq, Message)]
struct StoredActivate {
    #[prost(uint64, tag = "1")]
    replica: u64,
    #[prost(fixed64, tag = "2")]
    nonce: u64,
}

#[derive(Clone, PartialEq, Message)]
struct StoredRegister {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(bytes = "vec", tag = "2")]
    disk: Vec<u8>,
    #[prost(uint64, tag = "3")]
    previous: u64,
    #[prost(bytes = "vec", tag = "4")]
    nonce: Vec<u8>,
    #[prost(string, tag = "5")]
    address: String,
    #[prost(bool, tag = "6")]
    replace: bool,
}

impl From<AbortReason> for StoredAbortReason {
    fn from(reason: AbortReason) -> Self {
        let (kind, participant) = match reason {
            AbortReason::VoteTimeout(participant) => (1, participant.0),
            AbortReason::Requested => (2, 0),
            AbortReason::Decided => (3, 0),
            AbortReason::Reported(participant) => (4, participant.0),
            AbortReason::Fenced => (5, 0),
            AbortReason::Removed(participant) => (6, participant.0),
        };
        Self { kind, participant }
    }
}

impl TryFrom<StoredAbortReason> for AbortReason {
    type Error = CodecError;

    fn try_from(stored: StoredAbortReason) -> Result<Self, CodecError> {
        let participant = ParticipantId(stored.participant);
        Ok(match stored.kind {
            1 => Self::VoteTimeout(participant),
            2 => Self::Requested,
            3 => Self::Decided,
            4 => Self::Reported(participant),
            5 => Self::Fenced,
            6 => Self::Removed(participant),
            _ => return Err(CodecError::Field("reason")),
        })
    }
}

impl From<&Record> for StoredRecord {
    fn from(record: &Record) -> Self {
        let (id, kind) = match record {
            Record::PreCommit { txn, terms, voters } => {
                let stored = StoredPreCommit {
                    terms: terms.into(),
                    voters: ids(voters),
                };
                (Some(txn), Kind::PreCommit(stored))
            }
            Record::Abort {
                txn,
                digest,
                reason,
            } => {
                let digest = digest.map(|digest| digest.0.to_vec());
                (
                    Some(txn),
                    Kind::Abort(StoredAbort {
                        digest,
                        reason: (*reason).into(),
                    }),
                )
            }
            Record::Accept {
                txn,
                ballot,
                value,
                expected,
            } => {
                let value = StoredValue::from(*value).into();
                let (ballot, expected) = ((*ballot).into(), (*expected).into());
                (
                    Some(txn),
                    Kind::Accept(StoredAccept {
                        ballot,
                        value,
                        expected,
                    }),
                )
            }
            Record::End { txn, outcome } => {
                (Some(txn), Kind::End(StoredValue::from(*outcome).into()))
            }
            Record::Horizon(horizon) => (None, Kind::Horizon(bits(horizon.0.as_u128()))),
            Record::Activate { replica, nonce } => (
                None,
                Kind::Activate(StoredActivate {
                    replica: replica.0,
                    nonce: *nonce,
                }),
            ),
            Record::Register(register) => (None, Kind::Register(register.into())),
            Record::Remove { participant } => (None, Kind::Remove(participant.0)),
        };
        Self {
            txn: id.map_or_else(Vec::new, |txn| bits(txn.as_u128())),
            kind: Some(kind),
        }
    }
}

impl From<&Register> for StoredRegister {
    fn from(register: &Register) -> Self {
        Self {
            name: register.name.to_string(),
            disk: bits(register.disk.0),
            previous: register.previous.0,
            nonce: bits(register.nonce),
            address: register.address.to_string(),
            replace: register.replace,
        }
    }
}

impl TryFrom<StoredRecord> for Record {
    type Error = CodecError;

    fn try_from(stored: StoredRecord) -> Result<Self, CodecError> {
        let id = || txn(&stored.txn);
        let record = match stored.kind.ok_or(CodecError::Field("kind"))? {
            Kind::PreCommit(StoredPreCommit { terms, voters }) => Self::PreCommit {
                txn: id()?,
                terms: terms.try_into()?,
                voters: participants(&voters),
            },
            Kind::Abort(StoredAbort {
                digest: hash,
                reason,
            }) => Self::Abort {
                txn: id()?,
                digest: hash.as_deref().map(digest).transpose()?,
                reason: reason.try_into()?,
            },
            Kind::Accept(StoredAccept {
                ballot,
                value: accepted,
                expected,
            }) => Self::Accept {
                txn: id()?,
                ballot: ballot.into(),
                value: value(accepted)?,
                expected: expected.into(),
            },
            Kind::End(outcome) => Self::End {
                txn: id()?,
                outcome: value(outcome)?,
            },
            Kind::Horizon(bound) => Self::Horizon(Horizon(txn(&bound)?)),
            Kind::Activate(StoredActivate { replica, nonce }) => Self::Activate {
                replica: ReplicaId(replica),
                nonce,
            },
            Kind::Register(register) => Self::Register(Register {
                name: register.name.into(),
                disk: DiskId(number(&register.disk, "disk")?),
                previous: Incarnation(register.previous),
                nonce: number(&register.nonce, "nonce")?,
                address: register.address.into(),
                replace: register.replace,
            }),
            Kind::Remove(id) => Self::Remove {
                participant: ParticipantId(id),
            },
        };
        record.check()?;
        Ok(record)
    }
}

/// One log entry's content.
pub fn encode_records(records: &[Record]) -> Vec<u8> {
    encode(&StoredBatch {
        records: records.iter().map(StoredRecord::from).collect(),
    })
}

/// The records of one log entry, each of them checked.
///
/// # Errors
///
/// [`CodecError`] if the bytes are not a batch of this format, or a record fails
/// [`Record::check`].
pub fn decode_records(bytes: &[u8]) -> Result<Vec<Record>, CodecError> {
    decode::<StoredBatch>(bytes)?
        .records
        .into_iter()
        .map(Record::try_from)
        .collect()
}
