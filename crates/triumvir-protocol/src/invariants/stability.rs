//! docs/protocol.md, "Invariants", stability: decisions are final, a NO among them; what a participant promised and
//! accepted, and what the coordinator accepted, only grows. A property of one step.

use super::{Chronicle, Verdict, View, Violation, Vote};
use crate::{Branch, BranchState};

pub(super) fn check(past: &Chronicle, view: &View<'_>) -> Verdict {
    for (id, stored) in &view.participants {
        let Some((_, before)) = past.disks.get(id) else {
            continue;
        };
        for (txn, old) in before {
            let Some(new) = stored.branches.get(txn) else {
                continue;
            };
            if !may_follow(old, new) {
                let detail = format!("{id} {txn}: {:?} became {:?}", old.state, new.state);
                return Err(Violation::new("stability", detail));
            }
        }
        let mut back = stored.branches.iter().filter(|(txn, branch)| {
            let votes = past.votes.get(&(**txn, branch.digest));
            let voted = votes.and_then(|votes| votes.get(id));
            voted == Some(&Vote::No) && !matches!(branch.state, BranchState::Refused(_))
        });
        if let Some((txn, branch)) = back.next() {
            let detail = format!("{id} {txn}: {:?} after a NO", branch.state);
            return Err(Violation::new("stability", detail));
        }
    }
    for (coordinator, before) in view.coordinators.iter().zip(&past.open) {
        for (txn, old) in before {
            let Some(new) = coordinator.open().get(txn) else {
                continue;
            };
            let grown = new.accepted == old.accepted || new.accepted.ballot > old.accepted.ballot;
            if !grown || new.terms != old.terms || new.voters != old.voters {
                let detail = format!("{txn}: record {old:?} became {new:?}");
                return Err(Violation::new("stability", detail));
            }
        }
        for (txn, ended) in coordinator.ended() {
            if past.ended.get(txn).is_some_and(|old| old != ended) {
                let detail = format!("{txn}: the log says a second outcome, {ended:?}");
                return Err(Violation::new("stability", detail));
            }
        }
    }
    Ok(())
}

fn may_follow(old: &Branch, new: &Branch) -> bool {
    use BranchState::{Aborted, Committed, PreCommitted, Prepared, Read};
    if old.digest != new.digest {
        return false;
    }
    match (&old.state, &new.state) {
        (
            Prepared {
                promised, accepted, ..
            },
            Prepared {
                promised: later,
                accepted: now,
                ..
            },
        ) => {
            let at = |accepted: &Option<crate::Accepted>| accepted.map(|a| a.ballot);
            later >= promised && at(now) >= at(accepted)
        }
        (Prepared { promised, .. }, PreCommitted { ballot, .. }) => ballot >= promised,
        (Prepared { .. }, Committed | Aborted) | (PreCommitted { .. }, Committed) => true,
        (Read { released, .. }, Read { released: now, .. }) => now >= released,
        (old, new) => old == new,
    }
}
