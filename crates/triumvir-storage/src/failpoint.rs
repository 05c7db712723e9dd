//! Failpoints: a process test has the disk fail at a commit, or at another step. This room exists
//! under the feature `failpoints` only, and does nothing for a point that the environment does not
//! name (`FAILPOINTS`, which the binary reads when it starts). Nothing else may depend on it.
//!
//! A point is switched by fail-rs's `return` with the number of an operating system's error, which is
//! what the step then ends with: `100*off->return(28)` is a disk that is full at the 101st commit,
//! if it is Linux's.

use std::io;

use crate::error::StorageError;

/// Comes to `point`: an error if the disk is to fail there.
pub(crate) fn reach(point: &str) -> Result<(), StorageError> {
    reach_below(point).map_err(|error| redb::StorageError::Io(error).into())
}

/// The same below the database.
pub(crate) fn reach_below(point: &str) -> io::Result<()> {
    match asked(point) {
        None => Ok(()),
        Some(number) => {
            let Ok(number) = number.parse() else {
                panic!("failpoint {point}: {number:?} is no error's number");
            };
            tracing::warn!(point, number, "a failpoint fails the disk");
            Err(io::Error::from_raw_os_error(number))
        }
    }
}

/// What is asked for at `point`, if anything.
fn asked(point: &str) -> Option<String> {
    fail::fail_point!(point, |word| Some(word.unwrap_or_default()));
    None
}
