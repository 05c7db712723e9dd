//! Why a replica does not run, or runs no longer.

use std::io;
use std::net::SocketAddr;

use triumvir_protocol::DiskId;
use triumvir_replication::{InitializeError, StartError, Stopped};
use triumvir_storage::{Fault, IdentityError, OpenError, StorageError, WriteError};
use triumvir_wire::{Code, Failure};

/// A replica could not be started, or had to stop. Each variant is a different thing to do for an
/// operator.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// A setting is wrong.
    #[error("the configuration is not valid: {reason}")]
    Config {
        /// Which one, and why.
        reason: String,
    },
    /// The data folder cannot be opened.
    #[error("cannot open the data folder")]
    Open(#[from] OpenError),
    /// The data folder belongs to another process.
    #[error("the data folder cannot be used by this replica")]
    Identity(#[from] IdentityError),
    /// The data folder cannot be read.
    #[error("cannot read the data folder")]
    Storage(#[from] StorageError),
    /// The cluster knows this replica with another data folder. A replica that lost its data must
    /// not vote again under its id.
    #[error(
        "node {node} at {witness} knows this replica with the data folder {known}, and this one is \
         {found}: a replica that lost its data folder must join under a new id"
    )]
    WipedDisk {
        /// The replica that answered.
        node: u64,
        /// Its address.
        witness: String,
        /// The folder that the cluster knows.
        known: DiskId,
        /// This folder.
        found: DiskId,
    },
    /// An address in the initial cluster leads to another cluster.
    #[error("the replica at {address} belongs to cluster {found:?}, not {wanted:?}")]
    OtherCluster {
        /// Its address.
        address: String,
        /// Its cluster.
        found: String,
        /// This one's.
        wanted: String,
    },
    /// The cluster refuses to take this replica in.
    #[error("the replica at {witness} refuses to take this one in: {failure}")]
    NotTakenIn {
        /// The address of the replica that answered.
        witness: String,
        /// What it said.
        failure: Failure,
    },
    /// This replica was removed from the cluster. It takes no part any more.
    #[error("this replica, {node}, was removed from the cluster")]
    Removed {
        /// Its id.
        node: u64,
    },
    /// A socket cannot be bound.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// Replication could not be started.
    #[error("cannot start replication")]
    Replication(#[from] StartError),
    /// The cluster could not be formed.
    #[error("cannot form the cluster")]
    Initialize(#[from] InitializeError),
    /// Replication has stopped.
    #[error("replication has stopped")]
    Stopped(#[from] Stopped),
    /// The replicated state cannot be read: the log or a snapshot is damaged, or of a later
    /// version.
    #[error("the replicated state at log index {index} cannot be read: {reason}")]
    State {
        /// Where in the log.
        index: u64,
        /// What is wrong.
        reason: String,
    },
    /// The disk failed. What was not yet forced is not promised to anyone.
    #[error("the disk failed")]
    Write(#[from] WriteError),
    /// A server ended.
    #[error("the {name} server ended")]
    Server {
        /// Which one.
        name: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A task of this process ended without being asked to.
    #[error("the {name} task ended: {reason}")]
    Task {
        /// Which one.
        name: &'static str,
        /// Why.
        reason: String,
    },
}

impl NodeError {
    /// The stable code of what is wrong, if it has one.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::OtherCluster { .. } | Self::Identity(IdentityError::OtherCluster { .. }) => {
                Some(Code::WrongCluster)
            }
            Self::NotTakenIn { failure, .. } => Some(failure.code),
            Self::Removed { .. } => Some(Code::ReplicaRemoved),
            Self::WipedDisk { .. } => Some(Code::ReplicaOtherDisk),
            Self::State { .. } => Some(Code::DataDamaged),
            error => Fault::of(error).map(|fault| match fault {
                Fault::Failed => Code::DiskFailed,
                Fault::Damaged => Code::DataDamaged,
            }),
        }
    }
}
