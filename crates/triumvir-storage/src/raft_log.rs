//! The tables of a Raft log: entries, vote, committed and purged marks, as bytes. Raft's rules are
//! not known here, and neither is the encoding. Keys hold the group, so that several groups can
//! share one file and one write stream.

use bytes::Bytes;
use redb::{TableDefinition, TableError, WriteTransaction};

use crate::database::Database;
use crate::error::StorageError;

const ENTRIES: TableDefinition<'_, (u32, u64), &[u8]> = TableDefinition::new("raft_log");
const MARKS: TableDefinition<'_, (u32, &str), &[u8]> = TableDefinition::new("raft_marks");

const VOTE: &str = "vote";
const COMMITTED: &str = "committed";
const PURGED: &str = "purged";

/// The log of one Raft group. Its methods write within a transaction of the
/// [`Writer`](crate::Writer).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RaftLog {
    group: u32,
}

/// Everything that the log held when it was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadedLog {
    /// The saved vote.
    pub vote: Option<Bytes>,
    /// The saved committed mark.
    pub committed: Option<Bytes>,
    /// The saved mark of the last purged entry.
    pub purged: Option<Bytes>,
    /// The entries, ascending by index and without a hole.
    pub entries: Vec<(u64, Bytes)>,
}

impl LoadedLog {
    /// Whether nothing was ever written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl RaftLog {
    /// The log of `group`.
    #[must_use]
    pub fn new(group: u32) -> Self {
        Self { group }
    }

    /// Reads the whole log.
    ///
    /// # Errors
    ///
    /// [`StorageError::Corrupted`] when the entries have a hole, and when reading fails.
    pub fn load(&self, database: &Database) -> Result<LoadedLog, StorageError> {
        let mut loaded = LoadedLog::default();
        let read = database.read()?;
        match read.open_table(MARKS) {
            Ok(table) => {
                let mark = |name: &str| -> Result<Option<Bytes>, StorageError> {
                    let value = table.get((self.group, name))?;
                    Ok(value.map(|value| Bytes::copy_from_slice(value.value())))
                };
                loaded.vote = mark(VOTE)?;
                loaded.committed = mark(COMMITTED)?;
                loaded.purged = mark(PURGED)?;
            }
            Err(TableError::TableDoesNotExist(_)) => {}
            Err(error) => return Err(error.into()),
        }
        match read.open_table(ENTRIES) {
            Ok(table) => {
                for entry in table.range((self.group, 0)..=(self.group, u64::MAX))? {
                    let (key, value) = entry?;
                    let (_, index) = key.value();
                    let last = loaded.entries.last().map(|(index, _)| *index);
                    if last.is_some_and(|last| last + 1 != index) {
                        let reason = format!("log entry {index} follows {last:?}");
                        return Err(StorageError::Corrupted(reason));
                    }
                    loaded
                        .entries
                        .push((index, Bytes::copy_from_slice(value.value())));
                }
            }
            Err(TableError::TableDoesNotExist(_)) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(loaded)
    }

    /// Writes entries, each under its index.
    ///
    /// # Errors
    ///
    /// When the write fails.
    pub fn put_entries<T: AsRef<[u8]>>(
        &self,
        txn: &WriteTransaction,
        entries: impl IntoIterator<Item = (u64, T)>,
    ) -> Result<(), StorageError> {
        let mut table = txn.open_table(ENTRIES)?;
        for (index, entry) in entries {
            table.insert((self.group, index), entry.as_ref())?;
        }
        Ok(())
    }

    /// Removes every entry at or above `first`.
    ///
    /// # Errors
    ///
    /// When the write fails.
    pub fn truncate_from(&self, txn: &WriteTransaction, first: u64) -> Result<(), StorageError> {
        let mut table = txn.open_table(ENTRIES)?;
        table.retain_in((self.group, first)..=(self.group, u64::MAX), |_, _| false)?;
        Ok(())
    }

    /// Removes every entry at or below `last` and keeps `mark` as the purged mark.
    ///
    /// # Errors
    ///
    /// When the write fails.
    pub fn purge_through(
        &self,
        txn: &WriteTransaction,
        last: u64,
        mark: &[u8],
    ) -> Result<(), StorageError> {
        let mut table = txn.open_table(ENTRIES)?;
        table.retain_in((self.group, 0)..=(self.group, last), |_, _| false)?;
        self.put_mark(txn, PURGED, mark)
    }

    /// Replaces the vote.
    ///
    /// # Errors
    ///
    /// When the write fails.
    pub fn put_vote(&self, txn: &WriteTransaction, vote: &[u8]) -> Result<(), StorageError> {
        self.put_mark(txn, VOTE, vote)
    }

    /// Replaces the committed mark, or removes it.
    ///
    /// # Errors
    ///
    /// When the write fails.
    pub fn put_committed(
        &self,
        txn: &WriteTransaction,
        mark: Option<&[u8]>,
    ) -> Result<(), StorageError> {
        match mark {
            Some(mark) => self.put_mark(txn, COMMITTED, mark),
            None => {
                txn.open_table(MARKS)?.remove((self.group, COMMITTED))?;
                Ok(())
            }
        }
    }

    fn put_mark(
        &self,
        txn: &WriteTransaction,
        name: &str,
        mark: &[u8],
    ) -> Result<(), StorageError> {
        txn.open_table(MARKS)?.insert((self.group, name), mark)?;
        Ok(())
    }
}
