//! Why a participant does not start, and why one that ran has stopped.

use std::net::SocketAddr;
use std::path::PathBuf;

use triumvir_protocol::ParticipantId;
use triumvir_storage::{Fault, IdentityError, OpenError, StorageError, WriteError};
use triumvir_wire::{Code, Failure};

use crate::{ConfigError, ResourceError};

/// The participant did not start. Nothing was told to anyone.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data folder cannot be opened.
    #[error("the data folder cannot be opened")]
    Open(#[from] OpenError),
    /// The data folder belongs to another participant or cluster.
    #[error("the data folder {path} cannot be used")]
    Identity {
        /// The folder.
        path: PathBuf,
        /// Whom it belongs to.
        #[source]
        source: IdentityError,
    },
    /// The journal cannot be read.
    #[error("the journal cannot be read")]
    Journal(#[source] StorageError),
    /// The resource could not take back its prepared branches.
    #[error("the resource cannot recover its {live} live branches")]
    Recover {
        /// How many there are.
        live: usize,
        /// What it said.
        #[source]
        source: ResourceError,
    },
    /// The port cannot be listened on.
    #[error("cannot listen on {listen}")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The descriptors of the services cannot be served.
    #[error("gRPC reflection cannot be set up")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// A participant that ran has stopped, and must not go on: what it could promise from here on would
/// not be true. Its branches stand in the data folder; the next start goes on with them.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A force failed. It is never repeated.
    #[error("the journal cannot be written; the process must stop")]
    Storage(#[from] WriteError),
    /// A newer process runs under the same name.
    #[error("this participant was superseded: {0}")]
    Superseded(Failure),
    /// The cluster does not take this participant.
    #[error("the cluster refuses this participant: {0}")]
    Refused(Failure),
    /// The folder has an id, and the cluster gave another one.
    #[error(
        "the data folder belongs to {stored}, but the cluster says {given}: the cluster has lost its \
         state, or is another one of the same name"
    )]
    OtherId {
        /// The id in the folder.
        stored: ParticipantId,
        /// The id that was answered.
        given: ParticipantId,
    },
    /// The gRPC server has ended.
    #[error("the gRPC server has ended")]
    Serve(#[source] Option<tonic::transport::Error>),
    /// A broken expectation inside the process, or in the resource.
    #[error("the participant's task has panicked: {0}")]
    Panicked(String),
}

impl StartError {
    /// The stable code of what is wrong, if it has one.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Identity {
                source: IdentityError::OtherCluster { .. },
                ..
            } => Some(Code::WrongCluster),
            error => disk_code(error),
        }
    }
}

impl RunError {
    /// The stable code of what is wrong, if it has one.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Superseded(failure) | Self::Refused(failure) => Some(failure.code),
            error => disk_code(error),
        }
    }
}

fn disk_code(error: &(dyn std::error::Error + 'static)) -> Option<Code> {
    Fault::of(error).map(|fault| match fault {
        Fault::Failed => Code::DiskFailed,
        Fault::Damaged => Code::DataDamaged,
    })
}
