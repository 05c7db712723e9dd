//! The settings of a replica: who it is, and the times and sizes of Raft. No setting here affects
//! safety.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tonic::transport::Channel;

use crate::error::StartError;

/// Opens a channel to an address without waiting for a connection. Called at most once per peer and
/// address.
pub type Dial = Arc<dyn Fn(&str) -> Result<Channel, tonic::transport::Error> + Send + Sync>;

/// The settings of one replica.
///
/// # Times
///
/// A follower that has heard nothing for `election_timeout_max` (the lease it granted) plus a
/// random time between `election_timeout_min` and `election_timeout_max` asks for votes. From a
/// killed leader to a new one it takes, with the defaults, 650 to 800 ms of waiting, less the time
/// since the last heartbeat, plus two round trips and two forced votes.
///
/// A heartbeat must be answered within 3/4 of `heartbeat`; under load the slowest hundredth took
/// 60 ms, so 100 ms leaves it room, and a follower asks for votes only when six in a row are lost.
/// Shorter election timeouts make failover quicker and false alarms under load likelier. A false
/// alarm costs a leader change, never a wrong answer.
#[derive(Clone)]
pub struct Config {
    /// The cluster's name. Messages of another cluster are refused.
    pub cluster: String,
    /// This replica's id.
    pub node: u64,
    /// The id of this replica's disk. Messages meant for another disk under this id are refused;
    /// 0 switches that off.
    pub disk: u128,
    /// How often the leader shows that it lives.
    pub heartbeat: Duration,
    /// The lower bound of the random part of the election timeout.
    pub election_timeout_min: Duration,
    /// Its upper bound, and the lease that a follower grants a leader.
    pub election_timeout_max: Duration,
    /// How long an append with entries may stay unanswered before the stream is opened anew. Much
    /// longer than a heartbeat, because it includes the follower's disk: tearing a stream down for
    /// a slow disk only sends the same entries again.
    pub append_timeout: Duration,
    /// How long a snapshot transfer may make no progress.
    pub snapshot_timeout: Duration,
    /// How long opening a connection may take.
    pub connect_timeout: Duration,
    /// A snapshot is taken every so many entries.
    pub snapshot_every_entries: u64,
    /// How many entries stay in the log behind a snapshot, for followers that are a little late.
    pub kept_entries: u64,
    /// The most entries in one append to a follower.
    pub append_entries_max: u64,
    /// Addresses that take the place of those in the membership.
    pub addresses: BTreeMap<u64, String>,
    /// How to open a channel, in place of plain HTTP/2 over TCP.
    pub dial: Option<Dial>,
}

impl Config {
    /// The defaults, for replica `node` of `cluster` on the disk with id `disk`.
    #[must_use]
    pub fn new(cluster: impl Into<String>, node: u64, disk: u128) -> Self {
        Self {
            cluster: cluster.into(),
            node,
            disk,
            heartbeat: Duration::from_millis(100),
            election_timeout_min: Duration::from_millis(250),
            election_timeout_max: Duration::from_millis(400),
            append_timeout: Duration::from_secs(2),
            snapshot_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_millis(500),
            snapshot_every_entries: 10_000,
            kept_entries: 2_000,
            append_entries_max: 512,
            addresses: BTreeMap::new(),
            dial: None,
        }
    }

    pub(crate) fn to_openraft(&self) -> Result<openraft::Config, StartError> {
        // openraft's deadline is 4/3 of the one it tells the network to keep.
        let config = openraft::Config {
            cluster_name: self.cluster.clone(),
            heartbeat_interval: millis(self.heartbeat),
            election_timeout_min: millis(self.election_timeout_min),
            election_timeout_max: millis(self.election_timeout_max),
            install_snapshot_timeout: millis(self.snapshot_timeout * 4 / 3),
            max_payload_entries: self.append_entries_max,
            snapshot_policy: openraft::SnapshotPolicy::LogsSinceLast(self.snapshot_every_entries),
            max_in_snapshot_log_to_keep: self.kept_entries,
            replication_lag_threshold: self.snapshot_every_entries,
            enable_pre_vote: Some(true),
            // Entries are sent while they are written here. A leader that went on in its former term
            // after a crash would give the place of one that it lost, and others have, to another one.
            enable_leader_restore: Some(false),
            allow_log_reversion: Some(false),
            ..openraft::Config::default()
        };
        config.validate().map_err(|error| StartError::Config {
            reason: error.to_string(),
        })
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("cluster", &self.cluster)
            .field("node", &self.node)
            .field("heartbeat", &self.heartbeat)
            .field("election_timeout_min", &self.election_timeout_min)
            .field("election_timeout_max", &self.election_timeout_max)
            .finish_non_exhaustive()
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
