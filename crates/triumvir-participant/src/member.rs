//! Who this process is to others: what its sessions and exchanges have in common. No state of the
//! protocol is in here.

use std::sync::Arc;

use tokio::sync::mpsc;
use triumvir_protocol::TxnId;
use triumvir_protocol::{
    Digest, DiskId, Epoch, Horizon, Message, ParticipantId, ReplicaId, Request,
};

use crate::Config;
use crate::directory::Directory;
use crate::outbox::Outbox;
use crate::replicas::Replicas;

/// What the owner of the branches takes in.
#[derive(Debug)]
pub(crate) enum Input {
    /// The cluster has confirmed the folder and this start.
    Registered,
    /// A session with a coordinator is up.
    Connected,
    /// The last session with a coordinator is down.
    Disconnected,
    /// A coordinator's frame.
    Coordinator {
        replica: ReplicaId,
        epoch: Epoch,
        horizon: Option<Horizon>,
        requests: Vec<(TxnId, Digest, Request)>,
    },
    /// A peer's frame.
    Peer {
        from: ParticipantId,
        messages: Vec<(TxnId, Digest, Message)>,
    },
}

/// What every connection needs to know.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) config: Config,
    pub(crate) disk: DiskId,
    /// Where peers and clients reach this process.
    pub(crate) advertise: String,
    pub(crate) directory: Arc<Directory>,
    pub(crate) replicas: Replicas,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) inbox: mpsc::Sender<Input>,
}
