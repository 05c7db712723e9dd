//! `triumvir commit`: one transaction, from words to results.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use triumvir_client::{
    Code, CommitError, Committed, Mode, Operation as Call, Transaction, TxnId, add, delete,
    draw_txn, expect, expect_absent, get, put,
};

use super::commit_report::CommitReport;
use crate::cli::Globals;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;
use crate::process::Signals;
use crate::spec::{Document, FileMode, Operation, Part, Parts};
use crate::view;

pub(crate) const HELP: &str = r#"Examples:
  triumvir commit --at orders put:42=book --at stock add:book=-1,min=0 \
                  --at payments get:ann expect:blocked:=absent
  triumvir commit --file order.json --mode two-phase
  triumvir commit --id 0198c1f0-7a55-7d2e-9c11-3f5b0a4e6c21 --file order.json

A file holds the same as the command line does:
  {"parts": [
    {"at": "orders", "operations": [{"put": {"key": "42", "value": "book"}}]},
    {"at": "stock", "operations": [
      {"add": {"key": "book", "delta": -1, "min": 0}},
      {"expect": {"key": "gone", "value": null}}]}]}
  with "id" and "mode" if wanted; a value is text, a number, or {"hex": "00ff"}.

If the outcome is unknown (exit status 4), repeat the command with the --id that
was printed and the same content: nothing is applied twice."#;

/// Arguments of `triumvir commit`.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("content").required(true).args(["at", "file"]))]
pub(crate) struct Args {
    #[command(flatten)]
    parts: Parts,
    /// Read the transaction from a JSON file; `-` is standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Commit protocol [default: three-phase]
    #[arg(long, value_enum)]
    mode: Option<FileMode>,
    /// Transaction id, a UUID of version 7; drawn if none is given
    #[arg(long, value_name = "TXN", value_parser = view::parse_txn)]
    id: Option<TxnId>,
    /// Try again, under new ids, while conflicts with others abort it
    #[arg(long)]
    retry_conflicts: bool,
}

/// What is to be committed.
struct Plan {
    parts: Vec<Part>,
    mode: Mode,
    id: TxnId,
    /// The id was drawn for this very call.
    drawn: bool,
}

/// Commits.
///
/// # Errors
///
/// Everything but *committed*, *aborted* and *unknown*, which are results.
pub(crate) async fn run(
    args: Args,
    globals: &Globals,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    let retry = args.retry_conflicts;
    let plan = plan(args)?;
    let client = super::client(globals)?;
    let transaction = client.transaction().mode(plan.mode);
    let mut transaction = if plan.drawn {
        transaction.fresh_id(plan.id)
    } else {
        transaction.id(plan.id)
    };
    for part in &plan.parts {
        let calls: Vec<Call> = part.operations.iter().map(call).collect();
        transaction = transaction.at(part.participant.as_str(), calls);
    }
    if retry {
        transaction = transaction.retry_conflicts();
    }
    let begin = Instant::now();
    let ended = commit(transaction, plan.id, retry).await?;
    let report = CommitReport::new(&ended, &plan.parts, view::mode(plan.mode), begin.elapsed());
    match ended {
        Ok(_) => {
            report.show(output)?;
            Ok(Exit::Ok.into())
        }
        Err(CommitError::Refused(failure)) => Err(Failure::from(failure).into()),
        Err(CommitError::Aborted { cause, .. }) => {
            report.show(output)?;
            let mut failure = Failure::coded(Exit::Aborted, Code::Aborted, cause.to_string())
                .next(view::after_abort(&cause));
            failure.applied = Some("not-applied");
            Err(failure.into())
        }
        Err(CommitError::Unknown { txn, last }) => {
            report.show(output)?;
            // An id that has expired can only be refused again.
            let next = match last.code {
                Code::IdExpired => last.code.next().to_owned(),
                _ => format!(
                    "repeat the command with --id {txn} and the same content, or ask \
                     `triumvir outcome {txn}`; do not repeat the work under a new id"
                ),
            };
            let failure = Failure {
                exit: Exit::Unknown,
                ..Failure::from(last)
            };
            Err(failure.next(next).into())
        }
    }
}

/// Commits, unless the user interrupts it: then nobody knows, and is told so.
async fn commit(
    transaction: Transaction,
    id: TxnId,
    retry: bool,
) -> Result<Result<Committed, CommitError>, Failure> {
    let mut signals = Signals::new()
        .map_err(|error| Failure::new(Exit::Internal, format!("cannot watch signals: {error}")))?;
    tokio::select! {
        ended = transaction.commit() => Ok(ended),
        signal = signals.next() => {
            let message = format!("{signal} came before the answer");
            let failure = Failure::coded(Exit::Unknown, Code::OutcomeUnknown, message);
            Err(if retry {
                failure.next(format!(
                    "the first attempt was {id}; later ones are in `triumvir list --ended`"
                ))
            } else {
                failure.next(format!("ask `triumvir outcome {id}`"))
            })
        }
    }
}

fn plan(args: Args) -> Result<Plan, Failure> {
    let (parts, id, mode) = match &args.file {
        Some(path) => {
            let document = read(path)?;
            let (id, mode) = (document.id.clone(), document.mode);
            let id = id.map(|id| view::parse_txn(&id)).transpose();
            let id = id.map_err(|reason| {
                Failure::usage(format!("`id` in {}: {reason}", path.display()))
            })?;
            (document.into_parts(), id, mode)
        }
        None => (args.parts.0, None, None),
    };
    let mode = match args.mode.or(mode) {
        Some(FileMode::TwoPhase) => Mode::TwoPhase,
        Some(FileMode::ThreePhase) | None => Mode::ThreePhase,
    };
    let given = args.id.or(id);
    Ok(Plan {
        parts,
        mode,
        id: given.unwrap_or_else(draw_txn),
        drawn: given.is_none(),
    })
}

fn read(path: &Path) -> Result<Document, Failure> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().read_to_string(&mut text).map(drop)
    } else {
        std::fs::read_to_string(path).map(|content| text = content)
    };
    read.map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))?;
    Document::parse(&text)
        .map_err(|error| Failure::usage(format!("{} is no transaction: {error}", path.display())))
}

/// The client's form of an operation.
fn call(operation: &Operation) -> Call {
    match operation {
        Operation::Put { key, value } => put(key, value.clone()),
        Operation::Delete { key } => delete(key),
        Operation::Get { key } => get(key),
        Operation::Add {
            key,
            delta,
            min,
            max,
        } => {
            let mut sum = add(key, *delta);
            if let Some(min) = min {
                sum = sum.min(*min);
            }
            if let Some(max) = max {
                sum = sum.max(*max);
            }
            sum.into()
        }
        Operation::Expect {
            key,
            value: Some(value),
        } => expect(key, value.clone()),
        Operation::Expect { key, value: None } => expect_absent(key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::parse_operation;

    #[test]
    fn operations_reach_the_client_as_they_were_written() {
        let cases = [
            ("put:k=5", put("k", "5")),
            ("put:k:=5", put("k", 5)),
            ("delete:k", delete("k")),
            ("get:k", get("k")),
            ("add:k=-2,min=0,max=9", add("k", -2).min(0).max(9).into()),
            ("expect:k=v", expect("k", "v")),
            ("expect:k:=absent", expect_absent("k")),
        ];
        for (text, expected) in cases {
            assert_eq!(call(&parse_operation(text).unwrap()), expected, "{text}");
        }
    }
}
