//! The one current snapshot on disk. It is written piece by piece through the write stream, so that
//! the log waits for a piece at most, never for a whole snapshot. What is in it is the owner's.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Mutex, oneshot};
use triumvir_storage::{
    Database, RaftSnapshots, SNAPSHOT_CHUNK_BYTES, StorageError, WeakDatabase, WriteBatch, Writer,
};

use crate::codec;
use crate::error::StartError;
use crate::log_store::write_failed;
use crate::types::{Contents, GROUP, Snapshot, SnapshotMeta};

/// Reads and replaces the current snapshot. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Snapshots {
    database: WeakDatabase,
    writer: Writer,
    /// Held while a snapshot is written: pieces of two snapshots must not mix.
    current: Arc<Mutex<Current>>,
}

#[derive(Debug, Default)]
struct Current {
    meta: Option<SnapshotMeta>,
    generation: u64,
}

impl Snapshots {
    pub(crate) fn open(database: &Database, writer: Writer) -> Result<Self, StartError> {
        let mut current = Current::default();
        if let Some((generation, meta)) = RaftSnapshots::new(GROUP).current(database)? {
            current.generation = generation;
            current.meta = Some(decode_meta(meta)?.0);
        }
        let database = database.downgrade();
        Ok(Self {
            database,
            writer,
            current: Arc::new(Mutex::new(current)),
        })
    }

    /// Makes the snapshot the current one, durably, unless the current one covers as much.
    pub(crate) async fn save(&self, meta: &SnapshotMeta, contents: &Contents) -> io::Result<()> {
        let mut current = self.current.lock().await;
        if current
            .meta
            .as_ref()
            .is_some_and(|have| have.last_log_id >= meta.last_log_id)
        {
            return Ok(());
        }
        let table = RaftSnapshots::new(GROUP);
        let generation = current.generation + 1;
        // Also when this fails half-way the generation is spent.
        current.generation = generation;
        let data = &contents.state;
        let size_bytes = data.len();
        for (number, start) in (0..).zip((0..size_bytes).step_by(SNAPSHOT_CHUNK_BYTES)) {
            let chunk = data.slice(start..size_bytes.min(start + SNAPSHOT_CHUNK_BYTES));
            let size_bytes = chunk.len();
            self.force(size_bytes, move |txn| {
                table.put_chunk(txn, generation, number, &chunk)
            })
            .await?;
        }
        let encoded = codec::to_store(&codec::snapshot_meta(meta, &contents.used));
        self.force(encoded.len(), move |txn| {
            table.finish(txn, generation, size_bytes as u64, &encoded)
        })
        .await?;
        current.meta = Some(meta.clone());
        Ok(())
    }

    /// Reads the current snapshot.
    pub(crate) async fn load(&self) -> io::Result<Option<Snapshot>> {
        let database = self.database.clone();
        let read = move || -> Result<_, StorageError> {
            RaftSnapshots::new(GROUP).load(&database.upgrade()?)
        };
        let loaded = tokio::task::spawn_blocking(read)
            .await
            .map_err(io::Error::other)?;
        let Some((meta, state)) = loaded.map_err(io::Error::other)? else {
            return Ok(None);
        };
        let (meta, used) = decode_meta(meta).map_err(io::Error::other)?;
        let snapshot = Contents { state, used };
        Ok(Some(Snapshot { meta, snapshot }))
    }

    async fn force(
        &self,
        size_bytes: usize,
        write: impl FnOnce(&mut WriteBatch<'_>) -> Result<(), StorageError> + Send + 'static,
    ) -> io::Result<()> {
        let (sender, durable) = oneshot::channel();
        self.writer
            .submit(size_bytes, write, move |result| drop(sender.send(result)));
        durable
            .await
            .map_err(io::Error::other)?
            .map_err(write_failed)
    }
}

fn decode_meta(meta: Bytes) -> Result<(SnapshotMeta, BTreeSet<u64>), codec::DecodeError> {
    codec::snapshot_meta_from(codec::stored("snapshot meta", meta)?)
}
