//! docs/protocol.md, "Crash rules", durability, of requests and inquiries: a ballot is sent by whoever
//! has recorded it, and an outcome is told by nobody who has no evidence of it. It is certain, which
//! others or the sender have made durable before; and the sender can know that: from its disk, from
//! the log as far as it has applied it, from what it was told. What a leader was told by participants
//! is in memory alone: here it counts if they have made it durable.

use super::chronicle::{COORDINATOR, Key};
use super::{Chronicle, Stored, Verdict, View, Violation, Word, abort_evidence, client_truth};
use crate::{
    Accepted, Answer, Branch, BranchState, Coordinator, Mode, Open, Outcome, ParticipantId,
    Request, Standing, Value,
};

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
    let outcome = match word.request {
        Some(Request::DoCommit) => client_truth::is_committed(past, key).then_some(Value::Commit),
        Some(Request::Abort) => is_aborted(past, key).then_some(Value::Abort),
        request => return is_recorded(view, word, key, request),
    };
    outcome.is_some_and(|outcome| match (word.from, word.applied) {
        (None, log) => log.is_some_and(|log| is_logged(past, log, key, outcome)),
        (Some(id), _) => is_known(past, view, word, id, outcome),
    })
}

/// Whether what is not an outcome stands on the sender's disk, or in the log that it has applied.
fn is_recorded(view: &View<'_>, word: &Word<'_>, key: Key, request: Option<&Request>) -> bool {
    let Some(log) = word.applied else {
        let stored = word.from.and_then(|id| view.participants.get(&id));
        return stored.is_some_and(|stored| is_stored(stored, key, request));
    };
    match request {
        Some(&Request::Accept { ballot, value }) => match log.standing(key.0) {
            Standing::Open(open) => {
                open.terms.digest == key.1 && open.accepted == Accepted { ballot, value }
            }
            _ => false,
        },
        Some(Request::Horizon(horizon)) => *horizon <= log.horizon(),
        Some(Request::CanCommit { .. } | Request::Fence { .. }) => true,
        Some(Request::Poll | Request::DoCommit | Request::Abort) | None => false,
    }
}

/// Whether one that has applied `log`, and hears voters, may know of `outcome`.
fn is_logged(past: &Chronicle, log: &Coordinator, key: Key, outcome: Outcome) -> bool {
    let refused = outcome == Value::Abort && abort_evidence::is_refused(past, key);
    refused
        || match log.standing(key.0) {
            Standing::Ended(ended) if ended.covers(key.1) => ended.outcome == outcome,
            Standing::Open(open) if open.terms.digest == key.1 => {
                open.accepted.value == outcome && is_confirmed(past, open, key)
            }
            Standing::Ended(_) | Standing::Open(_) => outcome == Value::Abort,
            Standing::Absent | Standing::Forgotten => false,
        }
}

/// Whether a YES voter has made durable what the coordinator has accepted, or none need.
fn is_confirmed(past: &Chronicle, open: &Open, key: Key) -> bool {
    let value = open.accepted.value;
    let alone = open.terms.mode == Mode::TwoPhase || open.voters.is_empty();
    let ended = |id| past.outcomes.get(&key).and_then(|all| all.get(id)) == Some(&value);
    let accepted = |id| {
        let mut at = past.accepts.get(&key).into_iter().flatten();
        at.any(|(ballot, by)| !ballot.is_peer() && by.get(id) == Some(&value))
    };
    let mut voters = open.voters.iter();
    alone && value == Value::Commit || voters.any(|id| ended(id) || accepted(id))
}

/// Whether participant `id` may know of `outcome`: by its disk, by a round of its own, or by what a
/// listed peer has just said.
fn is_known(
    past: &Chronicle,
    view: &View<'_>,
    word: &Word<'_>,
    id: ParticipantId,
    outcome: Outcome,
) -> bool {
    let key = (word.txn, word.digest);
    let lists = |id| past.terms.get(&key).is_some_and(|terms| terms.lists(id));
    let told = word
        .upon
        .filter(|(peer, digest, _)| lists(*peer) && *digest == word.digest);
    let told = told.and_then(|(_, _, answer)| match answer {
        Answer::Decided | Answer::Committed { .. } => Some(Value::Commit),
        Answer::No { .. } | Answer::Aborted => Some(Value::Abort),
        _ => None,
    });
    let stored = view.participants.get(&id);
    let branch = stored.and_then(|stored| stored.branches.get(&key.0));
    let committed = branch.is_some_and(|branch| {
        let state = &branch.state;
        branch.digest == key.1
            && matches!(
                state,
                BranchState::PreCommitted { .. } | BranchState::Committed
            )
    });
    // All YES voters have accepted abort at its ballot.
    let round = || {
        let mut chosen = past.chosen(key).into_iter();
        chosen.any(|accepted| accepted.ballot.owner == id.0)
    };
    told == Some(outcome)
        || match outcome {
            Value::Commit => committed,
            Value::Abort => round(),
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
    use super::*;
    use crate::Ballot;
    use crate::invariants::pair::{P1, P2, Pair, TXN};

    /// What p1, prepared with this promise and acceptance, may say.
    fn may_say(request: Option<&Request>, promised: Ballot, accepted: Option<Ballot>) -> bool {
        let mut pair = Pair::prepared();
        let value = Value::Abort;
        let accepted = accepted.map(|ballot| Accepted { ballot, value });
        pair.promise(P1, promised, accepted);
        let word = Word {
            from: Some(P1),
            txn: TXN,
            digest: pair.terms.digest,
            request,
            applied: None,
            upon: None,
        };
        may_be_said(&pair, &word)
    }

    /// The log has pre-commit and p2 has accepted it; p1 is prepared. What is said then is checked; what is
    /// said `upon` is about the same content, or about another one.
    fn may_tell(
        from: Option<ParticipantId>,
        request: &Request,
        log: bool,
        upon: Option<(ParticipantId, bool, &Answer)>,
    ) -> bool {
        let mut pair = Pair::prepared();
        pair.pre_commit(P2);
        let (digest, empty) = (pair.terms.digest, Coordinator::default());
        let applied = if log { &pair.log } else { &empty };
        let word = Word {
            from,
            txn: TXN,
            digest,
            request: Some(request),
            applied: from.is_none().then_some(applied),
            upon: upon.map(|(peer, same, answer)| {
                let about = if same { digest } else { crate::Digest([0; 32]) };
                (peer, about, answer)
            }),
        };
        may_be_said(&pair, &word)
    }

    fn may_be_said(pair: &Pair, word: &Word<'_>) -> bool {
        let view = pair.view();
        let mut past = Chronicle::default();
        past.observe(&view);
        check(&past, &view, std::slice::from_ref(word)).is_ok()
    }

    #[test]
    fn an_outcome_is_told_by_those_who_can_know_it() {
        let commit = Request::DoCommit;
        assert!(may_tell(None, &commit, true, None));
        assert!(!may_tell(None, &commit, false, None));
        assert!(may_tell(Some(P2), &commit, false, None));
        assert!(!may_tell(Some(P1), &commit, false, None));
        let told = |same, answer| may_tell(Some(P1), &commit, false, Some((P2, same, answer)));
        assert!(told(true, &Answer::Decided) && !told(true, &Answer::Aborted));
        assert!(!told(false, &Answer::Decided));
        let stranger = (ParticipantId(3), true, &Answer::Decided);
        assert!(!may_tell(Some(P1), &commit, false, Some(stranger)));
        assert!(!may_tell(None, &Request::Abort, true, None));
    }

    #[test]
    fn a_leader_asks_for_what_it_has_applied() {
        let (ballot, value) = (Ballot::ZERO, Value::Commit);
        let accept = Request::Accept { ballot, value };
        assert!(may_tell(None, &accept, true, None));
        assert!(!may_tell(None, &accept, false, None));
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
