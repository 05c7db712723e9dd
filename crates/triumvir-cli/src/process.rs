//! What holds for the whole process: its runtime, its end by a signal, and its end by a panic.

use std::io;

use preempt_rt::sched::{self, Pid, RtResult, Scheduler, SchedulerParams};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

/// Threads that run tasks. A replica or a participant has one task that decides and one thread of its
/// own that forces the disk; a second worker keeps connections served meanwhile, and more of them
/// would only take processors from what runs beside.
const WORKERS: usize = 2;

/// What the threads of a runtime work for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Work {
    /// Many transactions at a time, in batches: a replica or a participant.
    Batches,
    /// Whoever waits for this command's end.
    Command,
}

/// The runtime of a command.
///
/// # Errors
///
/// Threads cannot be started.
pub(crate) fn runtime(work: Work) -> io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(WORKERS).enable_all();
    if work == Work::Batches {
        builder.on_thread_start(|| {
            if let Err(error) = go_on_when_waking() {
                tracing::debug!(%error, "the scheduling class stays as it was");
            }
        });
    }
    builder.build()
}

/// Puts this thread into the scheduling class *batch*, in which a thread that is woken does not take
/// the processor from whoever wakes it. So on a busy machine a task finishes its round, and the next
/// stage finds a batch and not its first message. A class that an operator has chosen stays. The
/// thread that forces the disk is none of these: it is to begin at once.
fn go_on_when_waking() -> RtResult<()> {
    let this = Pid::current_thread();
    if sched::get_scheduler(this)? == Scheduler::SCHED_NORMAL {
        let params = SchedulerParams { priority: 0 };
        sched::set_scheduler(this, Scheduler::SCHED_BATCH, params)?;
    }
    Ok(())
}

/// Makes every panic the end of the process, whatever thread or task it happens in. A task that
/// panicked has dropped half of its state: a process that lived on without it would look alive and
/// answer nobody.
pub(crate) fn abort_on_panic() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        default(panic);
        // The log may be read by machines only.
        tracing::error!(%panic, "a defect: the process stops, so that nothing goes on without its state");
        std::process::abort();
    }));
}

/// SIGTERM and SIGINT.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    /// Takes over both from now on.
    ///
    /// # Errors
    ///
    /// They cannot be taken over.
    pub(crate) fn new() -> io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        Ok(Self {
            terminate,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next one, and names it.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::Command;

    use super::*;

    /// Set in the process that is to panic.
    const VICTIM: &str = "TRIUMVIR_TEST_PANICS";
    const SIGABRT: i32 = 6;

    #[test]
    fn a_panicking_task_ends_the_whole_process() {
        if std::env::var_os(VICTIM).is_some() {
            abort_on_panic();
            runtime(Work::Command).unwrap().block_on(async {
                tokio::spawn(async { panic!("a defect") });
                std::future::pending::<()>().await;
            });
        }
        let test = "process::tests::a_panicking_task_ends_the_whole_process";
        let ended = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(VICTIM, "1")
            .output()
            .unwrap();
        assert_eq!(ended.status.signal(), Some(SIGABRT), "{ended:?}");
        assert!(String::from_utf8_lossy(&ended.stderr).contains("a defect"));
    }
}
