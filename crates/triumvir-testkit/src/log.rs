//! The ends of log files, for error messages.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

/// The most bytes of one log that an error shows.
pub(crate) const TAIL_BYTES_MAX: u64 = 4 << 10;

/// The end of the file at `path`, no earlier than byte `from`, at most [`TAIL_BYTES_MAX`]. What cannot
/// be read is said in place of it.
pub(crate) fn tail(path: &Path, from: u64) -> String {
    read_tail(path, from)
        .unwrap_or_else(|error| format!("(cannot read {}: {error})", path.display()))
}

fn read_tail(path: &Path, from: u64) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(
        from.max(length.saturating_sub(TAIL_BYTES_MAX)),
    ))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_bounded_and_begins_no_earlier_than_asked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, "first\nsecond\n").unwrap();
        assert_eq!(tail(&path, 0), "first\nsecond\n");
        assert_eq!(tail(&path, 6), "second\n");
        std::fs::write(&path, "x".repeat(10_000)).unwrap();
        assert_eq!(tail(&path, 0).len() as u64, TAIL_BYTES_MAX);
        assert!(tail(&folder.path().join("none"), 0).starts_with("(cannot read"));
    }
}
