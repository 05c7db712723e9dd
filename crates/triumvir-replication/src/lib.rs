//! Replication of the decision log through Raft.
//!
//! A [`Replica`] takes proposals as opaque bytes, has them appended on a majority of replicas, and
//! hands them in log order to the one owner of the replicated state, as [`MachineEvent`]s. This is
//! the only crate that names openraft; no type of openraft is part of its interface.
//!
//! Nothing here knows what a proposal means, and nothing here may decide anything about a
//! transaction.

mod append_stream;
mod codec;
mod config;
mod error;
#[cfg(feature = "failpoints")]
mod failpoint;
mod log_store;
mod machine;
mod membership;
mod network;
mod peers;
mod proposal;
mod replica;
mod roll;
mod service;
mod snapshot_stream;
mod snapshots;
mod status;
mod types;

#[cfg(test)]
mod tests;

// Pinned together with openraft; see the manifest.
use openraft_macros as _;
use openraft_rt as _;

pub use config::{Config, Dial};
pub use error::{InitializeError, MembershipError, ReadError, StartError, Stopped, TransferError};
pub use machine::{AppliedEntry, MachineEvent};
pub use proposal::{Outcome, Proposal};
pub use replica::{Replica, is_pristine};
pub use service::ReplicationService;
pub use status::{Leadership, PeerStatus, Status};
pub use types::{Member, Members};
