//! The report of a demo: values with stable names for programs, and the same as tables for people.

use std::time::Duration;

use serde::Serialize;

use super::audit::Check;
use super::faults::{Outage, millis};
use super::ledger::Counts;
use super::meter::{Detours, Meter, quantile};
use crate::output::Output;
use crate::paint::Tone;

/// Everything that a demo has to say at its end.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Whether every check of the audit holds.
    pub(super) sound: bool,
    /// Orders replayed.
    pub(super) orders: usize,
    /// Orders under way at any time.
    pub(super) clients: usize,
    /// What the clients were told.
    pub(super) outcomes: Counts,
    /// What else happened to them.
    pub(super) detours: Detours,
    /// How long the replay took, in milliseconds.
    pub(super) replay_millis: f64,
    /// Acknowledged orders per second, over the whole replay.
    pub(super) orders_per_second: f64,
    /// From an order's first attempt to its acknowledgement, in milliseconds.
    pub(super) latency_millis: Latency,
    /// The processes that were killed.
    pub(super) outages: Vec<Outage>,
    /// The audit.
    pub(super) audit: Vec<Check>,
    /// The store that was broken on purpose, if one was.
    pub(super) sabotaged: Option<super::books::Store>,
    /// Where the processes' folders and logs are kept, if they are.
    pub(super) folder: Option<String>,
}

/// Quantiles; absent without a single acknowledgement.
#[derive(Debug, Serialize)]
pub(super) struct Latency {
    pub(super) p50: Option<f64>,
    pub(super) p95: Option<f64>,
    pub(super) p99: Option<f64>,
    pub(super) max: Option<f64>,
}

impl Latency {
    /// Of everything that was acknowledged.
    pub(super) fn of(meter: &Meter) -> Self {
        let latency = meter.latency();
        let at = |share| quantile(&latency, share).map(millis);
        Self {
            p50: at(0.5),
            p95: at(0.95),
            p99: at(0.99),
            max: at(1.0),
        }
    }
}

/// A time in milliseconds for people, or a dash.
fn time(millis: Option<f64>) -> String {
    match millis {
        Some(millis) => crate::view::duration(Duration::from_secs_f64(millis / 1e3)),
        None => "–".to_owned(),
    }
}

impl Report {
    /// The tables.
    pub(super) fn text(&self, output: &Output) -> String {
        let mut text = self.summary(output);
        if !self.outages.is_empty() {
            text.push_str(&format!("\n\n{}", self.outage_table(output)));
        }
        text.push_str(&format!("\n\n{}", self.audit_table(output)));
        for check in &self.audit {
            for finding in &check.findings {
                text.push_str(&format!("\n  {}", output.paint().tone(Tone::Bad, finding)));
            }
            let left = check.wrong - check.findings.len();
            if left > 0 {
                text.push_str(&format!("\n  and {left} more of the kind"));
            }
        }
        let verdict = if self.sound {
            output.paint().tone(Tone::Good, "The audit holds.")
        } else {
            output.paint().tone(Tone::Bad, "THE AUDIT DOES NOT HOLD.")
        };
        text.push_str(&format!("\n\n{verdict}"));
        if let Some(folder) = &self.folder {
            text.push_str(&format!("\nFolders and logs: {folder}"));
        }
        text
    }

    fn summary(&self, output: &Output) -> String {
        let mut table = output.table(["replay", ""]);
        let Counts {
            committed,
            refused,
            unknown,
        } = self.outcomes;
        let Detours {
            conflicts,
            aborts,
            repeats,
        } = self.detours;
        let latency = &self.latency_millis;
        let rows = [
            ("orders committed", committed.to_string()),
            ("orders refused (no stock)", refused.to_string()),
            ("outcomes unknown", unknown.to_string()),
            ("conflicts, tried anew", conflicts.to_string()),
            ("other aborts, tried anew", aborts.to_string()),
            ("unknown for 5 s, asked again", repeats.to_string()),
            ("time", time(Some(self.replay_millis))),
            (
                "orders per second",
                format!("{:.0}", self.orders_per_second),
            ),
            ("latency p50", time(latency.p50)),
            ("latency p95", time(latency.p95)),
            ("latency p99", time(latency.p99)),
            ("latency max", time(latency.max)),
        ];
        for (name, value) in rows {
            table.add_row([name.to_owned(), value]);
        }
        table.to_string()
    }

    fn outage_table(&self, output: &Output) -> String {
        let mut table = output.table([
            "killed with sigkill",
            "after orders",
            "on their way",
            "restarted after",
            "commits stopped for",
            "resumed after",
        ]);
        for outage in &self.outages {
            table.add_row([
                outage.killed.clone(),
                outage.after_orders.to_string(),
                outage.orders_in_flight.to_string(),
                time(Some(outage.restarted_after_millis)),
                time(outage.commits_stopped_millis),
                time(outage.commits_resumed_after_millis),
            ]);
        }
        table.to_string()
    }

    fn audit_table(&self, output: &Output) -> String {
        let mut table = output.table(["audit", "compared", "wrong", "result"]);
        for check in &self.audit {
            let stores: Vec<_> = check.stores.iter().map(|store| store.name()).collect();
            let verdict = match (check.holds(), stores.is_empty()) {
                (true, _) => Tone::Good.cell("holds"),
                (false, true) => Tone::Bad.cell("FAILS"),
                (false, false) => Tone::Bad.cell(format!("FAILS in {}", stores.join(", "))),
            };
            table.add_row([
                comfy_table::Cell::new(check.claim),
                comfy_table::Cell::new(check.examined),
                comfy_table::Cell::new(check.wrong),
                verdict,
            ]);
        }
        table.to_string()
    }
}
