//! The log of a process: readable text or JSON, on stderr.

use std::io::{self, IsTerminal};

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

use crate::failure::Failure;

/// How log lines are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The settings of the log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogSettings {
    /// What is logged, in the filter syntax of `tracing`: `info`, `warn,triumvir_node=debug`.
    pub(crate) log: String,
    /// How.
    pub(crate) log_format: LogFormat,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            // Raft warns of every message to a replica that is away; the leader says once that it is.
            log: "info,openraft=error".to_owned(),
            log_format: LogFormat::default(),
        }
    }
}

impl LogSettings {
    /// Installs the log for the whole process. Once.
    ///
    /// # Errors
    ///
    /// The filter cannot be read.
    pub(crate) fn install(&self) -> Result<(), Failure> {
        let filter = EnvFilter::try_new(&self.log).map_err(|error| {
            Failure::usage(format!("log filter `{}`: {error}", self.log))
                .next("for example: info, or warn,triumvir_node=debug")
        })?;
        let log = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(io::stderr);
        let installed = match self.log_format {
            LogFormat::Text => log.with_ansi(io::stderr().is_terminal()).try_init(),
            LogFormat::Json => log.json().flatten_event(true).try_init(),
        };
        installed.map_err(|error| Failure::new(crate::exit::Exit::Internal, error.to_string()))
    }
}
