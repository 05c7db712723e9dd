//! What a cluster is to be made of. Only values: nothing is started here.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::{Limits, Who};

/// Describes a cluster for [`Cluster::start`](crate::Cluster::start).
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    /// The `triumvir` binary.
    pub binary: PathBuf,
    /// The cluster's name, which every process is told.
    pub name: String,
    /// How many coordinator replicas; their node ids count from 1.
    pub replicas: u64,
    /// Puts a gate in front of every replica, through which the others reach it, so that
    /// [`Cluster::cut`](crate::Cluster::cut) can part them. Clients and participants go past it.
    pub gates: bool,
    /// The names of the key-value participants.
    pub participants: Vec<String>,
    /// Where the cluster's folder is made; the system's temporary folder if none is named.
    pub parent: Option<PathBuf>,
    /// Keeps the folder when the cluster is dropped. It is always kept after a failed start, after a
    /// wait that reached its deadline and when the thread panics.
    pub keep: bool,
    /// How long any one wait may take before it fails.
    pub deadline: Duration,
    /// Appended to the command line of every replica.
    pub replica_args: Vec<OsString>,
    /// Appended to the command line of every participant.
    pub participant_args: Vec<OsString>,
    /// Set in the environment of every process. Variables of the caller that begin with `TRIUMVIR_`
    /// are not passed on, since they would configure the processes; nor is `FAILPOINTS`.
    pub environment: Vec<(OsString, OsString)>,
    /// The failpoints of single processes, in fail-rs's syntax, for a binary that was built with
    /// them. They are set when a process is started for the first time: one that comes back after it
    /// was killed at one of them has none.
    pub failpoints: BTreeMap<Who, String>,
    /// What single processes are refused by the system; like failpoints, when they are started for
    /// the first time.
    pub limits: BTreeMap<Who, Limits>,
}

impl ClusterConfig {
    /// Three replicas of `binary` and no participants.
    pub fn new(binary: impl Into<PathBuf>) -> Self {
        Self {
            binary: binary.into(),
            name: "testkit".to_owned(),
            replicas: 3,
            gates: false,
            participants: Vec::new(),
            parent: None,
            keep: false,
            deadline: Duration::from_secs(90),
            replica_args: Vec::new(),
            participant_args: Vec::new(),
            environment: Vec::new(),
            failpoints: BTreeMap::new(),
            limits: BTreeMap::new(),
        }
    }

    /// The same with these participants.
    #[must_use]
    pub fn with_participants<S: Into<String>>(
        mut self,
        names: impl IntoIterator<Item = S>,
    ) -> Self {
        self.participants = names.into_iter().map(Into::into).collect();
        self
    }
}
