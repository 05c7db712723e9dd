//! What replicas and processes say about themselves at one moment, and the difference of two moments.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use triumvir_client::Client;
use triumvir_testkit::{Cluster, Histogram, Metrics, Usage};

/// Names of the replicas' metrics.
mod names {
    pub(super) const PHASE: &str = "triumvir_phase_seconds";
    pub(super) const FSYNC: &str = "triumvir_storage_fsync_seconds";
    pub(super) const BATCH: &str = "triumvir_batch_records";
    /// Only replicas have it.
    pub(super) const TERM: &str = "triumvir_raft_term";
}

/// The phases of a transaction at the leader, in their order.
pub(super) const PHASES: [&str; 4] = ["prepare", "record", "ack", "total"];

/// The kinds of processes that force writes.
pub(super) const REPLICAS: &str = "replicas";
/// See [`REPLICAS`].
pub(super) const PARTICIPANTS: &str = "participants";

/// One moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Reading {
    /// By process, where it can be read on this machine.
    usage: BTreeMap<String, Usage>,
    /// Over all replicas.
    phases: BTreeMap<&'static str, Histogram>,
    /// Forced writes by kind of process, of those that tell them.
    fsyncs: BTreeMap<&'static str, f64>,
    /// Records per proposed batch, over all replicas.
    batches: Histogram,
    /// The last entry of the leader's log.
    last_log: u64,
}

/// What lies between two moments.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Difference {
    /// Processor time by process.
    pub(super) usage: BTreeMap<String, Duration>,
    /// At the leader, in seconds.
    pub(super) phases: BTreeMap<&'static str, Histogram>,
    /// Forced writes by kind of process, of those that tell them.
    pub(super) fsyncs: BTreeMap<&'static str, f64>,
    /// Entries that the log grew by.
    pub(super) entries: u64,
    /// The average number of records in a proposed batch.
    pub(super) records_per_batch: Option<f64>,
}

impl Reading {
    /// Reads everything that can be read: processor time of the processes of `cluster` and of this
    /// one, metrics from `http`.
    ///
    /// # Errors
    ///
    /// A process of the cluster has gone, or no replica says that it leads.
    pub(super) async fn take(
        client: &Client,
        http: &[SocketAddr],
        cluster: Option<&Cluster>,
    ) -> anyhow::Result<Self> {
        let mut reading = Self {
            last_log: last_log(client).await?,
            ..Self::default()
        };
        for address in http {
            let response = triumvir_testkit::get(*address, "/metrics").await?;
            reading.add(&Metrics::parse(&response.body));
        }
        for (who, usage) in cluster
            .map(Cluster::usage)
            .transpose()?
            .into_iter()
            .flatten()
        {
            reading.usage.insert(who.to_string(), usage);
        }
        let own = Usage::of_self().context("reading this process's processor time")?;
        reading.usage.insert("bench client".to_owned(), own);
        Ok(reading)
    }

    fn add(&mut self, metrics: &Metrics) {
        for phase in PHASES {
            if let Some(histogram) = metrics.histogram(names::PHASE, &[("phase", phase)]) {
                let sum = self.phases.entry(phase).or_default();
                *sum = sum.plus(&histogram);
            }
        }
        if let Some(fsyncs) = metrics.histogram(names::FSYNC, &[]) {
            let is_replica = metrics.value(names::TERM, &[]).is_some();
            let kind = if is_replica { REPLICAS } else { PARTICIPANTS };
            *self.fsyncs.entry(kind).or_insert(0.0) += fsyncs.count;
        }
        if let Some(batches) = metrics.histogram(names::BATCH, &[]) {
            self.batches = self.batches.plus(&batches);
        }
    }

    /// What happened since `earlier`.
    pub(super) fn since(&self, earlier: &Self) -> Difference {
        let usage = self.usage.iter().map(|(name, usage)| {
            let before = earlier.usage.get(name).copied().unwrap_or_default();
            (name.clone(), (*usage - before).total())
        });
        let phases = self.phases.iter().map(|(phase, histogram)| {
            let before = earlier.phases.get(phase).cloned().unwrap_or_default();
            (*phase, histogram.since(&before))
        });
        let fsyncs = self.fsyncs.iter().map(|(kind, count)| {
            let before = earlier.fsyncs.get(kind).copied().unwrap_or(0.0);
            (*kind, (count - before).max(0.0))
        });
        Difference {
            usage: usage.collect(),
            phases: phases.collect(),
            fsyncs: fsyncs.collect(),
            entries: self.last_log.saturating_sub(earlier.last_log),
            records_per_batch: self.batches.since(&earlier.batches).mean(),
        }
    }
}

async fn last_log(client: &Client) -> anyhow::Result<u64> {
    let replicas = client.status().await;
    let answers = replicas
        .iter()
        .filter_map(|replica| replica.status.as_ref().ok());
    let leading = answers.filter(|status| status.leader == Some(status.replica));
    leading
        .max_by_key(|status| status.term)
        .map(|status| status.last_log)
        .context("none of the coordinators that can be reached leads")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# TYPE triumvir_phase_seconds histogram
triumvir_phase_seconds_bucket{phase=\"ack\",le=\"0.001\"} COUNT
triumvir_phase_seconds_bucket{phase=\"ack\",le=\"+Inf\"} COUNT
triumvir_phase_seconds_sum{phase=\"ack\"} 0.5
triumvir_phase_seconds_count{phase=\"ack\"} COUNT
# TYPE triumvir_storage_fsync_seconds histogram
triumvir_storage_fsync_seconds_bucket{le=\"+Inf\"} COUNT
triumvir_storage_fsync_seconds_sum 0.5
triumvir_storage_fsync_seconds_count COUNT
";
    const TERM: &str = "# TYPE triumvir_raft_term gauge\ntriumvir_raft_term 3\n";

    /// Two replicas and a participant.
    fn reading(count: u32, last_log: u64) -> Reading {
        let text = TEXT.replace("COUNT", &count.to_string());
        let mut reading = Reading {
            last_log,
            ..Reading::default()
        };
        reading.add(&Metrics::parse(&format!("{TERM}{text}")));
        reading.add(&Metrics::parse(&format!("{TERM}{text}")));
        reading.add(&Metrics::parse(&text));
        reading
    }

    #[test]
    fn two_moments_tell_what_lies_between_over_all_replicas() {
        let difference = reading(30, 100).since(&reading(10, 60));
        let fsyncs = BTreeMap::from([(REPLICAS, 40.0), (PARTICIPANTS, 20.0)]);
        assert_eq!(difference.fsyncs, fsyncs);
        assert_eq!(difference.entries, 40);
        assert_eq!(difference.phases["ack"].count, 60.0);
        assert_eq!(difference.records_per_batch, None);
    }

    #[test]
    fn without_metrics_nothing_is_made_up() {
        let difference = Reading::default().since(&Reading::default());
        assert!(difference.fsyncs.is_empty());
        assert!(difference.phases.is_empty());
    }
}
