//! What the database sees of its file: what was written since the last force, over what was forced since
//! the last checkpoint, over what is on its way into the file, over the file. Nothing here is forced.

use std::io;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use redb::StorageBackend;

use super::layer::Layer;

/// A file and the layers over it.
pub(super) struct Layers<B> {
    pub(super) file: B,
    over: RwLock<Over>,
}

struct Over {
    /// Only in memory.
    pending: Layer,
    /// In the log.
    forced: Layer,
    /// In the log, and being written to the file.
    leaving: Option<Arc<Layer>>,
}

impl<B: StorageBackend> Layers<B> {
    /// Nothing is written yet over `file`.
    pub(super) fn over(file: B) -> io::Result<Self> {
        let len = file.len()?;
        let over = Over {
            pending: Layer::over(len),
            forced: Layer::over(len),
            leaving: None,
        };
        Ok(Self {
            file,
            over: RwLock::new(over),
        })
    }

    pub(super) fn len(&self) -> u64 {
        self.reading().pending.len()
    }

    pub(super) fn set_len(&self, len: u64) {
        self.changing().pending.set_len(len);
    }

    pub(super) fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let over = self.reading();
        let below = |at: u64, out: &mut [u8]| over.read_forced(&self.file, at, out);
        over.pending.read(below, offset, out)
    }

    pub(super) fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut over = self.changing();
        let len = over.pending.len();
        let mut pending = std::mem::replace(&mut over.pending, Layer::over(len));
        let below = |at: u64, out: &mut [u8]| over.read_forced(&self.file, at, out);
        let written = pending.write(below, offset, data);
        over.pending = pending;
        written
    }

    /// How many blocks are pending, and the length at the last force; none when nothing is pending.
    pub(super) fn pending(&self) -> Option<(usize, u64)> {
        let pending = &self.reading().pending;
        (!pending.is_clean()).then(|| (pending.blocks().len(), pending.below()))
    }

    /// Calls `force` with what is pending, which afterwards is forced.
    pub(super) fn force(&self, force: impl FnOnce(&Layer) -> io::Result<()>) -> io::Result<()> {
        // Whoever reads may do so meanwhile, and nobody else writes: the database has one writer.
        force(&self.reading().pending)?;
        let mut over = self.changing();
        let above = Layer::over(over.pending.len());
        let pending = std::mem::replace(&mut over.pending, above);
        over.forced.absorb(pending);
        Ok(())
    }

    /// Sends what is forced on its way into the file. What left before must have arrived.
    pub(super) fn leave(&self) {
        let mut over = self.changing();
        assert!(over.leaving.is_none(), "it has arrived");
        let above = Layer::over(over.forced.len());
        let forced = std::mem::replace(&mut over.forced, above);
        over.leaving = Some(Arc::new(forced));
    }

    /// Writes to the file what is on its way there, and forces that.
    pub(super) fn arrive(&self) -> io::Result<()> {
        let leaving = self.reading().leaving.clone();
        if let Some(leaving) = leaving {
            #[cfg(feature = "failpoints")]
            crate::failpoint::reach_below("storage::before-checkpoint")?;
            leaving.write_to(&self.file)?;
            self.file.sync_data()?;
            self.changing().leaving = None;
        }
        Ok(())
    }

    fn reading(&self) -> RwLockReadGuard<'_, Over> {
        self.over.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn changing(&self) -> RwLockWriteGuard<'_, Over> {
        self.over.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Over {
    /// Reads what is in the log or in `file`.
    fn read_forced(
        &self,
        file: &impl StorageBackend,
        offset: u64,
        out: &mut [u8],
    ) -> io::Result<()> {
        let arrived = |at: u64, out: &mut [u8]| file.read(at, out);
        let leaving = |at: u64, out: &mut [u8]| match &self.leaving {
            Some(leaving) => leaving.read(arrived, at, out),
            None => arrived(at, out),
        };
        self.forced.read(leaving, offset, out)
    }
}
