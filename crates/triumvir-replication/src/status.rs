//! What a replica knows of itself and its peers, as plain values. Nothing is decided by them.

use std::collections::BTreeMap;

use openraft::metrics::RaftMetrics;
use openraft::type_config::async_runtime::Instant as _;

use crate::types::TypeConfig;

/// Who leads, as this replica knows it. A hint to everyone but the leader's own log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Leadership {
    /// The term of the highest vote this replica has saved. Two terms are ordered, but within one
    /// term the leader may change once more, to a node with a higher id.
    pub term: u64,
    /// The leader of that term, when one is known.
    pub leader: Option<u64>,
    /// Whether that is this replica.
    pub me_leader: bool,
}

/// The state of a replica at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// This replica's id.
    pub node: u64,
    /// Who leads.
    pub leadership: Leadership,
    /// The node this replica voted for in its term.
    pub voted_for: u64,
    /// Whether a majority is known to have given that node its votes.
    pub vote_granted: bool,
    /// The last entry in the log here, durable or not.
    pub last_log_index: Option<u64>,
    /// The last entry here that a majority has.
    pub committed_index: Option<u64>,
    /// The last entry applied here.
    pub applied_index: Option<u64>,
    /// The last entry that is part of the snapshot here.
    pub snapshot_index: Option<u64>,
    /// The last entry that has been removed from the log here.
    pub purged_index: Option<u64>,
    /// At the leader: how the others are doing.
    pub peers: BTreeMap<u64, PeerStatus>,
    /// At the leader: the time since a majority last confirmed it, in milliseconds.
    pub quorum_ack_millis: Option<u64>,
    /// Why replication has stopped, when it has.
    pub stopped: Option<String>,
}

/// How far another replica is, as its leader knows it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PeerStatus {
    /// The last entry that it is known to have.
    pub matched_index: Option<u64>,
    /// How many entries it lacks.
    pub lag_entries: u64,
    /// The time since it last answered, in milliseconds.
    pub ack_millis: Option<u64>,
}

impl Status {
    pub(crate) fn of(metrics: &RaftMetrics<TypeConfig>) -> Self {
        let last_log_index = metrics.last_log_index;
        let next = |index: Option<u64>| index.map_or(0, |index| index + 1);
        let acknowledged = |node: &u64| {
            let at = (*metrics.heartbeat.as_ref()?.get(node)?)?;
            u64::try_from(at.elapsed().as_millis()).ok()
        };
        let peers = metrics.replication.iter().flatten();
        let peers = peers
            .filter(|(node, _)| **node != metrics.id)
            .map(|(node, matched)| {
                let matched_index = matched.map(|id| id.index);
                let lag_entries = next(last_log_index).saturating_sub(next(matched_index));
                let ack_millis = acknowledged(node);
                (
                    *node,
                    PeerStatus {
                        matched_index,
                        lag_entries,
                        ack_millis,
                    },
                )
            });
        Self {
            node: metrics.id,
            leadership: Leadership {
                term: metrics.vote.leader_id.term,
                leader: metrics.current_leader,
                me_leader: metrics.state.is_leader() && metrics.current_leader == Some(metrics.id),
            },
            voted_for: metrics.vote.leader_id.node_id,
            vote_granted: metrics.vote.committed,
            last_log_index,
            committed_index: metrics.local_committed.map(|id| id.index),
            applied_index: metrics.last_applied.map(|id| id.index),
            snapshot_index: metrics.snapshot.map(|id| id.index),
            purged_index: metrics.purged.map(|id| id.index),
            peers: peers.collect(),
            quorum_ack_millis: metrics
                .last_quorum_acked
                .and_then(|at| u64::try_from(at.elapsed().as_millis()).ok()),
            stopped: metrics
                .running_state
                .as_ref()
                .err()
                .map(ToString::to_string),
        }
    }
}
