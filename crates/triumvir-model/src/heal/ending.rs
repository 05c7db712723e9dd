//! What a schedule ends with: every party's branch is over, in one way.

use triumvir_protocol::{BranchState, Digest, Outcome, Reply, Standing, Value};

use super::{Cast, Healed};
use crate::state::{State, TXN};
use crate::step::Step;

/// Whether nothing of `digest` is left in doubt at participant `at`: its outcome is carried out there and
/// on disk, and what was only read is released.
pub(super) fn has_ended(state: &State, at: usize, digest: Digest) -> bool {
    let branch = state.branch(at).filter(|branch| branch.digest == digest);
    branch.is_none_or(|branch| !branch.is_live())
}

/// `outcome` is that of every party, of the log, if it was asked, and what clients were told meanwhile.
pub(super) fn agreed(step: &Step<'_>, cast: Cast<'_>, digest: Digest, outcome: Outcome) -> Healed {
    let of = |at: &usize| {
        let effect = step.state.nodes[*at].effects.get(&(TXN, digest)).copied();
        let branch = step.state.branch(*at).filter(|b| b.digest == digest);
        let durable = branch.and_then(|branch| match branch.state {
            BranchState::PreCommitted { .. } | BranchState::Committed => Some(Value::Commit),
            BranchState::Aborted | BranchState::Refused(_) => Some(Value::Abort),
            BranchState::Prepared { .. } | BranchState::Read { .. } => None,
        });
        effect.or(durable)
    };
    if let Some(other) = cast
        .parties
        .iter()
        .find(|at| of(at).is_some_and(|own| own != outcome))
    {
        return Err(format!("p{} comes to another outcome", other + 1).into());
    }
    let logged = match step.state.head.standing(TXN) {
        Standing::Ended(ended) if ended.covers(digest) => Some(ended.outcome),
        Standing::Open(open) if open.terms.digest == digest => None,
        Standing::Open(_) | Standing::Ended(_) => Some(Value::Abort),
        Standing::Absent | Standing::Forgotten => None,
    };
    if cast.led.is_some() && logged.is_some_and(|logged| logged != outcome) {
        return Err("the log says another outcome".into());
    }
    let told = step.heard.iter().filter_map(|(asked, reply)| match reply {
        Reply::Committed { .. } if *asked == Some(digest) => Some(Value::Commit),
        Reply::Aborted(_) if asked.is_none_or(|asked| asked == digest) => Some(Value::Abort),
        Reply::IdInUse if *asked == Some(digest) => Some(Value::Abort),
        _ => None,
    });
    for told in told {
        if told != outcome {
            return Err(format!("a client is told {told:?}, and not {outcome:?}").into());
        }
    }
    Ok(outcome)
}
