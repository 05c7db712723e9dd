//! `triumvir participant kv`: a participant that keeps keys and values.

use std::net::SocketAddr;
use std::process::ExitCode;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use triumvir_participant::{
    Config, DataFolder, KvConfig, KvResource, RunError, Runtime, StartError,
};

use crate::cli::COORDINATORS;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::logging::{LogFormat, LogSettings};
use crate::output::Output;
use crate::process::Signals;
use crate::settings::{Effective, Key, Kind, Layers, Process, Settings};

pub(crate) const HELP: &str = "\
Settings come from flags, else from environment variables, else from the file,
else from defaults; an empty variable counts as not set. --dump-config says what
is in force and why. The key of a setting in the file is its variable in small
letters, without TRIUMVIR_; those of a section stand under [section].

Examples:
  triumvir participant kv --name orders
  triumvir participant kv --name stock --data /var/lib/stock --listen 10.0.0.7:7421 \\
                          --coordinators node1:7401,node2:7401,node3:7401

The name belongs to the data folder. SIGTERM and SIGINT end it; what it has voted
on stands in the folder, and the next start goes on with it.";

/// The participant, as a process that has settings.
#[derive(Clone, Debug)]
pub(crate) struct Kv;

/// What stands beside the settings of the runtime.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KvExtra {
    log: String,
    log_format: LogFormat,
    /// Where metrics are served by HTTP; absent: nowhere.
    http_listen: Option<SocketAddr>,
    kv: KvConfig,
}

impl Default for KvExtra {
    fn default() -> Self {
        let LogSettings { log, log_format } = LogSettings::default();
        Self {
            log,
            log_format,
            http_listen: None,
            kv: KvConfig::default(),
        }
    }
}

impl Process for Kv {
    type Config = Config;
    type Extra = KvExtra;
    const KEYS: &'static [Key] = KEYS;
}

const fn key(path: &'static str, kind: Kind, value: &'static str, help: &'static str) -> Key {
    Key::new(path, kind, value, help)
}

#[rustfmt::skip]
const KEYS: &[Key] = &[
    key("name", Kind::Text, "NAME", "The name by which transactions address it [needed]"),
    key("cluster", Kind::Text, "NAME", "The cluster's name"),
    key("coordinators", Kind::List, "LIST", "Every coordinator replica, HOST:PORT with commas between them"),
    key("data", Kind::Path, "FOLDER", "The data folder [default: triumvir-data/NAME]").alias("data-dir"),
    key("listen", Kind::Listen, "IP:PORT", "Where other participants and readers are served. Port 0 is any free one; behind a fixed one its peers find it after a restart even without coordinators"),
    key("http_listen", Kind::Listen, "IP:PORT", "Where metrics and health are served by HTTP [default: nowhere]"),
    key("advertise", Kind::Text, "HOST:PORT", "Where others reach it [default: as it listens]"),
    key("peer_addresses", Kind::Map, "LIST", "NAME=HOST:PORT,… in place of what the cluster says").alias("peer-address"),
    key("replace_lost_disk", Kind::Switch, "BOOL", "The folder known under this name is lost for good: take the name under a new id"),
    key("log", Kind::Text, "FILTER", "What is logged: info, or warn,triumvir_participant=debug"),
    key("log_format", Kind::Text, "FORMAT", "How: text or json"),
    key("kv.lock_wait", Kind::Time, "TIME", "How long a transaction may wait for locks before it is refused as busy"),
    key("kv.read_wait", Kind::Time, "TIME", "How long a read waits for keys in doubt if the call has no deadline"),
    key("kv.scan_bytes_max", Kind::Number, "BYTES", "One scan, at most"),
    key("timers.inquire", Kind::Time, "TIME", "After how long in doubt it asks coordinators, then peers"),
    key("timers.fence", Kind::Time, "TIME", "After how long without an outcome it resolves with its peers"),
    key("timers.fence_rank", Kind::Time, "TIME", "How much later each next participant does so"),
    key("timers.finish", Kind::Time, "TIME", "After how long a pre-committed transaction commits untold"),
    key("timers.work", Kind::Time, "TIME", "How long preparing may take"),
    key("timers.repeat_max", Kind::Time, "TIME", "The longest that a repeated wait grows to"),
    key("network.connect_timeout", Kind::Time, "TIME", "How long opening a connection may take"),
    key("network.reconnect_min", Kind::Time, "TIME", "The first pause before a lost connection is tried again"),
    key("network.reconnect_max", Kind::Time, "TIME", "The longest such pause"),
    key("network.keepalive", Kind::Time, "TIME", "How often a silent connection is probed"),
    key("network.keepalive_timeout", Kind::Time, "TIME", "How long a probe may stay unanswered"),
    key("network.peer_idle", Kind::Time, "TIME", "After how long without an answer an exchange with a peer is closed"),
    key("limits.inbox_frames_max", Kind::Number, "N", "Received frames that wait to be handled"),
    key("limits.session_queue_max", Kind::Number, "N", "Messages that wait to be sent to one coordinator"),
    key("limits.peer_queue_max", Kind::Number, "N", "Messages that wait to be sent to one peer"),
    key("limits.submissions_in_flight_max", Kind::Number, "N", "Journal writes that wait for the disk"),
    key("limits.cache_bytes", Kind::Number, "BYTES", "The database's page cache"),
];

/// Runs a participant until a signal.
///
/// # Errors
///
/// Wrong settings; a participant that cannot start, or has to stop.
pub(crate) async fn run(settings: &Settings<Kv>, output: &Output) -> anyhow::Result<ExitCode> {
    let effective = derive(Layers::merge(settings)?).extract()?;
    if settings.dump {
        output.raw(&effective.dump()?)?;
        return Ok(Exit::Ok.into());
    }
    if let Err(error) = effective.config.check() {
        return Err(effective
            .refusal(&format!("{} {}", error.setting, error.problem))
            .into());
    }
    let Effective { config, extra, .. } = effective;
    LogSettings {
        log: extra.log,
        log_format: extra.log_format,
    }
    .install()?;
    let mut signals = Signals::new()?;
    if let Some(address) = extra.http_listen {
        crate::exporter::serve(address).await?;
    }
    let folder = DataFolder::open(&config).map_err(start_failure)?;
    let store = KvResource::new(&folder, extra.kv);
    let reads = store.service();
    let builder = Runtime::builder(config, folder, store).serve(reads);
    let runtime = builder.build().await.map_err(start_failure)?;
    let (end, ended) = oneshot::channel::<()>();
    let running = runtime.run(async move {
        let _ = ended.await;
    });
    tokio::pin!(running);
    let signal = tokio::select! {
        ran = &mut running => return finish(ran),
        signal = signals.next() => signal,
    };
    tracing::info!(signal, "ending; a second signal ends at once");
    let _ = end.send(());
    tokio::select! {
        ran = &mut running => finish(ran),
        signal = signals.next() => {
            tracing::warn!(signal, "ending at once");
            // What has voted is on disk; waiting for the runtime's threads is what was declined.
            std::process::exit(Exit::Ok.code().into())
        }
    }
}

fn finish(ran: Result<(), RunError>) -> anyhow::Result<ExitCode> {
    match ran {
        Ok(()) => Ok(Exit::Ok.into()),
        Err(error) => Err(stopped(error).into()),
    }
}

/// Why it had to stop, and what to do before the next start.
fn stopped(error: RunError) -> Failure {
    let next = match &error {
        RunError::Refused(failure) | RunError::Superseded(failure) => {
            return Failure {
                exit: Exit::Internal,
                applied: None,
                ..Failure::from(failure.clone())
            };
        }
        RunError::OtherId { .. } => {
            "see that --coordinators and --cluster name the cluster that this folder belongs to"
        }
        _ => "look at the log above; the next start goes on with the data folder",
    };
    let code = error.code();
    let message = format!("{:#}", anyhow::Error::new(error));
    Failure::stopped(code, message, next)
}

/// What follows from the name, and from the coordinators of a cluster on this machine.
fn derive(layers: Layers<Kv>) -> Layers<Kv> {
    let name: String = layers.value("name").unwrap_or_default();
    let coordinators: Vec<&str> = COORDINATORS.split(',').collect();
    let layers = layers.derive("coordinators", coordinators);
    if name.is_empty() {
        layers
    } else {
        layers.derive("data", format!("triumvir-data/{name}"))
    }
}

fn start_failure(error: StartError) -> anyhow::Error {
    let next = match &error {
        StartError::Config(_) => return Failure::usage(error.to_string()).into(),
        StartError::Identity { .. } => {
            "give it its own folder by --data, or its own name by --name"
        }
        StartError::Listen { .. } => "stop what listens there, or choose another by --listen",
        StartError::Open(_) => "see that no other process uses the folder, and that it is writable",
        _ => "look at the log above; the data folder is as it was",
    };
    let code = error.code();
    let message = format!("{:#}", anyhow::Error::new(error));
    Failure::stopped(code, message, next).into()
}

#[cfg(test)]
mod tests {
    use triumvir_client::Code;

    use super::*;
    use crate::settings::tests::{keys_of, parse};

    #[test]
    fn every_setting_has_a_flag() {
        let flags: std::collections::BTreeSet<_> = KEYS.iter().map(|key| key.path).collect();
        assert_eq!(keys_of::<Kv>(), flags);
    }

    #[test]
    fn the_folder_follows_from_the_name() {
        let layers = Layers::merge(&parse::<Kv>(&["--name", "orders"])).unwrap();
        let config = derive(layers).extract().unwrap().config;
        assert_eq!(config.data.to_str(), Some("triumvir-data/orders"));
        assert_eq!(config.coordinators.len(), 3);
        config.check().unwrap();
    }

    #[test]
    fn a_missing_name_is_named() {
        let effective = derive(Layers::merge(&parse::<Kv>(&[])).unwrap())
            .extract()
            .unwrap();
        let error = effective.config.check().unwrap_err();
        assert_eq!(error.setting, "name");
    }

    #[test]
    fn a_refused_participant_is_told_once_and_what_really_helps() {
        let refusal = triumvir_client::Failure::new(Code::OtherDisk, "it belongs to d1");
        let failure = stopped(RunError::Refused(refusal));
        assert_eq!(
            (failure.code.as_deref(), failure.exit),
            (Some("TV0019"), Exit::Internal)
        );
        let next = failure.next.unwrap();
        assert!(next.contains("--replace-lost-disk"), "{next}");
        assert!(!failure.message.contains(&next), "{}", failure.message);
    }

    #[test]
    fn lists_and_maps_are_read_from_flags() {
        let line = [
            "--name",
            "a",
            "--peer-address",
            "b=h:1,c=h:2",
            "--replace-lost-disk",
        ];
        let config = Layers::merge(&parse::<Kv>(&line))
            .unwrap()
            .extract()
            .unwrap()
            .config;
        assert_eq!(config.peer_addresses["c"], "h:2");
        assert!(config.replace_lost_disk);
    }
}
