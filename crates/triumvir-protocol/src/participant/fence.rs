//! Peers finishing without a coordinator: polls and fence rounds (docs/protocol.md, "Finishing
//! without a coordinator").

use super::*;
use crate::Accepted;

/// A fence round of our own.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Round {
    ballot: Ballot,
    /// Peers that promised.
    promises: BTreeSet<ParticipantId>,
    /// Peers that voted READ.
    reads: BTreeSet<ParticipantId>,
    /// Peers that accepted abort at this ballot; ourselves too, once it is asked for.
    accepts: Option<BTreeSet<ParticipantId>>,
}

impl Round {
    /// Every peer that promised has accepted, and so have we.
    fn is_unanimous(&self) -> bool {
        let accepts = self.accepts.as_ref();
        accepts.is_some_and(|accepts| self.promises.is_subset(accepts))
    }
}

impl Participant {
    /// T2: a prepared branch has no outcome, and a poll has reached every listed participant. It
    /// starts a round with a ballot of its own, above every one that it has seen.
    pub fn on_fence(&mut self, txn: TxnId, out: &mut ParticipantOutputs) {
        let Some((terms, promised)) = self.prepared(txn) else {
            return;
        };
        if terms.mode == Mode::TwoPhase {
            return;
        }
        out.timer(txn, ParticipantTimer::Fence);
        let doubt = self.doubts.entry(txn).or_default();
        if doubt.round.as_ref().is_some_and(Round::is_unanimous) {
            return self.spread(txn, &terms, Value::Abort, out);
        }
        let id = self.id;
        let others = || {
            terms
                .participants
                .iter()
                .copied()
                .filter(move |peer| *peer != id)
        };
        if doubt.is_cared_for() || !others().all(|peer| doubt.polled.contains(&peer)) {
            return;
        }
        doubt.polled.clear();
        let Some(round) = doubt.ballot.max(promised).round.checked_add(1) else {
            return;
        };
        let ballot = Ballot::peer(round, id);
        doubt.ballot = ballot;
        doubt.round = Some(Round {
            ballot,
            promises: BTreeSet::new(),
            reads: BTreeSet::new(),
            accepts: None,
        });
        self.promise(txn, ballot, None, out);
        for peer in others() {
            out.ask(peer, txn, terms.digest, Request::Fence { ballot });
        }
        self.advance_round(txn, out);
    }

    /// A peer answers a poll, a fence or an accept of ours.
    pub fn handle_answer(
        &mut self,
        from: ParticipantId,
        txn: TxnId,
        digest: Digest,
        answer: Answer,
        out: &mut ParticipantOutputs,
    ) {
        let Some((terms, _)) = self.prepared(txn) else {
            return self.handle_answer_read(from, txn, digest, &answer, out);
        };
        if terms.digest != digest || !terms.lists(from) {
            return;
        }
        let mode = terms.mode;
        let doubt = self.doubts.entry(txn).or_default();
        match answer {
            Answer::Decided | Answer::Committed { .. } => {
                return self.spread(txn, &terms, Value::Commit, out);
            }
            // A voter that has not prepared never will; one that has aborted holds evidence.
            Answer::No { .. } | Answer::Aborted => {
                return self.spread(txn, &terms, Value::Abort, out);
            }
            Answer::Forgotten { horizon } => {
                // Evidence for this branch alone: it is not passed on.
                if horizon.covers(txn) && !self.rules.forgotten_ignored() {
                    self.decide(txn, Value::Abort, None, out);
                }
                return;
            }
            Answer::Read { .. } => {
                doubt.polled.insert(from);
                if let Some(round) = &mut doubt.round {
                    round.reads.insert(from);
                }
            }
            Answer::Prepared { promised, .. } => {
                doubt.polled.insert(from);
                doubt.ballot = doubt.ballot.max(promised);
            }
            Answer::Refuse { promised, .. } => {
                doubt.ballot = doubt.ballot.max(promised);
                if doubt
                    .round
                    .as_ref()
                    .is_some_and(|round| promised > round.ballot)
                {
                    doubt.round = None; // Overtaken. An abandoned round needs no undo.
                }
            }
            Answer::Promise { ballot, accepted } if mode == Mode::ThreePhase => {
                if let Some(round) = &mut doubt.round
                    && round.ballot == ballot
                {
                    if accepted.is_some_and(|accepted| accepted.value == Value::Commit) {
                        doubt.round = None;
                        return;
                    }
                    round.promises.insert(from);
                }
            }
            Answer::Ack { ballot } => {
                if let Some(round) = &mut doubt.round
                    && (round.ballot == ballot || self.rules.mix_ballots())
                    && let Some(accepts) = &mut round.accepts
                {
                    accepts.insert(from);
                }
            }
            Answer::Yes { .. } | Answer::Promise { .. } | Answer::NeedPayload => {}
        }
        self.advance_round(txn, out);
    }

    /// A READ voter has polled its peers: any outcome releases it.
    fn handle_answer_read(
        &mut self,
        from: ParticipantId,
        txn: TxnId,
        digest: Digest,
        answer: &Answer,
        out: &mut ParticipantOutputs,
    ) {
        let listed = |branch: &Branch| {
            let read = matches!(branch.state, BranchState::Read { .. });
            let terms = branch.live().map(|(terms, _)| terms);
            read && terms.is_some_and(|terms| terms.digest == digest && terms.lists(from))
        };
        if !self.branches.get(&txn).is_some_and(listed) {
            return;
        }
        let outcome = match answer {
            Answer::Decided | Answer::Committed { .. } => Value::Commit,
            Answer::No { .. } | Answer::Aborted => Value::Abort,
            // Over, either way; there is nothing to undo.
            Answer::Forgotten { horizon } if horizon.covers(txn) => Value::Abort,
            _ => return,
        };
        let source = Source::Peer(from);
        self.handle_request(source, txn, digest, Request::outcome(outcome), out);
    }

    /// Moves our own round on: all promised, then all accepted.
    fn advance_round(&mut self, txn: TxnId, out: &mut ParticipantOutputs) {
        let Some((terms, promised)) = self.prepared(txn) else {
            return;
        };
        let id = self.id;
        let doubt = self.doubts.entry(txn).or_default();
        let Some(round) = &mut doubt.round else {
            return;
        };
        if round.is_unanimous() {
            // Chosen, whatever was promised since. Alone among READ voters nobody has confirmed our own
            // acceptance, and a resource may carry out an action before this call's force: then the
            // next T2 goes on, before which the driver waits for the disk.
            if !round.promises.is_empty() {
                self.spread(txn, &terms, Value::Abort, out);
            }
            return;
        }
        let ballot = round.ballot;
        if promised > ballot {
            doubt.round = None;
            return;
        }
        let mut others = terms
            .participants
            .iter()
            .copied()
            .filter(|peer| *peer != id);
        if round.accepts.is_none() {
            if !others.all(|peer| round.promises.contains(&peer) || round.reads.contains(&peer)) {
                return;
            }
            round.accepts = Some(BTreeSet::from([id]));
            let voters = round.promises.clone();
            self.promise(
                txn,
                ballot,
                Some(Accepted {
                    ballot,
                    value: Value::Abort,
                }),
                out,
            );
            for peer in voters {
                let value = Value::Abort;
                out.ask(peer, txn, terms.digest, Request::Accept { ballot, value });
            }
            if self.rules.abort_on_promises() {
                self.spread(txn, &terms, Value::Abort, out);
            }
        }
    }

    /// Carries out an outcome that a peer's evidence shows, and tells the other peers.
    fn spread(&mut self, txn: TxnId, terms: &Terms, outcome: Value, out: &mut ParticipantOutputs) {
        for &peer in terms.participants.iter().filter(|peer| **peer != self.id) {
            out.ask(peer, txn, terms.digest, Request::outcome(outcome));
        }
        self.decide(txn, outcome, Some(Target::Coordinators), out);
    }

    /// Raises the branch's promise, and its acceptance with it.
    fn promise(
        &mut self,
        txn: TxnId,
        ballot: Ballot,
        accept: Option<Accepted>,
        out: &mut ParticipantOutputs,
    ) {
        let branch = self
            .branches
            .get_mut(&txn)
            .expect("only prepared branches run rounds");
        let BranchState::Prepared {
            promised, accepted, ..
        } = &mut branch.state
        else {
            unreachable!("only prepared branches run rounds")
        };
        *promised = ballot.max(*promised);
        *accepted = accept.or(*accepted);
        if !self.rules.fence_unforced() {
            out.force.push(Force::Branch(txn, branch.clone()));
        }
    }

    fn prepared(&self, txn: TxnId) -> Option<(Terms, Ballot)> {
        if self.acting.contains_key(&txn) {
            return None;
        }
        match &self.branches.get(&txn)?.state {
            BranchState::Prepared {
                terms, promised, ..
            } => Some((terms.clone(), *promised)),
            _ => None,
        }
    }
}
