//! docs/protocol.md, "Invariants", no resurrection: what the horizon has passed gets no record and no
//! branch again. A property of one step.

use super::{Chronicle, Verdict, View, Violation};

pub(super) fn check(past: &Chronicle, view: &View<'_>) -> Verdict {
    for coordinator in &view.coordinators {
        let horizon = coordinator.horizon();
        let first = |txn: Option<&crate::TxnId>| txn.copied().filter(|txn| horizon.covers(*txn));
        let open = first(coordinator.open().keys().next());
        let ended = first(coordinator.ended().keys().next());
        if let Some(txn) = open.or(ended) {
            let detail = format!("{txn} has a record below {horizon:?}");
            return Err(Violation::new("no resurrection", detail));
        }
    }
    for (id, stored) in &view.participants {
        let Some((horizon, before)) = past.disks.get(id) else {
            continue;
        };
        let back = stored.branches.keys();
        let mut back = back.filter(|txn| horizon.covers(**txn) && !before.contains_key(txn));
        if let Some(txn) = back.next() {
            let detail = format!("{id} has a branch of {txn} below {horizon:?}");
            return Err(Violation::new("no resurrection", detail));
        }
        if stored.horizon < *horizon {
            let detail = format!("{id}: its horizon went back from {horizon:?}");
            return Err(Violation::new("no resurrection", detail));
        }
    }
    Ok(())
}
