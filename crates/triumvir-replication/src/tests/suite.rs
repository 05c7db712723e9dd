//! openraft's own storage suite over the real database, with a minimal owner of the state.

use bytes::{BufMut as _, Bytes, BytesMut};
use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use tempfile::TempDir;
use tokio::sync::mpsc;
use triumvir_storage::{Database, Limits, Options, Writer};

use crate::log_store::LogStore;
use crate::machine::{MachineEvent, MachineProxy};
use crate::roll::Roll;
use crate::snapshots::Snapshots;
use crate::types::TypeConfig;

struct Builder;

impl StoreBuilder<TypeConfig, LogStore, MachineProxy, (TempDir, Database)> for Builder {
    async fn build(
        &self,
    ) -> Result<((TempDir, Database), LogStore, MachineProxy), StorageError<TypeConfig>> {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path(), &Options::default()).unwrap();
        let writer = Writer::start(&database, Limits::default());
        let log = LogStore::open(&database, writer.clone()).unwrap();
        let snapshots = Snapshots::open(&database, writer).unwrap();
        let (events, inbox) = mpsc::channel(16);
        tokio::spawn(own(inbox));
        Ok((
            (folder, database),
            log,
            MachineProxy::new(events, snapshots, Roll::default()),
        ))
    }
}

/// Owns a state that is the sequence of everything applied.
async fn own(mut inbox: mpsc::Receiver<MachineEvent>) {
    let mut state = BytesMut::new();
    while let Some(event) = inbox.recv().await {
        match event {
            MachineEvent::Apply { entries, done } => {
                for entry in entries {
                    state.put_u64(entry.index);
                    state.put_slice(&entry.data);
                }
                let _ = done.send(());
            }
            MachineEvent::Snapshot { reply } => {
                let _ = reply.send(Bytes::copy_from_slice(&state));
            }
            MachineEvent::Install {
                state: installed,
                done,
                ..
            } => {
                state = BytesMut::from(&installed[..]);
                let _ = done.send(());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openraft_storage_suite() {
    Suite::test_all(Builder).await.unwrap();
}
