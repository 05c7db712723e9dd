//! The tables of a Raft snapshot: its meta and its data as bytes, in chunks, so that a large
//! snapshot is written by many commits between which the log can be forced. What a snapshot
//! contains is not known here.
//!
//! A snapshot is written under a new generation, chunk by chunk, and becomes the current one when
//! its meta is put. A crash in between leaves chunks that the next snapshot, of the same generation
//! maybe, sweeps away.

use bytes::{Bytes, BytesMut};
use redb::{TableDefinition, TableError, WriteTransaction};

use crate::database::Database;
use crate::error::StorageError;

const METAS: TableDefinition<'_, u32, (u64, u64, &[u8])> =
    TableDefinition::new("raft_snapshot_meta");
const CHUNKS: TableDefinition<'_, (u32, u64, u64), &[u8]> =
    TableDefinition::new("raft_snapshot_chunk");

/// The size of a chunk: small enough that the log waits little for one, large enough that a
/// snapshot takes few commits.
pub const SNAPSHOT_CHUNK_BYTES: usize = 1 << 20;

/// The current snapshot of one Raft group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RaftSnapshots {
    group: u32,
}

impl RaftSnapshots {
    /// The snapshots of `group`.
    #[must_use]
    pub fn new(group: u32) -> Self {
        Self { group }
    }

    /// The generation and meta of the current snapshot.
    ///
    /// # Errors
    ///
    /// When reading fails.
    pub fn current(&self, database: &Database) -> Result<Option<(u64, Bytes)>, StorageError> {
        let table = match database.read()?.open_table(METAS) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let value = table.get(self.group)?;
        Ok(value.map(|value| {
            let (generation, _, meta) = value.value();
            (generation, Bytes::copy_from_slice(meta))
        }))
    }

    /// The meta and the data of the current snapshot.
    ///
    /// # Errors
    ///
    /// [`StorageError::Corrupted`] when the data is not as long as it was, and when reading fails.
    pub fn load(&self, database: &Database) -> Result<Option<(Bytes, Bytes)>, StorageError> {
        let read = database.read()?;
        let metas = match read.open_table(METAS) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let Some(row) = metas.get(self.group)? else {
            return Ok(None);
        };
        let (generation, size_bytes, meta) = row.value();
        let mut data = BytesMut::new();
        if size_bytes > 0 {
            let chunks = read.open_table(CHUNKS)?;
            let (first, last) = (0, u64::MAX);
            let range = (self.group, generation, first)..=(self.group, generation, last);
            for chunk in chunks.range(range)? {
                data.extend_from_slice(chunk?.1.value());
            }
        }
        if data.len() as u64 != size_bytes {
            let reason = format!("snapshot of {size_bytes} bytes has {}", data.len());
            return Err(StorageError::Corrupted(reason));
        }
        Ok(Some((Bytes::copy_from_slice(meta), data.freeze())))
    }

    /// Writes one chunk of a snapshot that is not current yet. Chunks are numbered from 0, and each
    /// but the last has [`SNAPSHOT_CHUNK_BYTES`].
    ///
    /// # Errors
    ///
    /// When the write fails.
    pub fn put_chunk(
        &self,
        txn: &WriteTransaction,
        generation: u64,
        number: u64,
        chunk: &[u8],
    ) -> Result<(), StorageError> {
        txn.open_table(CHUNKS)?
            .insert((self.group, generation, number), chunk)?;
        Ok(())
    }

    /// Makes `generation`, all of whose `size_bytes` have been put, the current snapshot, and
    /// removes every other chunk: of other generations, and those that a save of the same generation
    /// left behind when it was cut off.
    ///
    /// # Errors
    ///
    /// When the write fails.
    pub fn finish(
        &self,
        txn: &WriteTransaction,
        generation: u64,
        size_bytes: u64,
        meta: &[u8],
    ) -> Result<(), StorageError> {
        txn.open_table(METAS)?
            .insert(self.group, (generation, size_bytes, meta))?;
        let mut chunks = txn.open_table(CHUNKS)?;
        let all = (self.group, 0, 0)..=(self.group, u64::MAX, u64::MAX);
        let count = size_bytes.div_ceil(SNAPSHOT_CHUNK_BYTES as u64);
        chunks.retain_in(all, |(_, of, number), _| of == generation && number < count)?;
        Ok(())
    }
}
