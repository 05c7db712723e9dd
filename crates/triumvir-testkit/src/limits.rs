//! What the system is to refuse a process, so that it meets a full disk or a lack of descriptors
//! without any luck and without privileges.

use std::path::Path;

use tokio::process::Command;

/// The unit of a shell's `ulimit -f`.
const BLOCK_BYTES: u64 = 512;

/// Limits of one process.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Limits {
    /// The size that no file of it can exceed, in bytes; its log is one of them. A write beyond it
    /// fails, as it does on a full disk.
    pub file_bytes: Option<u64>,
    /// How many descriptors it can have open.
    pub open_files: Option<u64>,
}

impl Limits {
    /// A command that runs `binary` under these limits, as the same process.
    pub(crate) fn command(self, binary: &Path) -> Command {
        if self == Self::default() {
            return Command::new(binary);
        }
        // Without the signal, which would end the process, the write is an error.
        let mut script = "trap '' XFSZ".to_owned();
        if let Some(bytes) = self.file_bytes {
            script.push_str(&format!("; ulimit -f {} || exit 99", bytes / BLOCK_BYTES));
        }
        if let Some(files) = self.open_files {
            script.push_str(&format!("; ulimit -n {files} || exit 99"));
        }
        script.push_str("; exec \"$0\" \"$@\"");
        let mut command = Command::new("sh");
        command.args(["-c", &script]).arg(binary);
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_beyond_the_limit_is_refused_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large");
        let limits = Limits {
            file_bytes: Some(1 << 20),
            open_files: Some(64),
        };
        let script = "ulimit -n; head -c 2000000 /dev/zero > \"$0\"; echo \"$?\"";
        let mut command = limits.command(Path::new("sh"));
        let output = command.args(["-c", script]).arg(&path).output();
        let said = String::from_utf8(output.await.unwrap().stdout).unwrap();
        assert_eq!(said, "64\n1\n");
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 1 << 20);
    }
}
