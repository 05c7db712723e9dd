//! Processor time of processes.

use std::io;
use std::ops::{Add, Sub};
use std::time::Duration;

use procfs::process::Process;

/// What a process has used since it was started.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Usage {
    /// Processor time in user mode, over all threads.
    pub user: Duration,
    /// Processor time in the kernel, over all threads.
    pub system: Duration,
}

impl Usage {
    /// Of this process.
    ///
    /// # Errors
    ///
    /// /proc cannot be read.
    pub fn of_self() -> io::Result<Self> {
        Self::of(&Process::myself().map_err(io::Error::other)?)
    }

    /// Of the process `pid`.
    ///
    /// # Errors
    ///
    /// There is no such process, or /proc cannot be read.
    pub(crate) fn of_process(pid: i32) -> io::Result<Self> {
        Self::of(&Process::new(pid).map_err(io::Error::other)?)
    }

    fn of(process: &Process) -> io::Result<Self> {
        let stat = process.stat().map_err(io::Error::other)?;
        let ticks = procfs::ticks_per_second() as f64;
        let time = |count: u64| Duration::from_secs_f64(count as f64 / ticks);
        Ok(Self {
            user: time(stat.utime),
            system: time(stat.stime),
        })
    }

    /// Both kinds together.
    pub fn total(self) -> Duration {
        self.user + self.system
    }
}

impl Add for Usage {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            user: self.user + other.user,
            system: self.system + other.system,
        }
    }
}

impl Sub for Usage {
    type Output = Self;

    /// What was used since `earlier`; nothing where the clock of an earlier reading is ahead.
    fn sub(self, earlier: Self) -> Self {
        Self {
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_shows_in_the_processor_time() {
        let before = Usage::of_self().unwrap();
        let mut sum = 0_u64;
        while (Usage::of_self().unwrap() - before).total().is_zero() {
            sum = (0..100_000_u64).fold(sum, |sum, n| std::hint::black_box(sum ^ n));
        }
        assert_eq!(Usage::default().total(), Duration::ZERO);
    }
}
