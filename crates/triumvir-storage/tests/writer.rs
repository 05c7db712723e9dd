//! The write stream: order, laziness, batching, and what happens after a failed commit.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use redb::backends::InMemoryBackend;
use redb::{StorageBackend, TableDefinition};
use triumvir_storage::{
    Database, Limits, Options, RaftLog, RaftSnapshots, StorageError, WriteBatch, WriteError, Writer,
};

const TABLE: TableDefinition<'_, u64, u64> = TableDefinition::new("test");

/// A disk whose writes and syncs are counted; syncs can be held back or made to fail.
#[derive(Debug, Clone, Default)]
struct Disk {
    state: Arc<DiskState>,
}

#[derive(Debug)]
struct DiskState {
    memory: InMemoryBackend,
    writes: AtomicU64,
    syncs: AtomicU64,
    failing: AtomicBool,
    held: Mutex<bool>,
    released: Condvar,
}

impl Default for DiskState {
    fn default() -> Self {
        Self {
            memory: InMemoryBackend::new(),
            writes: AtomicU64::new(0),
            syncs: AtomicU64::new(0),
            failing: AtomicBool::new(false),
            held: Mutex::new(false),
            released: Condvar::new(),
        }
    }
}

impl Disk {
    fn hold(&self, held: bool) {
        *self.state.held.lock().unwrap() = held;
        self.state.released.notify_all();
    }

    fn syncs(&self) -> u64 {
        self.state.syncs.load(Ordering::SeqCst)
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.state.memory.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.state.memory.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.state.memory.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        let held = self.state.held.lock().unwrap();
        drop(self.state.released.wait_while(held, |held| *held).unwrap());
        if self.state.failing.load(Ordering::SeqCst) {
            return Err(io::Error::other("the disk is gone"));
        }
        self.state.syncs.fetch_add(1, Ordering::SeqCst);
        self.state.memory.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.state.writes.fetch_add(1, Ordering::SeqCst);
        self.state.memory.write(offset, data)
    }
}

type Answer = (u64, Result<(), WriteError>);

fn start(limits: Limits) -> (Disk, Database, Writer, Sender<Answer>, Receiver<Answer>) {
    let disk = Disk::default();
    let database = Database::open_on(disk.clone(), &Options::default()).unwrap();
    let writer = Writer::start(&database, limits);
    let (sender, answers) = channel();
    (disk, database, writer, sender, answers)
}

fn put(key: u64) -> impl FnOnce(&mut WriteBatch<'_>) -> Result<(), StorageError> + Send {
    move |txn| {
        txn.open_table(TABLE)?.insert(key, key)?;
        Ok(())
    }
}

fn answer(key: u64, to: &Sender<Answer>) -> impl FnOnce(Result<(), WriteError>) + Send + use<> {
    let to = to.clone();
    move |result| to.send((key, result)).unwrap()
}

fn keys(database: &Database) -> Vec<u64> {
    let table = database.read().unwrap().open_table(TABLE).unwrap();
    table
        .range::<u64>(..)
        .unwrap()
        .map(|row| row.unwrap().0.value())
        .collect()
}

#[test]
fn what_gathers_during_one_fsync_is_forced_by_the_next() {
    let (disk, database, writer, sender, answers) = start(Limits::default());
    disk.hold(true);
    writer.submit(8, put(0), answer(0, &sender));
    for key in 1..100 {
        writer.submit(8, put(key), answer(key, &sender));
    }
    let before = disk.syncs();
    disk.hold(false);
    for key in 0..100 {
        let (answered, result) = answers.recv().unwrap();
        result.unwrap();
        assert_eq!(answered, key);
    }
    // One commit for what the thread had taken, and one for all the rest.
    assert!(disk.syncs() - before <= 2, "{}", disk.syncs() - before);
    assert_eq!(keys(&database), (0..100).collect::<Vec<_>>());
}

/// Of so many commits the writes are counted, once as many have been made.
const COUNTED: u64 = 100;

#[test]
fn a_commit_writes_less_than_one_that_frees_its_own_pages() {
    let (disk, _database, writer, sender, answers) = start(Limits::default());
    let own = writes(&disk, |key| {
        writer.submit(8, put(key), answer(key, &sender));
        answers.recv().unwrap().1.unwrap();
    });
    let disk = Disk::default();
    let database = redb::Database::builder().create_with_backend(disk.clone());
    let database = database.unwrap();
    let plain = writes(&disk, |key| {
        let write = database.begin_write().unwrap();
        write.open_table(TABLE).unwrap().insert(key, key).unwrap();
        write.commit().unwrap();
    });
    assert!(own + COUNTED / 2 < plain, "{own} and {plain} writes");
}

fn writes(disk: &Disk, commit: impl Fn(u64)) -> u64 {
    let count = || disk.state.writes.load(Ordering::SeqCst);
    (0..COUNTED).for_each(&commit);
    let before = count();
    (COUNTED..2 * COUNTED).for_each(&commit);
    count() - before
}

#[test]
fn a_patient_write_rides_along_with_an_urgent_one() {
    let limits = Limits {
        patience: Duration::from_secs(3600),
        ..Limits::default()
    };
    let (disk, database, writer, sender, answers) = start(limits);
    let before = disk.syncs();
    writer.submit_patient(8, put(1), answer(1, &sender));
    writer.submit(8, put(2), answer(2, &sender));
    for key in [1, 2] {
        let (answered, result) = answers.recv().unwrap();
        result.unwrap();
        assert_eq!(answered, key);
    }
    assert_eq!(disk.syncs() - before, 1);
    assert_eq!(keys(&database), [1, 2]);
}

#[test]
fn patience_ends_by_itself_or_when_many_wait() {
    for (patience, patient_submissions_max) in [(1, 100), (3_600_000, 3)] {
        let limits = Limits {
            patience: Duration::from_millis(patience),
            patient_submissions_max,
            ..Limits::default()
        };
        let (_disk, _database, writer, sender, answers) = start(limits);
        for round in 0..2 {
            for key in 0..3 {
                writer.submit_patient(8, put(key), answer(round, &sender));
            }
            for _ in 0..3 {
                let (answered, result) = answers.recv().unwrap();
                result.unwrap();
                assert_eq!(answered, round);
            }
        }
    }
}

#[test]
fn a_batch_is_bounded() {
    let limits = Limits {
        batch_submissions_max: 10,
        ..Limits::default()
    };
    let (disk, _database, writer, sender, answers) = start(limits);
    disk.hold(true);
    for key in 0..100 {
        writer.submit(8, put(key), answer(key, &sender));
    }
    let before = disk.syncs();
    disk.hold(false);
    answers
        .iter()
        .take(100)
        .for_each(|(_, result)| result.unwrap());
    assert!(disk.syncs() - before >= 10, "{}", disk.syncs() - before);
}

#[test]
fn a_lazy_write_is_no_later_than_the_forced_one_behind_it() {
    let (disk, database, writer, sender, answers) = start(Limits::default());
    let before = disk.syncs();
    writer.submit_lazy(8, put(1));
    assert_eq!(disk.syncs(), before);
    writer.submit(8, put(2), answer(2, &sender));
    answers.recv().unwrap().1.unwrap();
    assert_eq!(keys(&database), [1, 2]);
}

#[test]
fn a_barrier_forces_lazy_writes_and_nothing_else() {
    let (disk, database, writer, sender, answers) = start(Limits::default());
    let before = disk.syncs();
    writer.barrier(answer(0, &sender));
    answers.recv().unwrap().1.unwrap();
    assert_eq!(disk.syncs(), before);
    writer.submit_lazy(8, put(1));
    writer.barrier(answer(1, &sender));
    answers.recv().unwrap().1.unwrap();
    assert!(disk.syncs() > before);
    assert_eq!(keys(&database), [1]);
}

#[test]
fn shutdown_flushes_and_closes() {
    let (_disk, database, writer, sender, answers) = start(Limits::default());
    writer.submit_lazy(8, put(1));
    writer.shutdown();
    assert_eq!(keys(&database), [1]);
    writer.submit(8, put(2), answer(2, &sender));
    assert!(matches!(
        answers.recv().unwrap(),
        (2, Err(WriteError::Closed))
    ));
    assert_eq!(keys(&database), [1]);
}

#[test]
fn lazy_writes_do_not_pile_up_without_bound() {
    let limits = Limits {
        lazy_submissions_max: 4,
        ..Limits::default()
    };
    let (_disk, database, writer, sender, answers) = start(limits);
    for key in 0..4 {
        let reached = answer(key, &sender);
        writer.submit_lazy(8, move |txn| {
            reached(Ok(()));
            put(key)(txn)
        });
    }
    // Nobody waits for them, and yet they are written.
    assert_eq!(answers.iter().take(4).count(), 4);
    writer.shutdown();
    assert_eq!(keys(&database), [0, 1, 2, 3]);
}

#[test]
fn after_a_failed_commit_nothing_succeeds() {
    let (disk, _database, writer, sender, answers) = start(Limits::default());
    let (failures, failed) = channel();
    let first = failures.clone();
    writer.on_failure(move |error| first.send(error).unwrap());
    disk.state.failing.store(true, Ordering::SeqCst);
    disk.hold(true);
    for key in 0..5 {
        writer.submit(8, put(key), answer(key, &sender));
    }
    disk.hold(false);
    for key in 0..5 {
        let (answered, result) = answers.recv().unwrap();
        assert_eq!(answered, key);
        assert!(matches!(result, Err(WriteError::Failed(_))));
    }
    assert!(matches!(failed.recv().unwrap(), WriteError::Failed(_)));
    // The disk being well again changes nothing.
    disk.state.failing.store(false, Ordering::SeqCst);
    writer.submit(8, put(9), answer(9, &sender));
    writer.barrier(answer(10, &sender));
    assert!(matches!(
        answers.recv().unwrap(),
        (9, Err(WriteError::Failed(_)))
    ));
    assert!(matches!(
        answers.recv().unwrap(),
        (10, Err(WriteError::Failed(_)))
    ));
    writer.on_failure(move |error| failures.send(error).unwrap());
    assert!(matches!(failed.recv().unwrap(), WriteError::Failed(_)));
    writer.shutdown();
}

#[test]
fn a_write_that_panics_fails_the_stream() {
    let (_disk, _database, writer, sender, answers) = start(Limits::default());
    writer.submit(8, |_| panic!("as the test wants it"), answer(1, &sender));
    assert!(matches!(
        answers.recv().unwrap(),
        (1, Err(WriteError::Failed(_)))
    ));
}

#[test]
fn a_callback_that_panics_fails_the_stream() {
    let (disk, _database, writer, sender, answers) = start(Limits::default());
    let (failures, failed) = channel();
    writer.on_failure(move |error| failures.send(error).unwrap());
    disk.hold(true);
    writer.submit(8, put(0), |_| panic!("as the test wants it"));
    writer.submit(8, put(1), |_| panic!("even when it is told of the failure"));
    writer.submit(8, put(2), answer(2, &sender));
    disk.hold(false);
    assert!(matches!(failed.recv().unwrap(), WriteError::Failed(_)));
    // It may have been in the commit that succeeded; nothing is promised for it either.
    let refused = answers.recv().unwrap();
    assert!(matches!(refused, (2, Err(WriteError::Failed(_)))));
    writer.submit(8, put(3), answer(3, &sender));
    let refused = answers.recv().unwrap();
    assert!(matches!(refused, (3, Err(WriteError::Failed(_)))));
    writer.shutdown();
}

#[test]
fn groups_do_not_mix() {
    let (_disk, database, writer, _sender, _answers) = start(Limits::default());
    writer.submit_lazy(0, |txn| {
        for group in [0, 1] {
            let entries = (0..10_u64).map(|index| (index, vec![group as u8; 3]));
            RaftLog::new(group).put_entries(txn, entries)?;
            RaftLog::new(group).put_vote(txn, &[group as u8])?;
        }
        RaftLog::new(0).truncate_from(txn, 7)?;
        RaftLog::new(0).purge_through(txn, 2, b"mark")
    });
    writer.shutdown();
    let zero = RaftLog::new(0).load(&database).unwrap();
    let indexes: Vec<u64> = zero.entries.iter().map(|(index, _)| *index).collect();
    assert_eq!(indexes, [3, 4, 5, 6]);
    assert_eq!(zero.purged.as_deref(), Some(&b"mark"[..]));
    let one = RaftLog::new(1).load(&database).unwrap();
    assert_eq!(one.entries.len(), 10);
    assert_eq!(one.vote.as_deref(), Some(&[1][..]));
    assert!(RaftLog::new(2).load(&database).unwrap().is_empty());
}

#[test]
fn a_snapshot_replaces_the_one_before_and_what_was_left_unfinished() {
    let (_disk, database, writer, _sender, _answers) = start(Limits::default());
    let table = RaftSnapshots::new(0);
    assert_eq!(table.load(&database).unwrap(), None);
    writer.submit_lazy(0, move |txn| {
        table.put_chunk(txn, 1, 0, b"one")?;
        table.finish(txn, 1, 3, b"first")?;
        table.put_chunk(txn, 2, 0, b"never finished")?;
        table.put_chunk(txn, 3, 0, b"three")?;
        table.finish(txn, 3, 5, b"third")
    });
    writer.shutdown();
    let (meta, data) = table.load(&database).unwrap().unwrap();
    assert_eq!((&meta[..], &data[..]), (&b"third"[..], &b"three"[..]));
    let (generation, meta) = table.current(&database).unwrap().unwrap();
    assert_eq!((generation, &meta[..]), (3, &b"third"[..]));
}

#[test]
fn a_save_that_was_cut_off_leaves_nothing_in_a_smaller_snapshot_of_its_generation() {
    let (_disk, database, writer, _sender, _answers) = start(Limits::default());
    let table = RaftSnapshots::new(0);
    writer.submit_lazy(0, move |txn| {
        (0..3).try_for_each(|number| table.put_chunk(txn, 1, number, b"cut off"))
    });
    writer.submit_lazy(0, move |txn| {
        table.put_chunk(txn, 1, 0, b"whole")?;
        table.finish(txn, 1, 5, b"meta")
    });
    writer.shutdown();
    let (meta, data) = table.load(&database).unwrap().unwrap();
    assert_eq!((&meta[..], &data[..]), (&b"meta"[..], &b"whole"[..]));
}
