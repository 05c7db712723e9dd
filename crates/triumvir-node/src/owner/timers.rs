//! The conductor's timers: one wheel for all transactions. How long anything waits is decided here;
//! what follows from it is the conductor's.

use std::collections::HashMap;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use foldhash::quality::RandomState;
use tokio_util::time::DelayQueue;
use tokio_util::time::delay_queue::Key;
use triumvir_protocol::{ConductorTimer, TxnId};

use crate::Config;

/// The timers of one leadership.
#[derive(Debug)]
pub(super) struct Timers {
    queue: DelayQueue<(TxnId, ConductorTimer)>,
    votes: HashMap<TxnId, Key, RandomState>,
    resends: HashMap<TxnId, Resend, RandomState>,
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
            votes: HashMap::default(),
            resends: HashMap::default(),
            vote: config.vote_timeout,
            resend: config.resend,
            resend_max: config.resend_max.max(config.resend),
        }
    }

    /// Starts what the conductor asks for. A resend timer that runs already is set back: the
    /// transaction has moved on.
    pub(super) fn arm(&mut self, txn: TxnId, timer: ConductorTimer) {
        if timer == ConductorTimer::Vote {
            self.cancel_vote(txn);
            let key = self.queue.insert((txn, timer), self.vote);
            self.votes.insert(txn, key);
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
        match expired {
            (txn, ConductorTimer::Vote) => drop(self.votes.remove(&txn)),
            (txn, ConductorTimer::Resend) => {
                if let Some(armed) = self.resends.get_mut(&txn) {
                    armed.key = None;
                    armed.count += 1;
                }
            }
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

    /// No vote of `txn` is waited for any more.
    pub(super) fn cancel_vote(&mut self, txn: TxnId) {
        if let Some(key) = self.votes.remove(&txn) {
            self.queue.remove(&key);
        }
    }

    /// `txn` is no longer under way.
    pub(super) fn cancel(&mut self, txn: TxnId) {
        self.cancel_vote(txn);
        if let Some(key) = self.resends.remove(&txn).and_then(|armed| armed.key) {
            self.queue.remove(&key);
        }
    }
}

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

    #[tokio::test(start_paused = true)]
    async fn what_is_over_leaves_no_timer() {
        let mut timers = Timers::new(&Config::default());
        let [over, other] = [7, 8].map(TxnId::from_u128);
        for txn in [over, over, other] {
            timers.arm(txn, ConductorTimer::Vote);
            timers.arm(txn, ConductorTimer::Resend);
        }
        assert_eq!(timers.queue.len(), 4, "one of each");
        timers.cancel_vote(over);
        assert_eq!(timers.queue.len(), 3);
        timers.cancel(over);
        assert_eq!((timers.queue.len(), timers.resends.len()), (2, 1));
        assert_eq!(timers.next().await, (other, ConductorTimer::Resend));
        timers.settle(other);
        assert_eq!(timers.next().await, (other, ConductorTimer::Vote));
        timers.cancel(other);
        assert!(timers.votes.is_empty() && timers.queue.is_empty());
    }
}
