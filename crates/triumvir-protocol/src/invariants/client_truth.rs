//! docs/protocol.md, "Invariants", client truth: told *committed*, it is chosen; told *aborted*, it
//! never commits.

use super::chronicle::Key;
use super::{Chronicle, Verdict, Violation};
use crate::Value;

pub(super) fn check(past: &Chronicle) -> Verdict {
    for key in &past.told_committed {
        if !is_committed(past, *key) {
            let detail = format!("{} {} was told committed and is not", key.0, key.1);
            return Err(Violation::new("client truth", detail));
        }
    }
    for (txn, digest) in &past.told_aborted {
        for key in past.terms.keys() {
            let meant = key.0 == *txn && digest.is_none_or(|digest| digest == key.1);
            let outcomes = past.outcomes.get(key).into_iter().flatten();
            let mut values = outcomes.map(|(_, outcome)| *outcome);
            let chosen = past.chosen(*key);
            if meant
                && (values.any(|value| value == Value::Commit)
                    || chosen.iter().any(|a| a.value == Value::Commit))
            {
                let detail = format!("{txn} {} was told aborted and is committed", key.1);
                return Err(Violation::new("client truth", detail));
            }
        }
    }
    Ok(())
}

/// Whether commit is certain: chosen, or ended so.
pub(super) fn is_committed(past: &Chronicle, key: Key) -> bool {
    let ended = past.ended.get(&key.0);
    let recorded = ended.is_some_and(|e| e.outcome == Value::Commit && e.covers(key.1));
    let chosen = || past.chosen(key).iter().any(|a| a.value == Value::Commit);
    recorded || chosen()
}
