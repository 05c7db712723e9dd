//! docs/protocol.md, "Invariants", forget: nobody forgets while a peer is in doubt. A property of one
//! step. What is forgotten was passed by an applied horizon; what commits, or has a record that is open, is then
//! over at every voter, and any other branch that is still prepared finds the end of its doubt in that
//! horizon itself.

use super::chronicle::Key;
use super::{Chronicle, Stored, Verdict, View, Violation};
use crate::{Branch, BranchState, Horizon, Outcome, ParticipantId, Value};

pub(super) fn check(past: &Chronicle, view: &View<'_>) -> Verdict {
    let applied = view.coordinators.iter().map(|own| own.horizon());
    let horizon = applied.fold(past.horizon, Horizon::max);
    for (id, stored) in &view.participants {
        let Some((_, before)) = past.disks.get(id) else {
            continue;
        };
        let mut gone = before
            .iter()
            .filter(|(txn, _)| !stored.branches.contains_key(txn));
        let wrong = gone.find_map(|(txn, branch)| {
            let key = (*txn, branch.digest);
            let why = if horizon.covers(*txn) {
                let peer = in_doubt(past, view, key, *id, outcome(past, branch, key))?;
                format!("while {peer} is in doubt")
            } else {
                "and no applied horizon has passed it".into()
            };
            Some(format!("{id} forgets {txn} {}, {why}", key.1))
        });
        if let Some(detail) = wrong {
            return Err(Violation::new("forget in doubt", detail));
        }
    }
    Ok(())
}

/// How the transaction ended, as far as anything says so.
fn outcome(past: &Chronicle, branch: &Branch, key: Key) -> Option<Outcome> {
    let own = match branch.state {
        BranchState::PreCommitted { .. } | BranchState::Committed => Some(Value::Commit),
        _ => None,
    };
    own.or_else(|| past.verdicts(key.0, key.1).first().copied())
}

/// A peer of `id` whose doubt the horizon does not end by itself.
fn in_doubt(
    past: &Chronicle,
    view: &View<'_>,
    key: Key,
    id: ParticipantId,
    outcome: Option<Outcome>,
) -> Option<ParticipantId> {
    let listed = past.terms.get(&key)?.participants.iter();
    let recorded = past
        .records
        .get(&key.0)
        .is_some_and(|(own, _)| *own == key.1);
    // A record that has not ended may still bring a prepared branch to commit.
    let may_commit = outcome == Some(Value::Commit) || recorded && !past.ended.contains_key(&key.0);
    let waits = |stored: &Stored<'_>| {
        let branch = stored.branches.get(&key.0);
        let branch = branch.filter(|branch| branch.digest == key.1);
        branch.is_some_and(|branch| match branch.state {
            BranchState::Prepared { .. } => may_commit,
            BranchState::PreCommitted { .. } => true,
            _ => false,
        })
    };
    let mut peers = listed.filter(|peer| **peer != id && !past.removed.contains(peer));
    peers
        .find(|peer| view.participants.get(peer).is_some_and(waits))
        .copied()
}
