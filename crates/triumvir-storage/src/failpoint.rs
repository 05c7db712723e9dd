//! Failpoints: a process test has the disk fail at a commit. This room exists under the feature
//! `failpoints` only, and does nothing for a point that the environment does not name (`FAILPOINTS`,
//! which the binary reads when it starts). Nothing else may depend on it.
//!
//! A point is switched by fail-rs's `return` with the number of an operating system's error, which is
//! what the commit then ends with: `100*off->return(28)` is a disk that is full at the 101st commit,
//! if it is Linux's.

use std::io;

use crate::error::StorageError;

/// Comes to `point`: an error if the disk is to fail there.
pub(crate) fn reach(point: &str) -> Result<(), StorageError> {
    match asked(point) {
        None => Ok(()),
        Some(number) => {
            let Ok(number) = number.parse() else {
                panic!("failpoint {point}: {number:?} is no error's number");
            };
            tracing::warn!(point, number, "a failpoint fails a commit");
            let error = redb::StorageError::Io(io::Error::from_raw_os_error(number));
            Err(error.into())
        }
    }
}

/// What is asked for at `point`, if anything.
fn asked(point: &str) -> Option<String> {
    fail::fail_point!(point, |word| Some(word.unwrap_or_default()));
    None
}
