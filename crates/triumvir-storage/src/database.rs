//! A data folder and the database in it, a file and its write-ahead log: opening, the format version,
//! and what can go wrong on the way. No table but `format` is known here.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use redb::backends::FileBackend;
use redb::{
    DatabaseError, ReadTransaction, ReadableDatabase, StorageBackend, TableDefinition,
    WriteTransaction,
};

use crate::error::{OpenError, StorageError};
use crate::write_ahead::{Forcing, WriteAhead};

/// The version of everything that is written in the file. A change that an older program would
/// misread raises it.
const FORMAT_VERSION: u32 = 2;

const FORMAT: TableDefinition<'_, &str, u32> = TableDefinition::new("format");
const FORMAT_KEY: &str = "version";

/// The name of the database file inside the data folder.
const FILE_NAME: &str = "triumvir.redb";
/// Those of its write-ahead log.
const LOG_NAMES: [&str; 2] = ["triumvir.wal-0", "triumvir.wal-1"];

/// How a database is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many bytes of pages the database may keep in memory.
    pub cache_bytes: usize,
    /// How many bytes each of the two files of a new write-ahead log has. When one is full, the
    /// database's file is forced.
    pub log_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_bytes: 64 << 20,
            log_bytes: 32 << 20,
        }
    }
}

/// An open data folder. Clones share it; the files are released when the last clone is gone.
#[derive(Debug, Clone)]
pub struct Database {
    inner: Arc<Inner>,
}

/// A handle that does not keep the files open, for readers that may outlive the owner.
#[derive(Debug, Clone)]
pub struct WeakDatabase {
    inner: Weak<Inner>,
}

#[derive(Debug)]
struct Inner {
    database: redb::Database,
    /// Held longer than the database: whoever gets it next writes to the file before the database locks
    /// it.
    _lock: Option<File>,
}

impl Database {
    /// Opens the database in `folder`, creating both when they are missing. Every page is read and
    /// compared with its checksum, so that a damaged file is refused here and not believed later.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]; each variant is a different thing for an operator to do.
    pub fn open(folder: &Path, options: &Options) -> Result<Self, OpenError> {
        fs::create_dir_all(folder).map_err(|source| folder_error(folder, source))?;
        let path = folder.join(FILE_NAME);
        let [log, other] = LOG_NAMES.map(|name| folder.join(name));
        let (first, second) = (open_file(&log)?, open_file(&other)?);
        let lock = first.try_clone().map_err(|error| io_error(&log, error))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => OpenError::Locked { path: path.clone() },
            TryLockError::Error(source) => io_error(&log, source),
        })?;
        let main = backend(&path, open_file(&path)?)?;
        // The files' names must be durable before anything in them is promised to anyone.
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|error| io_error(folder, error))?;
        let logs = [backend(&log, first)?, backend(&other, second)?];
        let salt = RandomState::new().hash_one(path.as_os_str());
        let ahead = WriteAhead::open(main, logs, options.log_bytes, salt, Forcing::Beside)
            .map_err(|error| io_error(&path, error))?;
        let database = redb::Database::builder()
            .set_cache_size(options.cache_bytes)
            .set_check_integrity_on_open(true)
            .create_with_backend(ahead)
            .map_err(|error| open_error(&path, error))?;
        Self::checked(database, Some(lock), &path)
    }

    /// Opens a database over `backend`, without a write-ahead log, creating it when the backend is
    /// empty. For tests that inject faults below the database.
    ///
    /// # Errors
    ///
    /// As for [`Database::open`].
    pub fn open_on(backend: impl StorageBackend, options: &Options) -> Result<Self, OpenError> {
        let path = PathBuf::from("backend");
        let database = redb::Database::builder()
            .set_cache_size(options.cache_bytes)
            .create_with_backend(backend)
            .map_err(|error| open_error(&path, error))?;
        Self::checked(database, None, &path)
    }

    /// The same with a write-ahead log, in two backends that are empty if the first one is.
    ///
    /// # Errors
    ///
    /// As for [`Database::open`].
    pub fn open_ahead_on<B: StorageBackend>(
        main: B,
        logs: [B; 2],
        options: &Options,
    ) -> Result<Self, OpenError> {
        let path = PathBuf::from("backend");
        let ahead = WriteAhead::open(main, logs, options.log_bytes, 0, Forcing::InTurn)
            .map_err(|error| io_error(&path, error))?;
        Self::open_on(ahead, options)
    }

    fn checked(
        database: redb::Database,
        lock: Option<File>,
        path: &Path,
    ) -> Result<Self, OpenError> {
        let this = Self {
            inner: Arc::new(Inner {
                database,
                _lock: lock,
            }),
        };
        let found = this.format_version().map_err(|source| OpenError::Storage {
            path: path.to_owned(),
            source,
        })?;
        if found != FORMAT_VERSION {
            let path = path.to_owned();
            return Err(OpenError::UnknownFormat {
                path,
                found,
                known: FORMAT_VERSION,
            });
        }
        Ok(this)
    }

    /// Reads the format version, stamping the current one into a database that has none.
    fn format_version(&self) -> Result<u32, StorageError> {
        match self.read()?.open_table(FORMAT) {
            Ok(table) => {
                let version = table.get(FORMAT_KEY)?.map(|version| version.value());
                return version
                    .ok_or_else(|| StorageError::Corrupted("no format version".to_owned()));
            }
            Err(redb::TableError::TableDoesNotExist(_)) => {}
            Err(error) => return Err(error.into()),
        }
        let txn = self.begin_write()?;
        txn.open_table(FORMAT)?.insert(FORMAT_KEY, FORMAT_VERSION)?;
        #[cfg(feature = "failpoints")]
        crate::failpoint::reach("storage::before-format")?;
        txn.commit()?;
        Ok(FORMAT_VERSION)
    }

    /// Starts a read of the state as of the last commit. It must be short: pages that it can see
    /// are not reused while it lives.
    ///
    /// # Errors
    ///
    /// When the database has failed before.
    pub fn read(&self) -> Result<ReadTransaction, StorageError> {
        Ok(self.inner.database.begin_read()?)
    }

    /// Starts a write, once any other has ended: the [`Writer`](crate::Writer)'s, and those of start-up
    /// before there is one.
    pub(crate) fn begin_write(&self) -> Result<WriteTransaction, StorageError> {
        Ok(self.inner.database.begin_write()?)
    }

    /// A handle that does not keep the file open.
    #[must_use]
    pub fn downgrade(&self) -> WeakDatabase {
        WeakDatabase {
            inner: Arc::downgrade(&self.inner),
        }
    }
}

impl WeakDatabase {
    /// The database, while its owner still has it open.
    ///
    /// # Errors
    ///
    /// [`StorageError::Closed`] once the owner has let go of it.
    pub fn upgrade(&self) -> Result<Database, StorageError> {
        let inner = self.inner.upgrade().ok_or(StorageError::Closed)?;
        Ok(Database { inner })
    }
}

fn open_file(path: &Path) -> Result<File, OpenError> {
    let mut how = OpenOptions::new();
    let opened = how
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path);
    opened.map_err(|error| io_error(path, error))
}

fn backend(path: &Path, file: File) -> Result<FileBackend, OpenError> {
    FileBackend::new(file).map_err(|error| open_error(path, error))
}

fn folder_error(path: &Path, source: io::Error) -> OpenError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::PermissionDenied => OpenError::Permission { path, source },
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => OpenError::Io { path, source },
        _ => OpenError::Folder { path, source },
    }
}

fn open_error(path: &Path, error: DatabaseError) -> OpenError {
    let path = path.to_owned();
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
            OpenError::Locked { path }
        }
        DatabaseError::Storage(redb::StorageError::Corrupted(reason)) => {
            OpenError::Corrupted { path, reason }
        }
        DatabaseError::Storage(redb::StorageError::Io(source)) => io_error(&path, source),
        other => OpenError::Corrupted {
            path,
            reason: other.to_string(),
        },
    }
}

fn io_error(path: &Path, source: io::Error) -> OpenError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::PermissionDenied => OpenError::Permission { path, source },
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => OpenError::Corrupted {
            path,
            reason: source.to_string(),
        },
        _ => OpenError::Io { path, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_created_and_locked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/data");
        let database = Database::open(&path, &Options::default()).unwrap();
        let again = Database::open(&path, &Options::default()).unwrap_err();
        assert!(matches!(again, OpenError::Locked { .. }), "{again:?}");
        let weak = database.downgrade();
        drop(database);
        assert!(matches!(weak.upgrade(), Err(StorageError::Closed)));
        Database::open(&path, &Options::default()).unwrap();
    }

    #[test]
    fn a_folder_that_a_full_disk_has_no_place_for_is_a_fault_of_the_disk() {
        let error = |number| folder_error(Path::new("data"), io::Error::from_raw_os_error(number));
        let [full, no_folder] = [28, 20].map(error);
        assert!(matches!(full, OpenError::Io { .. }), "{full:?}");
        assert!(
            matches!(no_folder, OpenError::Folder { .. }),
            "{no_folder:?}"
        );
    }

    #[test]
    fn an_unknown_format_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path(), &Options::default()).unwrap();
        let txn = database.begin_write().unwrap();
        txn.open_table(FORMAT)
            .unwrap()
            .insert(FORMAT_KEY, FORMAT_VERSION + 1)
            .unwrap();
        txn.commit().unwrap();
        drop(database);
        let error = Database::open(folder.path(), &Options::default()).unwrap_err();
        assert!(
            matches!(error, OpenError::UnknownFormat { found, known, .. } if found == known + 1),
            "{error:?}"
        );
    }

    #[test]
    fn a_file_that_is_no_database_is_corrupted() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE_NAME), vec![7_u8; 1 << 20]).unwrap();
        let error = Database::open(folder.path(), &Options::default()).unwrap_err();
        assert!(matches!(error, OpenError::Corrupted { .. }), "{error:?}");
    }

    const NUMBERS: TableDefinition<'_, u64, u64> = TableDefinition::new("numbers");

    /// The content of the three files of a folder.
    type Files = [Vec<u8>; 3];

    fn names() -> [&'static str; 3] {
        [FILE_NAME, LOG_NAMES[0], LOG_NAMES[1]]
    }

    /// A database of several pages, closed in order, or as a killed process leaves it.
    fn numbers(closed: bool) -> Files {
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            log_bytes: 1 << 20,
            ..Options::default()
        };
        let database = Database::open(folder.path(), &options).unwrap();
        for part in 0..10_u64 {
            let txn = database.begin_write().unwrap();
            let mut table = txn.open_table(NUMBERS).unwrap();
            (200 * part..200 * (part + 1)).for_each(|n| drop(table.insert(n, n * n).unwrap()));
            drop(table);
            txn.commit().unwrap();
        }
        let read = || names().map(|name| fs::read(folder.path().join(name)).unwrap());
        if !closed {
            return read();
        }
        drop(database);
        read()
    }

    /// Opens such files and reads all of the database.
    fn read_numbers(files: &Files) -> Result<Vec<(u64, u64)>, OpenError> {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in names().iter().zip(files) {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        let database = Database::open(folder.path(), &Options::default())?;
        let table = database.read().unwrap().open_table(NUMBERS).unwrap();
        let entries = redb::ReadableTable::iter(&table).unwrap().map(|entry| {
            let (key, value) = entry.unwrap();
            (key.value(), value.value())
        });
        Ok(entries.collect())
    }

    /// Damages file `which` at another place of every block; how often that was refused. Whatever is not
    /// refused must do no harm, but for what is taken for a last force that was not finished: how often
    /// that was.
    fn refusals(whole: &Files, which: usize) -> (usize, usize) {
        let expected = read_numbers(whole).unwrap();
        assert_eq!(expected.len(), 2_000);
        let places = (0..whole[which].len()).step_by(4_093);
        let (mut refused, mut unfinished) = (0, 0);
        for at in places {
            let mut damaged = whole.clone();
            let bytes = damaged[which][at..].iter_mut();
            bytes.take(16).for_each(|byte| *byte ^= 0xa5);
            match read_numbers(&damaged) {
                Ok(found) if found == expected => {}
                Ok(found) if found == expected[..1_800] => unfinished += 1,
                Ok(found) => panic!("file {which} damaged at {at}: {} found", found.len()),
                Err(OpenError::Corrupted { .. }) => refused += 1,
                Err(other) => panic!("file {which} damaged at {at}: {other:?}"),
            }
        }
        (refused, unfinished)
    }

    #[test]
    fn a_damaged_page_is_refused_or_of_no_consequence() {
        let (refused, unfinished) = refusals(&numbers(true), 0);
        assert!(refused > 10 && unfinished == 0, "{refused}, {unfinished}");
    }

    #[test]
    fn a_damaged_log_is_refused_where_it_is_needed() {
        let mut killed = numbers(false);
        let (refused, unfinished) = refusals(&killed, 1);
        assert!(refused > 10 && unfinished < 30, "{refused}, {unfinished}");
        killed[1].clear();
        assert!(matches!(
            read_numbers(&killed),
            Err(OpenError::Corrupted { .. })
        ));
        let (_, unfinished) = refusals(&numbers(true), 1);
        assert_eq!(unfinished, 0);
    }

    #[test]
    fn a_file_that_was_cut_off_is_corrupted() {
        let whole = numbers(true);
        for which in [0, 1, 2] {
            let bytes = whole[which].len();
            for length in [100, 4_096, bytes / 2, bytes - 1] {
                let mut cut = whole.clone();
                cut[which].truncate(length);
                let error = read_numbers(&cut).unwrap_err();
                assert!(
                    matches!(error, OpenError::Corrupted { .. }),
                    "{which}: {error:?}"
                );
            }
        }
    }

    #[test]
    fn a_file_without_its_log_or_with_another_one_is_corrupted() {
        let (whole, other) = (numbers(true), numbers(true));
        for [main, log, second] in [
            [&whole[0], &Vec::new(), &Vec::new()],
            [&whole[0], &whole[1], &other[2]],
            [&Vec::new(), &whole[1], &whole[2]],
        ] {
            let files = [main.clone(), log.clone(), second.clone()];
            let error = read_numbers(&files).unwrap_err();
            assert!(matches!(error, OpenError::Corrupted { .. }), "{error:?}");
        }
    }
}
