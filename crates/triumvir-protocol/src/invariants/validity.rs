//! docs/protocol.md, "Invariants", validity: commit only if every listed participant has voted YES or
//! READ on one digest.

use super::{Chronicle, Verdict, Violation};
use crate::Value;

pub(super) fn check(past: &Chronicle) -> Verdict {
    for (key, outcomes) in &past.outcomes {
        let committed = outcomes.values().any(|outcome| *outcome == Value::Commit);
        if (committed || past.told_committed.contains(key)) && !past.all_voted(*key) {
            let detail = format!("{} {} is committed, and not all have voted", key.0, key.1);
            return Err(Violation::new("validity", detail));
        }
    }
    Ok(())
}
