//! The handle of a running replica: starting, proposing, reading, and who leads. Changes of the
//! members are in `membership`; what is proposed is not looked into.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use openraft::ReadPolicy;
use openraft::async_runtime::WatchReceiver as _;
use openraft::errors::{
    Fatal, InitializeError as RaftInitializeError, LinearizableReadError, RaftError,
};
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use triumvir_storage::{Database, RaftLog, RaftSnapshots, StorageError, Writer};
use triumvir_wire::v1::replication_server::ReplicationServer;

use crate::config::Config;
use crate::error::{InitializeError, ReadError, StartError, Stopped, TransferError};
use crate::log_store::LogStore;
use crate::machine::{MachineEvent, MachineProxy};
use crate::network::Network;
use crate::peers::{MESSAGE_BYTES_MAX, Peers};
use crate::proposal::Proposal;
use crate::roll::Roll;
use crate::service::ReplicationService;
use crate::snapshots::Snapshots;
use crate::status::{Leadership, Status};
use crate::types::{Data, GROUP, Member, Members, Raft, Reply, TypeConfig};

/// Whether the folder holds nothing of Raft: no vote, no entry, no snapshot.
///
/// A replica that is a member already and finds its folder pristine has lost its disk. It must not
/// be started under its old id: it may have voted and acknowledged entries that it no longer knows.
///
/// # Errors
///
/// When the folder cannot be read.
pub fn is_pristine(database: &Database) -> Result<bool, StorageError> {
    Ok(RaftLog::new(GROUP).load(database)?.is_empty()
        && RaftSnapshots::new(GROUP).current(database)?.is_none())
}

/// A running replica. Clones are handles of the same one.
#[derive(Clone)]
pub struct Replica {
    pub(crate) raft: Raft,
    peers: Arc<Peers>,
    pub(crate) config: Arc<Config>,
    leadership: watch::Receiver<Leadership>,
    members: watch::Receiver<Members>,
    pub(crate) roll: Roll,
    /// Held by whoever changes the members.
    pub(crate) change: Arc<Mutex<()>>,
    _watcher: Arc<Watcher>,
}

impl std::fmt::Debug for Replica {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replica")
            .field("node", &self.config.node)
            .finish_non_exhaustive()
    }
}

impl Replica {
    /// Starts the replica whose log is in `database` and is written through `writer`, the one write
    /// stream of the process.
    ///
    /// While this runs the owner of the state must already be receiving `machine`'s events: the
    /// snapshot and the entries known to be replicated are handed to it before this returns.
    ///
    /// # Errors
    ///
    /// When the log is unreadable or corrupted, or the configuration is not valid.
    pub async fn start(
        config: Config,
        database: &Database,
        writer: &Writer,
        machine: mpsc::Sender<MachineEvent>,
    ) -> Result<Self, StartError> {
        let settings = Arc::new(config.to_openraft()?);
        let peers = Arc::new(Peers::new(&config));
        let log = LogStore::open(database, writer.clone())?;
        let snapshots = Snapshots::open(database, writer.clone())?;
        let network = Network {
            peers: peers.clone(),
            node: config.node,
            append_timeout: config.append_timeout,
        };
        let roll = Roll::default();
        let proxy = MachineProxy::new(machine, snapshots, roll.clone());
        let raft = Raft::new(config.node, settings, network, log, proxy)
            .await
            .map_err(|error| StartError::Raft {
                reason: error.to_string(),
            })?;
        // Known to Raft before its metrics show it.
        let members = raft
            .with_raft_state(|state| Members::of(state.membership_state.effective().membership()))
            .await
            .map_err(|error| StartError::Raft {
                reason: error.to_string(),
            })?;
        peers.set_members(&members);
        let (watcher, leadership, members) = Watcher::start(&raft, peers.clone(), members);
        let (watcher, config) = (Arc::new(watcher), Arc::new(config));
        Ok(Self {
            raft,
            peers,
            config,
            leadership,
            members,
            roll,
            change: Arc::default(),
            _watcher: watcher,
        })
    }

    /// This replica's id.
    #[must_use]
    pub fn node(&self) -> u64 {
        self.config.node
    }

    /// Whether this replica has never voted and has no log: it belongs to no cluster yet.
    ///
    /// # Errors
    ///
    /// When this replica has stopped.
    pub async fn is_pristine(&self) -> Result<bool, Stopped> {
        Ok(!self.raft.is_initialized().await.map_err(stopped)?)
    }

    /// Forms a cluster of `members`, this replica among them. To be called on one pristine replica,
    /// or on several with the same members.
    ///
    /// # Errors
    ///
    /// [`InitializeError::NotPristine`] when there is a cluster already.
    pub async fn initialize(&self, members: BTreeMap<u64, Member>) -> Result<(), InitializeError> {
        self.raft
            .initialize(members)
            .await
            .map_err(|error| match error {
                RaftError::APIError(RaftInitializeError::NotAllowed(_)) => {
                    InitializeError::NotPristine
                }
                RaftError::APIError(RaftInitializeError::NotInMembers(_)) => {
                    InitializeError::NotAMember
                }
                RaftError::Fatal(fatal) => InitializeError::Stopped {
                    reason: fatal.to_string(),
                },
            })
    }

    /// Proposes `data` and returns at once; the outcome is awaited on the result, or not at all.
    ///
    /// Proposals made one after the other from one task keep their order in the log, unless one is
    /// refused. Many may be in flight; none costs a task. Waits only while Raft's queue is full.
    pub async fn propose(&self, data: Bytes) -> Proposal {
        let (sender, result) = oneshot::channel();
        let sent = self
            .raft
            .client_write_ff(Data(data), Some(Reply(sender)))
            .await;
        Proposal::new(sent, result)
    }

    /// Who leads, as this replica knows it. Once this replica has stopped, nobody does, and the
    /// channel closes.
    #[must_use]
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.leadership.clone()
    }

    /// The members, as of the last entry in the log here.
    #[must_use]
    pub fn members(&self) -> Members {
        self.members.borrow().clone()
    }

    /// As [`Replica::members`], and their changes.
    #[must_use]
    pub fn watch_members(&self) -> watch::Receiver<Members> {
        self.members.clone()
    }

    /// The members by what is applied here, and the log index at which they became so, unless that
    /// is `known`. Unlike [`Replica::members`] this is never taken back.
    #[must_use]
    pub fn applied_members(&self, known: Option<u64>) -> Option<(u64, Members)> {
        self.roll.members_unless(known)
    }

    /// Whether `node` was a member and is none any more, by what is applied here. That is final.
    #[must_use]
    pub fn is_removed(&self, node: u64) -> bool {
        self.roll.is_removed(node)
    }

    /// Waits until this replica has stopped, and gives the reason: it was shut down, its disk
    /// failed, or the owner of its state is gone. In the last two cases the process should end.
    pub async fn stopped(&self) -> Stopped {
        let mut metrics = self.raft.metrics();
        loop {
            let stopped = metrics.borrow_and_update().running_state.clone().err();
            if let Some(fatal) = stopped {
                return self::stopped(fatal);
            }
            if metrics.changed().await.is_err() {
                return self::stopped(Fatal::Stopped);
            }
        }
    }

    /// The state of this replica now.
    #[must_use]
    pub fn status(&self) -> Status {
        Status::of(&self.raft.metrics().borrow_watched())
    }

    /// Waits until the state at its owner is at least as current as any answer given anywhere
    /// before this call, and returns the log index up to which it is.
    ///
    /// Raft's ReadIndex: a majority confirms that this replica leads. No clock is relied on.
    ///
    /// # Errors
    ///
    /// When this replica does not lead, or a majority does not say so in time.
    pub async fn read_barrier(&self) -> Result<u64, ReadError> {
        let limit = self.config.election_timeout_max * 2;
        let ready = self.raft.ensure_linearizable(ReadPolicy::ReadIndex);
        match timeout(limit, ready).await {
            Ok(Ok(read)) => Ok(read.index()),
            Ok(Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(to)))) => {
                Err(ReadError::NotLeader {
                    leader: to.leader_id,
                })
            }
            Ok(Err(RaftError::APIError(LinearizableReadError::QuorumNotEnough(_)))) | Err(_) => {
                Err(ReadError::NoQuorum)
            }
            Ok(Err(RaftError::Fatal(fatal))) => Err(ReadError::Stopped {
                reason: fatal.to_string(),
            }),
        }
    }

    /// Hands the leadership to `to`, or to the voter that is least behind, and waits until another
    /// replica leads. Proposals are refused meanwhile.
    ///
    /// # Errors
    ///
    /// When this replica does not lead, `to` is not a voter, or nobody took over in time.
    pub async fn transfer_leadership(&self, to: Option<u64>) -> Result<u64, TransferError> {
        let status = self.status();
        if !status.leadership.me_leader {
            return Err(TransferError::NotLeader {
                leader: status.leadership.leader,
            });
        }
        let voters = self.members().voters;
        let candidates = voters
            .keys()
            .copied()
            .filter(|node| *node != self.config.node);
        let target = match to {
            Some(to) => candidates.into_iter().find(|node| *node == to),
            None => candidates
                .max_by_key(|node| status.peers.get(node).and_then(|peer| peer.matched_index)),
        };
        let target = target.ok_or(TransferError::NoTarget)?;
        let stopped = |fatal: Fatal<TypeConfig>| TransferError::Stopped {
            reason: fatal.to_string(),
        };
        self.raft
            .trigger()
            .transfer_leader(target)
            .await
            .map_err(stopped)?;
        let mut leadership = self.leadership();
        let taken_over = leadership.wait_for(|now| !now.me_leader && now.leader.is_some());
        match timeout(self.config.election_timeout_max * 5, taken_over).await {
            Ok(Ok(now)) => now.leader.ok_or(TransferError::Timeout),
            Ok(Err(_)) => Err(TransferError::Stopped {
                reason: "shut down".to_owned(),
            }),
            Err(_) => Err(TransferError::Timeout),
        }
    }

    /// Asks for a snapshot now. It appears in [`Status::snapshot_index`].
    ///
    /// # Errors
    ///
    /// When this replica has stopped.
    pub async fn trigger_snapshot(&self) -> Result<(), Stopped> {
        self.raft.trigger().snapshot().await.map_err(stopped)
    }

    /// Puts `address` in the place of the one that the membership holds for `node`, here only.
    pub fn override_address(&self, node: u64, address: impl Into<String>) {
        self.peers.override_address(node, address.into());
    }

    /// The gRPC service by which the other replicas reach this one.
    #[must_use]
    pub fn service(&self) -> ReplicationServer<ReplicationService> {
        let service = ReplicationService {
            raft: self.raft.clone(),
            cluster: self.config.cluster.clone(),
            node: self.config.node,
            disk: self.config.disk,
            roll: self.roll.clone(),
        };
        ReplicationServer::new(service)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// Stops replicating and waits until it has stopped. Proposals in flight resolve to
    /// [`Outcome::Stopped`](crate::Outcome::Stopped). The write stream is left to its owner.
    pub async fn shutdown(&self) {
        if self.raft.shutdown().await.is_err() {
            tracing::error!("the Raft task ended by a panic");
        }
    }
}

fn stopped(fatal: Fatal<TypeConfig>) -> Stopped {
    Stopped {
        reason: fatal.to_string(),
    }
}

/// Turns openraft's metrics into the values that are watched.
struct Watcher {
    task: JoinHandle<()>,
}

impl Watcher {
    fn start(
        raft: &Raft,
        peers: Arc<Peers>,
        members: Members,
    ) -> (Self, watch::Receiver<Leadership>, watch::Receiver<Members>) {
        let mut metrics = raft.metrics();
        let now = Status::of(&metrics.borrow_watched()).leadership;
        let (leadership, leadership_watch) = watch::channel(now);
        let (members, members_watch) = watch::channel(members);
        let task = tokio::spawn(async move {
            let mut membership_id = None;
            loop {
                let (now, changed) = {
                    let metrics = metrics.borrow_and_update();
                    let membership = &metrics.membership_config;
                    // Until the first entry is reported, what Raft said at start-up stands.
                    let changed = (*membership.log_id() != membership_id).then(|| {
                        membership_id = *membership.log_id();
                        Members::of(membership.membership())
                    });
                    let running = metrics.running_state.is_ok();
                    (running.then(|| Status::of(&metrics).leadership), changed)
                };
                if let Some(changed) = changed {
                    peers.set_members(&changed);
                    replace(&members, changed);
                }
                if let Some(now) = now {
                    replace(&leadership, now);
                    if metrics.changed().await.is_ok() {
                        continue;
                    }
                }
                // Stopped: it must not go on looking like a leader.
                let term = leadership.borrow().term;
                replace(
                    &leadership,
                    Leadership {
                        term,
                        ..Leadership::default()
                    },
                );
                return;
            }
        });
        (Self { task }, leadership_watch, members_watch)
    }
}

/// Notifies only when something has changed.
fn replace<T: PartialEq>(watched: &watch::Sender<T>, now: T) {
    watched.send_if_modified(|have| {
        let modified = *have != now;
        *have = now;
        modified
    });
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}
