//! `triumvir participant remove`: an operator's decision that a participant never comes back. Without
//! `--force` it only shows what that would end.

use std::process::ExitCode;

use serde::Serialize;
use triumvir_client::{Applied, RemoveParticipantResponse, Whom};

use crate::cli::Globals;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;
use crate::view;

pub(crate) const HELP: &str = "\
For a participant whose data is lost, or that is given up. Nobody waits for it
any more: a committed transaction is over when the others have confirmed it, one
that still gathers votes is aborted. Nothing is decided by its absence while
another participant that voted YES remains; if none does, what the coordinators
have recorded stands. Its name is free for a new participant, on an empty folder
and with a new id; its old folder is refused for ever (TV0046).

What this gives up: if it does come back, nobody tells it how its prepared work
ended, and that may end otherwise there than here. Start it instead, if you can.

A word of p and digits is an id, as `triumvir cluster status` shows it; it also
names one that was replaced by --replace-lost-disk. Other words are names, and
mean who has the name now.

Without --force nothing is done: it shows what waits for it, and exits with 2.

Examples:
  triumvir participant remove stock
  triumvir participant remove stock --force
  triumvir participant remove p3 --force --output json";

/// Whom to remove.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Its name, or its id such as p3
    #[arg(value_name = "NAME|ID")]
    participant: String,
    /// Do it: the participant never comes back
    #[arg(long)]
    force: bool,
}

/// What is given up.
#[derive(Debug, Serialize)]
struct RemovalView {
    participant: u32,
    name: String,
    /// Whether it is removed now.
    removed: bool,
    /// Open records that it has not confirmed.
    records: u64,
    /// Age of the oldest of them.
    oldest_millis: Option<u64>,
    /// Whether it is connected to the leader.
    session: bool,
}

/// Shows what waits for a participant, and removes it if that is meant.
///
/// # Errors
///
/// `--force` is missing; there is no such participant, or no leader.
pub(crate) async fn run(
    args: &Args,
    globals: &Globals,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    let client = super::client(globals)?;
    let plan = client.removal(whom(&args.participant)).await;
    let plan = plan.map_err(Failure::from)?;
    if plan.removed || !args.force {
        let view = RemovalView::from(plan);
        output.show(&view, || view.text())?;
        return match view.removed {
            true => Ok(Exit::Ok.into()),
            false => Err(view.refusal().into()),
        };
    }
    // By its id: repeated, this removes nobody who has the name by then.
    let removed = client.remove_participant(plan.participant).await;
    let removed = removed.map_err(|failure| {
        let unknown = failure.applied == Applied::Unknown;
        let failure = Failure::from(failure);
        match unknown {
            true => failure.next("ask again: repeating it is safe, and says what stands"),
            false => failure,
        }
    })?;
    let view = RemovalView::from(removed);
    output.show(&view, || view.text())?;
    Ok(Exit::Ok.into())
}

/// `p` and digits: an id. Anything else is a name.
fn whom(word: &str) -> Whom {
    let id = word.strip_prefix('p').filter(|digits| {
        let digit = |c: char| c.is_ascii_digit();
        !digits.is_empty() && digits.chars().all(digit)
    });
    match id.and_then(|digits| digits.parse().ok()) {
        Some(id) => Whom::Id(id),
        None => Whom::Name(word.to_owned()),
    }
}

impl From<RemoveParticipantResponse> for RemovalView {
    fn from(wire: RemoveParticipantResponse) -> Self {
        Self {
            participant: wire.participant,
            name: wire.name,
            removed: wire.removed,
            records: wire.records,
            oldest_millis: wire.oldest_millis,
            session: wire.session,
        }
    }
}

impl RemovalView {
    fn who(&self) -> String {
        format!("{} (p{})", self.name, self.participant)
    }

    fn text(&self) -> String {
        let who = self.who();
        let open = match (self.records, self.oldest_millis) {
            (0, _) => "no open record".to_owned(),
            (count, None) => format!("{count} open records"),
            (1, Some(age)) => format!("1 open record, {} old,", view::millis(age)),
            (count, Some(age)) => {
                format!(
                    "{count} open records, the oldest {} old,",
                    view::millis(age)
                )
            }
        };
        let waits = if self.records > 1 { "wait" } else { "waits" };
        match (self.removed, self.session) {
            (true, _) if self.records == 0 => format!("{who} is removed; {open} waits for it"),
            (true, _) => format!("{who} is removed; {open} {waits} for it no longer"),
            (false, true) => format!("{who} is connected now; {open} {waits} for it"),
            (false, false) => format!("{who} is not connected; {open} {waits} for it"),
        }
    }

    fn refusal(&self) -> Failure {
        let message = format!("{} is not removed without --force", self.who());
        let next = if self.session {
            "it runs: stop it, unless nothing of it shall be kept; if it never comes back, repeat \
             this with --force"
        } else {
            "start it if that is possible; only if it never comes back, repeat this with --force \
             (see `triumvir participant remove --help` for what that gives up)"
        };
        Failure::usage(message).next(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(removed: bool, records: u64) -> RemovalView {
        RemovalView {
            participant: 3,
            name: "stock".to_owned(),
            removed,
            records,
            oldest_millis: (records > 0).then_some(185_000),
            session: false,
        }
    }

    #[test]
    fn p_and_digits_are_an_id_and_all_else_is_a_name() {
        assert_eq!(whom("p3"), Whom::Id(3));
        for name in ["stock", "p", "p3a", "3", "p99999999999"] {
            assert_eq!(whom(name), Whom::Name(name.to_owned()));
        }
    }

    #[test]
    fn what_is_given_up_is_said_with_its_age() {
        assert_eq!(
            view(false, 2).text(),
            "stock (p3) is not connected; 2 open records, the oldest 3 m 5 s old, wait for it"
        );
        assert_eq!(
            view(true, 1).text(),
            "stock (p3) is removed; 1 open record, 3 m 5 s old, waits for it no longer"
        );
        assert_eq!(
            view(true, 0).text(),
            "stock (p3) is removed; no open record waits for it"
        );
    }

    #[test]
    fn without_force_nothing_is_done() {
        let failure = view(false, 1).refusal();
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.next.is_some_and(|next| next.contains("--force")));
    }
}
