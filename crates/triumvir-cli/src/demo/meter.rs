//! What the clients measure while they replay: counts, latencies, and the moment of every
//! acknowledgement. Shared by all of them; each note takes a lock for some nanoseconds.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::sync::watch;

/// The highest latency that is told apart, in microseconds; longer ones count as this.
const LATENCY_MICROS_MAX: u64 = 600_000_000;

/// How often something happened besides the outcome of an order.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, serde::Serialize)]
pub(super) struct Detours {
    /// Aborted since an older transaction held a lock, and tried anew with its age.
    pub(super) conflicts: u64,
    /// Aborted for another reason that allows another try, such as a participant that was down.
    pub(super) aborts: u64,
    /// The outcome stayed unknown for the whole of a call, in which the client library repeats by
    /// itself: the same id and content were sent once more.
    pub(super) repeats: u64,
}

#[derive(Debug)]
struct State {
    /// In microseconds, from the first attempt to the acknowledgement.
    latency: Histogram<u64>,
    /// The same since the last [`Meter::take_window`].
    window: Histogram<u64>,
    window_began: Instant,
    acknowledged: Vec<Duration>,
    detours: Detours,
    began: u64,
}

/// The shared measurements of one replay.
#[derive(Debug)]
pub(super) struct Meter {
    began: Instant,
    state: Mutex<State>,
    settled: watch::Sender<u64>,
}

/// What happened between two looks.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Window {
    /// Acknowledged orders per second.
    pub(super) rate: f64,
    /// Median latency, if anything was acknowledged.
    pub(super) p50: Option<Duration>,
    /// 99th percentile.
    pub(super) p99: Option<Duration>,
}

fn empty() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_MICROS_MAX, 3).expect("the bounds are constants")
}

/// The value at `quantile` of a histogram of microseconds, if it has any.
pub(super) fn quantile(latency: &Histogram<u64>, quantile: f64) -> Option<Duration> {
    let micros = latency.value_at_quantile(quantile);
    (!latency.is_empty()).then(|| Duration::from_micros(micros))
}

impl Meter {
    /// Begins now.
    pub(super) fn new() -> Self {
        let began = Instant::now();
        let state = State {
            latency: empty(),
            window: empty(),
            window_began: began,
            acknowledged: Vec::new(),
            detours: Detours::default(),
            began: 0,
        };
        Self {
            began,
            state: Mutex::new(state),
            settled: watch::Sender::new(0),
        }
    }

    /// The time since the beginning.
    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// An order is asked for the first time.
    pub(super) fn began(&self) {
        self.state().began += 1;
    }

    /// Orders that began and are not over.
    pub(super) fn in_flight(&self) -> u64 {
        self.state().began.saturating_sub(*self.settled.borrow())
    }

    /// An order was acknowledged `latency` after its first attempt.
    pub(super) fn acknowledged(&self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        let mut state = self.state();
        state.latency.saturating_record(micros);
        state.window.saturating_record(micros);
        // Read under the lock, so that the moments rise.
        let moment = self.began.elapsed();
        state.acknowledged.push(moment);
    }

    /// An order is over, whatever became of it.
    pub(super) fn settled(&self) {
        self.settled.send_modify(|count| *count += 1);
    }

    /// Counts detours.
    pub(super) fn detour(&self, count: impl FnOnce(&mut Detours)) {
        count(&mut self.state().detours);
    }

    /// How many orders are over, and every change of that.
    pub(super) fn watch_settled(&self) -> watch::Receiver<u64> {
        self.settled.subscribe()
    }

    /// What happened since the last call.
    pub(super) fn take_window(&self) -> Window {
        let mut state = self.state();
        let seconds = state.window_began.elapsed().as_secs_f64().max(f64::EPSILON);
        let window = Window {
            rate: state.window.len() as f64 / seconds,
            p50: quantile(&state.window, 0.5),
            p99: quantile(&state.window, 0.99),
        };
        state.window.reset();
        state.window_began = Instant::now();
        window
    }

    /// All latencies, in microseconds.
    pub(super) fn latency(&self) -> Histogram<u64> {
        self.state().latency.clone()
    }

    /// When each acknowledgement came, rising, since the beginning.
    pub(super) fn moments(&self) -> Vec<Duration> {
        self.state().acknowledged.clone()
    }

    /// Every detour so far.
    pub(super) fn detours(&self) -> Detours {
        self.state().detours
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is a single step: a panic elsewhere leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_holds_what_came_since_the_last_one() {
        let meter = Meter::new();
        meter.acknowledged(Duration::from_millis(2));
        meter.acknowledged(Duration::from_millis(4));
        let window = meter.take_window();
        assert_eq!(window.p50.unwrap().as_millis(), 2);
        assert!(window.rate > 0.0);
        assert_eq!(meter.take_window().p50, None);
        assert_eq!(meter.latency().len(), 2);
        assert!(meter.moments().is_sorted());
    }

    #[test]
    fn the_number_of_settled_orders_can_be_watched() {
        let meter = Meter::new();
        let settled = meter.watch_settled();
        meter.began();
        meter.began();
        meter.settled();
        assert_eq!(meter.in_flight(), 1);
        meter.detour(|detours| detours.repeats += 1);
        assert_eq!(*settled.borrow(), 1);
        assert_eq!(
            meter.detours(),
            Detours {
                repeats: 1,
                ..Detours::default()
            }
        );
    }

    #[test]
    fn endless_latencies_are_counted_at_the_bound() {
        let meter = Meter::new();
        meter.acknowledged(Duration::from_secs(100_000));
        assert_eq!(meter.latency().len(), 1);
    }
}
