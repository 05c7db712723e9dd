//! One child process in the cluster's group. No process leaves this room alive: dropping it kills it
//! and waits until it is gone.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use procfs::process::ProcState;
use tokio::process::{Child, Command};

use crate::Usage;
use crate::leash::Leash;

/// A process that was started and not yet seen to end.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// Starts `command` in the leash's group, both outputs appended to the file `log`.
    ///
    /// # Errors
    ///
    /// The log cannot be opened or the command cannot be run.
    pub(crate) fn spawn(command: &mut Command, leash: &Leash, log: &Path) -> io::Result<Self> {
        let output = OpenOptions::new().create(true).append(true).open(log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(leash.group())
            .kill_on_drop(true)
            .spawn()?;
        Ok(Self { child })
    }

    /// Its id, until its end has been seen: after that the number may belong to anyone.
    pub(crate) fn pid(&self) -> Option<i32> {
        self.child
            .id()
            .map(|pid| i32::try_from(pid).expect("a process id is an i32"))
    }

    /// Sends a signal; does nothing once its end has been seen.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        match self.pid() {
            Some(pid) => kill(Pid::from_raw(pid), signal).map_err(io::Error::from),
            None => Ok(()),
        }
    }

    /// How it ended, if it has.
    pub(crate) fn exit_status(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Waits for its end.
    pub(crate) async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// What it has used so far.
    pub(crate) fn usage(&self) -> io::Result<Usage> {
        let pid = self
            .pid()
            .ok_or_else(|| io::Error::other("the process has ended"))?;
        Usage::of_process(pid)
    }
}

/// Whether the process `pid` is stopped by a signal.
pub(crate) fn is_stopped(pid: i32) -> bool {
    let process = procfs::process::Process::new(pid);
    let stat = process.and_then(|process| process.stat());
    stat.and_then(|stat| stat.state())
        .is_ok_and(|state| state == ProcState::Stopped)
}

impl Drop for Process {
    fn drop(&mut self) {
        // A process that has ended is nothing to kill; any other cannot refuse SIGKILL, not even
        // while it is stopped. Waiting without reaping leaves that to the runtime, which does it.
        if let Some(pid) = self.pid()
            && self.child.start_kill().is_ok()
        {
            let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
            let _ = waitid(Id::Pid(Pid::from_raw(pid)), flags);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    fn shell(script: &str, folder: &Path) -> (Leash, Process) {
        let leash = Leash::new().unwrap();
        let mut command = Command::new("sh");
        let log = folder.join("log");
        let process = Process::spawn(command.args(["-c", script]), &leash, &log).unwrap();
        (leash, process)
    }

    fn state(pid: i32) -> Option<ProcState> {
        procfs::process::Process::new(pid)
            .ok()?
            .stat()
            .ok()?
            .state()
            .ok()
    }

    #[tokio::test]
    async fn both_outputs_go_to_the_log_and_the_status_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let (_leash, mut process) = shell("echo out; echo err >&2; exit 3", folder.path());
        assert_eq!(process.wait().await.unwrap().code(), Some(3));
        assert_eq!(process.pid(), None);
        process.signal(Signal::SIGKILL).unwrap();
        let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
        assert_eq!(log, "out\nerr\n");
    }

    #[tokio::test]
    async fn a_stopped_process_goes_on_and_dies_when_it_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let (_leash, mut process) = shell("exec sleep 600", folder.path());
        let pid = process.pid().unwrap();
        process.signal(Signal::SIGSTOP).unwrap();
        while state(pid) != Some(ProcState::Stopped) {
            tokio::task::yield_now().await;
        }
        process.signal(Signal::SIGCONT).unwrap();
        while state(pid) == Some(ProcState::Stopped) {
            tokio::task::yield_now().await;
        }
        assert!(process.exit_status().unwrap().is_none());
        process.signal(Signal::SIGSTOP).unwrap();
        process.signal(Signal::SIGKILL).unwrap();
        assert_eq!(process.wait().await.unwrap().signal(), Some(9));
    }

    #[tokio::test]
    async fn dropping_it_ends_it() {
        let folder = tempfile::tempdir().unwrap();
        let (_leash, process) = shell("exec sleep 600", folder.path());
        let pid = process.pid().unwrap();
        assert!(process.usage().is_ok());
        drop(process);
        assert!(matches!(state(pid), None | Some(ProcState::Zombie)));
    }
}
