//! docs/protocol.md, "Guarantees", agreement: no transaction is ever committed at one participant and
//! aborted at another. Of the contents that share an id, at most one commits.

use super::{Chronicle, Verdict, Violation};
use crate::Value;

pub(super) fn check(past: &Chronicle) -> Verdict {
    let mut committed = None;
    for ((txn, digest), outcomes) in &past.outcomes {
        let of = |value| outcomes.iter().find(move |(_, outcome)| **outcome == value);
        if let (Some((one, _)), Some((other, _))) = (of(Value::Commit), of(Value::Abort)) {
            let detail = format!("{txn} {digest}: {one} committed, {other} aborted");
            return Err(Violation::new("agreement", detail));
        }
        if of(Value::Commit).is_some() {
            if committed == Some(*txn) {
                let detail = format!("{txn}: two contents are committed");
                return Err(Violation::new("agreement", detail));
            }
            committed = Some(*txn);
        }
    }
    Ok(())
}
