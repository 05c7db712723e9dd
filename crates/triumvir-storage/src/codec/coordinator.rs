//! Snapshots of the replicated state.

use std::collections::BTreeMap;

use prost::Message;
use triumvir_protocol::{
    Coordinator, DiskId, Ended, Epoch, Horizon, Incarnation, Open, ParticipantId, Registration,
    ReplicaId, Rules,
};

use super::parts::{
    StoredAccepted, StoredTerms, StoredValue, bits, digest, ids, number, participants, txn, value,
};
use super::records::StoredAbortReason;
use super::{CodecError, decode, encode};

#[derive(Clone, PartialEq, Message)]
struct StoredCoordinator {
    #[prost(message, repeated, tag = "1")]
    open: Vec<StoredOpen>,
    #[prost(message, repeated, tag = "2")]
    ended: Vec<StoredEnded>,
    #[prost(bytes = "vec", tag = "3")]
    horizon: Vec<u8>,
    #[prost(uint64, tag = "4")]
    epoch: u64,
    #[prost(uint64, optional, tag = "5")]
    leader: Option<u64>,
    #[prost(message, repeated, tag = "6")]
    registry: Vec<StoredRegistration>,
}

#[derive(Clone, PartialEq, Message)]
struct StoredOpen {
    #[prost(bytes = "vec", tag = "1")]
    txn: Vec<u8>,
    #[prost(message, required, tag = "2")]
    terms: StoredTerms,
    #[prost(uint32, repeated, tag = "3")]
    voters: Vec<u32>,
    #[prost(message, required, tag = "4")]
    accepted: StoredAccepted,
}

#[derive(Clone, PartialEq, Message)]
struct StoredEnded {
    #[prost(bytes = "vec", tag = "1")]
    txn: Vec<u8>,
    #[prost(bytes = "vec", optional, tag = "2")]
    digest: Option<Vec<u8>>,
    #[prost(enumeration = "StoredValue", tag = "3")]
    outcome: i32,
    #[prost(message, optional, tag = "4")]
    reason: Option<StoredAbortReason>,
}

#[derive(Clone, PartialEq, Message)]
struct StoredRegistration {
    #[prost(uint32, tag = "1")]
    id: u32,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(bytes = "vec", tag = "3")]
    disk: Vec<u8>,
    #[prost(uint64, tag = "4")]
    incarnation: u64,
    #[prost(bytes = "vec", tag = "5")]
    nonce: Vec<u8>,
    #[prost(string, tag = "6")]
    address: String,
    #[prost(bool, tag = "7")]
    replaced: bool,
    #[prost(bool, tag = "8")]
    removed: bool,
}

/// A snapshot of the replicated state.
pub fn encode_coordinator(coordinator: &Coordinator) -> Vec<u8> {
    let open = coordinator.open().iter().map(|(txn, open)| StoredOpen {
        txn: bits(txn.as_u128()),
        terms: (&open.terms).into(),
        voters: ids(&open.voters),
        accepted: open.accepted.into(),
    });
    let ended = coordinator.ended().iter().map(|(txn, ended)| StoredEnded {
        txn: bits(txn.as_u128()),
        digest: ended.digest.map(|digest| digest.0.to_vec()),
        outcome: StoredValue::from(ended.outcome).into(),
        reason: ended.reason.map(Into::into),
    });
    let registry = coordinator
        .participants()
        .iter()
        .map(|(id, entry)| StoredRegistration {
            id: id.0,
            name: entry.name.to_string(),
            disk: bits(entry.disk.0),
            incarnation: entry.incarnation.0,
            nonce: bits(entry.nonce),
            address: entry.address.to_string(),
            replaced: entry.replaced,
            removed: entry.removed,
        });
    encode(&StoredCoordinator {
        open: open.collect(),
        ended: ended.collect(),
        horizon: bits(coordinator.horizon().0.as_u128()),
        epoch: coordinator.epoch().0,
        leader: coordinator.leader().map(|replica| replica.0),
        registry: registry.collect(),
    })
}

/// The state that [`encode_coordinator`] wrote.
///
/// # Errors
///
/// [`CodecError`] if the bytes are not a snapshot of this format.
pub fn decode_coordinator(bytes: &[u8], rules: Rules) -> Result<Coordinator, CodecError> {
    let stored: StoredCoordinator = decode(bytes)?;
    let mut open = BTreeMap::new();
    for entry in stored.open {
        let value = Open {
            terms: entry.terms.try_into()?,
            voters: participants(&entry.voters),
            accepted: entry.accepted.try_into()?,
        };
        open.insert(txn(&entry.txn)?, value);
    }
    let mut ended = BTreeMap::new();
    for entry in stored.ended {
        let value = Ended {
            digest: entry.digest.as_deref().map(digest).transpose()?,
            outcome: value(entry.outcome)?,
            reason: entry.reason.map(TryInto::try_into).transpose()?,
        };
        ended.insert(txn(&entry.txn)?, value);
    }
    let mut registry = BTreeMap::new();
    for entry in stored.registry {
        let value = Registration {
            name: entry.name.into(),
            disk: DiskId(number(&entry.disk, "disk")?),
            incarnation: Incarnation(entry.incarnation),
            nonce: number(&entry.nonce, "nonce")?,
            address: entry.address.into(),
            replaced: entry.replaced,
            removed: entry.removed,
        };
        registry.insert(ParticipantId(entry.id), value);
    }
    let horizon = Horizon(txn(&stored.horizon)?);
    let activation = (Epoch(stored.epoch), stored.leader.map(ReplicaId));
    Ok(Coordinator::restore(
        rules, open, ended, horizon, activation, registry,
    ))
}

#[cfg(test)]
mod tests {
    use triumvir_protocol::{
        AbortReason, Ballot, Digest, Mode, Record, Register, Terms, TxnId, Value,
    };

    use super::super::{decode_records, encode_records};
    use super::*;

    fn records() -> Vec<Record> {
        let list = [ParticipantId(1), ParticipantId(2)];
        let terms = Terms::from_parts(Mode::ThreePhase, Digest([3; 32]), list).unwrap();
        let txn = TxnId::at_millis;
        let register = |name: &str, disk| {
            Record::Register(Register {
                name: name.into(),
                disk: DiskId(disk),
                previous: Incarnation(0),
                nonce: disk << 64,
                address: "127.0.0.1:1".into(),
                replace: true,
            })
        };
        let reason = AbortReason::VoteTimeout(ParticipantId(2));
        let pre_commit = |at| Record::PreCommit {
            txn: txn(at),
            terms: terms.clone(),
            voters: [ParticipantId(2)].into(),
        };
        let (ballot, expected) = (Ballot::coordinator(2), Ballot::ZERO);
        vec![
            Record::Activate {
                replica: ReplicaId(3),
                nonce: u64::MAX,
            },
            register("orders", 1),
            register("orders", 2),
            register("stock", 3),
            Record::Remove {
                participant: ParticipantId(3),
            },
            pre_commit(10),
            pre_commit(11),
            Record::Accept {
                txn: txn(10),
                ballot,
                value: Value::Abort,
                expected,
            },
            Record::End {
                txn: txn(11),
                outcome: Value::Commit,
            },
            Record::Abort {
                txn: txn(12),
                digest: Some(Digest([9; 32])),
                reason,
            },
            Record::Abort {
                txn: txn(13),
                digest: None,
                reason: AbortReason::Decided,
            },
            Record::Abort {
                txn: txn(14),
                digest: None,
                reason: AbortReason::Removed(ParticipantId(3)),
            },
            Record::Horizon(Horizon(txn(4))),
        ]
    }

    #[test]
    fn records_and_the_state_they_make_come_back() {
        let records = records();
        assert_eq!(decode_records(&encode_records(&records)).unwrap(), records);
        let mut coordinator = Coordinator::new(Rules::default());
        for (record, index) in records.into_iter().zip(1..) {
            coordinator.apply(index, record);
        }
        assert_eq!(
            (coordinator.open().len(), coordinator.ended().len()),
            (1, 4)
        );
        let bytes = encode_coordinator(&coordinator);
        assert_eq!(
            decode_coordinator(&bytes, Rules::default()).unwrap(),
            coordinator
        );
    }

    #[test]
    fn a_record_that_must_not_be_applied_is_refused() {
        let (ballot, expected) = (Ballot::ZERO, Ballot::ZERO);
        let (txn, value) = (TxnId::at_millis(1), Value::Commit);
        let bytes = encode_records(&[Record::Accept {
            txn,
            ballot,
            value,
            expected,
        }]);
        assert!(matches!(decode_records(&bytes), Err(CodecError::Record(_))));
        let participant = ParticipantId(0);
        let bytes = encode_records(&[Record::Remove { participant }]);
        assert!(matches!(decode_records(&bytes), Err(CodecError::Record(_))));
    }
}
