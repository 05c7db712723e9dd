//! What is wrong with a disk, found below any error of a process: the two things that an operator must
//! tell apart. What to do about them is not said here.

use std::error::Error;

use crate::error::{OpenError, StorageError, WriteError};

/// What is wrong with the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// It refused to read or to write: it is full, or broken. What it has is as good as before.
    Failed,
    /// It has something else than what was written.
    Damaged,
}

impl Fault {
    /// The fault behind `error`, which may be any error of a process, if it is one of the disk.
    #[must_use]
    pub fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(fault) = Self::direct(error) {
                return Some(fault);
            }
            next = below(error);
        }
        None
    }

    fn direct(error: &(dyn Error + 'static)) -> Option<Self> {
        if let Some(error) = error.downcast_ref::<OpenError>() {
            return match error {
                OpenError::Corrupted { .. } => Some(Self::Damaged),
                OpenError::Io { .. } => Some(Self::Failed),
                _ => None,
            };
        }
        match error.downcast_ref::<StorageError>()? {
            StorageError::Corrupted(_) => Some(Self::Damaged),
            StorageError::Database(error) => match &**error {
                redb::Error::Io(_) | redb::Error::PreviousIo => Some(Self::Failed),
                _ => None,
            },
            StorageError::Closed => None,
        }
    }
}

/// What `error` is caused by. A shared cause is looked into: `source` gives the pointer to it.
fn below<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    if let Some(WriteError::Failed(shared)) = error.downcast_ref::<WriteError>() {
        return Some(&**shared);
    }
    error.source()
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::PathBuf;
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_fault_is_found_below_other_errors() {
        let full = || StorageError::from(redb::StorageError::Io(io::Error::other("full")));
        let failed = WriteError::Failed(Arc::new(full()));
        assert_eq!(Fault::of(&failed), Some(Fault::Failed));
        let damaged = OpenError::Storage {
            path: PathBuf::new(),
            source: StorageError::Corrupted("a page".to_owned()),
        };
        assert_eq!(Fault::of(&damaged), Some(Fault::Damaged));
        let locked = OpenError::Locked {
            path: PathBuf::new(),
        };
        assert_eq!(Fault::of(&locked), None);
        assert_eq!(Fault::of(&WriteError::Closed), None);
    }
}
