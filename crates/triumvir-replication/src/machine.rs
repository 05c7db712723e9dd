//! openraft's state machine as a proxy: the replicated state has one owner task elsewhere, and what
//! happens to it reaches that task as a stream of [`MachineEvent`]s. No state but the position in
//! the log and the membership is kept here.

use std::collections::BTreeSet;
use std::io;

use bytes::Bytes;
use futures::{Stream, TryStreamExt as _};
use openraft::storage::{ApplyResponder, EntryResponder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder};
use tokio::sync::{mpsc, oneshot};

use crate::roll::Roll;
use crate::snapshots::Snapshots;
use crate::types::{
    Contents, Data, Entry, LogId, Snapshot, SnapshotMeta, StoredMembership, TypeConfig,
};

/// How many entries one [`MachineEvent::Apply`] holds at most.
const APPLY_ENTRIES_MAX: usize = 1024;

/// What the owner of the replicated state is told, in log order.
///
/// The owner answers each event by its sender. Dropping a sender unanswered, or closing the
/// channel, stops this replica for good: it can not go on without its state.
#[derive(Debug)]
pub enum MachineEvent {
    /// Apply these entries, all of them replicated on a majority. Indexes ascend; one that is
    /// missing was Raft's own.
    Apply {
        /// The entries.
        entries: Vec<AppliedEntry>,
        /// To be answered once they are applied; proposals resolve only then.
        done: oneshot::Sender<()>,
    },
    /// Serialise the state as of this point of the stream.
    Snapshot {
        /// Takes the bytes, now or later; events behind this one must not show in them.
        reply: oneshot::Sender<Bytes>,
    },
    /// Replace the state by what [`MachineEvent::Snapshot`] once gave, here or at another replica.
    /// Also sent at start-up, before any `Apply`, when there is a snapshot on disk.
    Install {
        /// The last log index that is part of the state.
        index: u64,
        /// The serialised state.
        state: Bytes,
        /// To be answered once the state is replaced.
        done: oneshot::Sender<()>,
    },
}

/// One proposal that has become part of the log for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppliedEntry {
    /// Its position in the log.
    pub index: u64,
    /// The bytes that were proposed.
    pub data: Bytes,
}

/// The state machine that openraft drives.
#[derive(Debug)]
pub(crate) struct MachineProxy {
    events: mpsc::Sender<MachineEvent>,
    snapshots: Snapshots,
    applied: Option<LogId>,
    membership: StoredMembership,
    roll: Roll,
}

impl MachineProxy {
    pub(crate) fn new(
        events: mpsc::Sender<MachineEvent>,
        snapshots: Snapshots,
        roll: Roll,
    ) -> Self {
        let membership = StoredMembership::default();
        Self {
            events,
            snapshots,
            applied: None,
            membership,
            roll,
        }
    }

    async fn send(&self, event: MachineEvent) -> io::Result<()> {
        self.events.send(event).await.map_err(|_| owner_gone())
    }

    /// Has `batch` applied, then answers the proposers.
    async fn apply_batch(&mut self, batch: &mut Batch) -> io::Result<()> {
        let Batch {
            entries,
            responders,
            last,
            memberships,
        } = std::mem::take(batch);
        if !entries.is_empty() {
            let (done, applied) = oneshot::channel();
            self.send(MachineEvent::Apply { entries, done }).await?;
            applied.await.map_err(|_| owner_gone())?;
        }
        self.applied = last.or(self.applied);
        #[cfg(feature = "failpoints")]
        crate::failpoint::applying(&memberships);
        for membership in memberships {
            self.roll.enter(&membership);
            self.membership = membership;
        }
        for responder in responders {
            responder.send(());
        }
        Ok(())
    }

    fn meta(&self) -> SnapshotMeta {
        SnapshotMeta {
            last_log_id: self.applied,
            last_membership: self.membership.clone(),
        }
    }
}

/// Entries on their way to the owner.
#[derive(Default)]
struct Batch {
    entries: Vec<AppliedEntry>,
    responders: Vec<ApplyResponder<TypeConfig>>,
    last: Option<LogId>,
    memberships: Vec<StoredMembership>,
}

impl Batch {
    fn push(&mut self, entry: Entry, responder: Option<ApplyResponder<TypeConfig>>) {
        self.last = Some(entry.log_id);
        self.responders.extend(responder);
        match entry.payload {
            EntryPayload::Blank => {}
            EntryPayload::Normal(Data(data)) => {
                self.entries.push(AppliedEntry {
                    index: entry.log_id.index,
                    data,
                });
            }
            EntryPayload::Membership(members) => {
                let membership = StoredMembership::new(Some(entry.log_id), members);
                self.memberships.push(membership);
            }
        }
    }
}

fn owner_gone() -> io::Error {
    io::Error::new(
        io::ErrorKind::BrokenPipe,
        "the owner of the replicated state is gone",
    )
}

impl RaftStateMachine<TypeConfig> for MachineProxy {
    type SnapshotData = Contents;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<TypeConfig>, io::Error>> + Unpin + OptionalSend,
    {
        let mut batch = Batch::default();
        while let Some((entry, responder)) = entries.try_next().await? {
            batch.push(entry, responder);
            if batch.entries.len() >= APPLY_ENTRIES_MAX {
                self.apply_batch(&mut batch).await?;
            }
        }
        self.apply_batch(&mut batch).await
    }

    async fn try_create_snapshot_builder(&mut self, _force: bool) -> Option<Builder> {
        Some(self.get_snapshot_builder().await)
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        // Asked for here and not in the builder, which runs beside later applies.
        let (reply, state) = oneshot::channel();
        // If the owner is gone, the builder finds `reply` dropped.
        let _ = self.send(MachineEvent::Snapshot { reply }).await;
        Builder {
            meta: self.meta(),
            state: Some(state),
            used: self.roll.used(),
            snapshots: self.snapshots.clone(),
        }
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: Contents,
    ) -> Result<(), io::Error> {
        self.snapshots.save(meta, &snapshot).await?;
        let (done, installed) = oneshot::channel();
        let index = meta.last_log_id.map_or(0, |last| last.index);
        self.send(MachineEvent::Install {
            index,
            state: snapshot.state,
            done,
        })
        .await?;
        installed.await.map_err(|_| owner_gone())?;
        self.applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        self.roll.replace_used(snapshot.used);
        self.roll.enter(&self.membership);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, io::Error> {
        self.snapshots.load().await
    }
}

/// Waits for the owner's bytes and stores them.
#[derive(Debug)]
pub(crate) struct Builder {
    meta: SnapshotMeta,
    state: Option<oneshot::Receiver<Bytes>>,
    used: BTreeSet<u64>,
    snapshots: Snapshots,
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    type SnapshotData = Contents;

    async fn build_snapshot(&mut self) -> Result<Snapshot, io::Error> {
        let state = self.state.take().ok_or_else(owner_gone)?;
        let snapshot = Contents {
            state: state.await.map_err(|_| owner_gone())?,
            used: self.used.clone(),
        };
        self.snapshots.save(&self.meta, &snapshot).await?;
        Ok(Snapshot {
            meta: self.meta.clone(),
            snapshot,
        })
    }
}
