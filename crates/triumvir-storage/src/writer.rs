//! The one forced write stream of a process. What the writes mean is not known here, and nothing
//! here retries: after one failed commit the process must stop.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::batch::WriteBatch;
use crate::database::Database;
use crate::error::{StorageError, WriteError};
#[cfg(feature = "failpoints")]
use crate::failpoint;

type Write = Box<dyn FnOnce(&mut WriteBatch<'_>) -> Result<(), StorageError> + Send>;
type Done = Box<dyn FnOnce(Result<(), WriteError>) + Send>;
type Watcher = Box<dyn FnOnce(WriteError) + Send>;

/// How much one transaction gathers. A batch holds at least one submission, whatever its size.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The most submissions in one transaction.
    pub batch_submissions_max: usize,
    /// The most bytes in one transaction, by the sizes that the submitters state.
    pub batch_bytes_max: usize,
    /// How many lazy submissions may wait before they are forced for their own sake; patient ones are
    /// counted with them.
    pub lazy_submissions_max: usize,
    /// How long a patient submission waits for a forced one to ride along with.
    pub patience: Duration,
    /// How many patient submissions may wait for that.
    pub patient_submissions_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            batch_submissions_max: 4096,
            batch_bytes_max: 8 << 20,
            lazy_submissions_max: 1024,
            patience: Duration::from_millis(5),
            patient_submissions_max: 32,
        }
    }
}

/// The handle of the write stream. Clones share it.
///
/// One thread takes everything that has gathered, writes it in one transaction and forces that to
/// stable storage; while it waits for the disk, the next batch gathers. The order of submission is
/// the order on disk: if a write is durable, every write submitted before it is.
///
/// After one failed commit every submission that was not yet answered, and every later one, is
/// answered with [`WriteError::Failed`].
#[derive(Clone)]
pub struct Writer {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    limits: Limits,
}

#[derive(Default)]
struct Queue {
    items: VecDeque<Item>,
    /// How many of `items` are to be forced at once.
    urgent: usize,
    /// How many of `items` are patient.
    patient: usize,
    /// When the first patient one of `items` has waited for long enough.
    patient_until: Option<Instant>,
    closing: bool,
    failed: Option<WriteError>,
    watchers: Vec<Watcher>,
}

struct Item {
    write: Option<Write>,
    done: Option<Done>,
    size_bytes: usize,
    haste: Haste,
}

/// When something is forced.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Haste {
    /// With the next forced write, whenever that is.
    #[default]
    Lazy,
    /// The same, but soon: after [`Limits::patience`] at the latest.
    Patient,
    /// At once.
    Urgent,
}

impl Writer {
    /// Starts the thread of the write stream of `database`, of which there may be one.
    ///
    /// # Panics
    ///
    /// When the operating system refuses a thread.
    #[must_use]
    pub fn start(database: &Database, limits: Limits) -> Self {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            wake: Condvar::new(),
            limits,
        });
        let stream = Stream {
            shared: shared.clone(),
            database: database.clone(),
        };
        let thread = thread::Builder::new()
            .name("triumvir-writer".to_owned())
            .spawn(move || stream.run())
            .expect("the operating system gives a thread at start-up");
        Self {
            inner: Arc::new(Inner {
                shared,
                thread: Mutex::new(Some(thread)),
            }),
        }
    }

    /// Submits a forced write of about `size_bytes`.
    ///
    /// `done` is called once, on the writer's thread and in the order of submission, after the
    /// commit that holds the write is on stable storage. It must not block. An error from `write`
    /// itself, and a panic in either, fails the whole stream, as a failed commit does.
    pub fn submit(
        &self,
        size_bytes: usize,
        write: impl FnOnce(&mut WriteBatch<'_>) -> Result<(), StorageError> + Send + 'static,
        done: impl FnOnce(Result<(), WriteError>) + Send + 'static,
    ) {
        self.push_awaited(Haste::Urgent, size_bytes, Box::new(write), Box::new(done));
    }

    /// The same for a write that nobody is in a hurry for: it rides along with the next one that is
    /// urgent, or is forced after [`Limits::patience`].
    pub fn submit_patient(
        &self,
        size_bytes: usize,
        write: impl FnOnce(&mut WriteBatch<'_>) -> Result<(), StorageError> + Send + 'static,
        done: impl FnOnce(Result<(), WriteError>) + Send + 'static,
    ) {
        self.push_awaited(Haste::Patient, size_bytes, Box::new(write), Box::new(done));
    }

    /// Submits a write that rides along with the next forced one.
    ///
    /// It never becomes durable later than a forced write that was submitted after it. On its own
    /// it waits, at the longest until [`Limits::lazy_submissions_max`] of them have gathered or the
    /// writer is shut down.
    pub fn submit_lazy(
        &self,
        size_bytes: usize,
        write: impl FnOnce(&mut WriteBatch<'_>) -> Result<(), StorageError> + Send + 'static,
    ) {
        self.push(Item {
            write: Some(Box::new(write)),
            done: None,
            size_bytes,
            haste: Haste::Lazy,
        });
    }

    /// Calls `done` once everything submitted before is on stable storage, without a commit of its
    /// own when nothing is pending.
    pub fn barrier(&self, done: impl FnOnce(Result<(), WriteError>) + Send + 'static) {
        self.push(Item {
            write: None,
            done: Some(Box::new(done)),
            size_bytes: 0,
            haste: Haste::Urgent,
        });
    }

    /// Calls `watcher` once when the stream fails, at once when it already has. The process must
    /// stop then: it can promise nothing any more.
    pub fn on_failure(&self, watcher: impl FnOnce(WriteError) + Send + 'static) {
        let mut queue = self.inner.shared.lock();
        match queue.failed.clone() {
            None => queue.watchers.push(Box::new(watcher)),
            Some(error) => {
                drop(queue);
                watcher(error);
            }
        }
    }

    /// Makes everything submitted so far durable, lazy writes too, then stops the thread and lets
    /// go of the database. Blocks until that is done. Later submissions are answered with
    /// [`WriteError::Closed`].
    pub fn shutdown(&self) {
        self.inner.shared.close();
        let thread = lock(&self.inner.thread).take();
        if let Some(thread) = thread
            && thread.thread().id() != thread::current().id()
            && thread.join().is_err()
        {
            tracing::error!("the writer's thread panicked");
        }
    }

    fn push_awaited(&self, haste: Haste, size_bytes: usize, write: Write, done: Done) {
        self.push(Item {
            write: Some(write),
            done: Some(done),
            size_bytes,
            haste,
        });
    }

    fn push(&self, item: Item) {
        let mut queue = self.inner.shared.lock();
        let refused = match &queue.failed {
            Some(error) => Some(error.clone()),
            None if queue.closing => Some(WriteError::Closed),
            None => None,
        };
        if let Some(error) = refused {
            drop(queue);
            if let Some(done) = item.done {
                done(Err(error));
            }
            return;
        }
        let haste = item.haste;
        queue.items.push_back(item);
        let limits = &self.inner.shared.limits;
        let wakes = match haste {
            Haste::Urgent => {
                queue.urgent += 1;
                true
            }
            Haste::Patient => {
                queue.patient += 1;
                let until = Instant::now() + limits.patience;
                queue.patient_until.get_or_insert(until);
                queue.patient == 1 || queue.is_full(limits)
            }
            Haste::Lazy => queue.is_full(limits),
        };
        drop(queue);
        if wakes {
            self.inner.shared.wake.notify_one();
        }
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

impl Queue {
    /// Whether so much waits that it is forced for its own sake.
    fn is_full(&self, limits: &Limits) -> bool {
        self.items.len() >= limits.lazy_submissions_max
            || self.patient >= limits.patient_submissions_max
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        lock(&self.queue)
    }

    fn close(&self) {
        self.lock().closing = true;
        self.wake.notify_one();
    }
}

/// The lock, also after a panic: the queue is consistent between statements.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the thread owns.
struct Stream {
    shared: Arc<Shared>,
    database: Database,
}

impl Stream {
    fn run(self) {
        while let Some(mut batch) = self.next_batch() {
            match self.commit(&mut batch) {
                Ok(()) => {
                    let mut items = batch.into_iter();
                    let mut callbacks = items.by_ref().filter_map(|item| item.done);
                    if !callbacks.all(|done| call(done, Ok(()))) {
                        let reason = "a callback of a write panicked".to_owned();
                        self.fail(items.collect(), StorageError::Corrupted(reason));
                        return;
                    }
                }
                Err(error) => {
                    self.fail(batch, error);
                    return;
                }
            }
        }
    }

    /// Waits until there is something to force, and takes a prefix of the queue within the limits.
    /// `None` when the writer is closed and everything is written.
    fn next_batch(&self) -> Option<Vec<Item>> {
        let limits = &self.shared.limits;
        let mut queue = self.shared.lock();
        loop {
            if queue.closing && queue.items.is_empty() {
                return None;
            }
            if queue.urgent > 0 || queue.closing || queue.is_full(limits) {
                break;
            }
            let Some(until) = queue.patient_until else {
                let woken = self.shared.wake.wait(queue);
                queue = woken.unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let woken = self.shared.wake.wait_timeout(queue, left);
            queue = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        // Other threads that are about to submit may do so first: at once when none can run, and on a
        // busy machine more goes with each force.
        drop(queue);
        thread::yield_now();
        let mut queue = self.shared.lock();
        let mut batch = Vec::new();
        let mut bytes = 0_usize;
        while let Some(item) = queue.items.front() {
            bytes = bytes.saturating_add(item.size_bytes);
            let full =
                batch.len() >= limits.batch_submissions_max || bytes > limits.batch_bytes_max;
            if full && !batch.is_empty() {
                break;
            }
            let item = queue.items.pop_front().expect("the front was just seen");
            queue.urgent -= usize::from(item.haste == Haste::Urgent);
            queue.patient -= usize::from(item.haste == Haste::Patient);
            batch.push(item);
        }
        if queue.patient == 0 {
            queue.patient_until = None;
        }
        Some(batch)
    }

    /// Runs the writes of `batch` in one transaction and forces it.
    fn commit(&self, batch: &mut [Item]) -> Result<(), StorageError> {
        let writes: Vec<Write> = batch
            .iter_mut()
            .filter_map(|item| item.write.take())
            .collect();
        if writes.is_empty() {
            return Ok(());
        }
        let count = writes.len();
        let bytes: usize = batch.iter().map(|item| item.size_bytes).sum();
        let started = Instant::now();
        // A panic in one write must not leave the others waiting forever.
        let committed = catch_unwind(AssertUnwindSafe(|| {
            let txn = self.database.begin_write()?;
            let mut into = WriteBatch::new(&txn);
            for write in writes {
                write(&mut into)?;
            }
            drop(into);
            let forcing = Instant::now();
            #[cfg(feature = "failpoints")]
            failpoint::reach("storage::before-force")?;
            // While the state before is being read, redb leaves the pages that this commit frees to the
            // next one; otherwise it frees them in a second commit of its own.
            let before = self.database.read()?;
            txn.commit()?;
            drop(before);
            #[cfg(feature = "failpoints")]
            failpoint::reach("storage::after-force")?;
            Ok::<_, StorageError>(forcing.elapsed())
        }));
        let forced = committed
            .unwrap_or_else(|_| Err(StorageError::Corrupted("a write panicked".to_owned())))?;
        metrics::histogram!("triumvir_storage_fsync_seconds").record(forced.as_secs_f64());
        metrics::histogram!("triumvir_storage_commit_seconds")
            .record(started.elapsed().as_secs_f64());
        metrics::histogram!("triumvir_storage_batch_writes").record(count as f64);
        metrics::histogram!("triumvir_storage_batch_bytes").record(bytes as f64);
        metrics::counter!("triumvir_storage_commits_total").increment(1);
        Ok(())
    }

    /// Tells the watchers, then fails `batch` and everything behind it, in order: whoever hears of a
    /// failed write, and stops for it, finds the reason already told.
    fn fail(&self, batch: Vec<Item>, error: StorageError) {
        let error = WriteError::Failed(Arc::new(error));
        let (items, watchers) = {
            let mut queue = self.shared.lock();
            queue.failed = Some(error.clone());
            (queue.urgent, queue.patient, queue.patient_until) = (0, 0, None);
            (
                std::mem::take(&mut queue.items),
                std::mem::take(&mut queue.watchers),
            )
        };
        for watcher in watchers {
            call(watcher, error.clone());
        }
        for done in batch.into_iter().chain(items).filter_map(|item| item.done) {
            call(done, Err(error.clone()));
        }
    }
}

/// Calls back. False when that panicked: it must not take the thread, and with it everybody who
/// waits, along.
fn call<T>(back: Box<dyn FnOnce(T) + Send>, result: T) -> bool {
    catch_unwind(AssertUnwindSafe(|| back(result))).is_ok()
}
