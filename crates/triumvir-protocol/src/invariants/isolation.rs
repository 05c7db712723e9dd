//! docs/protocol.md, "Invariants", isolation: no lock is released before a decision, so every branch in
//! doubt holds its locks.

use super::{Verdict, View, Violation};

pub(super) fn check(view: &View<'_>) -> Verdict {
    for (id, stored) in &view.participants {
        let mut bare = stored
            .branches
            .iter()
            .filter(|(txn, branch)| branch.is_live() && !stored.locked.contains(txn));
        if let Some((txn, branch)) = bare.next() {
            let detail = format!("{id} {txn}: {:?} without its locks", branch.state);
            return Err(Violation::new("isolation", detail));
        }
    }
    Ok(())
}
