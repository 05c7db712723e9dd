//! docs/protocol.md, "Crash rules", durability: no word of a participant asserts what its disk does not
//! hold at that moment.

use super::{Said, Stored, Verdict, View, Violation};
use crate::{Answer, BranchState};

pub(super) fn check(view: &View<'_>) -> Verdict {
    for said in &view.said {
        if let Some(stored) = view.participants.get(&said.from)
            && !is_backed(stored, said)
        {
            let Said {
                from,
                txn,
                digest,
                answer,
            } = said;
            let state = stored.branches.get(txn).map(|branch| &branch.state);
            let detail = format!("{from} says {answer:?} of {txn} {digest}, stored: {state:?}");
            return Err(Violation::new("durability", detail));
        }
    }
    Ok(())
}

fn is_backed(stored: &Stored<'_>, said: &Said<'_>) -> bool {
    use BranchState::{Aborted, Committed, PreCommitted, Prepared, Read, Refused};
    let Some(branch) = stored.branches.get(&said.txn) else {
        let over = stored.horizon.covers(said.txn);
        return match said.answer {
            Answer::NeedPayload => true,
            Answer::Forgotten { horizon } => *horizon <= stored.horizon,
            // It was forgotten in the same write.
            Answer::Committed { .. } | Answer::Aborted | Answer::Ack { .. } => over,
            _ => false,
        };
    };
    if branch.digest != said.digest {
        return matches!(said.answer, Answer::No { .. });
    }
    match (said.answer, &branch.state) {
        (Answer::Yes { .. }, Prepared { .. } | PreCommitted { .. })
        | (Answer::Read { .. }, Read { .. })
        | (Answer::No { .. }, Refused(_))
        | (Answer::Decided, Prepared { .. } | PreCommitted { .. })
        | (Answer::Committed { .. }, Committed)
        | (Answer::Aborted, Aborted)
        | (Answer::Ack { .. }, Aborted) => true,
        (Answer::Ack { ballot }, Prepared { accepted, .. }) => {
            accepted.is_some_and(|accepted| accepted.ballot == *ballot)
        }
        (Answer::Ack { ballot }, PreCommitted { ballot: at, .. }) => ballot == at,
        (
            Answer::Promise {
                ballot: at,
                accepted: told,
            }
            | Answer::Refuse {
                promised: at,
                accepted: told,
            }
            | Answer::Prepared {
                promised: at,
                accepted: told,
            },
            Prepared {
                promised, accepted, ..
            },
        ) => at == promised && told == accepted,
        _ => false,
    }
}
