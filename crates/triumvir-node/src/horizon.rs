//! The clock that moves the horizon: the median of the replicas' clocks, so that no single wrong
//! clock moves it. It only ever proposes; what may be forgotten is for the log to say.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use triumvir_replication::Replica;

use crate::owner::Input;
use crate::shared::Shared;
use crate::{bootstrap, clock};

/// How often the clocks are asked for.
const ASK_EVERY: Duration = Duration::from_secs(2);

/// Asks for the clocks while this replica leads. Ends with the owner.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut ticks = interval(ASK_EVERY.min(shared.config.retention));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if shared.view.borrow().leading.is_none() {
            continue;
        }
        if let Some(median_millis) = median(&shared).await
            && shared
                .inbox
                .send(Input::Clock { median_millis })
                .await
                .is_err()
        {
            return;
        }
    }
}

/// The median of the voters' clocks, in milliseconds since the Unix epoch; none unless a majority
/// answers.
async fn median(shared: &Shared) -> Option<u64> {
    let voters = shared.replica.get().map(Replica::members)?.voters;
    let ask = |node: u64, address: String| async move {
        match node == shared.config.node {
            true => Some(clock::millis()),
            false => bootstrap::identify(shared, &address)
                .await
                .map(|a| a.clock_millis),
        }
    };
    let count = voters.len();
    let asked = voters
        .into_iter()
        .map(|(node, member)| ask(node, member.address));
    let readings = futures::future::join_all(asked)
        .await
        .into_iter()
        .flatten()
        .collect();
    median_of(readings, count)
}

/// The median, the lower one of two; none unless more than half of `count` are there.
fn median_of(mut readings: Vec<u64>, count: usize) -> Option<u64> {
    if readings.len() * 2 <= count {
        return None;
    }
    readings.sort_unstable();
    readings.get((readings.len() - 1) / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wrong_clock_moves_nothing() {
        assert_eq!(median_of(vec![u64::MAX, 10, 11], 3), Some(11));
        assert_eq!(median_of(vec![0, 10, 11], 3), Some(10));
        assert_eq!(median_of(vec![10, u64::MAX], 3), Some(10));
        assert_eq!(median_of(vec![10], 3), None);
        assert_eq!(median_of(vec![10], 1), Some(10));
    }
}
