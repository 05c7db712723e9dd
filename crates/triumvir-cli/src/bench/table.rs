//! The report as tables for people.

use std::collections::BTreeMap;

use comfy_table::Table;

use super::failover::Failovers;
use super::reading::{PARTICIPANTS, PHASES, REPLICAS};
use super::report::{Quantiles, Report, Round};
use crate::output::Output;

/// Every table of the report.
pub(super) fn text(report: &Report, output: &Output) -> String {
    let mut tables = vec![end_to_end(report, output)];
    if report
        .rounds
        .iter()
        .any(|round| !round.phase_millis.is_empty())
    {
        tables.push(phases(report, output));
    }
    tables.push(costs(report, output));
    tables.push(processes(report, output));
    let tables: Vec<_> = tables.iter().map(ToString::to_string).collect();
    format!("{}\n\n{}", head(report), tables.join("\n\n"))
}

/// Every kill, and their spread.
pub(super) fn failovers(report: &Failovers, output: &Output) -> String {
    let columns = ["kill", "replica", "commits stopped ms", "resumed after ms"];
    let mut table = output.table(columns);
    for (number, kill) in report.kills.iter().enumerate() {
        let times = [
            kill.commits_stopped_millis,
            kill.commits_resumed_after_millis,
        ];
        let mut row = vec![(number + 1).to_string(), kill.replica.to_string()];
        row.extend(times.map(|time| format!("{time:.0}")));
        table.add_row(row);
    }
    let spread = report.commits_stopped_millis;
    let counted = |counts: &BTreeMap<String, u64>| counts.values().sum::<u64>();
    format!(
        "{}, {} clients, the leader killed {} times\n\n{table}\n\n\
         commits stopped for {:.0} ms in the median, {:.0} ms at least, {:.0} ms at most; \
         {} committed, {} aborted, {} errors",
        report.protocol,
        report.clients,
        report.kills.len(),
        spread.median,
        spread.min,
        spread.max,
        report.committed,
        counted(&report.aborts),
        counted(&report.errors),
    )
}

fn head(report: &Report) -> String {
    let Report {
        protocol,
        participants,
        payload_bytes,
        keys,
        seed,
        ..
    } = report;
    let count = participants.len();
    format!(
        "{protocol}, {count} participants, {payload_bytes} bytes each, {keys} keys, seed {seed}"
    )
}

fn number(number: Option<f64>, digits: usize) -> String {
    number.map_or_else(|| "–".to_owned(), |number| format!("{number:.digits$}"))
}

/// An upper bound.
fn at_most(bound: Option<f64>) -> String {
    bound.map_or_else(|| "–".to_owned(), |bound| format!("≤ {bound}"))
}

fn end_to_end(report: &Report, output: &Output) -> Table {
    let columns = [
        "clients",
        "commits/s",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "max ms",
        "conflicts",
    ];
    let mut table = output.table(columns.into_iter().chain(["aborts", "errors"]));
    for round in &report.rounds {
        let Quantiles {
            p50, p95, p99, max, ..
        } = &round.latency_millis;
        let mut row = vec![
            round.clients.to_string(),
            format!("{:.0}", round.commits_per_second),
        ];
        row.extend([p50, p95, p99, max].map(|time| number(*time, 2)));
        row.push(round.conflicts.to_string());
        row.extend([&round.aborts, &round.errors].map(|counts| {
            let kinds: Vec<_> = counts
                .iter()
                .map(|(word, n)| format!("{word}: {n}"))
                .collect();
            if kinds.is_empty() {
                "0".to_owned()
            } else {
                kinds.join(", ")
            }
        }));
        table.add_row(row);
    }
    table
}

fn phases(report: &Report, output: &Output) -> Table {
    let columns = ["clients", "phase", "mean ms", "p50 ms", "p95 ms", "p99 ms"];
    let mut table = output.table(columns.into_iter().chain(["max ms"]));
    for round in &report.rounds {
        for name in PHASES {
            let phase = round.phase_millis.get(name).cloned().unwrap_or_default();
            let mut row = vec![round.clients.to_string(), name.to_owned()];
            let times = [phase.mean, phase.p50, phase.p95, phase.p99];
            row.extend(times.map(|time| number(time, 3)));
            row.push(at_most(phase.max_at_most));
            table.add_row(row);
        }
    }
    table
}

fn costs(report: &Report, output: &Output) -> Table {
    let mut table = output.table([
        "clients",
        "cpu s/1000 commits",
        "replica fsyncs/commit",
        "participant fsyncs/commit",
        "raft entries/commit",
        "records/batch",
    ]);
    let fsyncs = |round: &Round, kind| number(round.fsyncs_per_commit.get(kind).copied(), 2);
    for round in &report.rounds {
        table.add_row([
            round.clients.to_string(),
            number(round.cpu_seconds_per_1000_commits, 2),
            fsyncs(round, REPLICAS),
            fsyncs(round, PARTICIPANTS),
            number(round.raft_entries_per_commit, 3),
            number(round.records_per_batch, 1),
        ]);
    }
    table
}

fn processes(report: &Report, output: &Output) -> Table {
    let first = report.rounds.first();
    let names: Vec<_> = first
        .map(|round| round.cpu_seconds.keys().collect())
        .unwrap_or_default();
    let columns = names.iter().map(|name| name.as_str());
    let mut table = output.table(["cpu s, clients"].into_iter().chain(columns));
    for round in &report.rounds {
        let seconds = |name: &String| number(round.cpu_seconds.get(name).copied(), 2);
        let row = names.iter().map(|name| seconds(name));
        table.add_row([round.clients.to_string()].into_iter().chain(row));
    }
    table
}
