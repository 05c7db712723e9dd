//! The report of a benchmark: one row for each number of clients, with stable names for programs.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::reading::Difference;
use super::tally::Tally;

/// The whole benchmark.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// `three-phase` or `two-phase`.
    pub(super) protocol: &'static str,
    /// Their names.
    pub(super) participants: Vec<String>,
    /// Bytes that a transaction puts at each participant.
    pub(super) payload_bytes: usize,
    /// Keys are drawn uniformly from so many.
    pub(super) keys: u64,
    /// Of the generators that draw them.
    pub(super) seed: u64,
    /// Whether the cluster was started for this, on this machine.
    pub(super) local: bool,
    /// Whether its folders were in memory, where forcing a write costs nothing.
    pub(super) in_memory: bool,
    /// One for each number of clients, in the order asked for.
    pub(super) rounds: Vec<Round>,
}

/// One number of clients. Times are in milliseconds unless the name says otherwise.
#[derive(Debug, Serialize)]
pub(super) struct Round {
    /// Transactions under way at any time.
    pub(super) clients: u32,
    /// How long was measured.
    pub(super) measured_millis: f64,
    /// Transactions acknowledged as committed.
    pub(super) committed: u64,
    /// The same per second.
    pub(super) commits_per_second: f64,
    /// From the first attempt to the acknowledgement, at the client.
    pub(super) latency_millis: Quantiles,
    /// At the leader: `prepare` until all votes are there, `record` until the record is applied,
    /// `ack` until the first acknowledgement, `total`.
    pub(super) phase_millis: BTreeMap<&'static str, Phase>,
    /// Over all processes, the client of this benchmark included; null where the others' is not known.
    pub(super) cpu_seconds_per_1000_commits: Option<f64>,
    /// By process, processor seconds in the measured time.
    pub(super) cpu_seconds: BTreeMap<String, f64>,
    /// Forced writes, summed over the `replicas` and over the `participants`, where they tell them.
    pub(super) fsyncs_per_commit: BTreeMap<&'static str, f64>,
    /// Growth of the Raft log.
    pub(super) raft_entries_per_commit: Option<f64>,
    /// Records in one proposed batch, on average.
    pub(super) records_per_batch: Option<f64>,
    /// Attempts that a conflict aborted and that were tried anew.
    pub(super) conflicts: u64,
    /// Work that ended as aborted, by cause.
    pub(super) aborts: BTreeMap<String, u64>,
    /// Work that ended with an error, by code.
    pub(super) errors: BTreeMap<String, u64>,
}

/// A distribution; absent values mean that nothing was observed, or that it is not told.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub(super) struct Quantiles {
    pub(super) mean: Option<f64>,
    pub(super) p50: Option<f64>,
    pub(super) p95: Option<f64>,
    pub(super) p99: Option<f64>,
    pub(super) max: Option<f64>,
}

/// A distribution from a histogram with fixed bounds: coarse, but for the mean. Absent values mean
/// that nothing was observed.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub(super) struct Phase {
    pub(super) mean: Option<f64>,
    pub(super) p50: Option<f64>,
    pub(super) p95: Option<f64>,
    pub(super) p99: Option<f64>,
    /// The least bound that none exceeds; null if one exceeds them all.
    pub(super) max_at_most: Option<f64>,
}

fn rounded(number: f64) -> f64 {
    (number * 1e4).round() / 1e4
}

impl Quantiles {
    fn of_micros(latency: &Histogram<u64>) -> Self {
        if latency.is_empty() {
            return Self::default();
        }
        let at = |micros: f64| Some(rounded(micros / 1e3));
        let quantile = |share| at(latency.value_at_quantile(share) as f64);
        Self {
            mean: at(latency.mean()),
            p50: quantile(0.5),
            p95: quantile(0.95),
            p99: quantile(0.99),
            max: at(latency.max() as f64),
        }
    }
}

impl Phase {
    fn of_seconds(phase: &triumvir_testkit::Histogram) -> Self {
        let millis = |seconds: f64| rounded(seconds * 1e3);
        let quantile = |share| phase.quantile(share).map(millis);
        let mut bounds = phase.buckets.iter();
        let highest = bounds.find(|(_, count)| phase.count > 0.0 && *count >= phase.count);
        let finite = highest.filter(|(bound, _)| bound.is_finite());
        Self {
            mean: phase.mean().map(millis),
            p50: quantile(0.5),
            p95: quantile(0.95),
            p99: quantile(0.99),
            max_at_most: finite.map(|(bound, _)| millis(*bound)),
        }
    }
}

impl Round {
    /// The row of what was counted and read while `clients` were at work for `measured`. `local`: the
    /// processor time of every process is in it.
    pub(super) fn new(
        clients: u32,
        measured: Duration,
        local: bool,
        tally: Tally,
        difference: Difference,
    ) -> Self {
        let committed = tally.committed();
        let per_commit = |number: f64| (committed > 0).then(|| rounded(number / committed as f64));
        let Difference {
            usage,
            phases,
            fsyncs,
            entries,
            records_per_batch,
        } = difference;
        let cpu: f64 = usage.values().map(Duration::as_secs_f64).sum();
        let phases = phases
            .iter()
            .map(|(name, phase)| (*name, Phase::of_seconds(phase)));
        let fsyncs = fsyncs
            .into_iter()
            .filter_map(|(kind, count)| Some((kind, per_commit(count)?)));
        let usage = usage
            .into_iter()
            .map(|(name, time)| (name, rounded(time.as_secs_f64())));
        Self {
            clients,
            measured_millis: rounded(measured.as_secs_f64() * 1e3),
            committed,
            commits_per_second: rounded(committed as f64 / measured.as_secs_f64()),
            latency_millis: Quantiles::of_micros(&tally.latency),
            phase_millis: phases.collect(),
            cpu_seconds_per_1000_commits: per_commit(cpu * 1e3).filter(|_| local),
            cpu_seconds: usage.collect(),
            fsyncs_per_commit: fsyncs.collect(),
            raft_entries_per_commit: per_commit(entries as f64),
            records_per_batch: records_per_batch.map(rounded),
            conflicts: tally.conflicts,
            aborts: tally.aborts,
            errors: tally.errors,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn difference() -> Difference {
        Difference {
            usage: BTreeMap::from([
                ("replica 1".to_owned(), Duration::from_millis(30)),
                ("bench client".to_owned(), Duration::from_millis(10)),
            ]),
            phases: BTreeMap::new(),
            fsyncs: BTreeMap::from([("replicas", 6.0)]),
            entries: 1,
            records_per_batch: None,
        }
    }

    #[test]
    fn costs_are_told_per_commit() {
        let mut tally = Tally::new();
        tally.commit(Duration::from_millis(2), 1);
        tally.commit(Duration::from_millis(4), 1);
        let half = Duration::from_millis(500);
        let round = Round::new(8, half, true, tally.clone(), difference());
        assert_eq!((round.committed, round.commits_per_second), (2, 4.0));
        assert_eq!(round.cpu_seconds_per_1000_commits, Some(20.0));
        assert_eq!(round.fsyncs_per_commit["replicas"], 3.0);
        assert_eq!(round.raft_entries_per_commit, Some(0.5));
        assert_eq!(round.latency_millis.p50, Some(2.0));
        let elsewhere = Round::new(8, half, false, tally, difference());
        assert_eq!(elsewhere.cpu_seconds_per_1000_commits, None);
        assert_eq!(elsewhere.cpu_seconds, round.cpu_seconds);
    }

    #[test]
    fn of_a_maximum_the_buckets_tell_the_bound() {
        let buckets = |last| vec![(0.02, 1.0), (0.05, last), (0.1, last), (f64::INFINITY, 3.0)];
        let phase = |last| {
            Phase::of_seconds(&triumvir_testkit::Histogram {
                buckets: buckets(last),
                sum: 0.09,
                count: 3.0,
            })
        };
        assert_eq!(phase(3.0).max_at_most, Some(50.0));
        assert_eq!(
            (phase(3.0).mean, phase(2.0).max_at_most),
            (Some(30.0), None)
        );
        assert_eq!(Phase::of_seconds(&Default::default()), Phase::default());
    }

    #[test]
    fn without_commits_there_is_nothing_per_commit() {
        let round = Round::new(8, Duration::from_secs(1), true, Tally::new(), difference());
        assert_eq!(round.commits_per_second, 0.0);
        assert!(round.fsyncs_per_commit.is_empty());
        assert_eq!(round.cpu_seconds_per_1000_commits, None);
        assert_eq!(round.latency_millis, Quantiles::default());
    }
}
