//! Failpoints: a process test kills this replica, or stops it, at a chosen step of a change of its
//! members. This room exists under the feature `failpoints` only, and does nothing for a point that the
//! environment does not name (`FAILPOINTS`, which the binary reads when it starts). Nothing else may
//! depend on it.
//!
//! A point is switched by fail-rs's `return` with the word `kill` or `stop`: this process is sent SIGKILL
//! or SIGSTOP at that instant.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use openraft::EntryPayload;

use crate::types::{Entry, Membership, StoredMembership};

/// What is asked for at `point`, if anything.
fn asked(point: &str) -> Option<String> {
    fail::fail_point!(point, |word| Some(word.unwrap_or_default()));
    None
}

fn reach(point: &str) {
    match asked(point).as_deref() {
        None => {}
        Some("kill") => loop {
            signal(point, Signal::SIGKILL);
        },
        Some("stop") => signal(point, Signal::SIGSTOP),
        Some(word) => panic!("failpoint {point}: {word:?} is nothing that can be done here"),
    }
}

fn signal(point: &str, signal: Signal) {
    tracing::warn!(point, %signal, "a failpoint signals this process");
    kill(Pid::this(), signal).expect("a process may signal itself");
}

fn is_joint(membership: &Membership) -> bool {
    membership.get_joint_config().len() > 1
}

/// Whether one of these entries begins a change of voters.
pub(crate) fn has_joint(entries: &[Entry]) -> bool {
    entries.iter().any(|entry| match &entry.payload {
        EntryPayload::Membership(membership) => is_joint(membership),
        EntryPayload::Blank | EntryPayload::Normal(_) => false,
    })
}

/// Entries, of which one begins a change of voters, are in the log here and on their way to the disk.
/// Nobody else can have had them from here: the log is locked.
pub(crate) fn joint_appended() {
    reach("replica::joint-members-appended");
}

/// Members that a majority has are about to be applied here, whoever leads. A leader has not proposed
/// the second step of their change.
pub(crate) fn applying(members: &[StoredMembership]) {
    if members.iter().any(|members| is_joint(members.membership())) {
        reach("replica::before-joint-members-applied");
    }
}
