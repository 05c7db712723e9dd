//! Failpoints: a process test kills this replica, stops it, or keeps one message from one participant
//! at a chosen step of a transaction. This room exists under the feature `failpoints` only, and does
//! nothing for a point that the environment does not name (`FAILPOINTS`, which the binary reads when
//! it starts). Nothing else may depend on it.
//!
//! A point is switched by fail-rs's `return` with one of these words: `kill` and `stop` send SIGKILL
//! or SIGSTOP to this process at that instant; `drop`, or `drop NAME` for one participant alone,
//! leaves a message out. So `1*off->return(kill)` kills at the second time.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use triumvir_protocol::{
    Answer, ConductorOutputs, Message, Milestone, Outcome, Record, Request, Value,
};

use crate::view::Directory;

/// What is asked for at `point`, if anything.
fn asked(point: &str) -> Option<String> {
    fail::fail_point!(point, |word| Some(word.unwrap_or_default()));
    None
}

/// Comes to `point`, where nothing can be left out.
pub(crate) fn reach(point: &str) {
    spares(point, None);
}

/// Comes to `point` with a message to or from `participant`. Whether the message goes on.
fn spares(point: &str, participant: Option<&str>) -> bool {
    let Some(word) = asked(point) else {
        return true;
    };
    match word.split_once(' ') {
        None if word == "kill" => end(point),
        None if word == "stop" => {
            signal(point, Signal::SIGSTOP);
            true
        }
        None if word == "drop" => participant.is_none(),
        Some(("drop", name)) => participant != Some(name),
        _ => panic!("failpoint {point}: {word:?} is nothing that can be done here"),
    }
}

/// Ends this process here and now.
fn end(point: &str) -> ! {
    loop {
        signal(point, Signal::SIGKILL);
    }
}

fn signal(point: &str, signal: Signal) {
    tracing::warn!(point, %signal, "a failpoint signals this process");
    kill(Pid::this(), signal).expect("a process may signal itself");
}

/// The conductor has answered; nothing of it is carried out yet.
pub(crate) fn conducted(out: &mut ConductorOutputs, directory: &Directory) {
    for (_, milestone) in &out.milestones {
        match milestone {
            Milestone::Voted(..) => reach("leader::after-vote"),
            Milestone::Prepared => reach("leader::after-all-votes"),
            Milestone::Decided(Outcome::Commit, _) => reach("leader::after-decision"),
            _ => {}
        }
    }
    if out
        .propose
        .iter()
        .any(|record| matches!(record, Record::End { .. }))
    {
        reach("leader::before-end");
    }
    out.send.retain(|(to, _, _, request)| {
        let point = match request {
            Request::CanCommit { .. } => "leader::before-can-commit",
            Request::Accept {
                value: Value::Commit,
                ..
            } => "leader::before-pre-commit",
            Request::DoCommit => "leader::before-do-commit",
            _ => return true,
        };
        spares(point, Some(&directory.name(*to)))
    });
}

/// A participant is heard, and nothing is done about it yet. Whether it is listened to.
pub(crate) fn hears(participant: &str, message: &Message) -> bool {
    let Message::Answer(answer) = message else {
        return true;
    };
    let point = match answer {
        Answer::Yes { .. } | Answer::Read { .. } | Answer::No { .. } => "leader::on-vote",
        Answer::Ack { .. } => "leader::on-ack",
        Answer::Committed { .. } => "leader::on-committed",
        _ => return true,
    };
    spares(point, Some(participant))
}

/// Records were handed to Raft.
pub(crate) fn proposed(records: &[Record]) {
    if records
        .iter()
        .any(|record| matches!(record, Record::PreCommit { .. }))
    {
        reach("leader::after-proposal");
    }
}

/// A record that a majority has is about to be applied here, whoever leads.
pub(crate) fn applying(record: &Record) {
    if matches!(record, Record::PreCommit { .. }) {
        reach("replica::before-pre-commit-applied");
    }
}
