//! Metrics and log lines: their names, units and labels, in one place. Nothing is decided here.

use std::sync::{LazyLock, OnceLock};
use std::time::{Duration, Instant};

use metrics::{
    Counter, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing::Span;
use tracing::level_filters::LevelFilter;
use triumvir_protocol::{AbortCause, AbortReason, Milestone, Outcome, TxnId, Value};
use triumvir_replication::Status;
use triumvir_wire::Code;

use crate::history::Entry;
use crate::service::answer::cause_text;
use crate::view::Directory;

/// Upper bounds of the buckets of every time, in seconds.
const SECONDS: &[f64] = &[
    0.00001, 0.0001, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05,
    0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0,
];
/// Upper bounds of the buckets of every number of things.
const COUNTS: &[f64] = &[
    1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 4096.0,
];
/// Upper bounds of the buckets of every size in bytes.
const BYTES: &[f64] = &[
    256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262144.0, 1048576.0, 8388608.0,
];

static PROMETHEUS: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Installs the process's Prometheus recorder, once. None: someone else has installed one.
pub fn install() -> Option<PrometheusHandle> {
    PROMETHEUS.get_or_init(try_install).clone()
}

fn try_install() -> Option<PrometheusHandle> {
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)
        .and_then(|b| b.set_buckets_for_metric(Matcher::Suffix("_bytes".to_owned()), BYTES))
        .and_then(|b| b.set_buckets_for_metric(Matcher::Suffix("_records".to_owned()), COUNTS))
        .and_then(|b| b.set_buckets_for_metric(Matcher::Suffix("_writes".to_owned()), COUNTS));
    match builder.and_then(PrometheusBuilder::install_recorder) {
        Ok(handle) => {
            describe();
            Some(handle)
        }
        Err(error) => {
            tracing::warn!(%error, "metrics go to a recorder that was installed before");
            None
        }
    }
}

fn describe() {
    describe_counter!(
        "triumvir_transactions_total",
        "Transactions decided here, by outcome, reason"
    );
    describe_histogram!(
        "triumvir_phase_seconds",
        "prepare, record, ack and total, while leading"
    );
    describe_gauge!(
        "triumvir_transactions_inflight",
        "Transactions that are not decided"
    );
    describe_gauge!(
        "triumvir_records_open",
        "Transactions with a record that has not ended"
    );
    describe_gauge!("triumvir_outcomes_kept", "Outcomes above the horizon");
    describe_gauge!(
        "triumvir_oldest_in_doubt_seconds",
        "Age of the oldest transaction in doubt"
    );
    describe_gauge!(
        "triumvir_participant_session_up",
        "1 while the participant is connected here"
    );
    describe_gauge!(
        "triumvir_participant_branches_in_doubt",
        "Branches without confirmed outcome"
    );
    describe_gauge!(
        "triumvir_participant_last_seen_seconds",
        "Since its last session here ended; 0 while it has one"
    );
    describe_gauge!("triumvir_raft_term", "Raft's term here");
    describe_gauge!(
        "triumvir_raft_leader",
        "The leader's node id, 0 while none is known"
    );
    describe_gauge!("triumvir_raft_applied", "The last log index applied here");
    describe_gauge!(
        "triumvir_raft_lag_entries",
        "At the leader: entries that a replica lacks"
    );
    describe_counter!(
        "triumvir_session_frames_total",
        "Frames with messages that were handed to the sessions of participants"
    );
    describe_histogram!("triumvir_batch_records", "Records in a proposed batch");
    describe_histogram!("triumvir_batch_bytes", "Bytes of a proposed batch");
    describe_histogram!(
        "triumvir_batch_seconds",
        "From proposing a batch until it is applied"
    );
    describe_counter!(
        "triumvir_calls_refused_total",
        "Calls that got an error, by code"
    );
}

/// A batch goes out.
pub(crate) fn proposed(records: usize, bytes: usize) {
    histogram!("triumvir_batch_records").record(records as f64);
    histogram!("triumvir_batch_bytes").record(bytes as f64);
}

/// A batch is applied.
pub(crate) fn batch_applied(took: Duration) {
    histogram!("triumvir_batch_seconds").record(took.as_secs_f64());
}

/// A frame with messages goes to a participant.
pub(crate) fn frame() {
    counter!("triumvir_session_frames_total").increment(1);
}

/// A call got an error.
pub(crate) fn refused(code: Code) {
    counter!("triumvir_calls_refused_total", "code" => code.as_str()).increment(1);
}

/// What every log line about `txn` is inside of.
pub(crate) fn span(txn: TxnId) -> Span {
    tracing::info_span!(parent: None, "transaction", %txn)
}

/// Something has happened to a transaction at this leader; `entry` has it already.
pub(crate) fn happened(
    txn: TxnId,
    entry: &mut Entry,
    milestone: &Milestone,
    slow: Duration,
    names: &Directory,
) {
    let loud = match milestone {
        Milestone::Decided(outcome, cause) => is_loud(entry, *outcome, cause.as_ref(), slow),
        _ => false,
    };
    // Most transactions are never spoken of: these have no span.
    let speaks = loud || LevelFilter::current() >= LevelFilter::DEBUG;
    let _inside = speaks.then(|| {
        entry
            .span
            .get_or_insert_with(|| span(txn))
            .clone()
            .entered()
    });
    match milestone {
        Milestone::Begun => tracing::debug!("begun"),
        Milestone::Voted(participant, yes) => tracing::debug!(%participant, yes, "voted"),
        Milestone::Prepared => {
            phase(&PHASES.prepare, entry.begun, entry.prepared);
            tracing::debug!("all have voted");
        }
        Milestone::Recorded => {
            phase(&PHASES.record, entry.prepared, entry.recorded);
            tracing::debug!("recorded");
        }
        Milestone::Decided(outcome, cause) => {
            decided(txn, entry, (*outcome, cause.as_ref()), loud, names);
        }
        Milestone::Ended => tracing::debug!("ended"),
    }
}

/// A transaction is decided by this leader.
fn decided(
    txn: TxnId,
    entry: &Entry,
    (outcome, cause): (Outcome, Option<&AbortCause>),
    loud: bool,
    names: &Directory,
) {
    let now = Instant::now();
    let (word, reason) = (word(outcome), cause.map_or("", reason));
    match (outcome, cause) {
        (Value::Commit, None) => COMMITTED.increment(1),
        _ => transactions_total(word, reason).increment(1),
    }
    phase(&PHASES.ack, entry.recorded, Some(now));
    phase(&PHASES.total, entry.begun, Some(now));
    let since = |from: Option<Instant>| from.map(|from| (now - from).as_secs_f64() * 1e3);
    let total_millis = since(entry.begun);
    let (prepared_millis_ago, recorded_millis_ago) = (since(entry.prepared), since(entry.recorded));
    if loud {
        tracing::info!(
            %txn, outcome = word, reason,
            cause = cause.map(|cause| cause_text(names, cause)),
            total_millis, prepared_millis_ago, recorded_millis_ago, "transaction decided"
        );
    } else {
        tracing::debug!(
            %txn, outcome = word, total_millis, prepared_millis_ago, recorded_millis_ago,
            "transaction decided"
        );
    }
}

/// Whether an operator is told of it at the usual level.
fn is_loud(entry: &Entry, outcome: Outcome, cause: Option<&AbortCause>, slow: Duration) -> bool {
    // A conflict of locks is everyday life on hot keys, and the client hears of it.
    let routine = matches!(cause, Some(AbortCause::No(_, no)) if no.is_retryable());
    outcome == Value::Abort && !routine || entry.begun.is_some_and(|begun| begun.elapsed() >= slow)
}

/// What every committed transaction counts in, looked up once: the recorder is installed before the
/// first of them.
static COMMITTED: LazyLock<Counter> = LazyLock::new(|| transactions_total(word(Value::Commit), ""));
static PHASES: LazyLock<Phases> = LazyLock::new(|| {
    let phase = |name: &'static str| histogram!("triumvir_phase_seconds", "phase" => name);
    Phases {
        prepare: phase("prepare"),
        record: phase("record"),
        ack: phase("ack"),
        total: phase("total"),
    }
});

/// How long each phase took.
struct Phases {
    prepare: Histogram,
    record: Histogram,
    ack: Histogram,
    total: Histogram,
}

fn transactions_total(outcome: &'static str, reason: &'static str) -> Counter {
    counter!("triumvir_transactions_total", "outcome" => outcome, "reason" => reason)
}

fn phase(took: &Histogram, from: Option<Instant>, to: Option<Instant>) {
    if let (Some(from), Some(to)) = (from, to) {
        took.record(to.saturating_duration_since(from));
    }
}

/// The state of the transactions, as gauges.
pub(crate) fn transactions(
    undecided: usize,
    open: usize,
    ended: usize,
    oldest_millis: Option<u64>,
) {
    gauge!("triumvir_transactions_inflight").set(undecided as f64);
    gauge!("triumvir_records_open").set(open as f64);
    gauge!("triumvir_outcomes_kept").set(ended as f64);
    let oldest = oldest_millis.map_or(0.0, |millis| millis as f64 / 1e3);
    gauge!("triumvir_oldest_in_doubt_seconds").set(oldest);
}

/// One participant, as gauges.
pub(crate) fn participant(name: &str, up: bool, in_doubt: usize, last_seen: Option<Duration>) {
    let name = || name.to_owned();
    gauge!("triumvir_participant_session_up", "participant" => name()).set(f64::from(u8::from(up)));
    gauge!("triumvir_participant_branches_in_doubt", "participant" => name()).set(in_doubt as f64);
    if let Some(seen) = last_seen {
        gauge!("triumvir_participant_last_seen_seconds", "participant" => name())
            .set(seen.as_secs_f64());
    }
}

/// A participant that was removed is measured no more: no value is one that any alert is about.
pub(crate) fn participant_gone(name: &str) {
    for gauge in [
        "triumvir_participant_session_up",
        "triumvir_participant_branches_in_doubt",
        "triumvir_participant_last_seen_seconds",
    ] {
        gauge!(gauge, "participant" => name.to_owned()).set(f64::NAN);
    }
}

/// Replication, as gauges.
pub(crate) fn raft(status: &Status) {
    gauge!("triumvir_raft_term").set(status.leadership.term as f64);
    gauge!("triumvir_raft_leader").set(status.leadership.leader.unwrap_or(0) as f64);
    gauge!("triumvir_raft_applied").set(status.applied_index.unwrap_or(0) as f64);
    for (node, peer) in &status.peers {
        gauge!("triumvir_raft_lag_entries", "replica" => node.to_string())
            .set(peer.lag_entries as f64);
    }
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Value::Commit => "committed",
        Value::Abort => "aborted",
    }
}

fn reason(cause: &AbortCause) -> &'static str {
    match cause {
        AbortCause::No(..) => "no",
        AbortCause::Recorded(AbortReason::VoteTimeout(_)) => "vote-timeout",
        AbortCause::Recorded(AbortReason::Requested) => "requested",
        AbortCause::Recorded(AbortReason::Decided) => "decided",
        AbortCause::Recorded(AbortReason::Reported(_)) => "reported",
        AbortCause::Recorded(AbortReason::Fenced) => "fenced",
        AbortCause::Recorded(AbortReason::Removed(_)) => "removed",
        AbortCause::Unexplained => "unexplained",
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use tracing::Level;
    use triumvir_protocol::{NoReason, ParticipantId};

    use super::*;
    use crate::history::History;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn log_of_one_transaction(level: Level, decided: Milestone) -> String {
        let written = Written::default();
        let writer = written.clone();
        let log = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_ansi(false)
            .with_writer(move || writer.clone());
        tracing::subscriber::with_default(log.finish(), || {
            let (txn, mut history) = (TxnId::from_u128(7), History::new(1));
            for milestone in [
                Milestone::Begun,
                Milestone::Voted(ParticipantId(1), true),
                Milestone::Prepared,
                Milestone::Recorded,
                decided.clone(),
                Milestone::Ended,
            ] {
                let entry = history.happened(txn, &milestone);
                let slow = Duration::from_secs(3600);
                happened(txn, entry, &milestone, slow, &Directory::default());
            }
        });
        String::from_utf8(written.0.lock().unwrap().clone()).unwrap()
    }

    fn no() -> Milestone {
        let reason = NoReason::Resource {
            code: "minimum".into(),
            detail: "book: 5 - 100 is below 0".into(),
            retryable: false,
        };
        let cause = AbortCause::No(ParticipantId(2), reason);
        Milestone::Decided(Value::Abort, Some(cause))
    }

    #[test]
    fn every_line_about_a_transaction_is_inside_its_span() {
        let span = format!("transaction{{txn={}}}", TxnId::from_u128(7));
        for (level, lines) in [(Level::DEBUG, 6), (Level::INFO, 1)] {
            let log = log_of_one_transaction(level, no());
            assert_eq!(log.lines().count(), lines, "{log}");
            assert!(log.lines().all(|line| line.contains(&span)), "{log}");
        }
    }

    #[test]
    fn at_info_a_commit_is_silent_and_an_abort_is_told_in_words() {
        let commit = Milestone::Decided(Value::Commit, None);
        assert_eq!(log_of_one_transaction(Level::INFO, commit), "");
        let log = log_of_one_transaction(Level::INFO, no());
        let cause = "refused: minimum: book: 5 - 100 is below 0";
        assert!(log.contains(cause) && !log.contains("Resource"), "{log}");
    }
}
