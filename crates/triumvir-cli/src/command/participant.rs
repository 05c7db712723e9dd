//! `triumvir participant kv`: a participant that keeps keys and values.

use std::process::ExitCode;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use triumvir_participant::{Config, DataFolder, KvConfig, KvResource, Runtime, StartError};

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
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KvExtra {
    log: String,
    log_format: LogFormat,
    kv: KvConfig,
}
