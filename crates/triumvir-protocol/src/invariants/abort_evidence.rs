//! docs/protocol.md, "Evidence", abort: a prepared branch is undone only on one of (a) to (e).

use super::chronicle::{COORDINATOR, Key};
use super::{Chronicle, Verdict, Violation, Vote};
use crate::Value;

pub(super) fn check(past: &Chronicle) -> Verdict {
    for (key, outcomes) in &past.outcomes {
        let prepared = |id| {
            let votes = past.votes.get(key);
            votes.and_then(|votes| votes.get(id)) == Some(&Vote::Yes)
        };
        let undone = outcomes
            .iter()
            .find(|(id, outcome)| **outcome == Value::Abort && prepared(id));
        if let Some((id, _)) = undone
            && !(stands(past, *key) || past.horizon.covers(key.0))
        {
            let detail = format!("{} {}: {id} aborted without evidence", key.0, key.1);
            return Err(Violation::new("abort evidence", detail));
        }
    }
    Ok(())
}

/// Whether abort is certain, whatever the horizon says.
pub(super) fn stands(past: &Chronicle, key: Key) -> bool {
    let recorded = past
        .ended
        .get(&key.0)
        .is_some_and(|ended| ended.outcome == Value::Abort || !ended.covers(key.1));
    let other = past
        .records
        .get(&key.0)
        .is_some_and(|(digest, _)| *digest != key.1);
    let chosen = past
        .chosen(key)
        .iter()
        .any(|accepted| accepted.value == Value::Abort);
    // The coordinator's recorded abort and the acceptance of the branch that is being undone, which
    // may have been forgotten again with its outcome.
    let accepted = past
        .accepts
        .get(&key)
        .into_iter()
        .flatten()
        .any(|(_, accepts)| accepts.len() > 1 && accepts.get(&COORDINATOR) == Some(&Value::Abort));
    is_refused(past, key) || recorded || other || chosen || accepted
}

/// Whether a listed participant has voted NO.
pub(super) fn is_refused(past: &Chronicle, key: Key) -> bool {
    let Some(terms) = past.terms.get(&key) else {
        return false;
    };
    let mut votes = past.votes.get(&key).into_iter().flatten();
    votes.any(|(id, vote)| *vote == Vote::No && terms.lists(*id))
}
