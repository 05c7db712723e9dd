//! Writing to the database's own file what the log has forced, and forcing that, beside whoever writes
//! the log. When that is needed is not decided here.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use redb::StorageBackend;

use super::Forcing;
use super::layers::Layers;

/// Knows up to which record the database's own file is durable.
pub(super) struct Checkpoints<B> {
    shared: Arc<Shared<B>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared<B> {
    layers: Arc<Layers<B>>,
    state: Mutex<State>,
    changed: Condvar,
    forcing: Forcing,
}

struct State {
    /// Up to here it is to be made durable,
    asked: u64,
    /// and up to here it is.
    floor: u64,
    failed: Option<Arc<io::Error>>,
    stopping: bool,
}

impl<B: StorageBackend> Checkpoints<B> {
    /// Of a file that is durable up to `floor`.
    pub(super) fn start(layers: Arc<Layers<B>>, floor: u64, forcing: Forcing) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            layers,
            state: Mutex::new(State {
                asked: floor,
                floor,
                failed: None,
                stopping: false,
            }),
            changed: Condvar::new(),
            forcing,
        });
        let thread = match forcing {
            Forcing::Beside => {
                let shared = shared.clone();
                let thread = thread::Builder::new().name("triumvir-checkpoint".to_owned());
                Some(thread.spawn(move || shared.run())?)
            }
            Forcing::InTurn => None,
        };
        Ok(Self {
            shared,
            thread: Mutex::new(thread),
        })
    }

    /// Begins to make everything durable that is forced, which is everything up to the record `last`.
    /// What was begun before must be over.
    pub(super) fn begin(&self, last: u64) {
        if self.shared.lock().floor >= last {
            return; // Nothing was forced since.
        }
        self.shared.layers.leave();
        self.shared.lock().asked = last;
        self.shared.changed.notify_all();
    }

    /// Up to which record the file is durable.
    ///
    /// # Errors
    ///
    /// When writing or forcing it has failed.
    pub(super) fn floor(&self) -> io::Result<u64> {
        self.shared.lock().floor()
    }

    /// The same, once what was begun is over.
    pub(super) fn finish(&self) -> io::Result<u64> {
        if self.shared.forcing == Forcing::InTurn && self.shared.is_asked() {
            self.shared.carry_out();
        }
        let mut state = self.shared.lock();
        while state.floor()? < state.asked {
            if state.stopping {
                return Err(io::Error::other(
                    "nobody writes the database's file any more",
                ));
            }
            let waited = self.shared.changed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
        state.floor()
    }
}

impl<B> Checkpoints<B> {
    /// Ends the thread, after what it is at.
    pub(super) fn stop(&self) {
        self.shared.lock().stopping = true;
        self.shared.changed.notify_all();
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that writes the database's file has panicked");
        }
    }
}

impl State {
    fn floor(&self) -> io::Result<u64> {
        match &self.failed {
            Some(error) => Err(io::Error::new(error.kind(), error.clone())),
            None => Ok(self.floor),
        }
    }
}

impl<B> Shared<B> {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B: StorageBackend> Shared<B> {
    fn run(&self) {
        let mut state = self.lock();
        while !state.stopping && state.failed.is_none() {
            if state.asked > state.floor {
                drop(state);
                self.carry_out();
                state = self.lock();
            } else {
                let waited = self.changed.wait(state);
                state = waited.unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn is_asked(&self) -> bool {
        let state = self.lock();
        state.failed.is_none() && state.asked > state.floor
    }

    /// Does what was begun. After a failure it is never tried again: a second try may succeed without
    /// having written what the first one could not.
    fn carry_out(&self) {
        let asked = self.lock().asked;
        // A panic must not leave whoever waits waiting for ever.
        let arrived = catch_unwind(AssertUnwindSafe(|| self.layers.arrive()))
            .unwrap_or_else(|_| Err(io::Error::other("writing the database's file panicked")));
        let mut state = self.lock();
        match arrived {
            Ok(()) => state.floor = asked,
            Err(error) => state.failed = Some(Arc::new(error)),
        }
        let failed = state.failed.clone();
        drop(state);
        self.changed.notify_all();
        match failed {
            None => metrics::counter!("triumvir_storage_checkpoints_total").increment(1),
            Some(error) => tracing::error!(%error, "the database's file cannot be written"),
        }
    }
}
