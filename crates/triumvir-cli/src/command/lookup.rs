//! `triumvir outcome`, `abort` and `describe`: one transaction, by its id.

use std::process::ExitCode;

use serde::Serialize;
use triumvir_client::{Code, Mode, Outcome, OutcomeReport, State, TransactionDescription, TxnId};

use crate::cli::Globals;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;
use crate::view::{self, CauseView};

pub(crate) const OUTCOME_HELP: &str = "\
Waits for the outcome as long as --timeout says. Exit status: 0 committed,
3 aborted, 4 not known yet (or not any more).

Without a record nothing binds anybody: the transaction may still commit.
--decide records it as aborted then, and says what stands after that.";

pub(crate) const ABORT_HELP: &str = "\
Aborts the transaction unless it is too late. Exit status: 0 it is aborted,
7 it is committed, 4 not known yet.";

/// Arguments of `triumvir outcome`.
#[derive(Debug, clap::Args)]
pub(crate) struct OutcomeArgs {
    /// Transaction id
    #[arg(value_parser = view::parse_txn)]
    txn: TxnId,
    /// If there is no record of it, abort it: then the answer is final
    #[arg(long)]
    decide: bool,
}

/// Arguments of `triumvir abort` and `triumvir describe`.
#[derive(Debug, clap::Args)]
pub(crate) struct TxnArgs {
    /// Transaction id
    #[arg(value_parser = view::parse_txn)]
    txn: TxnId,
}

#[derive(Debug, Serialize)]
struct Report {
    txn: String,
    state: &'static str,
    outcome: Option<&'static str>,
    cause: Option<CauseView>,
}

/// Asks for an outcome.
///
/// # Errors
///
/// Nobody could be asked, or the outcome is not known.
pub(crate) async fn outcome(
    args: &OutcomeArgs,
    globals: &Globals,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    let client = super::client(globals)?;
    let report = if args.decide {
        client.decide(args.txn).await
    } else {
        client.outcome(args.txn).await
    };
    let report = report.map_err(Failure::from)?;
    show(&report, output)?;
    match &report.outcome {
        Some(Outcome::Committed) => Ok(Exit::Ok.into()),
        Some(Outcome::Aborted(_)) => Ok(Exit::Aborted.into()),
        None => Err(unknown(&report).into()),
    }
}

/// Aborts.
///
/// # Errors
///
/// Nobody could be asked, the outcome is not known, or it is committed.
pub(crate) async fn abort(
    args: &TxnArgs,
    globals: &Globals,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    let report = super::client(globals)?
        .abort(args.txn)
        .await
        .map_err(Failure::from)?;
    show(&report, output)?;
    match &report.outcome {
        Some(Outcome::Aborted(_)) => Ok(Exit::Ok.into()),
        Some(Outcome::Committed) => {
            let mut failure =
                Failure::new(Exit::Check, "it is too late: the transaction is committed")
                    .next("what it did can only be undone by another transaction");
            failure.applied = Some("applied");
            Err(failure.into())
        }
        None => Err(unknown(&report).into()),
    }
}

fn unknown(report: &OutcomeReport) -> Failure {
    let next = match report.state {
        State::NoRecord => {
            "whoever began it can repeat its commit; `triumvir outcome --decide` makes sure that it \
             is over"
        }
        State::Expired => "look into the participants' data for what became of it",
        _ => "ask again; `triumvir describe` says what it waits for",
    };
    let code = match report.state {
        State::Expired => Code::IdExpired,
        _ => Code::OutcomeUnknown,
    };
    let mut failure = Failure::coded(Exit::Unknown, code, view::meaning(report.state)).next(next);
    failure.applied = Some("unknown");
    failure
}

fn show(report: &OutcomeReport, output: &Output) -> std::io::Result<()> {
    let cause = match &report.outcome {
        Some(Outcome::Aborted(cause)) => Some(CauseView::from(cause)),
        _ => None,
    };
    let outcome = report.outcome.as_ref().map(view::outcome);
    let view = Report {
        txn: report.txn.to_string(),
        state: view::state(report.state),
        outcome,
        cause,
    };
    output.show(&view, || {
        let tone = view::tone(report.state, report.outcome.as_ref());
        let word = output.paint().tone(tone, outcome.unwrap_or("unknown"));
        match &view.cause {
            Some(cause) => format!("{word} {}: {}", view.txn, cause.text),
            None => format!("{word} {}: {}", view.txn, view::meaning(report.state)),
        }
    })
}

#[derive(Debug, Serialize)]
struct Description {
    txn: String,
    state: &'static str,
    outcome: Option<&'static str>,
    cause: Option<String>,
    mode: Option<&'static str>,
    age_millis: u64,
    digest: String,
    branches: Vec<BranchView>,
    timeline: Vec<EventView>,
}

#[derive(Debug, Serialize)]
struct BranchView {
    participant: String,
    state: String,
    session: bool,
    /// An operator has removed the participant.
    removed: bool,
}

#[derive(Debug, Serialize)]
struct EventView {
    at_millis: f64,
    #[serde(skip)]
    at_micros: u64,
    text: String,
}

/// Describes.
///
/// # Errors
///
/// Nobody could be asked.
pub(crate) async fn describe(
    args: &TxnArgs,
    globals: &Globals,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    let description = super::client(globals)?
        .describe(args.txn)
        .await
        .map_err(Failure::from)?;
    let state = description.state();
    let view = Description::new(description);
    output.show(&view, || view.text(state, output))?;
    Ok(Exit::Ok.into())
}

impl Description {
    fn new(wire: TransactionDescription) -> Self {
        let mode = triumvir_wire::message::mode("mode", wire.mode).ok();
        let branches = wire.branches.iter().map(|branch| BranchView {
            participant: branch.participant.clone(),
            state: branch.state.clone(),
            session: branch.session,
            removed: branch.removed,
        });
        let timeline = wire.timeline.iter().map(|event| EventView {
            at_millis: view::fraction(event.at_micros),
            at_micros: event.at_micros,
            text: event.text.clone(),
        });
        let (outcome, cause) = super::wire_outcome(wire.outcome.as_ref());
        Self {
            txn: view::txn_text(&wire.txn),
            state: view::state(wire.state()),
            outcome,
            cause,
            mode: mode.map(|mode: Mode| view::mode(mode)),
            age_millis: wire.age_millis,
            digest: wire
                .digest
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
            branches: branches.collect(),
            timeline: timeline.collect(),
        }
    }

    fn text(&self, state: State, output: &Output) -> String {
        let outcome = match (self.outcome, &self.cause) {
            (Some(outcome), Some(cause)) => format!("{outcome}: {cause}"),
            (Some(outcome), None) => outcome.to_owned(),
            (None, _) => "not known".to_owned(),
        };
        let mut lines = vec![
            format!("transaction  {}", self.txn),
            format!("state        {} ({})", self.state, view::meaning(state)),
            format!("outcome      {outcome}"),
        ];
        lines.extend(self.mode.map(|mode| format!("mode         {mode}")));
        lines.push(format!("age          {}", view::millis(self.age_millis)));
        if !self.branches.is_empty() {
            let mut table = output.table(["participant", "state", "session"]);
            for branch in &self.branches {
                let session = match branch {
                    BranchView { removed: true, .. } => "removed",
                    BranchView { session: true, .. } => "up",
                    BranchView { .. } => "down",
                };
                table.add_row([&branch.participant, &branch.state, session]);
            }
            lines.extend([String::new(), table.trim_fmt()]);
        }
        if let Some(first) = self.timeline.first() {
            let mut table = output.table(["after", "event"]);
            for event in &self.timeline {
                let after = event.at_micros.saturating_sub(first.at_micros);
                let after = view::duration(std::time::Duration::from_micros(after));
                table.add_row([&after, &event.text]);
            }
            let since = format!("timeline     from {}", view::instant(first.at_micros));
            lines.extend([String::new(), since, table.trim_fmt()]);
        }
        lines.join("\n")
    }
}
