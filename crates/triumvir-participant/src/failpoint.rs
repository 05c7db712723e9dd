//! Failpoints: a process test kills this participant, stops it, or keeps it from saying something, at
//! a chosen step of a transaction. This room exists under the feature `failpoints` only, and does
//! nothing for a point that the environment does not name (`FAILPOINTS`, which the binary reads when
//! it starts). Nothing else may depend on it.
//!
//! A point is switched by fail-rs's `return` with one of these words: `kill` and `stop` send SIGKILL
//! or SIGSTOP to this process at that instant; `drop` leaves a message out. So `1*off->return(kill)`
//! kills at the second time.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use triumvir_protocol::{Accepted, Answer, Ballot, BranchState, Force, Message, Target};

use crate::frames::Envelope;

/// What is asked for at `point`, if anything.
fn asked(point: &str) -> Option<String> {
    fail::fail_point!(point, |word| Some(word.unwrap_or_default()));
    None
}

/// Comes to `point`. Whether the message goes on that is about to be said there.
fn spares(point: &str) -> bool {
    let Some(word) = asked(point) else {
        return true;
    };
    match word.as_str() {
        "kill" => loop {
            signal(point, Signal::SIGKILL);
        },
        "stop" => signal(point, Signal::SIGSTOP),
        "drop" => return false,
        _ => panic!("failpoint {point}: {word:?} is nothing that can be done here"),
    }
    true
}

fn signal(point: &str, signal: Signal) {
    tracing::warn!(point, %signal, "a failpoint signals this process");
    kill(Pid::this(), signal).expect("a process may signal itself");
}

/// A record is about to go to the journal; nothing of it is on disk.
pub(crate) fn forcing(force: &Force) {
    let Force::Branch(_, branch) = force else {
        return;
    };
    let unpromised = |promised: &Ballot, accepted: &Option<Accepted>| {
        *promised == Ballot::ZERO && accepted.is_none()
    };
    match &branch.state {
        BranchState::Prepared {
            promised, accepted, ..
        } if unpromised(promised, accepted) => {
            spares("participant::before-vote-forced");
        }
        BranchState::PreCommitted { .. } => {
            spares("participant::before-pre-committed-forced");
        }
        BranchState::Committed => {
            spares("participant::before-committed-forced");
        }
        _ => {}
    }
}

/// What is about to be said is on disk. Leaves out what is not to be said.
pub(crate) fn saying(messages: &mut Vec<(Target, Envelope)>) {
    messages.retain(|(_, (_, _, message))| {
        let point = match message {
            Message::Answer(Answer::Yes { .. }) => "participant::before-vote-sent",
            Message::Answer(Answer::Ack { .. }) => "participant::before-ack-sent",
            Message::Answer(Answer::Committed { .. }) => "participant::before-committed-sent",
            _ => return true,
        };
        spares(point)
    });
}
