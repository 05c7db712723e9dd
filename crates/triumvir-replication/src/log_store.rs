//! openraft's log storage: the retained log in memory, and every change of it submitted to the
//! write stream in the same order. Reads never touch the disk after start-up.
//!
//! What the contract asks, and where it is met: a vote is durable when `save_vote` returns; entries
//! are readable when `append` returns and `IOFlushed` is called, in order, from the commit that
//! holds them; truncation, purge and the committed mark ride along lazily, and because the stream
//! keeps order they are never durable later than an append that followed them.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::{EntryPayload, OptionalSend, RaftLogReader};
use tokio::sync::oneshot;
use triumvir_storage::{Database, RaftLog, WriteError, Writer};

use crate::codec;
use crate::error::StartError;
use crate::types::{Data, Entry, GROUP, LogId, LogState, TypeConfig, Vote};

/// How many bytes of entries one append carries at most, unless a single entry is larger.
const APPEND_BYTES_MAX: usize = 1 << 20;

/// The log store of one replica.
#[derive(Debug)]
pub(crate) struct LogStore {
    log: SharedLog,
    writer: Writer,
}

/// Reads the log for replication and apply. Keeps neither the database nor the write stream open.
#[derive(Debug, Clone)]
pub(crate) struct LogReader {
    log: SharedLog,
}

type SharedLog = Arc<Mutex<Log>>;

/// The log as of the last submission; the disk follows.
#[derive(Debug, Default)]
struct Log {
    vote: Option<Vote>,
    committed: Option<LogId>,
    purged: Option<LogId>,
    entries: VecDeque<Entry>,
}

impl Log {
    fn first(&self) -> u64 {
        self.entries
            .front()
            .map_or_else(|| self.next(), |entry| entry.log_id.index)
    }

    /// The index that the next append must start with.
    fn next(&self) -> u64 {
        self.last().map_or(0, |last| last.index + 1)
    }

    fn last(&self) -> Option<LogId> {
        self.entries
            .back()
            .map(|entry| entry.log_id)
            .or(self.purged)
    }

    /// The entries of `start..end` that exist.
    fn range(&self, start: u64, end: u64) -> impl Iterator<Item = &Entry> {
        let first = self.first();
        let position = |index: u64| {
            let offset = usize::try_from(index.saturating_sub(first)).unwrap_or(usize::MAX);
            offset.min(self.entries.len())
        };
        let (from, to) = (position(start), position(end));
        self.entries.range(from..to.max(from))
    }
}

impl LogStore {
    /// Loads the log of `database`; later changes go through `writer`.
    pub(crate) fn open(database: &Database, writer: Writer) -> Result<Self, StartError> {
        let loaded = RaftLog::new(GROUP).load(database)?;
        let mark = |value| -> Result<Option<LogId>, StartError> {
            let Some(value) = value else { return Ok(None) };
            Ok(Some(codec::log_id_from(codec::stored("log id", value)?)))
        };
        let mut log = Log {
            vote: None,
            committed: mark(loaded.committed)?,
            purged: mark(loaded.purged)?,
            entries: VecDeque::with_capacity(loaded.entries.len()),
        };
        if let Some(value) = loaded.vote {
            log.vote = Some(codec::vote_from(Some(codec::stored("vote", value)?))?);
        }
        for (index, value) in loaded.entries {
            let entry = codec::entry_from(codec::stored("entry", value)?)?;
            if entry.log_id.index != index || (index != log.next() && log.last().is_some()) {
                return Err(codec::DecodeError::Malformed("order of entries").into());
            }
            log.entries.push_back(entry);
        }
        Ok(Self {
            log: Arc::new(Mutex::new(log)),
            writer,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        lock(&self.log)
    }
}

fn lock(log: &SharedLog) -> MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = LogReader;

    async fn get_log_state(&mut self) -> Result<LogState, io::Error> {
        let log = self.lock();
        Ok(LogState {
            last_purged_log_id: log.purged,
            last_log_id: log.last(),
        })
    }

    async fn get_log_reader(&mut self) -> LogReader {
        LogReader {
            log: self.log.clone(),
        }
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        let (sender, durable) = oneshot::channel();
        let value = codec::to_store(&codec::vote(vote));
        self.writer.submit(
            value.len(),
            move |txn| RaftLog::new(GROUP).put_vote(txn, &value),
            move |result| drop(sender.send(result)),
        );
        durable
            .await
            .map_err(io::Error::other)?
            .map_err(write_failed)?;
        self.lock().vote = Some(*vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        let mut log = self.lock();
        log.committed = committed;
        let value = committed.map(|id| codec::to_store(&codec::log_id(&id)));
        self.writer
            .submit_lazy(value.as_ref().map_or(0, Vec::len), move |txn| {
                RaftLog::new(GROUP).put_committed(txn, value.as_deref())
            });
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        Ok(self.lock().committed)
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: IOFlushed<TypeConfig>,
    ) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut log = self.lock();
        let mut added: Vec<Entry> = Vec::new();
        let mut size_bytes = 0;
        for entry in entries {
            let index = entry.log_id.index;
            if log.last().is_some() && index != log.next() {
                let reason = format!("append of entry {index} where {} is next", log.next());
                return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
            }
            size_bytes += size(&entry);
            added.push(entry.clone());
            log.entries.push_back(entry);
        }
        #[cfg(feature = "failpoints")]
        let joint = crate::failpoint::has_joint(&added);
        // Submitted under the lock, so that the order on disk is the order in memory.
        self.writer.submit(
            size_bytes,
            move |txn| {
                let encoded = added.into_iter().map(|entry| {
                    let index = entry.log_id.index;
                    (index, codec::to_store(&codec::entry(entry)))
                });
                RaftLog::new(GROUP).put_entries(txn, encoded)
            },
            move |result| callback.io_completed(result.map_err(write_failed)),
        );
        #[cfg(feature = "failpoints")]
        if joint {
            crate::failpoint::joint_appended();
        }
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        let first = last.map_or(0, |last| last.index + 1);
        let mut log = self.lock();
        while log
            .entries
            .back()
            .is_some_and(|entry| entry.log_id.index >= first)
        {
            log.entries.pop_back();
        }
        self.writer
            .submit_lazy(0, move |txn| RaftLog::new(GROUP).truncate_from(txn, first));
        Ok(())
    }

    async fn purge(&mut self, last: LogId) -> Result<(), io::Error> {
        let mut log = self.lock();
        while log
            .entries
            .front()
            .is_some_and(|entry| entry.log_id.index <= last.index)
        {
            log.entries.pop_front();
        }
        log.purged = log.purged.max(Some(last));
        let mark = codec::to_store(&codec::log_id(&last));
        self.writer.submit_lazy(mark.len(), move |txn| {
            RaftLog::new(GROUP).purge_through(txn, last.index, &mark)
        });
        Ok(())
    }
}

impl RaftLogReader<TypeConfig> for LogReader {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> Result<Vec<Entry>, io::Error>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(last) => last.saturating_add(1),
            Bound::Excluded(end) => *end,
            Bound::Unbounded => u64::MAX,
        };
        Ok(lock(&self.log).range(start, end).cloned().collect())
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<Entry>, io::Error> {
        let mut taken = 0_usize;
        let log = lock(&self.log);
        let fits = |entry: &&Entry| {
            let first = taken == 0;
            taken = taken.saturating_add(size(entry).max(1));
            first || taken <= APPEND_BYTES_MAX
        };
        Ok(log.range(start, end).take_while(fits).cloned().collect())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(lock(&self.log).vote)
    }
}

/// About how many bytes `entry` takes.
fn size(entry: &Entry) -> usize {
    const OVERHEAD: usize = 32;
    match &entry.payload {
        EntryPayload::Normal(Data(data)) => data.len() + OVERHEAD,
        EntryPayload::Blank | EntryPayload::Membership(_) => OVERHEAD,
    }
}

pub(crate) fn write_failed(error: WriteError) -> io::Error {
    io::Error::other(error)
}
