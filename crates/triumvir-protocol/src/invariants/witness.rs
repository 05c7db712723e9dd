//! docs/protocol.md, "Invariants", witness: a branch that is pre-committed at a ballot implies that the
//! coordinator has recorded commit at that ballot.

use super::chronicle::COORDINATOR;
use super::{Chronicle, Verdict, Violation};
use crate::Value;

pub(super) fn check(past: &Chronicle) -> Verdict {
    for (key, ballots) in &past.accepts {
        for (ballot, accepts) in ballots {
            let commit = accepts.iter().find(|(_, value)| **value == Value::Commit);
            if let Some((id, _)) = commit
                && accepts.get(&COORDINATOR) != Some(&Value::Commit)
            {
                let detail = format!("{} {}: {id} at {ballot} alone", key.0, key.1);
                return Err(Violation::new("witness", detail));
            }
        }
    }
    Ok(())
}
