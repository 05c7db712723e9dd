//! Starts and torments real processes: the replicas and the key-value participants of one cluster,
//! each an operating-system process of the `triumvir` binary with its own folder, ports and log.
//!
//! A [`Cluster`] is what the process tests, the demo and the benchmark run against. It kills, pauses,
//! restarts and wipes; it waits for conditions, each wait under one deadline, and says what it waited
//! for and what the logs say when the deadline passes. Nothing here knows transactions: what is asked
//! of a cluster goes through `triumvir-client`.
//!
//! No process outlives its cluster: see [`Cluster`]. Unix only; processor time is read from /proc.

mod cluster;
mod config;
mod error;
mod gate;
mod histogram;
mod http;
mod leash;
mod limits;
mod links;
mod log;
mod metrics;
mod ports;
mod process;
mod seat;
mod status;
mod usage;
mod wait;
mod who;

pub use cluster::Cluster;
pub use config::ClusterConfig;
pub use error::ClusterError;
pub use histogram::Histogram;
pub use http::{HttpError, Response, get};
pub use limits::Limits;
pub use metrics::Metrics;
pub use seat::{Hindrance, Seat};
pub use usage::Usage;
pub use who::Who;
