//! docs/protocol.md, "Crash rules", durability: no word of a participant asserts what its disk does not
//! hold at that moment, but for an outcome that others have made certain and that it is carrying out.

use super::chronicle::COORDINATOR;
use super::{Chronicle, Said, Stored, Verdict, View, Violation, client_truth};
use crate::{Answer, Ballot, BranchState, Value};

pub(super) fn check(past: &Chronicle, view: &View<'_>) -> Verdict {
    for said in &view.said {
        if let Some(stored) = view.participants.get(&said.from)
            && !is_backed(past, stored, said)
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

fn is_backed(past: &Chronicle, stored: &Stored<'_>, said: &Said<'_>) -> bool {
    use BranchState::{Aborted, Committed, PreCommitted, Prepared, Read, Refused};
    let key = (said.txn, said.digest);
    // An abort that is acknowledged is carried out: the ballot is on the coordinators' disks alone.
    let aborts = |ballot: &Ballot| {
        let at = past.accepts.get(&key).and_then(|at| at.get(ballot));
        at.and_then(|accepts| accepts.get(&COORDINATOR)) == Some(&Value::Abort)
    };
    let Some(branch) = stored.branches.get(&said.txn) else {
        let over = stored.horizon.covers(said.txn);
        return match said.answer {
            Answer::NeedPayload => true,
            Answer::Forgotten { horizon } => *horizon <= stored.horizon,
            // It was forgotten in the same write.
            Answer::Committed { .. } | Answer::Aborted => over,
            Answer::Ack { ballot } => over && aborts(ballot),
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
        | (Answer::Decided, PreCommitted { .. })
        | (Answer::Committed { .. }, Committed)
        | (Answer::Aborted, Aborted) => true,
        (Answer::Decided, Prepared { .. }) => client_truth::is_committed(past, key),
        (Answer::Ack { ballot }, Aborted) => aborts(ballot),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::pair::{P1, P2, Pair, TXN};

    /// Whether p1, whose disk says that it is prepared, may say DECIDED: the log has pre-commit, and p2 has
    /// accepted it or not.
    fn may_say_decided(accepted: bool) -> bool {
        let mut pair = Pair::prepared();
        if accepted {
            pair.pre_commit(P2);
        }
        let mut view = pair.view();
        view.said.push(Said {
            from: P1,
            txn: TXN,
            digest: pair.terms.digest,
            answer: &Answer::Decided,
        });
        let mut past = Chronicle::default();
        past.observe(&view);
        check(&past, &view).is_ok()
    }

    #[test]
    fn what_is_not_chosen_is_not_called_decided() {
        assert!(may_say_decided(true));
        assert!(!may_say_decided(false));
    }
}
