//! The timers of all branches in one queue. What an expired timer means is not known here.

use std::collections::HashMap;
use std::task::{Context, Poll};
use std::time::Duration;

use foldhash::quality::RandomState;
use tokio::time::Instant;
use tokio_util::time::DelayQueue;
use tokio_util::time::delay_queue::Key;
use triumvir_protocol::{ParticipantTimer, TxnId};

use crate::config::Timers;

/// How much is added to a wait at random, at most: a fifth.
const JITTER: f64 = 0.2;
/// Doubling stops here at the latest, so that nothing overflows.
const DOUBLINGS_MAX: u32 = 16;

/// The timers that run, and how often each has been started.
pub(super) struct TimerQueue {
    config: Timers,
    queue: DelayQueue<(TxnId, ParticipantTimer)>,
    entries: HashMap<(TxnId, ParticipantTimer), Entry, RandomState>,
}

#[derive(Default)]
struct Entry {
    /// `None` once it has expired.
    key: Option<Key>,
    starts: u32,
}

impl TimerQueue {
    pub(super) fn new(config: Timers) -> Self {
        Self {
            config,
            queue: DelayQueue::new(),
            entries: HashMap::default(),
        }
    }

    /// Starts a timer anew. `rank` is this participant's place in the transaction's list.
    pub(super) fn start(&mut self, txn: TxnId, timer: ParticipantTimer, rank: u32) {
        let entry = self.entries.entry((txn, timer)).or_default();
        if let Some(key) = entry.key.take() {
            self.queue.remove(&key);
        }
        let wait = wait(&self.config, timer, rank, entry.starts)
            .mul_f64(1.0 + JITTER * rand::random::<f64>());
        entry.starts += 1;
        entry.key = Some(self.queue.insert((txn, timer), wait));
    }

    /// Lets every running `timer` expire within `longest`, evenly spread, and repeat from there as if
    /// it had been started once.
    pub(super) fn hasten(&mut self, timer: ParticipantTimer, longest: Duration) {
        self.pull(timer, || longest.mul_f64(rand::random()));
    }

    /// The same within its first wait.
    pub(super) fn renew(&mut self, timer: ParticipantTimer) {
        let first = wait(&self.config, timer, 0, 0);
        self.pull(timer, || {
            first.mul_f64(1.0 + JITTER * rand::random::<f64>())
        });
    }

    fn pull(&mut self, timer: ParticipantTimer, wait: impl Fn() -> Duration) {
        for (_, entry) in self.entries.iter_mut().filter(|(of, _)| of.1 == timer) {
            entry.starts = 1;
            let Some(key) = &entry.key else {
                continue;
            };
            let at = Instant::now() + wait();
            if at < self.queue.deadline(key) {
                self.queue.reset_at(key, at);
            }
        }
    }

    /// Stops those of `timers` that run for `txn`.
    pub(super) fn stop(&mut self, txn: TxnId, timers: &[ParticipantTimer]) {
        for &timer in timers {
            if let Some(Entry { key: Some(key), .. }) = self.entries.remove(&(txn, timer)) {
                self.queue.remove(&key);
            }
        }
    }

    /// The next timer that has expired.
    pub(super) fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<(TxnId, ParticipantTimer)> {
        match self.queue.poll_expired(cx) {
            Poll::Ready(Some(expired)) => {
                let expired = expired.into_inner();
                if let Some(entry) = self.entries.get_mut(&expired) {
                    entry.key = None;
                }
                Poll::Ready(expired)
            }
            // Empty: whoever starts a timer polls again.
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}

/// The first repetition waits as long as the first time, so that a branch asks its peers soon after
/// no coordinator has answered; later ones wait twice as long each.
fn wait(config: &Timers, timer: ParticipantTimer, rank: u32, starts: u32) -> Duration {
    let first = match timer {
        ParticipantTimer::Work => config.work,
        ParticipantTimer::Inquire => config.inquire,
        ParticipantTimer::Fence => config.fence + config.fence_rank * rank,
        ParticipantTimer::Finish => config.finish,
    };
    let doublings = starts.saturating_sub(1).min(DOUBLINGS_MAX);
    first
        .saturating_mul(1 << doublings)
        .min(config.repeat_max.max(first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ParticipantTimer::{Fence, Inquire};

    #[test]
    fn waits_grow_up_to_the_longest_and_by_rank() {
        let config = Timers {
            repeat_max: Duration::from_secs(30),
            ..Timers::default()
        };
        let seconds = |timer, rank, starts| wait(&config, timer, rank, starts).as_secs();
        assert_eq!(
            [0, 1, 2, 3, 9].map(|starts| seconds(Inquire, 0, starts)),
            [2, 2, 4, 8, 30]
        );
        assert_eq!([0, 1, 2].map(|rank| seconds(Fence, rank, 0)), [5, 6, 7]);
        // A rank beyond the longest wait still counts.
        assert_eq!(seconds(Fence, 60, 5), 65);
    }

    #[tokio::test]
    async fn a_stopped_timer_does_not_expire() {
        let inquire = Duration::from_millis(1);
        let mut timers = TimerQueue::new(Timers {
            inquire,
            ..Timers::default()
        });
        let [one, two] = [1, 2].map(TxnId::from_u128);
        timers.start(one, Inquire, 0);
        timers.start(two, Inquire, 0);
        timers.start(two, Inquire, 0);
        timers.stop(one, &[Inquire, Fence]);
        let expired = std::future::poll_fn(|cx| timers.poll_expired(cx)).await;
        assert_eq!(expired, (two, Inquire));
        assert!(timers.queue.is_empty());
    }

    #[tokio::test]
    async fn what_has_backed_off_is_pulled_forward_and_starts_over() {
        let hour = Duration::from_secs(3600);
        let config = Timers {
            inquire: hour,
            fence: hour,
            repeat_max: 100 * hour,
            ..Timers::default()
        };
        let mut timers = TimerQueue::new(config);
        let txn = TxnId::from_u128(1);
        for timer in [Inquire, Inquire, Inquire, Fence] {
            timers.start(txn, timer, 0);
        }
        let deadline = |timers: &TimerQueue| {
            let key = timers.entries[&(txn, Inquire)].key.as_ref().unwrap();
            timers.queue.deadline(key)
        };
        let late = deadline(&timers);
        timers.renew(Inquire);
        let renewed = deadline(&timers);
        assert!(renewed < late);
        assert_eq!(timers.entries[&(txn, Inquire)].starts, 1);
        // What is due sooner stays.
        timers.hasten(Inquire, 100 * hour);
        assert!(deadline(&timers) <= renewed);
        timers.hasten(Inquire, Duration::from_millis(1));
        let expired = std::future::poll_fn(|cx| timers.poll_expired(cx)).await;
        assert_eq!(expired, (txn, Inquire));
    }
}
