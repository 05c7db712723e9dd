//! The conductor's timers: one wheel for all transactions. How long anything waits is decided here;
//! what follows from it is the conductor's.

use std::collections::HashMap;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use tokio_util::time::DelayQueue;
use tokio_util::time::delay_queue::Key;
use triumvir_protocol::{ConductorTimer, TxnId};

use crate::Config;

/// The timers of one leadership.
#[derive(Debug)]
pub(super) struct Timers {
    queue: DelayQueue<(TxnId, ConductorTimer)>,
    resends: HashMap<TxnId, Resend>,
    vote: Duration,
    resend: Duration,
    resend_max: Duration,
}

/// One transaction's resend timer, of which there is one at most.
#[derive(Debug, Default)]
struct Resend {
    key: Option<Key>,
    /// How often it came back since the transaction last moved on.
    count: u32,
}

impl Timers {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            queue: DelayQueue::new(),
            resends: HashMap::new(),
            vote: config.vote_timeout,
            resend: config.resend,
            resend_max: config.resend_max.max(config.resend),
        }
    }

    /// Starts what the conductor asks for. A resend timer that runs already is set back: the
    /// transaction has moved on.
    pub(super) fn arm(&mut self, txn: TxnId, timer: ConductorTimer) {
        if timer == ConductorTimer::Vote {
            self.queue.insert((txn, timer), self.vote);
            return;
        }
        let armed = self.resends.entry(txn).or_default();
        match armed.key {
            Some(key) => {
                armed.count = 0;
                self.queue.reset(&key, jittered(self.resend));
            }
            None => {
                let factor = 1_u32 << armed.count.min(16);
                let wait = self.resend.saturating_mul(factor).min(self.resend_max);
                armed.key = Some(self.queue.insert((txn, timer), jittered(wait)));
            }
        }
    }

    /// The next timer that is over.
    pub(super) async fn next(&mut self) -> (TxnId, ConductorTimer) {
        let expired = poll_fn(|context| match self.queue.poll_expired(context) {
            Poll::Ready(Some(expired)) => Poll::Ready(expired.into_inner()),
            // Nothing is armed: whoever arms a timer polls again.
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        })
        .await;
        if let (txn, ConductorTimer::Resend) = expired
            && let Some(armed) = self.resends.get_mut(&txn)
        {
            armed.key = None;
            armed.count += 1;
        }
        expired
    }

    /// To be called when the conductor has dealt with a resend timer: one that it did not set again
    /// is forgotten.
    pub(super) fn settle(&mut self, txn: TxnId) {
        if self
            .resends
            .get(&txn)
            .is_some_and(|armed| armed.key.is_none())
        {
            self.resends.remove(&txn);
        }
    }

    /// Someone has come back: what it may have missed is said again soon.
    pub(super) fn hurry(&mut self) {
        for armed in self.resends.values_mut() {
            armed.count = 0;
            if let Some(key) = &armed.key {
                self.queue.reset(key, jittered(self.resend / HURRY));
            }
        }
    }
}

/// By how much sooner than usual things are said again to one that has come back.
const HURRY: u32 = 25;

/// Between 80 and 120 percent of `wait`, so that what was lost together is not said again together.
fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(0.8 + 0.4 * rand::random::<f64>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_transaction_has_one_resend_timer_that_backs_off_until_it_moves_on() {
        let config = Config::default();
        let mut timers = Timers::new(&config);
        let txn = TxnId::from_u128(7);
        timers.arm(txn, ConductorTimer::Resend);
        timers.arm(txn, ConductorTimer::Resend);
        assert_eq!(timers.queue.len(), 1);
        for count in 1..=5 {
            assert_eq!(timers.next().await, (txn, ConductorTimer::Resend));
            timers.arm(txn, ConductorTimer::Resend);
            timers.settle(txn);
            assert_eq!(timers.resends[&txn].count, count);
        }
        timers.arm(txn, ConductorTimer::Resend);
        assert_eq!(timers.resends[&txn].count, 0);
        assert_eq!(timers.next().await, (txn, ConductorTimer::Resend));
        timers.settle(txn);
        assert!(timers.resends.is_empty() && timers.queue.is_empty());
    }
}
