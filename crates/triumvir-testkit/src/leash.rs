//! Ends every process of a cluster when its owner dies, however it dies.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

/// The shell waits for the end of its standard input, whose other end only this process holds, and
/// then kills its own process group.
const SCRIPT: &str = "trap '' HUP INT TERM; read -r _; kill -s KILL 0";

/// A process group that is killed when this is dropped and when this process dies, SIGKILL included.
#[derive(Debug)]
pub(crate) struct Leash {
    shell: Child,
}

impl Leash {
    /// Starts the group with nothing in it but the shell that watches over it.
    ///
    /// # Errors
    ///
    /// There is no `sh`.
    pub(crate) fn new() -> io::Result<Self> {
        let shell = Command::new("sh")
            .args(["-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        Ok(Self { shell })
    }

    /// The process group that children are to join.
    pub(crate) fn group(&self) -> i32 {
        i32::try_from(self.shell.id()).expect("a process id is an i32")
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        // The shell kills itself with its group. A failure to wait leaves a zombie at worst.
        let _ = self.shell.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    #[test]
    fn dropping_it_kills_the_group() {
        let leash = Leash::new().unwrap();
        let mut child = Command::new("sleep")
            .arg("600")
            .process_group(leash.group())
            .spawn()
            .unwrap();
        assert!(child.try_wait().unwrap().is_none());
        drop(leash);
        assert_eq!(child.wait().unwrap().signal(), Some(9));
    }
}
