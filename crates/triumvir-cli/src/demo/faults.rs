//! What the demo does to its cluster while orders are on their way: SIGKILL to the leader, then to a
//! participant, and both started again.

use std::time::Duration;

use serde::Serialize;
use triumvir_testkit::{Cluster, ClusterError, Who};

use super::books::Store;
use super::meter::Meter;
use super::progress::Progress;
use crate::silence;
use crate::view::duration;

/// The participant that is killed: every order needs its locks.
const VICTIM: Store = Store::Inventory;

/// One process killed and started again. Times count from the beginning of the replay.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    /// Which process, for a person.
    pub(super) who: String,
    /// How many orders were over.
    pub(super) settled: u64,
    /// How many were on their way.
    pub(super) in_flight: u64,
    /// When SIGKILL was sent.
    pub(super) killed: Duration,
    /// When its successor was started.
    pub(super) restarted: Duration,
}

/// What a fault meant for the clients.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct Outage {
    /// Which process was killed.
    pub(super) killed: String,
    /// Orders over at that moment.
    pub(super) after_orders: u64,
    /// Orders on their way at that moment.
    pub(super) orders_in_flight: u64,
    /// From the kill to the start of its successor, in milliseconds.
    pub(super) restarted_after_millis: f64,
    /// The longest time after the kill in which no commit was acknowledged, in milliseconds; none if
    /// no commit followed.
    pub(super) commits_stopped_millis: Option<f64>,
    /// From the kill to the commit that ended that time, in milliseconds.
    pub(super) commits_resumed_after_millis: Option<f64>,
}

pub(super) fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// Kills the leader after a third of the orders and a participant after two thirds, and starts each
/// again: the replica when the others have a leader, the participant at once.
///
/// # Errors
///
/// A process that was left alone ended, or one could not be started again.
pub(super) async fn torment(
    cluster: &mut Cluster,
    meter: &Meter,
    total: u64,
    progress: &Progress<'_>,
) -> Result<Vec<Fault>, ClusterError> {
    let mut settled = meter.watch_settled();
    // The sender lives as long as the meter.
    let _ = settled.wait_for(|settled| *settled >= total / 3).await;
    let leader = Who::Replica(cluster.wait_leader().await?);
    let mut first = kill(cluster, &leader, "the leader, ", meter, progress).await?;
    let is_next = |settled: &u64| *settled >= total * 2 / 3;
    let next = tokio::select! {
        next = cluster.wait_leader() => format!("replica {}", next?),
        // Commits that go on have a leader too.
        _ = settled.wait_for(is_next) => "another replica".to_owned(),
    };
    cluster.restart(&leader)?;
    first.restarted = meter.elapsed();
    let after = duration(first.restarted - first.killed);
    progress.say(&format!(
        "{next} leads; {leader} started again after {after}"
    ));

    let _ = settled.wait_for(is_next).await;
    let victim = Who::participant(VICTIM.name());
    let mut second = kill(cluster, &victim, "", meter, progress).await?;
    cluster.restart(&victim)?;
    second.restarted = meter.elapsed();
    let after = duration(second.restarted - second.killed);
    progress.say(&format!("{victim} started again after {after}"));
    Ok(vec![first, second])
}

async fn kill(
    cluster: &mut Cluster,
    who: &Who,
    role: &str,
    meter: &Meter,
    progress: &Progress<'_>,
) -> Result<Fault, ClusterError> {
    let (settled, in_flight) = (*meter.watch_settled().borrow(), meter.in_flight());
    let killed = meter.elapsed();
    cluster.kill(who).await?;
    let who = format!("{role}{who}");
    progress.say(&format!(
        "SIGKILL to {who} after {settled} orders, {in_flight} on their way"
    ));
    Ok(Fault {
        who,
        settled,
        in_flight,
        killed,
        restarted: killed,
    })
}

/// What each fault meant, by the moments of all acknowledgements.
pub(super) fn outages(faults: &[Fault], acknowledged: &[Duration]) -> Vec<Outage> {
    let ends = faults
        .iter()
        .skip(1)
        .map(|next| next.killed)
        .chain([Duration::MAX]);
    let outage = |(fault, until): (&Fault, Duration)| {
        let silence = silence::longest(acknowledged, fault.killed, until);
        Outage {
            killed: fault.who.clone(),
            after_orders: fault.settled,
            orders_in_flight: fault.in_flight,
            restarted_after_millis: millis(fault.restarted - fault.killed),
            commits_stopped_millis: silence.map(|silence| millis(silence.lasts)),
            commits_resumed_after_millis: silence
                .map(|silence| millis(silence.begins + silence.lasts)),
        }
    };
    faults.iter().zip(ends).map(outage).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_answers_for_the_time_until_the_next() {
        let fault = |killed| Fault {
            who: "x".to_owned(),
            settled: 1,
            in_flight: 2,
            killed: Duration::from_millis(killed),
            restarted: Duration::from_millis(killed + 30),
        };
        let moments = [5, 900, 1_000, 1_500].map(Duration::from_millis);
        let outages = outages(&[fault(10), fault(1_000)], &moments);
        assert_eq!(outages[0].commits_stopped_millis, Some(890.0));
        assert_eq!(outages[0].restarted_after_millis, 30.0);
        assert_eq!(outages[1].commits_stopped_millis, Some(500.0));
        assert_eq!(outages[1].commits_resumed_after_millis, Some(500.0));
    }
}
