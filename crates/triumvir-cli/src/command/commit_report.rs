//! How `triumvir commit` shows what became of a transaction.

use std::time::Duration;

use serde::Serialize;
use triumvir_client::{CommitError, Committed, Results};

use crate::output::Output;
use crate::paint::Tone;
use crate::spec::{Literal, Operation, Part, key_json, key_text};
use crate::view::{self, CauseView};

/// What became of a transaction.
#[derive(Debug, Serialize)]
pub(super) struct CommitReport {
    txn: String,
    /// committed, aborted, or unknown.
    outcome: &'static str,
    mode: &'static str,
    cause: Option<CauseView>,
    attempts: u32,
    elapsed_millis: f64,
    #[serde(skip)]
    elapsed: Duration,
    participants: Vec<PartReport>,
}

/// What the operations at one participant returned.
#[derive(Debug, Serialize)]
struct PartReport {
    participant: String,
    /// Why the results are not known, although the transaction is committed.
    error: Option<String>,
    results: Vec<ResultReport>,
}

#[derive(Debug, Serialize)]
struct ResultReport {
    operation: &'static str,
    key: serde_json::Value,
    #[serde(skip)]
    text: String,
    /// Of get the value, of add the sum; null where there is none.
    value: Option<Literal>,
}

impl CommitReport {
    pub(super) fn new(
        ended: &Result<Committed, CommitError>,
        parts: &[Part],
        mode: &'static str,
        elapsed: Duration,
    ) -> Self {
        let (txn, outcome, cause, attempts, participants) = match ended {
            Ok(Committed {
                txn,
                attempts,
                results,
                ..
            }) => {
                let parts = parts.iter().map(|part| PartReport::new(part, results));
                (
                    txn.to_string(),
                    "committed",
                    None,
                    *attempts,
                    parts.collect(),
                )
            }
            Err(CommitError::Aborted {
                txn,
                cause,
                attempts,
            }) => (
                txn.to_string(),
                "aborted",
                Some(cause.into()),
                *attempts,
                Vec::new(),
            ),
            Err(CommitError::Unknown { txn, .. }) => {
                (txn.to_string(), "unknown", None, 1, Vec::new())
            }
            Err(CommitError::Refused(_)) => (String::new(), "refused", None, 1, Vec::new()),
        };
        let elapsed_millis = (elapsed.as_secs_f64() * 1e6).round() / 1e3;
        Self {
            txn,
            outcome,
            mode,
            cause,
            attempts,
            elapsed_millis,
            elapsed,
            participants,
        }
    }

    /// Writes it.
    pub(super) fn show(&self, output: &Output) -> std::io::Result<()> {
        output.show(self, || self.text(output))
    }

    fn text(&self, output: &Output) -> String {
        let tone = match self.outcome {
            "committed" => Tone::Good,
            "aborted" => Tone::Bad,
            _ => Tone::Odd,
        };
        let attempts = match self.attempts {
            1 => String::new(),
            attempts => format!(", {attempts} attempts"),
        };
        let outcome = output.paint().tone(tone, self.outcome);
        let mut text = format!(
            "{outcome} {} ({}, {}{attempts})",
            self.txn,
            self.mode,
            view::duration(self.elapsed)
        );
        let mut table = output.table(["participant", "operation", "key", "value"]);
        for part in &self.participants {
            if let Some(error) = &part.error {
                table.add_row([part.participant.as_str(), "", "", error.as_str()]);
            }
            for result in part.results.iter().filter(|result| result.answers()) {
                let value = result
                    .value
                    .as_ref()
                    .map_or("absent".to_owned(), Literal::to_string);
                table.add_row([&part.participant, result.operation, &result.text, &value]);
            }
        }
        if !table.is_empty() {
            text.push_str(&format!("\n\n{}", table.trim_fmt()));
        }
        text
    }
}

impl PartReport {
    fn new(part: &Part, results: &Results) -> Self {
        let participant = part.participant.clone();
        let values = match results.at(&participant) {
            Ok(values) => values,
            Err(error) => {
                let error = Some(error.to_string());
                return Self {
                    participant,
                    error,
                    results: Vec::new(),
                };
            }
        };
        let result = |(operation, value): (&Operation, Option<_>)| ResultReport {
            operation: operation.verb(),
            key: key_json(operation.key()),
            text: key_text(operation.key()),
            value: value.map(Literal::from),
        };
        let results = part.operations.iter().zip(values).map(result).collect();
        Self {
            participant,
            error: None,
            results,
        }
    }
}

impl ResultReport {
    /// Whether the operation is one that answers.
    fn answers(&self) -> bool {
        matches!(self.operation, "get" | "add")
    }
}
