//! `triumvir server`: a coordinator replica.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;

use triumvir_node::{Config, InitialCluster, NodeError, Shutdown};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::logging::LogSettings;
use crate::output::Output;
use crate::process::Signals;
use crate::settings::{Key, Kind, Layers, Process, Settings};

pub(crate) const HELP: &str = "\
Settings come from flags, else from environment variables, else from the file,
else from defaults; an empty variable counts as not set. --dump-config says what
is in force and why. The key of a setting in the file is its variable in small
letters, without TRIUMVIR_; those of a section stand under [section].

A cluster of three on one machine, each in its own terminal:
  triumvir server --node 1 --initial-cluster 1=127.0.0.1:7401,2=127.0.0.1:7402,3=127.0.0.1:7403
  triumvir server --node 2 --initial-cluster (the same)
  triumvir server --node 3 --initial-cluster (the same)

A further one joins with the command that `triumvir cluster add` prints.

The same line on every start is right: a cluster is formed once. Metrics and
health are served on the gRPC port plus 100: http://127.0.0.1:7501/metrics.
SIGTERM and SIGINT end it after what is under way; a second one ends it at once.";

/// The replica, as a process that has settings.
#[derive(Clone, Debug)]
pub(crate) struct Server;

impl Process for Server {
    type Config = Config;
    type Extra = LogSettings;
    const KEYS: &'static [Key] = KEYS;
}

const fn key(path: &'static str, kind: Kind, value: &'static str, help: &'static str) -> Key {
    Key::new(path, kind, value, help)
}

#[rustfmt::skip]
const KEYS: &[Key] = &[
    key("node", Kind::Number, "ID", "This replica's id in the initial cluster; it belongs to the data folder [needed]").alias("node-id"),
    key("initial_cluster", Kind::Text, "LIST", "All replicas, 1=HOST:PORT,2=HOST:PORT,…; the same for each of them [needed]"),
    key("join", Kind::Switch, "BOOL", "The replica was added by `triumvir cluster add`: it joins the cluster that runs, and never forms one"),
    key("cluster", Kind::Text, "NAME", "The cluster's name; whatever belongs to another is refused"),
    key("data", Kind::Path, "FOLDER", "The data folder [default: triumvir-data/node-ID]").alias("data-dir"),
    key("listen", Kind::Listen, "IP:PORT", "Where gRPC is served [default: this replica's port in the initial cluster]"),
    key("http_listen", Kind::Listen, "IP:PORT", "Where metrics and health are served [default: the gRPC port plus 100]"),
    key("advertise", Kind::Text, "HOST:PORT", "Where others reach this replica [default: as in the initial cluster]"),
    key("vote_timeout", Kind::Time, "TIME", "How long participants may take to vote before the transaction is aborted"),
    key("resend", Kind::Time, "TIME", "After how long without news the leader says things again"),
    key("resend_max", Kind::Time, "TIME", "The longest that this wait grows to"),
    key("retention", Kind::Time, "TIME", "How long outcomes are kept; transaction ids older than this are over"),
    key("outcomes_max", Kind::Number, "N", "Outcomes kept at most; with more, retention ends earlier"),
    key("future_max", Kind::Time, "TIME", "How far the clock inside a transaction id may be ahead"),
    key("inflight_max", Kind::Number, "N", "Transactions that are not decided, at most"),
    key("open_max", Kind::Number, "N", "Transactions with a record that has not ended, at most"),
    key("participants_max", Kind::Number, "N", "Participants of one transaction, at most (64 and no more)"),
    key("payload_max_bytes", Kind::Number, "BYTES", "One participant's part of a transaction, at most"),
    key("request_max_bytes", Kind::Number, "BYTES", "One commit request, at most"),
    key("call_timeout", Kind::Time, "TIME", "The deadline of a call that states none"),
    key("drain_timeout", Kind::Time, "TIME", "How long what is under way may take after SIGTERM"),
    key("slow", Kind::Time, "TIME", "A transaction that took this long is logged at level info"),
    key("history_max", Kind::Number, "N", "Transactions whose timeline is kept in memory"),
    key("session_queue_max", Kind::Number, "N", "Frames that may wait for one participant"),
    key("log", Kind::Text, "FILTER", "What is logged: info, or warn,triumvir_node=debug"),
    key("log_format", Kind::Text, "FORMAT", "How: text or json"),
    key("raft.heartbeat", Kind::Time, "TIME", "How often the leader shows that it lives"),
    key("raft.election_timeout_min", Kind::Time, "TIME", "The lower bound of the random part of the election timeout"),
    key("raft.election_timeout_max", Kind::Time, "TIME", "Its upper bound"),
    key("raft.append_timeout", Kind::Time, "TIME", "How long an append with entries may stay unanswered"),
    key("raft.connect_timeout", Kind::Time, "TIME", "How long opening a connection to a replica may take"),
    key("raft.snapshot_every_entries", Kind::Number, "N", "A snapshot is taken every so many log entries"),
    key("raft.kept_entries", Kind::Number, "N", "Log entries kept behind a snapshot"),
    key("raft.batches_inflight_max", Kind::Number, "N", "Batches of records on their way at once"),
    key("raft.batch_records_max", Kind::Number, "N", "Records in one batch, at most"),
];

/// By how much the port of metrics and health is above that of gRPC, if it is not set.
const HTTP_ABOVE: u16 = 100;

/// Runs a replica until a signal.
///
/// # Errors
///
/// Wrong settings; a replica that cannot start, or has to stop.
pub(crate) async fn run(settings: &Settings<Server>, output: &Output) -> anyhow::Result<ExitCode> {
    let layers = derive(Layers::merge(settings)?);
    let (node, members) = (layers.is_set("node"), layers.is_set("initial_cluster"));
    let effective = layers.extract()?;
    if settings.dump {
        output.raw(&effective.dump()?)?;
        return Ok(Exit::Ok.into());
    }
    for (given, name) in [(node, "node"), (members, "initial_cluster")] {
        if !given {
            return Err(effective.refusal(&format!("{name} has to be set")).into());
        }
    }
    if let Err(NodeError::Config { reason }) = effective.config.check() {
        return Err(effective.refusal(&reason).into());
    }
    effective.extra.install()?;
    let shutdown = Shutdown::new();
    let mut signals = Signals::new()?;
    let asked = shutdown.clone();
    tokio::spawn(async move {
        let signal = signals.next().await;
        tracing::info!(
            signal,
            "ending after what is under way; a second signal ends at once"
        );
        asked.drain();
        let signal = signals.next().await;
        tracing::warn!(signal, "ending at once");
        asked.stop();
    });
    triumvir_node::run(effective.config, shutdown)
        .await
        .map_err(failure)?;
    Ok(Exit::Ok.into())
}

/// What follows from the id and the initial cluster: sockets and folder.
fn derive(layers: Layers<Server>) -> Layers<Server> {
    let node: u64 = layers.value("node").unwrap_or_default();
    let members: InitialCluster = layers.value("initial_cluster").unwrap_or_default();
    let layers = layers.derive("data", format!("triumvir-data/node-{node}"));
    let Some(own) = members
        .members()
        .get(&node)
        .and_then(|address| socket(address))
    else {
        return layers;
    };
    let layers = layers.derive("listen", own.to_string());
    let listen = layers.value::<SocketAddr>("listen").unwrap_or(own);
    match listen.port().checked_add(HTTP_ABOVE) {
        Some(port) => layers.derive(
            "http_listen",
            SocketAddr::new(listen.ip(), port).to_string(),
        ),
        None => layers,
    }
}

/// The socket behind an advertised address: every one of this machine, if the host is a name.
fn socket(address: &str) -> Option<SocketAddr> {
    let (host, port) = address.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let ip = host.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    Some(SocketAddr::new(ip, port.parse().ok()?))
}

fn failure(error: NodeError) -> anyhow::Error {
    let next = match &error {
        NodeError::Config { .. } => return Failure::usage(error.to_string()).into(),
        NodeError::Identity(_) => "give it its own folder by --data, or its own id by --node",
        NodeError::WipedDisk { .. } => {
            "bring back its data folder; if it is lost, remove the id with `triumvir cluster remove` \
             and add a new one"
        }
        NodeError::NotTakenIn { failure, .. } => failure.code.next(),
        NodeError::Removed { .. } => {
            "do not start it again; a new replica needs a new id and an empty folder: `triumvir \
             cluster add`"
        }
        NodeError::OtherCluster { .. } => "compare --cluster and --initial-cluster of both",
        NodeError::Listen { .. } => "stop what listens there, or choose another by --listen",
        NodeError::Open(_) => "see that no other process uses the folder, and that it is writable",
        _ => "look at the log above; the data folder is as it was, and a new start goes on with it",
    };
    let code = error.code();
    let message = format!("{:#}", anyhow::Error::new(error));
    Failure::stopped(code, message, next).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::{keys_of, parse};

    #[test]
    fn every_setting_has_a_flag() {
        let flags: std::collections::BTreeSet<_> = KEYS.iter().map(|key| key.path).collect();
        assert_eq!(keys_of::<Server>(), flags);
    }

    #[test]
    fn sockets_and_folder_follow_from_the_initial_cluster() {
        let line = "1=127.0.0.1:7401,2=node2:7402,3=[::1]:7403";
        let config = |node: &str| {
            let settings = parse::<Server>(&["--node-id", node, "--initial-cluster", line]);
            derive(Layers::merge(&settings).unwrap())
                .extract()
                .unwrap()
                .config
        };
        let first = config("1");
        assert_eq!(first.listen.to_string(), "127.0.0.1:7401");
        assert_eq!(first.http_listen.to_string(), "127.0.0.1:7501");
        assert_eq!(first.data.to_str(), Some("triumvir-data/node-1"));
        assert_eq!(config("2").listen.to_string(), "0.0.0.0:7402");
        assert_eq!(config("3").http_listen.to_string(), "[::1]:7503");
    }

    #[test]
    fn what_is_set_is_not_derived() {
        let line = [
            "--node",
            "1",
            "--initial-cluster",
            "1=a:1",
            "--listen",
            "10.0.0.1:2",
        ];
        let effective = derive(Layers::merge(&parse::<Server>(&line)).unwrap())
            .extract()
            .unwrap();
        assert_eq!(effective.config.listen.to_string(), "10.0.0.1:2");
        assert_eq!(effective.config.http_listen.to_string(), "10.0.0.1:102");
        assert_eq!(effective.source("listen"), "flag --listen");
        assert_eq!(effective.source("http_listen"), "derived");
    }
}
