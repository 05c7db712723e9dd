//! A place in the cluster: a folder, two ports and a command line. The process in it comes and goes.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use nix::sys::signal::Signal;

use crate::config::ClusterConfig;
use crate::error::ClusterError;
use crate::leash::Leash;
use crate::ports::PortLease;
use crate::process::Process;
use crate::{Limits, Usage, Who, log};

/// Variables that would configure a process of ours.
const VARIABLE_PREFIX: &str = "TRIUMVIR_";
/// Switches the failpoints of a process, where its binary has any.
const FAILPOINTS: &str = "FAILPOINTS";
/// What the system says when a port is taken.
const PORT_TAKEN: &str = "Address already in use";

/// What one process is hindered by.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Hindrance {
    /// What the system refuses it.
    pub limits: Limits,
    /// Failpoints, in fail-rs's syntax; empty: none.
    pub failpoints: String,
}

impl Hindrance {
    fn of(config: &ClusterConfig, who: &Who) -> Self {
        Self {
            limits: config.limits.get(who).copied().unwrap_or_default(),
            failpoints: config.failpoints.get(who).cloned().unwrap_or_default(),
        }
    }
}

/// One place of a [`Cluster`](crate::Cluster).
#[derive(Debug)]
pub struct Seat {
    who: Who,
    folder: PathBuf,
    log: PathBuf,
    grpc: PortLease,
    /// Replicas only: a participant serves no HTTP.
    http: PortLease,
    process: Option<Process>,
    /// How its processes are started in the place of the cluster's usual line: all but sockets and
    /// folder.
    command: Option<Vec<OsString>>,
    /// What the next process is hindered by, in the place of what the configuration says.
    hindrance: Option<Hindrance>,
    /// The log's length when the process was started.
    log_from: u64,
    exit: Option<ExitStatus>,
    /// What the processes used that have ended here.
    spent: Usage,
}

impl Seat {
    pub(crate) fn new(who: Who, root: &Path) -> Result<Self, ClusterError> {
        Ok(Self {
            folder: root.join(who.file_name()),
            log: root.join(format!("{}.log", who.file_name())),
            grpc: PortLease::take()?,
            http: PortLease::take()?,
            who,
            process: None,
            command: None,
            hindrance: None,
            log_from: 0,
            exit: None,
            spent: Usage::default(),
        })
    }

    /// Who sits here.
    pub fn who(&self) -> &Who {
        &self.who
    }

    /// The command line that its processes have instead of the usual one, without sockets and folder.
    pub(crate) fn command(&self) -> Option<&[OsString]> {
        self.command.as_deref()
    }

    pub(crate) fn set_command(&mut self, command: Vec<OsString>) {
        self.command = Some(command);
    }

    /// Has the next process, and only that, hindered by this.
    pub(crate) fn hinder(&mut self, hindrance: Hindrance) {
        self.hindrance = Some(hindrance);
    }

    /// The data folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file that has both outputs of every process that ran here.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Where it serves gRPC.
    pub fn address(&self) -> SocketAddr {
        self.grpc.address()
    }

    /// Where it serves HTTP.
    pub fn http_address(&self) -> SocketAddr {
        self.http.address()
    }

    /// The id of the process, if one runs.
    pub fn pid(&self) -> Option<i32> {
        self.process.as_ref().and_then(Process::pid)
    }

    /// Whether a process was started that nobody ended. It may have ended by itself.
    pub fn is_started(&self) -> bool {
        self.process.is_some()
    }

    /// How the last process ended that was killed, terminated or waited for here.
    pub fn exit(&self) -> Option<ExitStatus> {
        self.exit
    }

    /// The end of what the present process, or the last one, has logged.
    pub fn log_tail(&self) -> String {
        log::tail(&self.log, self.log_from)
    }

    /// What all processes used that ran here. Of one that was killed, what it had used just before.
    ///
    /// # Errors
    ///
    /// /proc cannot be read.
    pub fn usage(&self) -> Result<Usage, ClusterError> {
        let Some(process) = &self.process else {
            return Ok(self.spent);
        };
        let now = process.usage().map_err(|source| ClusterError::Usage {
            who: self.who.clone(),
            source,
        })?;
        Ok(self.spent + now)
    }

    pub(crate) fn spawn(
        &mut self,
        config: &ClusterConfig,
        leash: &Leash,
        args: &[OsString],
    ) -> Result<(), ClusterError> {
        if self.is_started() {
            return Err(ClusterError::Running(self.who.clone()));
        }
        let is_first = !self.log.exists();
        self.log_from = std::fs::metadata(&self.log).map_or(0, |metadata| metadata.len());
        let Hindrance { limits, failpoints } = match self.hindrance.take() {
            Some(hindrance) => hindrance,
            None if is_first => Hindrance::of(config, &self.who),
            None => Hindrance::default(),
        };
        let mut command = limits.command(&config.binary);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with(VARIABLE_PREFIX) {
                command.env_remove(name);
            }
        }
        command.env_remove(FAILPOINTS);
        if !failpoints.is_empty() {
            command.env(FAILPOINTS, failpoints);
        }
        command.args(args).envs(config.environment.iter().cloned());
        let process = Process::spawn(&mut command, leash, &self.log);
        self.process = Some(process.map_err(|source| ClusterError::Spawn {
            who: self.who.clone(),
            binary: config.binary.clone(),
            source,
        })?);
        Ok(())
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<(), ClusterError> {
        let Some(process) = &self.process else {
            return Err(ClusterError::NotRunning(self.who.clone()));
        };
        process
            .signal(signal)
            .map_err(|source| ClusterError::Signal {
                who: self.who.clone(),
                source,
            })
    }

    /// An error if the process has ended though nobody asked it to.
    pub(crate) fn check_alive(&mut self) -> Result<(), ClusterError> {
        let Some(process) = &mut self.process else {
            return Ok(());
        };
        match process.exit_status() {
            Ok(Some(status)) => {
                let tail = self.log_tail();
                Err(ClusterError::Exited {
                    who: self.who.clone(),
                    status,
                    port_taken: tail.contains(PORT_TAKEN),
                    tail,
                })
            }
            Ok(None) => Ok(()),
            Err(source) => Err(ClusterError::Signal {
                who: self.who.clone(),
                source,
            }),
        }
    }

    /// Waits for the end of the process, for as long as it takes.
    pub(crate) async fn wait_exit(&mut self) -> Result<ExitStatus, ClusterError> {
        let who = self.who.clone();
        let Some(process) = &mut self.process else {
            return Err(ClusterError::NotRunning(who));
        };
        let used = process.usage().unwrap_or_default();
        let waited = process.wait().await;
        let status = waited.map_err(|source| ClusterError::Signal { who, source })?;
        self.spent = self.spent + used;
        self.process = None;
        self.exit = Some(status);
        Ok(status)
    }

    /// Forgets a process that has ended by itself.
    pub(crate) fn clear(&mut self) {
        self.process = None;
    }
}
