//! A database's storage of which each force is one write to one place: what was written goes into a
//! log, as one record, and when that is durable, into the database's own file, which is forced only
//! now and then. Forcing the file itself takes a write for every page that changed, wherever it is.
//!
//! This is physical write-ahead logging (Gray and Reuter, *Transaction Processing*, 1993, chapter 9):
//! the file has nothing that the log has not forced before, the log is not overwritten before the
//! file has been forced, and after a stop the records are done again in their order. What the bytes
//! mean is not known here.

mod checkpoints;
mod layer;
mod layers;
mod log;
mod record;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::{BackendError, StorageBackend};

use self::checkpoints::Checkpoints;
use self::layers::Layers;
use self::log::Log;

/// What is logged and written at once; redb's page.
const BLOCK_BYTES: usize = 4096;

/// A database's file behind a write-ahead log.
///
/// After one failure of a force, or of the file's own, every later force fails: what is durable is
/// then unknown until the files are opened anew.
pub(crate) struct WriteAhead<B> {
    layers: Arc<Layers<B>>,
    /// None after a failure, and when it is closed.
    log: Mutex<Option<Log<B>>>,
    checkpoints: Checkpoints<B>,
}

/// Who forces the database's own file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Forcing {
    /// A thread, while the log's other file is written to.
    Beside,
    /// Whoever needs the room. For tests, which then do the same again for the same seed.
    InTurn,
}

impl<B: StorageBackend> WriteAhead<B> {
    /// Opens `main` with the two files of its log, which are as yet locked by nobody else, and brings it
    /// to what was last forced. For `len` and `salt`: [`Log::open`].
    ///
    /// # Errors
    ///
    /// Those of [`Log::open`].
    pub(crate) fn open(
        main: B,
        files: [B; 2],
        len: u64,
        salt: u64,
        forcing: Forcing,
    ) -> io::Result<Self> {
        let log = Log::open(&main, files, len, salt)?;
        let layers = Arc::new(Layers::over(main)?);
        Ok(Self {
            checkpoints: Checkpoints::start(layers.clone(), log.last(), forcing)?,
            log: Mutex::new(Some(log)),
            layers,
        })
    }

    fn force(&self, log: &mut Log<B>) -> io::Result<()> {
        let Some((count, forced_len)) = self.layers.pending() else {
            return Ok(());
        };
        if !log.has_room(count) {
            let floor = self.checkpoints.finish()?;
            log.turn(count, floor, forced_len)?;
            self.checkpoints.begin(log.last_of_other());
        }
        let floor = self.checkpoints.floor()?;
        self.layers.force(|pending| log.append(floor, pending))
    }

    /// Makes the database's own file complete, so that it needs no log.
    fn complete(&self, log: &mut Log<B>) -> io::Result<()> {
        self.checkpoints.finish()?;
        if log.is_marked() {
            return Ok(());
        }
        self.checkpoints.begin(log.last());
        let floor = self.checkpoints.finish()?;
        log.mark(floor, self.layers.file.len()?)
    }

    /// Makes the database's own file complete now.
    #[cfg(test)]
    fn checkpoint(&self) {
        if let Some(log) = &*self.log()
            && self.checkpoints.finish().is_ok()
        {
            self.checkpoints.begin(log.last());
        }
    }

    fn log(&self) -> MutexGuard<'_, Option<Log<B>>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B: StorageBackend> StorageBackend for WriteAhead<B> {
    fn len(&self) -> io::Result<u64> {
        Ok(self.layers.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.layers.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.layers.set_len(len);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.layers.write(offset, data)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut slot = self.log();
        let mut log = slot.take().ok_or_else(failed_before)?;
        self.force(&mut log)?;
        *slot = Some(log);
        Ok(())
    }

    /// What was written and not forced is gone.
    fn close(&self) -> io::Result<()> {
        let completed = match self.log().take() {
            Some(mut log) => self.complete(&mut log),
            None => Ok(()),
        };
        if let Err(error) = &completed {
            // Nobody hears of it otherwise, and nothing is lost: the log has everything.
            tracing::error!(%error, "the database's file was not completed when it was closed");
        }
        self.checkpoints.stop();
        completed.and(self.layers.file.close())
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.layers.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.layers.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.layers.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.layers.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.layers.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.layers.file.query_lock_range(start, end)
    }
}

impl<B> Drop for WriteAhead<B> {
    fn drop(&mut self) {
        self.checkpoints.stop();
    }
}

impl<B> fmt::Debug for WriteAhead<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteAhead").finish_non_exhaustive()
    }
}

fn failed_before() -> io::Error {
    io::Error::other("an earlier force has failed")
}
