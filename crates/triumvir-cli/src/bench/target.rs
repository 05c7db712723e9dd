//! The cluster that is measured: one that runs, or one that is started for it.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use triumvir_client::Client;
use triumvir_testkit::{Cluster, ClusterConfig};

use super::Args;
use crate::cli::Globals;
use crate::failure::Failure;

/// Where the load goes.
pub(super) struct Target {
    pub(super) client: Client,
    /// Their names.
    pub(super) participants: Vec<String>,
    /// Where metrics are read.
    pub(super) http: Vec<SocketAddr>,
    /// The processes, if they were started here.
    pub(super) cluster: Option<Cluster>,
}

impl Target {
    /// Starts three replicas and the participants, each a process with a folder on a disk.
    ///
    /// # Errors
    ///
    /// A process cannot be started.
    pub(super) async fn local(args: &Args, timeout: Duration) -> anyhow::Result<Self> {
        let participants = match args.participants.parse::<u8>() {
            Ok(count) => (1..=count).map(|number| format!("p{number}")).collect(),
            Err(_) => names(&args.participants),
        };
        let binary = std::env::current_exe().context("finding the program itself")?;
        let mut config = ClusterConfig::new(binary).with_participants(participants.clone());
        config.name = "bench".to_owned();
        config.keep = args.keep;
        config.parent = args.dir.clone();
        let cluster = Cluster::start(config).await?;
        let coordinators: Vec<_> = cluster
            .coordinators()
            .into_iter()
            .map(|address| address.to_string())
            .collect();
        Ok(Self {
            client: client(&coordinators, timeout)?,
            participants,
            http: cluster
                .seats()
                .iter()
                .map(triumvir_testkit::Seat::http_address)
                .collect(),
            cluster: Some(cluster),
        })
    }

    /// A cluster that runs.
    ///
    /// # Errors
    ///
    /// The arguments do not name its participants.
    pub(super) fn running(args: &Args, globals: &Globals) -> anyhow::Result<Self> {
        if args.participants.parse::<u8>().is_ok() {
            let failure =
                Failure::usage("--participants must name the participants, such as p1,p2")
                    .next("a number is for --local; see `triumvir cluster status` for the names");
            return Err(failure.into());
        }
        Ok(Self {
            client: client(&globals.coordinators(), globals.timeout)?,
            participants: names(&args.participants),
            http: args.http.clone(),
            cluster: None,
        })
    }

    /// Whether the processes' folders are in memory.
    pub(super) fn is_in_memory(&self) -> bool {
        self.cluster
            .as_ref()
            .is_some_and(|cluster| is_in_memory(cluster.folder()))
    }
}

fn names(list: &str) -> Vec<String> {
    list.split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

fn client(coordinators: &[String], timeout: Duration) -> anyhow::Result<Client> {
    let client = Client::builder()
        .coordinators(coordinators)
        .timeout(timeout);
    client
        .build()
        .map_err(|error| Failure::usage(error.to_string()).into())
}

fn is_in_memory(folder: &Path) -> bool {
    use nix::sys::statfs::{TMPFS_MAGIC, statfs};
    statfs(folder).is_ok_and(|filesystem| filesystem.filesystem_type() == TMPFS_MAGIC)
}
