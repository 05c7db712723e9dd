//! How long commits stop when the leader is lost: it is killed with SIGKILL under load, again and
//! again, and started anew each time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;
use tokio::time::timeout;
use triumvir_testkit::{Cluster, Who};

use super::Args;
use super::load::{Load, Work};
use super::moments::Moments;
use super::target::Target;
use crate::output::Output;
use crate::silence;
use crate::view::{duration, fraction};

/// So many commits are acknowledged before each kill and after it.
const COMMITS_BETWEEN: usize = 200;
/// Commits that have not gone on by then will not.
const DEADLINE: Duration = Duration::from_secs(60);

/// All kills of one benchmark. Times are in milliseconds.
#[derive(Debug, Serialize)]
pub(super) struct Failovers {
    /// `three-phase` or `two-phase`.
    pub(super) protocol: &'static str,
    /// Their names.
    pub(super) participants: Vec<String>,
    /// Transactions under way at any time.
    pub(super) clients: u32,
    /// In the order in which they were done.
    pub(super) kills: Vec<Kill>,
    /// Over all kills.
    pub(super) commits_stopped_millis: Spread,
    /// Transactions acknowledged as committed, from the first to the last.
    pub(super) committed: u64,
    /// Work that ended as aborted, by cause.
    pub(super) aborts: BTreeMap<String, u64>,
    /// Work that ended with an error, by code.
    pub(super) errors: BTreeMap<String, u64>,
}

/// One leader killed.
#[derive(Debug, Serialize)]
pub(super) struct Kill {
    /// The replica that led.
    pub(super) replica: u64,
    /// The longest time after the kill in which no commit was acknowledged.
    pub(super) commits_stopped_millis: f64,
    /// From the kill to the commit that ended that time.
    pub(super) commits_resumed_after_millis: f64,
}

/// Of several times.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub(super) struct Spread {
    /// The shortest.
    pub(super) min: f64,
    /// Half of them are no longer.
    pub(super) median: f64,
    /// The longest.
    pub(super) max: f64,
}

impl Spread {
    /// Of `times`, of which there is one at least.
    fn of(mut times: Vec<f64>) -> Self {
        times.sort_by(f64::total_cmp);
        let count = times.len();
        Self {
            min: times[0],
            median: f64::midpoint(times[(count - 1) / 2], times[count / 2]),
            max: times[count - 1],
        }
    }
}

/// Kills the leader of `cluster` `kills` times while `clients` work.
///
/// # Errors
///
/// A process ended that was left alone, or commits did not go on.
pub(super) async fn measure(
    args: &Args,
    kills: u32,
    target: &mut Target,
    work: &Arc<Work>,
    output: &Output,
) -> anyhow::Result<Failovers> {
    let clients = args.clients[0];
    let cluster = target.cluster.as_mut();
    let cluster = cluster.context("only a cluster that was started here may be killed")?;
    let moments = Arc::new(Moments::new());
    let load = Load::start(&target.client, work, clients, Some(&moments));
    load.measure();
    let mut killed = Vec::new();
    for number in 1..=kills {
        let (replica, moment) = kill(cluster, &moments).await?;
        let until = moments.elapsed();
        killed.push((replica, moment, until));
        let stopped = silence::longest(&moments.all(), moment, until);
        let stopped = stopped.context("no commit followed")?;
        let lasted = duration(stopped.lasts);
        output.note(format!(
            "{number} of {kills}: replica {replica} led; {lasted} without a commit"
        ));
    }
    load.stop();
    let tally = load.finish().await;
    let acknowledged = moments.all();
    let kills = killed.into_iter().map(|(replica, moment, until)| {
        let stopped = silence::longest(&acknowledged, moment, until);
        let stopped = stopped.context("no commit followed")?;
        Ok(Kill {
            replica,
            commits_stopped_millis: millis(stopped.lasts),
            commits_resumed_after_millis: millis(stopped.begins + stopped.lasts),
        })
    });
    let kills: Vec<_> = kills.collect::<anyhow::Result<_>>()?;
    let times = kills.iter().map(|kill| kill.commits_stopped_millis);
    Ok(Failovers {
        protocol: args.protocol.name(),
        participants: target.participants.clone(),
        clients,
        commits_stopped_millis: Spread::of(times.collect()),
        kills,
        committed: tally.committed(),
        aborts: tally.aborts,
        errors: tally.errors,
    })
}

fn millis(time: Duration) -> f64 {
    fraction(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
}

/// Kills the leader of a cluster that is whole and commits, and starts it again when the others
/// commit. Which replica it was, and when it was killed.
async fn kill(cluster: &mut Cluster, moments: &Moments) -> anyhow::Result<(u64, Duration)> {
    let commits = async || {
        let commits = timeout(DEADLINE, moments.more(COMMITS_BETWEEN)).await;
        commits.with_context(|| format!("no {COMMITS_BETWEEN} commits in {DEADLINE:?}"))
    };
    cluster.wait_ready().await?;
    commits().await?;
    let replica = cluster.wait_leader().await?;
    let moment = moments.elapsed();
    cluster.kill(&Who::Replica(replica)).await?;
    cluster.wait_leader().await?;
    commits().await?;
    cluster.restart(&Who::Replica(replica))?;
    Ok((replica, moment))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_two() {
        let spread = |times: &[f64]| {
            let Spread { min, median, max } = Spread::of(times.to_vec());
            (min, median, max)
        };
        assert_eq!(spread(&[4.0]), (4.0, 4.0, 4.0));
        assert_eq!(spread(&[9.0, 1.0, 5.0]), (1.0, 5.0, 9.0));
        assert_eq!(spread(&[9.0, 1.0, 5.0, 6.0]), (1.0, 5.5, 9.0));
    }
}
