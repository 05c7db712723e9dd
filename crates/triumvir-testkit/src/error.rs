//! What can go wrong with processes, with enough of their logs to see why.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use crate::Who;
use crate::http::HttpError;

/// Why something could not be done to a cluster or asked of it.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// A folder or a log file could not be made, read or removed.
    #[error("cannot use {}", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The process that ends the others when this one dies could not be started.
    #[error("cannot start the shell that watches over the cluster's processes")]
    Leash(#[source] io::Error),
    /// Every port that was tried is taken.
    #[error("no free port on 127.0.0.1 after {tried} attempts")]
    NoPort {
        /// How many were tried.
        tried: u32,
    },
    /// The address at which replicas are to reach one of them could not be listened on.
    #[error("cannot open a gate between the replicas")]
    Gate(#[source] io::Error),
    /// Who hears whom can only be changed where the configuration asks for gates.
    #[error("the cluster was started without gates between its replicas")]
    NoGates,
    /// The binary could not be started.
    #[error("cannot start {who} from {}", binary.display())]
    Spawn {
        /// Whose process.
        who: Who,
        /// The binary.
        binary: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A process ended by itself.
    #[error("{who} ended by itself: {status}; the end of its log:\n{tail}")]
    Exited {
        /// Whose process.
        who: Who,
        /// How.
        status: ExitStatus,
        /// The end of its log.
        tail: String,
        /// It ended since another process has its port.
        port_taken: bool,
    },
    /// A wait reached its deadline.
    #[error("waited {after:?} for {waited_for}: {seen}\nfolder: {}\n{tails}", folder.display())]
    TimedOut {
        /// What was waited for.
        waited_for: String,
        /// How long.
        after: Duration,
        /// What was seen last.
        seen: String,
        /// The cluster's folder.
        folder: PathBuf,
        /// The ends of all logs.
        tails: String,
    },
    /// The cluster has no such process.
    #[error("the cluster has no {0}")]
    Unknown(Who),
    /// The process does not run.
    #[error("{0} does not run")]
    NotRunning(Who),
    /// The process runs.
    #[error("{0} runs already")]
    Running(Who),
    /// A signal could not be sent.
    #[error("cannot signal {who}")]
    Signal {
        /// To whom.
        who: Who,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A replica did not answer over gRPC.
    #[error("{who} did not answer")]
    Rpc {
        /// Which.
        who: Who,
        /// Why.
        #[source]
        source: Box<tonic::Status>,
    },
    /// A process did not answer over HTTP.
    #[error("{who} did not answer")]
    Http {
        /// Which.
        who: Who,
        /// Why.
        #[source]
        source: HttpError,
    },
    /// The processor time of a process could not be read.
    #[error("cannot read the processor time of {who}")]
    Usage {
        /// Whose.
        who: Who,
        /// Why.
        #[source]
        source: io::Error,
    },
}
