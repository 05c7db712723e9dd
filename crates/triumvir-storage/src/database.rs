//! A data folder and the one database file in it: opening, the format version, and what can go
//! wrong on the way. No table but `format` is known here.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use redb::{
    DatabaseError, ReadTransaction, ReadableDatabase, StorageBackend, TableDefinition,
    WriteTransaction,
};

use crate::error::{OpenError, StorageError};

/// The version of everything that is written in the file. A change that an older program would
/// misread raises it.
const FORMAT_VERSION: u32 = 1;

const FORMAT: TableDefinition<'_, &str, u32> = TableDefinition::new("format");
const FORMAT_KEY: &str = "version";

/// The name of the database file inside the data folder.
const FILE_NAME: &str = "triumvir.redb";

/// How a database is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many bytes of pages the database may keep in memory.
    pub cache_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_bytes: 64 << 20,
        }
    }
}

/// An open data folder. Clones share it; the file is released when the last clone is gone.
#[derive(Debug, Clone)]
pub struct Database {
    inner: Arc<redb::Database>,
}

/// A handle that does not keep the file open, for readers that may outlive the owner.
#[derive(Debug, Clone)]
pub struct WeakDatabase {
    inner: Weak<redb::Database>,
}

impl Database {
    /// Opens the database in `folder`, creating both when they are missing. Every page is read and
    /// compared with its checksum, so that a damaged file is refused here and not believed later.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]; each variant is a different thing for an operator to do.
    pub fn open(folder: &Path, options: &Options) -> Result<Self, OpenError> {
        let path = folder.join(FILE_NAME);
        fs::create_dir_all(folder).map_err(|source| folder_error(folder, source))?;
        let database = redb::Database::builder()
            .set_cache_size(options.cache_bytes)
            .set_check_integrity_on_open(true)
            .create(&path)
            .map_err(|error| open_error(&path, error))?;
        // The file's name must be durable before anything in it is promised to anyone.
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|source| folder_error(folder, source))?;
        Self::checked(database, &path)
    }

    /// Opens a database over `backend`, creating it when the backend is empty. For tests that
    /// inject faults below the database.
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
        Self::checked(database, &path)
    }

    fn checked(database: redb::Database, path: &Path) -> Result<Self, OpenError> {
        let this = Self {
            inner: Arc::new(database),
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
        Ok(self.inner.begin_read()?)
    }

    /// Starts a write outside the write stream. Only for start-up, before a
    /// [`Writer`](crate::Writer) exists: it waits for any other write transaction.
    pub(crate) fn begin_write(&self) -> Result<WriteTransaction, StorageError> {
        Ok(self.inner.begin_write()?)
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

fn folder_error(path: &Path, source: io::Error) -> OpenError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::PermissionDenied => OpenError::Permission { path, source },
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
        DatabaseError::Storage(redb::StorageError::Io(source)) => match source.kind() {
            io::ErrorKind::PermissionDenied => OpenError::Permission { path, source },
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => OpenError::Corrupted {
                path,
                reason: source.to_string(),
            },
            _ => OpenError::Io { path, source },
        },
        other => OpenError::Corrupted {
            path,
            reason: other.to_string(),
        },
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

    /// A closed database of several pages, as the bytes of its file.
    fn numbers() -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path(), &Options::default()).unwrap();
        let txn = database.begin_write().unwrap();
        let mut table = txn.open_table(NUMBERS).unwrap();
        (0..2_000).for_each(|n| drop(table.insert(n, n * n).unwrap()));
        drop(table);
        txn.commit().unwrap();
        drop(database);
        fs::read(folder.path().join(FILE_NAME)).unwrap()
    }

    /// Opens a file of these bytes and reads all of it.
    fn read_numbers(bytes: &[u8]) -> Result<Vec<(u64, u64)>, OpenError> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE_NAME), bytes).unwrap();
        let database = Database::open(folder.path(), &Options::default())?;
        let table = database.read().unwrap().open_table(NUMBERS).unwrap();
        let entries = redb::ReadableTable::iter(&table).unwrap().map(|entry| {
            let (key, value) = entry.unwrap();
            (key.value(), value.value())
        });
        Ok(entries.collect())
    }

    #[test]
    fn a_damaged_page_is_refused_or_of_no_consequence() {
        let whole = numbers();
        let expected = read_numbers(&whole).unwrap();
        assert_eq!(expected.len(), 2_000);
        let mut refused = 0;
        // At another place of every page.
        for at in (0..whole.len()).step_by(4_093) {
            let mut damaged = whole.clone();
            damaged[at..]
                .iter_mut()
                .take(16)
                .for_each(|byte| *byte ^= 0xa5);
            match read_numbers(&damaged) {
                Ok(found) => assert_eq!(found, expected, "damaged at {at}"),
                Err(OpenError::Corrupted { .. }) => refused += 1,
                Err(other) => panic!("damaged at {at}: {other:?}"),
            }
        }
        assert!(refused > 10, "{refused} damages were noticed");
    }

    #[test]
    fn a_file_that_was_cut_off_is_corrupted() {
        let whole = numbers();
        for length in [100, 4_096, whole.len() / 2, whole.len() - 1] {
            let error = read_numbers(&whole[..length]).unwrap_err();
            assert!(matches!(error, OpenError::Corrupted { .. }), "{error:?}");
        }
    }
}
