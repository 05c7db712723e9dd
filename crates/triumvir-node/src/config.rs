//! What an operator may set. Merging flags, environment and file is the caller's; nothing here is
//! read from anywhere. No setting affects safety.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use triumvir_wire::limits;

use crate::{InitialCluster, NodeError};

/// The settings of one replica. Times are written as text with a unit, such as `500ms` or `1h`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The cluster's name. Everything that belongs to another cluster is refused.
    pub cluster: String,
    /// This replica's id, at least 1; it belongs to the data folder.
    pub node: u64,
    /// The data folder, made when it is missing.
    pub data: PathBuf,
    /// Where gRPC is served.
    pub listen: SocketAddr,
    /// Where metrics and health are served by HTTP.
    pub http_listen: SocketAddr,
    /// `host:port` by which clients, participants and replicas reach this one; absent: its own
    /// entry in `initial_cluster`.
    pub advertise: Option<String>,
    /// The members that the cluster is formed of: `1=host:port,2=host:port,...`. The same line for
    /// every one of them, on every start.
    pub initial_cluster: InitialCluster,
    /// The replica was added to a cluster that runs: it joins that on its first start, and never
    /// forms one. On later starts it says nothing new.
    pub join: bool,
    /// How long participants may take to vote before the transaction is aborted.
    #[serde(with = "humantime_serde")]
    pub vote_timeout: Duration,
    /// How long the leader hears nothing of a transaction before it says things again.
    #[serde(with = "humantime_serde")]
    pub resend: Duration,
    /// The longest that this wait grows to while nothing is heard.
    #[serde(with = "humantime_serde")]
    pub resend_max: Duration,
    /// How long outcomes are kept: ids older than this are over.
    #[serde(with = "humantime_serde")]
    pub retention: Duration,
    /// How many outcomes are kept at most: with more of them the horizon moves before their
    /// retention is over. Bounds memory here and at participants.
    pub outcomes_max: usize,
    /// How far the clock reading inside an id may be ahead of this replica's clock.
    #[serde(with = "humantime_serde")]
    pub future_max: Duration,
    /// Transactions that are not decided, at most; further ones are refused before anything is
    /// done.
    pub inflight_max: usize,
    /// Records that have not ended, at most. One participant may leave half of them unconfirmed.
    pub open_max: usize,
    /// Participants of one transaction, at most 64.
    pub participants_max: usize,
    /// Bytes of one participant's part, at most.
    pub payload_max_bytes: usize,
    /// Bytes of one commit request, at most.
    pub request_max_bytes: usize,
    /// The deadline of a call that states none.
    #[serde(with = "humantime_serde")]
    pub call_timeout: Duration,
    /// How long transactions under way may take to finish once the process is asked to stop; in no
    /// case longer than votes may take and a second.
    #[serde(with = "humantime_serde")]
    pub drain_timeout: Duration,
    /// A committed transaction that took at least this long is logged at info; faster ones at
    /// debug.
    #[serde(with = "humantime_serde")]
    pub slow: Duration,
    /// Recent transactions whose timeline is kept in memory while this replica leads.
    pub history_max: usize,
    /// Frames that may wait for one participant; one that is slower loses its session.
    pub session_queue_max: usize,
    /// Raft's settings.
    pub raft: RaftSettings,
}

/// The settings of replication.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RaftSettings {
    /// How often the leader shows that it lives.
    #[serde(with = "humantime_serde")]
    pub heartbeat: Duration,
    /// The lower bound of the random part of the election timeout.
    #[serde(with = "humantime_serde")]
    pub election_timeout_min: Duration,
    /// Its upper bound.
    #[serde(with = "humantime_serde")]
    pub election_timeout_max: Duration,
    /// How long an append with entries may stay unanswered.
    #[serde(with = "humantime_serde")]
    pub append_timeout: Duration,
    /// How long opening a connection to a replica may take.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// A snapshot is taken every so many log entries.
    pub snapshot_every_entries: u64,
    /// Log entries kept behind a snapshot, for followers that are a little late.
    pub kept_entries: u64,
    /// Batches of records that may be on their way at once: few, so that the next batch gathers.
    pub batches_inflight_max: usize,
    /// Records in one batch, at most.
    pub batch_records_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            cluster: "triumvir".to_owned(),
            node: 1,
            data: PathBuf::from("triumvir-data"),
            listen: (Ipv4Addr::LOCALHOST, 7401).into(),
            http_listen: (Ipv4Addr::LOCALHOST, 7501).into(),
            advertise: None,
            initial_cluster: InitialCluster::default(),
            join: false,
            vote_timeout: Duration::from_secs(5),
            resend: Duration::from_millis(500),
            resend_max: Duration::from_secs(5),
            retention: Duration::from_secs(3600),
            outcomes_max: 1_000_000,
            future_max: Duration::from_secs(300),
            inflight_max: 4096,
            open_max: 100_000,
            participants_max: limits::PARTICIPANTS_MAX,
            payload_max_bytes: limits::PAYLOAD_BYTES_MAX,
            request_max_bytes: limits::REQUEST_BYTES_MAX,
            call_timeout: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(30),
            slow: Duration::from_secs(1),
            history_max: 10_000,
            session_queue_max: 1024,
            raft: RaftSettings::default(),
        }
    }
}

impl Default for RaftSettings {
    fn default() -> Self {
        let defaults = triumvir_replication::Config::new("", 1, 0);
        Self {
            heartbeat: defaults.heartbeat,
            election_timeout_min: defaults.election_timeout_min,
            election_timeout_max: defaults.election_timeout_max,
            append_timeout: defaults.append_timeout,
            connect_timeout: defaults.connect_timeout,
            snapshot_every_entries: defaults.snapshot_every_entries,
            kept_entries: defaults.kept_entries,
            batches_inflight_max: 2,
            batch_records_max: 4096,
        }
    }
}

impl Config {
    /// Checks what the types do not.
    ///
    /// # Errors
    ///
    /// [`NodeError::Config`] with the setting that is wrong.
    pub fn check(&self) -> Result<(), NodeError> {
        let wrong = |reason: &str| {
            Err(NodeError::Config {
                reason: reason.to_owned(),
            })
        };
        let zero = [
            ("vote_timeout", self.vote_timeout),
            ("resend", self.resend),
            ("retention", self.retention),
            ("call_timeout", self.call_timeout),
            ("raft.heartbeat", self.raft.heartbeat),
        ];
        if let Some((name, _)) = zero.iter().find(|(_, time)| time.is_zero()) {
            return wrong(&format!("{name} must be more than nothing"));
        }
        let none = [
            ("outcomes_max", self.outcomes_max),
            ("inflight_max", self.inflight_max),
            ("open_max", self.open_max),
            ("participants_max", self.participants_max),
            ("history_max", self.history_max),
            ("session_queue_max", self.session_queue_max),
            ("raft.batches_inflight_max", self.raft.batches_inflight_max),
            ("raft.batch_records_max", self.raft.batch_records_max),
        ];
        if let Some((name, _)) = none.iter().find(|(_, count)| *count == 0) {
            return wrong(&format!("{name} must be at least 1"));
        }
        let most = [
            (
                "participants_max",
                self.participants_max,
                limits::PARTICIPANTS_MAX,
            ),
            (
                "payload_max_bytes",
                self.payload_max_bytes,
                limits::PAYLOAD_BYTES_MAX,
            ),
            (
                "request_max_bytes",
                self.request_max_bytes,
                limits::REQUEST_BYTES_MAX,
            ),
        ];
        if let Some((name, _, most)) = most.iter().find(|(_, value, most)| value > most) {
            return wrong(&format!("{name} must be at most {most}"));
        }
        if self.node == 0 || self.cluster.is_empty() {
            return wrong("node must be at least 1, and cluster must not be empty");
        }
        if !self.initial_cluster.members().contains_key(&self.node) {
            return wrong(&format!("initial_cluster does not name node {}", self.node));
        }
        Ok(())
    }

    /// `host:port` by which others reach this replica.
    #[must_use]
    pub fn advertised(&self) -> String {
        let own = self.initial_cluster.members().get(&self.node);
        let address = self.advertise.as_ref().or(own);
        address.cloned().unwrap_or_else(|| self.listen.to_string())
    }

    pub(crate) fn replication(&self, disk: u128) -> triumvir_replication::Config {
        let raft = &self.raft;
        triumvir_replication::Config {
            heartbeat: raft.heartbeat,
            election_timeout_min: raft.election_timeout_min,
            election_timeout_max: raft.election_timeout_max,
            append_timeout: raft.append_timeout,
            connect_timeout: raft.connect_timeout,
            snapshot_every_entries: raft.snapshot_every_entries,
            kept_entries: raft.kept_entries,
            ..triumvir_replication::Config::new(self.cluster.clone(), self.node, disk)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_its_own_text_and_refuses_unknown_settings() {
        let config = Config {
            initial_cluster: "1=127.0.0.1:1".parse().unwrap(),
            advertise: Some("a:1".to_owned()),
            ..Config::default()
        };
        config.check().unwrap();
        let text = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<Config>(&text).unwrap(), config);
        assert!(toml::from_str::<Config>("nodes = 3").is_err());
        assert!(toml::from_str::<Config>("[raft]\nhartbeat = \"1s\"").is_err());
    }

    #[test]
    fn names_the_setting_that_is_wrong() {
        let good = Config {
            initial_cluster: "1=127.0.0.1:1".parse().unwrap(),
            ..Config::default()
        };
        let bad = [
            (
                "inflight_max",
                Config {
                    inflight_max: 0,
                    ..good.clone()
                },
            ),
            (
                "participants_max",
                Config {
                    participants_max: 65,
                    ..good.clone()
                },
            ),
            (
                "resend",
                Config {
                    resend: Duration::ZERO,
                    ..good.clone()
                },
            ),
            ("initial_cluster", Config { node: 2, ..good }),
        ];
        for (name, config) in bad {
            let error = config.check().unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
