//! What one client counts, and the sum over all of them.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use triumvir_client::CommitError;

/// The highest latency that is told apart, in microseconds; longer ones count as this.
const LATENCY_MICROS_MAX: u64 = 600_000_000;

/// Outcomes and latencies of the measured time.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    /// In microseconds, of committed work: from its first attempt to its acknowledgement.
    pub(super) latency: Histogram<u64>,
    /// Attempts that were aborted for a cause that may pass, and tried anew.
    pub(super) conflicts: u64,
    /// Work that ended as aborted, by the word for its cause.
    pub(super) aborts: BTreeMap<String, u64>,
    /// Work that ended with an error, by its code. `TV0002` is an unknown outcome.
    pub(super) errors: BTreeMap<String, u64>,
}

impl Tally {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        let latency = Histogram::new_with_bounds(1, LATENCY_MICROS_MAX, 3);
        Self {
            latency: latency.expect("the bounds are constants"),
            conflicts: 0,
            aborts: BTreeMap::new(),
            errors: BTreeMap::new(),
        }
    }

    /// How many were committed.
    pub(super) fn committed(&self) -> u64 {
        self.latency.len()
    }

    /// Counts a commit that took so long and so many attempts.
    pub(super) fn commit(&mut self, latency: Duration, attempts: u32) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.latency.saturating_record(micros);
        self.conflicts += u64::from(attempts.saturating_sub(1));
    }

    /// Counts what did not end as committed.
    pub(super) fn error(&mut self, error: &CommitError) {
        let (kind, word) = match error {
            CommitError::Aborted {
                cause, attempts, ..
            } => {
                self.conflicts += u64::from(attempts.saturating_sub(1));
                (&mut self.aborts, cause.word())
            }
            other => (&mut self.errors, other.code()),
        };
        *kind.entry(word.to_owned()).or_insert(0) += 1;
    }

    /// Adds what another client counted.
    pub(super) fn add(&mut self, other: &Self) {
        self.latency
            .add(&other.latency)
            .expect("both have the same bounds");
        self.conflicts += other.conflicts;
        for (mine, theirs) in [
            (&mut self.aborts, &other.aborts),
            (&mut self.errors, &other.errors),
        ] {
            for (word, count) in theirs {
                *mine.entry(word.clone()).or_insert(0) += count;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use triumvir_client::{AbortCause, Code, Failure, TxnId};

    use super::*;

    #[test]
    fn clients_add_up_and_outcomes_are_told_apart() {
        let (mut one, mut two) = (Tally::new(), Tally::new());
        one.commit(Duration::from_millis(1), 1);
        two.commit(Duration::from_millis(3), 4);
        let cause = AbortCause::VoteTimeout {
            participant: "p1".to_owned(),
        };
        two.error(&CommitError::Aborted {
            txn: TxnId::default(),
            cause,
            attempts: 2,
        });
        two.error(&CommitError::Refused(Failure::new(Code::Busy, "")));
        one.add(&two);
        assert_eq!((one.committed(), one.conflicts), (2, 4));
        assert_eq!(one.aborts, BTreeMap::from([("vote-timeout".to_owned(), 1)]));
        assert_eq!(one.errors, BTreeMap::from([("TV0013".to_owned(), 1)]));
        assert_eq!(one.latency.max() / 100, 30);
    }
}
