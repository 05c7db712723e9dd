//! openraft's types as protobuf, on the wire and on disk, and back. Decoding checks everything that
//! openraft takes for granted; nothing else is decided here.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use openraft::EntryPayload;
use triumvir_wire::v1;

use crate::types::{
    Data, Entry, LeaderId, LogId, Member, Membership, SnapshotMeta, StoredMembership, Vote,
};

/// A message from a peer or a value from disk is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecodeError {
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("{0} is malformed")]
    Malformed(&'static str),
}

pub(crate) fn vote(vote: &Vote) -> v1::RaftVote {
    let LeaderId {
        term,
        node_id: node,
    } = vote.leader_id;
    v1::RaftVote {
        term,
        node,
        granted: vote.committed,
    }
}

pub(crate) fn vote_from(vote: Option<v1::RaftVote>) -> Result<Vote, DecodeError> {
    let v1::RaftVote {
        term,
        node,
        granted,
    } = vote.ok_or(DecodeError::Missing("vote"))?;
    Ok(Vote {
        leader_id: LeaderId {
            term,
            node_id: node,
        },
        committed: granted,
    })
}

pub(crate) fn log_id(id: &LogId) -> v1::RaftLogId {
    let LeaderId {
        term,
        node_id: node,
    } = id.leader_id;
    v1::RaftLogId {
        term,
        node,
        index: id.index,
    }
}

pub(crate) fn log_id_from(id: v1::RaftLogId) -> LogId {
    let v1::RaftLogId { term, node, index } = id;
    LogId {
        leader_id: LeaderId {
            term,
            node_id: node,
        },
        index,
    }
}

pub(crate) fn entry(entry: Entry) -> v1::RaftEntry {
    use v1::raft_entry::Payload;
    let payload = match entry.payload {
        EntryPayload::Blank => Payload::Blank(v1::RaftBlank {}),
        EntryPayload::Normal(Data(data)) => Payload::Data(data),
        EntryPayload::Membership(members) => Payload::Membership(membership(&members)),
    };
    v1::RaftEntry {
        id: Some(log_id(&entry.log_id)),
        payload: Some(payload),
    }
}

pub(crate) fn entry_from(entry: v1::RaftEntry) -> Result<Entry, DecodeError> {
    use v1::raft_entry::Payload;
    let id = entry.id.ok_or(DecodeError::Missing("entry id"))?;
    let payload = match entry.payload.ok_or(DecodeError::Missing("entry payload"))? {
        Payload::Blank(v1::RaftBlank {}) => EntryPayload::Blank,
        Payload::Data(data) => EntryPayload::Normal(Data(data)),
        Payload::Membership(members) => EntryPayload::Membership(membership_from(members)?),
    };
    Ok(Entry {
        log_id: log_id_from(id),
        payload,
    })
}

/// Decodes consecutive entries.
pub(crate) fn entries_from(
    previous: Option<&LogId>,
    entries: Vec<v1::RaftEntry>,
) -> Result<Vec<Entry>, DecodeError> {
    let first = previous.map_or(0, |previous| previous.index.saturating_add(1));
    let decode = |(expected, raw)| {
        let entry = entry_from(raw)?;
        match entry.log_id.index == expected {
            true => Ok(entry),
            false => Err(DecodeError::Malformed("order of entries")),
        }
    };
    (first..).zip(entries).map(decode).collect()
}

pub(crate) fn membership(membership: &Membership) -> v1::RaftMembership {
    let voters = membership
        .get_joint_config()
        .iter()
        .map(|set| v1::RaftVoters {
            nodes: set.iter().copied().collect(),
        })
        .collect();
    let members = membership
        .nodes()
        .map(|(node, member)| v1::RaftMember {
            node: *node,
            address: member.address.clone(),
            disk: disk(member.disk),
        })
        .collect();
    v1::RaftMembership { voters, members }
}

pub(crate) fn membership_from(membership: v1::RaftMembership) -> Result<Membership, DecodeError> {
    let voters: Vec<BTreeSet<u64>> = membership
        .voters
        .into_iter()
        .map(|set| set.nodes.into_iter().collect())
        .collect();
    let mut members = BTreeMap::new();
    for v1::RaftMember {
        node,
        address,
        disk,
    } in membership.members
    {
        members.insert(
            node,
            Member {
                address,
                disk: disk_from(&disk)?,
            },
        );
    }
    // A node that was never initialised has no voters at all, which openraft's checks refuse.
    if voters.is_empty() && members.is_empty() {
        return Ok(Membership::default());
    }
    Membership::new(voters, members).map_err(|_| DecodeError::Malformed("membership"))
}

pub(crate) fn disk(disk: u128) -> Bytes {
    if disk == 0 {
        Bytes::new()
    } else {
        Bytes::copy_from_slice(&disk.to_be_bytes())
    }
}

pub(crate) fn disk_from(disk: &[u8]) -> Result<u128, DecodeError> {
    if disk.is_empty() {
        return Ok(0);
    }
    let disk = disk
        .try_into()
        .map_err(|_| DecodeError::Malformed("disk id"))?;
    Ok(u128::from_be_bytes(disk))
}

pub(crate) fn snapshot_meta(meta: &SnapshotMeta, used: &BTreeSet<u64>) -> v1::RaftSnapshotMeta {
    v1::RaftSnapshotMeta {
        last: meta.last_log_id.as_ref().map(log_id),
        membership_id: meta.last_membership.log_id().as_ref().map(log_id),
        membership: Some(membership(meta.last_membership.membership())),
        used_nodes: used.iter().copied().collect(),
    }
}

pub(crate) fn snapshot_meta_from(
    meta: v1::RaftSnapshotMeta,
) -> Result<(SnapshotMeta, BTreeSet<u64>), DecodeError> {
    let members = meta.membership.ok_or(DecodeError::Missing("membership"))?;
    let used = meta.used_nodes.into_iter().collect();
    let meta = SnapshotMeta {
        last_log_id: meta.last.map(log_id_from),
        last_membership: StoredMembership::new(
            meta.membership_id.map(log_id_from),
            membership_from(members)?,
        ),
    };
    Ok((meta, used))
}

/// Decodes a value from disk.
pub(crate) fn stored<M: prost::Message + Default>(
    what: &'static str,
    value: Bytes,
) -> Result<M, DecodeError> {
    M::decode(value).map_err(|_| DecodeError::Malformed(what))
}

/// Encodes a value for disk.
pub(crate) fn to_store(message: &impl prost::Message) -> Vec<u8> {
    message.encode_to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(index: u64) -> LogId {
        LogId {
            leader_id: LeaderId {
                term: 3,
                node_id: 2,
            },
            index,
        }
    }

    fn members() -> Membership {
        let member = |disk| Member {
            address: format!("host{disk}:1"),
            disk,
        };
        let nodes = BTreeMap::from([(1, member(0)), (2, member(u128::MAX)), (3, member(9))]);
        Membership::new(vec![BTreeSet::from([1, 2]), BTreeSet::from([2])], nodes).unwrap()
    }

    #[test]
    fn entries_survive_a_round_trip() {
        for payload in [
            EntryPayload::Blank,
            EntryPayload::Normal(Data(Bytes::from_static(b"records"))),
            EntryPayload::Normal(Data(Bytes::new())),
            EntryPayload::Membership(members()),
        ] {
            let original = Entry {
                log_id: id(7),
                payload,
            };
            let stored_entry = Bytes::from(to_store(&entry(original.clone())));
            let read = entry_from(stored("entry", stored_entry).unwrap()).unwrap();
            assert_eq!(read, original);
        }
    }

    #[test]
    fn snapshot_meta_survives_a_round_trip() {
        for meta in [
            SnapshotMeta::default(),
            SnapshotMeta {
                last_log_id: Some(id(9)),
                last_membership: StoredMembership::new(Some(id(1)), members()),
            },
        ] {
            let used = BTreeSet::from([1, 7]);
            let read = snapshot_meta_from(snapshot_meta(&meta, &used)).unwrap();
            assert_eq!(read, (meta, used));
        }
    }

    #[test]
    fn a_gap_between_entries_is_refused() {
        let raw = |index| {
            entry(Entry {
                log_id: id(index),
                payload: EntryPayload::Blank,
            })
        };
        assert!(entries_from(Some(&id(4)), vec![raw(5), raw(6)]).is_ok());
        assert!(entries_from(Some(&id(4)), vec![raw(6)]).is_err());
        assert!(entries_from(None, vec![raw(0), raw(2)]).is_err());
    }

    #[test]
    fn a_voter_without_a_member_is_refused() {
        let voters = vec![v1::RaftVoters { nodes: vec![1] }];
        let broken = v1::RaftMembership {
            voters,
            members: Vec::new(),
        };
        assert!(membership_from(broken).is_err());
    }
}
