//! docs/protocol.md, "Crash rules", durability, of requests and inquiries: a ballot is sent by whoever
//! has recorded it, and an outcome is told by nobody who has no evidence of it, which others or the
//! sender have made durable before.

use super::chronicle::{COORDINATOR, Key};
use super::{Chronicle, Stored, Verdict, View, Violation, Word, abort_evidence, client_truth};
use crate::{Accepted, Branch, BranchState, Request, Value};

pub(super) fn check(past: &Chronicle, view: &View<'_>, words: &[Word<'_>]) -> Verdict {
    match words.iter().find(|word| !is_backed(past, view, word)) {
        None => Ok(()),
        Some(word) => {
            let from = word.from.unwrap_or(COORDINATOR);
            let (txn, digest) = (word.txn, word.digest);
            let what = word.request.map(|request| format!("{request:?}"));
            let what = what.unwrap_or_else(|| "an inquiry".into());
            let detail = format!("{from} says {what} of {txn} {digest}, and nothing shows it");
            Err(Violation::new("durability", detail))
        }
    }
}

fn is_backed(past: &Chronicle, view: &View<'_>, word: &Word<'_>) -> bool {
    let key = (word.txn, word.digest);
    match (word.request, word.from) {
        (Some(Request::DoCommit), _) => client_truth::is_committed(past, key),
        (Some(Request::Abort), _) => is_aborted(past, key),
        (request, Some(id)) => {
            let stored = view.participants.get(&id);
            stored.is_some_and(|stored| is_stored(stored, key, request))
        }
        (Some(Request::Accept { ballot, value }), None) => {
            let at = past.accepts.get(&key).and_then(|at| at.get(ballot));
            at.and_then(|accepts| accepts.get(&COORDINATOR)) == Some(value)
        }
        (Some(Request::Horizon(horizon)), None) => *horizon <= past.horizon,
        (Some(Request::CanCommit { .. } | Request::Fence { .. }), None) => true,
        (Some(Request::Poll) | None, None) => false,
    }
}

/// A horizon is evidence for a branch that it finds prepared, and what that branch then says is evidence
/// for others; the horizon alone is not.
fn is_aborted(past: &Chronicle, key: Key) -> bool {
    let undone = past.outcomes.get(&key).into_iter().flatten();
    let mut undone = undone.filter(|(_, outcome)| **outcome == Value::Abort);
    abort_evidence::stands(past, key) || past.horizon.covers(key.0) && undone.next().is_some()
}

/// What a participant asks a peer, or a coordinator without a request, stands on its own disk.
fn is_stored(stored: &Stored<'_>, key: Key, request: Option<&Request>) -> bool {
    let branch = stored.branches.get(&key.0);
    let Some(branch) = branch.filter(|branch| branch.digest == key.1) else {
        return false;
    };
    let prepared = match branch.state {
        BranchState::Prepared {
            promised, accepted, ..
        } => Some((promised, accepted)),
        _ => None,
    };
    match request {
        Some(Request::Poll) | None => Branch::is_live(branch),
        Some(Request::Fence { ballot }) => {
            prepared.is_some_and(|(promised, _)| promised == *ballot)
        }
        Some(&Request::Accept { ballot, value }) => {
            let own = Some(Accepted { ballot, value });
            prepared.is_some_and(|(_, accepted)| accepted == own && value == Value::Abort)
        }
        Some(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::{Ballot, Horizon, Mode, ParticipantId, Payload, Terms, TxnId, Work};

    const TXN: TxnId = TxnId::from_u128(1);
    const P1: ParticipantId = ParticipantId(1);

    /// What p1, prepared with this promise and acceptance, may say.
    fn may_say(request: Option<&Request>, promised: Ballot, accepted: Option<Ballot>) -> bool {
        let work = Work::Payload(Payload::from([]));
        let parts = [(P1, work.clone()), (ParticipantId(2), work)];
        let terms = Terms::of(Mode::ThreePhase, &parts).unwrap();
        let (digest, value) = (terms.digest, Value::Abort);
        let state = BranchState::Prepared {
            terms,
            age: TXN,
            promised,
            accepted: accepted.map(|ballot| Accepted { ballot, value }),
        };
        let branch = Branch {
            digest,
            state,
            results: Payload::from([]),
        };
        let (branches, effects) = (BTreeMap::from([(TXN, branch)]), BTreeMap::new());
        let locked = BTreeSet::from([TXN]);
        let stored = Stored {
            horizon: Horizon::default(),
            branches: &branches,
            effects: &effects,
            locked: &locked,
        };
        let view = View {
            participants: BTreeMap::from([(P1, stored)]),
            ..View::default()
        };
        let word = Word {
            from: Some(P1),
            txn: TXN,
            digest,
            request,
        };
        let mut past = Chronicle::default();
        past.observe(&view);
        check(&past, &view, &[word]).is_ok()
    }

    #[test]
    fn a_peer_asks_for_what_it_has_done_itself() {
        let (low, own) = (Ballot::peer(1, P1), Ballot::peer(2, P1));
        let fence = Request::Fence { ballot: own };
        assert!(may_say(Some(&fence), own, None));
        assert!(!may_say(Some(&fence), low, None));
        let (ballot, value) = (own, Value::Abort);
        let accept = Request::Accept { ballot, value };
        assert!(may_say(Some(&accept), own, Some(own)));
        assert!(!may_say(Some(&accept), own, None));
        assert!(!may_say(Some(&accept), own, Some(low)));
        assert!(may_say(None, own, None) && may_say(Some(&Request::Poll), own, None));
        assert!(!may_say(Some(&Request::Abort), own, Some(own)));
        assert!(!may_say(Some(&Request::DoCommit), own, None));
    }
}
