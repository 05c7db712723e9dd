//! The errors of storage. Each says what was being done; none is logged here.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// A read from or a write to an open database failed.
///
/// After one such error from a commit the database file must not be written again by this process:
/// what reached the disk is unknown until the file is opened anew.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// What was read does not have the shape that was written.
    #[error("the database is corrupted: {0}")]
    Corrupted(String),
    /// The database has been closed by its owner.
    #[error("the database is closed")]
    Closed,
    /// The database refused or failed the operation.
    #[error("the database failed")]
    Database(#[source] Box<redb::Error>),
}

impl StorageError {
    fn from_redb(error: redb::Error) -> Self {
        match error {
            redb::Error::Corrupted(reason) => Self::Corrupted(reason),
            redb::Error::DatabaseClosed => Self::Closed,
            other => Self::Database(Box::new(other)),
        }
    }
}

macro_rules! from_redb {
    ($($error:ty),+ $(,)?) => {
        $(impl From<$error> for StorageError {
            fn from(error: $error) -> Self {
                Self::from_redb(error.into())
            }
        })+
    };
}

from_redb!(
    redb::StorageError,
    redb::TableError,
    redb::TransactionError,
    redb::CommitError
);

/// A data folder could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder could not be created, though the disk has room for it.
    #[error("cannot create the data folder {path}")]
    Folder {
        /// The data folder.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The folder or its file may not be read and written by this user.
    #[error("no permission to read and write {path}")]
    Permission {
        /// The database file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// Another process, or another handle of this one, has the database open.
    #[error("{path} is open in another process")]
    Locked {
        /// The database file.
        path: PathBuf,
    },
    /// The file is not a database or has been damaged.
    #[error("{path} is damaged or is not a database: {reason}")]
    Corrupted {
        /// The database file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The folder was written by a version of the program that this one does not know.
    #[error("{path} has format version {found}, and this program knows only {known}")]
    UnknownFormat {
        /// The database file.
        path: PathBuf,
        /// The version in the file.
        found: u32,
        /// The version this program writes.
        known: u32,
    },
    /// Reading or writing a file or the folder failed.
    #[error("cannot open {path}")]
    Io {
        /// The file or the folder.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The database was opened, but its first read or write failed.
    #[error("cannot read the format of {path}")]
    Storage {
        /// The database file.
        path: PathBuf,
        /// The failure.
        #[source]
        source: StorageError,
    },
}

/// A submission to the [`Writer`](crate::Writer) did not become durable as far as is known.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WriteError {
    /// This write's commit failed, or an earlier one did: nothing is durable from there on.
    ///
    /// Whether the writes of the failing commit itself reached the disk is unknown.
    #[error("the write stream has failed")]
    Failed(#[source] Arc<StorageError>),
    /// The writer was shut down before this was submitted: the write was not made.
    #[error("the write stream is closed")]
    Closed,
}
