//! Records on their way into the log. What gathers while a batch is on its way is the next batch.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use triumvir_protocol::{Record, Value};
use triumvir_replication::{Outcome, Replica};
use triumvir_storage::encode_records;

use crate::Config;
use crate::telemetry;

/// Records that wait, and batches that are on their way.
pub(super) struct Proposals {
    waiting: VecDeque<Record>,
    /// Ends of committed transactions, for which nobody waits: they go with what is proposed next.
    riding: VecDeque<Record>,
    /// Or now.
    riding_due: bool,
    inflight: FuturesUnordered<BoxFuture<'static, Proposed>>,
    batches_max: usize,
    records_max: usize,
}

/// What became of a batch.
pub(super) struct Proposed {
    /// The leadership in which it was proposed.
    pub(super) generation: u64,
    pub(super) outcome: Outcome,
}

impl Proposals {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            waiting: VecDeque::new(),
            riding: VecDeque::new(),
            riding_due: false,
            inflight: FuturesUnordered::new(),
            batches_max: config.raft.batches_inflight_max,
            records_max: config.raft.batch_records_max,
        }
    }

    pub(super) fn extend(&mut self, records: impl IntoIterator<Item = Record>) {
        for record in records {
            match record {
                Record::End {
                    outcome: Value::Commit,
                    ..
                } => self.riding.push_back(record),
                _ => self.waiting.push_back(record),
            }
        }
    }

    /// What waits for another proposal to ride along with has waited for long enough.
    pub(super) fn hasten(&mut self) {
        self.riding_due = true;
    }

    /// Lets go of what was not yet handed on.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
        self.riding.clear();
    }

    /// Nothing waits and nothing is on its way.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.riding.is_empty() && self.inflight.is_empty()
    }

    /// Proposes what has gathered as one batch, unless as many as may be are on their way.
    pub(super) async fn hand_on(&mut self, replica: &Replica, generation: u64) {
        let goes = !self.waiting.is_empty()
            || self.riding.len() >= self.records_max
            || self.riding_due && !self.riding.is_empty();
        if !goes || self.inflight.len() >= self.batches_max {
            return;
        }
        let count = self.waiting.len().min(self.records_max);
        let room = self.riding.len().min(self.records_max - count);
        let records = self.waiting.drain(..count).chain(self.riding.drain(..room));
        let records: Vec<_> = records.collect();
        self.riding_due = false;
        let data = encode_records(&records);
        telemetry::proposed(records.len(), data.len());
        let started = Instant::now();
        let proposal = replica.propose(data.into()).await;
        #[cfg(feature = "failpoints")]
        crate::failpoint::proposed(&records);
        self.inflight.push(Box::pin(async move {
            let outcome = proposal.await;
            finished(&outcome, started.elapsed());
            Proposed {
                generation,
                outcome,
            }
        }));
    }

    /// What became of the next batch; never, while none is on its way.
    pub(super) async fn next(&mut self) -> Proposed {
        match self.inflight.next().await {
            Some(proposed) => proposed,
            None => std::future::pending().await,
        }
    }
}

fn finished(outcome: &Outcome, took: Duration) {
    if matches!(outcome, Outcome::Applied { .. }) {
        telemetry::batch_applied(took);
    }
}
