//! `triumvir list` and `triumvir watch`: many transactions.

use std::process::ExitCode;

use serde::Serialize;
use tokio_stream::StreamExt as _;
use triumvir_client::{Outcome, TxnId, Watched};

use crate::cli::Globals;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;
use crate::paint::Tone;
use crate::view::{self, CauseView};

pub(crate) const LIST_HELP: &str = "\
Oldest first. If more follow, the last id is what --after takes.

Examples:
  triumvir list
  triumvir list --ended --limit 20 --output json";

pub(crate) const WATCH_HELP: &str = "\
One line for each transaction that ends from now on; with --output json, one
JSON object a line. When the connection is lost it goes on at another replica
and says that there may be a gap. Ends with the reader, or with Ctrl-C.";

/// Arguments of `triumvir list`.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// Those that are over, too
    #[arg(long)]
    ended: bool,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100,
        value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Only those above this id
    #[arg(long, value_name = "TXN", value_parser = view::parse_txn)]
    after: Option<TxnId>,
}

#[derive(Debug, Serialize)]
struct Listing {
    transactions: Vec<Row>,
    more: bool,
}

#[derive(Debug, Serialize)]
struct Row {
    txn: String,
    state: &'static str,
    outcome: Option<&'static str>,
    cause: Option<String>,
    age_millis: u64,
    participants: Vec<String>,
    #[serde(skip)]
    tone: Tone,
}

/// Lists.
///
/// # Errors
///
/// Nobody could be asked.
pub(crate) async fn list(
    args: &ListArgs,
    globals: &Globals,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    let client = super::client(globals)?;
    let listed = client
        .list(args.ended, args.limit, args.after)
        .await
        .map_err(Failure::from)?;
    let rows = listed.transactions.into_iter().map(|summary| {
        let state = summary.state();
        let (outcome, cause) = super::wire_outcome(summary.outcome.as_ref());
        let tone = match outcome {
            Some("committed") => Tone::Good,
            Some(_) => Tone::Bad,
            None => view::tone(state, None),
        };
        Row {
            txn: view::txn_text(&summary.txn),
            state: view::state(state),
            outcome,
            cause,
            age_millis: summary.age_millis,
            participants: summary.participants,
            tone,
        }
    });
    let listing = Listing {
        transactions: rows.collect(),
        more: listed.more,
    };
    output.show(&listing, || listing.text(args.ended, output))?;
    Ok(Exit::Ok.into())
}

impl Listing {
    fn text(&self, ended: bool, output: &Output) -> String {
        let Some(last) = self.transactions.last() else {
            return if ended {
                "no transactions"
            } else {
                "no transactions under way"
            }
            .to_owned();
        };
        let mut table = output.table(["transaction", "state", "outcome", "age", "participants"]);
        for row in &self.transactions {
            table.add_row([
                comfy_table::Cell::new(&row.txn),
                comfy_table::Cell::new(row.state),
                row.tone.cell(row.outcome.unwrap_or("-")),
                comfy_table::Cell::new(view::millis(row.age_millis)),
                comfy_table::Cell::new(row.participants.join(", ")),
            ]);
        }
        let mut text = super::fixed(table, &[0, 3]).trim_fmt();
        if self.more {
            text.push_str(&format!("\n\nmore follow: --after {}", last.txn));
        }
        text
    }
}

#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Line {
    Ended {
        txn: String,
        outcome: &'static str,
        cause: Option<CauseView>,
        at_millis: f64,
        #[serde(skip)]
        at_micros: u64,
        missed: u64,
    },
    Gap,
}

/// Watches until the reader has gone.
///
/// # Errors
///
/// The cluster refuses to be watched.
pub(crate) async fn watch(globals: &Globals, output: &Output) -> anyhow::Result<ExitCode> {
    let mut watch = super::client(globals)?.watch();
    while let Some(watched) = watch.next().await {
        let watched = watched.map_err(Failure::from)?;
        let line = Line::from(&watched);
        output.event(&line, || line.text(output))?;
        if output.is_closed() {
            break;
        }
    }
    Ok(Exit::Ok.into())
}

impl From<&Watched> for Line {
    fn from(watched: &Watched) -> Self {
        match watched {
            Watched::Gap => Self::Gap,
            Watched::Ended {
                txn,
                outcome,
                at_micros,
                missed,
            } => Self::Ended {
                txn: txn.to_string(),
                outcome: view::outcome(outcome),
                cause: match outcome {
                    Outcome::Aborted(cause) => Some(cause.into()),
                    Outcome::Committed => None,
                },
                at_millis: view::fraction(*at_micros),
                at_micros: *at_micros,
                missed: *missed,
            },
        }
    }
}

impl Line {
    fn text(&self, output: &Output) -> String {
        match self {
            Self::Gap => output.paint().tone(
                Tone::Odd,
                "the connection was lost: outcomes may be missing here, or come twice",
            ),
            Self::Ended {
                txn,
                outcome,
                cause,
                at_micros,
                missed,
                ..
            } => {
                let tone = if cause.is_none() {
                    Tone::Good
                } else {
                    Tone::Bad
                };
                let missed = match missed {
                    0 => String::new(),
                    missed => format!("({missed} outcomes were missed here)\n"),
                };
                let cause = cause.as_ref().map(|cause| format!(": {}", cause.text));
                let outcome = output.paint().tone(tone, format!("{outcome:<9}"));
                let at = view::instant(*at_micros);
                format!("{missed}{at} {outcome} {txn}{}", cause.unwrap_or_default())
            }
        }
    }
}
