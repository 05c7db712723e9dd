//! docs/protocol.md, "Invariants", closure: once abort is answered for a content without a record, no
//! pre-commit record of that content is ever applied.

use super::{Chronicle, Verdict, Violation};

pub(super) fn check(past: &Chronicle) -> Verdict {
    match past.closed.iter().find(|key| past.is_recorded(**key)) {
        None => Ok(()),
        Some((txn, digest)) => {
            let detail = format!("{txn} {digest} was told aborted, then recorded");
            Err(Violation::new("closure", detail))
        }
    }
}
