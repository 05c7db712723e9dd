//! The coordinator process: one replica of the cluster, as a library.
//!
//! One owner task (`owner`) holds the replicated state and, while this replica leads, the
//! conductor; the gRPC services (`service`) and replication reach it by messages. Everything that
//! decides lives in `triumvir-protocol`: nothing here may take a decision about a transaction, name
//! openraft, or write to a disk except through replication and the identity of the data folder.

mod address;
mod bootstrap;
mod channels;
mod clock;
mod config;
mod drain;
mod error;
#[cfg(feature = "failpoints")]
mod failpoint;
mod history;
mod horizon;
mod http;
mod initial;
mod owner;
mod removal;
mod run;
mod service;
mod shared;
mod shutdown;
mod telemetry;
mod view;

pub use address::Listeners;
pub use config::{Config, RaftSettings};
pub use error::NodeError;
pub use http::serve as serve_http;
pub use initial::{InitialCluster, InitialClusterError};
pub use run::{run, run_on};
pub use shutdown::Shutdown;
pub use telemetry::install as install_recorder;
