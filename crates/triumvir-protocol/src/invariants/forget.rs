//! docs/protocol.md, "Invariants", forget: a commit ends only when all YES voters that are not removed
//! have made it durable, and until it has ended no horizon passes it.

use super::{Chronicle, Verdict, Violation};
use crate::Value;

pub(super) fn check(past: &Chronicle) -> Verdict {
    for (txn, (digest, voters)) in &past.records {
        let key = (*txn, *digest);
        let ended = past.ended.get(txn).map(|ended| ended.outcome);
        let over = past.horizon.covers(*txn);
        if over && ended.is_none() {
            let detail = format!("{txn} {digest}: the horizon passed an open record");
            return Err(Violation::new("forget", detail));
        }
        let applied = |id| {
            let effects = past.effects.get(&key);
            effects.and_then(|effects| effects.get(id)) == Some(&Value::Commit)
        };
        if ended == Some(Value::Commit)
            && let Some(missing) = voters
                .iter()
                .find(|id| !applied(*id) && !past.removed.contains(id))
        {
            let detail = format!("{txn} {digest}: ended, and {missing} has not applied it");
            return Err(Violation::new("forget", detail));
        }
    }
    Ok(())
}
