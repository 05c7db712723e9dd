//! Requests to a participant, from a leader or from a peer, by the state of its branch. The rows are
//! those of docs/protocol.md, "The participant".

use super::*;
use crate::Accepted;

impl Participant {
    /// A leader or a peer asks or tells something about `txn`.
    pub fn handle_request(
        &mut self,
        source: Source,
        txn: TxnId,
        digest: Digest,
        request: Request,
        out: &mut ParticipantOutputs,
    ) {
        if let Request::Horizon(horizon) = request {
            return self.on_horizon(horizon, out);
        }
        let target = Target::from(source);
        let known = self.branches.contains_key(&txn);
        if !known && self.horizon.covers(txn) {
            return out.answer(target, txn, digest, self.forgotten(&request));
        }
        let ignored = request == Request::Abort && self.rules.ignore_digest_in_abort();
        if known && self.branches[&txn].digest != digest && !ignored {
            if !self.rules.conflict_silent() {
                let reason = NoReason::OtherContent;
                out.answer(target, txn, digest, Answer::No { reason });
            }
            return;
        }
        if let Source::Coordinator(_, epoch) = source {
            let moves = matches!(request, Request::CanCommit { .. } | Request::Accept { .. });
            if moves && epoch < self.epoch {
                return;
            }
            if let Some(doubt) = self.doubts.get_mut(&txn) {
                doubt.heard = true;
                if epoch > self.epoch {
                    doubt.idle = 0; // A majority made it a leader a moment ago.
                }
            }
            self.on_epoch(epoch);
        }
        if self.acting.contains_key(&txn) {
            return self.handle_while_acting(txn, digest, target, &request, out);
        }
        match self.branches.get(&txn).map(|branch| &branch.state) {
            None => self.handle_before_vote(source, txn, digest, request, out),
            Some(BranchState::Prepared { .. }) => {
                self.handle_prepared(target, txn, digest, request, out);
            }
            Some(BranchState::PreCommitted { .. }) => {
                self.handle_pre_committed(target, txn, digest, request, out);
            }
            Some(BranchState::Read { .. }) => self.handle_read(target, txn, request, out),
            Some(_) => self.handle_finished(target, txn, digest, request, out),
        }
    }

    /// What is said of an id that the horizon has passed.
    fn forgotten(&self, request: &Request) -> Answer {
        let refused = match request {
            Request::CanCommit { .. } => self.rules.refuse_forgotten_vote(),
            Request::Fence { .. } => self.rules.refuse_forgotten_fence(),
            _ => false,
        };
        let horizon = if self.rules.forgotten_unbounded() {
            Horizon::default()
        } else {
            self.horizon
        };
        let reason = NoReason::Overtaken;
        if refused {
            Answer::No { reason }
        } else {
            Answer::Forgotten { horizon }
        }
    }

    /// The resource is carrying out a decision: whoever tells the same hears when it is durable.
    fn handle_while_acting(
        &mut self,
        txn: TxnId,
        digest: Digest,
        target: Target,
        request: &Request,
        out: &mut ParticipantOutputs,
    ) {
        let acting = self.acting.get_mut(&txn).expect("the caller looked");
        match (acting.outcome, request) {
            (Value::Commit, Request::Abort) | (Value::Abort, Request::DoCommit) => {
                out.alarms.push((txn, Alarm::Contradiction));
            }
            (Value::Commit, Request::DoCommit) | (Value::Abort, _) => {
                acting.tell.insert(target);
            }
            (Value::Commit, _) => out.answer(target, txn, digest, Answer::Decided),
        }
    }

    fn handle_before_vote(
        &mut self,
        source: Source,
        txn: TxnId,
        digest: Digest,
        request: Request,
        out: &mut ParticipantOutputs,
    ) {
        match request {
            Request::CanCommit { terms, work, age } => {
                self.handle_can_commit(source, (txn, digest), terms, work, age, out);
            }
            Request::Poll if self.rules.poll_binds_nothing() => {}
            Request::Abort | Request::Fence { .. } | Request::Poll => {
                let asked = self
                    .working
                    .get(&txn)
                    .and_then(|working| working.asked.as_ref());
                if asked.is_some_and(|(terms, ..)| terms.digest != digest) {
                    return; // It will vote, or not, and then answer for this content too.
                }
                if self.working.remove(&txn).is_some() {
                    out.actions.push((txn, Action::Cancel));
                }
                let reason = NoReason::Overtaken;
                let forgets = request == Request::Abort && self.rules.abort_unremembered();
                if !self.rules.no_tombstone() && !forgets {
                    self.tombstone(txn, digest, reason.clone(), out);
                }
                out.answer(source.into(), txn, digest, Answer::No { reason });
            }
            Request::Accept { .. } | Request::DoCommit => {
                out.alarms.push((txn, Alarm::NoBranch));
            }
            Request::Horizon(_) => {}
        }
    }

    fn handle_can_commit(
        &mut self,
        source: Source,
        (txn, digest): (TxnId, Digest),
        terms: Terms,
        work: Option<Work>,
        age: TxnId,
        out: &mut ParticipantOutputs,
    ) {
        if terms.digest != digest || !terms.lists(self.id) {
            return; // Nobody would ever resolve such a branch.
        }
        let done = match self.working.get_mut(&txn) {
            Some(Working {
                asked: Some((asked, _, from)),
                ..
            }) => {
                if asked.digest == digest {
                    *from = source; // The vote goes to whoever asked last.
                }
                return;
            }
            Some(working) => working.operations,
            None => 0,
        };
        let work = match work {
            Some(Work::Done {
                incarnation,
                operations,
            }) if incarnation != self.incarnation || operations != done => {
                if self.rules.yes_without_work() {
                    Work::Payload(Payload::from([]))
                } else {
                    if self.working.remove(&txn).is_some() {
                        out.actions.push((txn, Action::Cancel));
                    }
                    let reason = NoReason::WorkLost;
                    self.tombstone(txn, digest, reason.clone(), out);
                    return out.answer(source.into(), txn, digest, Answer::No { reason });
                }
            }
            Some(work) => work,
            // Adopted by a leader that has only the list.
            None if done == 0 => {
                return out.answer(source.into(), txn, digest, Answer::NeedPayload);
            }
            None => return,
        };
        let working = self.working.entry(txn).or_insert_with(|| {
            out.timer(txn, ParticipantTimer::Work);
            Working {
                operations: 0,
                asked: None,
            }
        });
        working.asked = Some((terms, age, source));
        out.actions.push((txn, Action::Prepare { work, age }));
    }

    fn handle_prepared(
        &mut self,
        target: Target,
        txn: TxnId,
        digest: Digest,
        request: Request,
        out: &mut ParticipantOutputs,
    ) {
        let branch = self.branches.get_mut(&txn).expect("the caller looked");
        let results = branch.results.clone();
        let BranchState::Prepared {
            terms,
            promised,
            accepted,
            ..
        } = &mut branch.state
        else {
            unreachable!("the caller looked")
        };
        let (mode, mb, acc) = (terms.mode, *promised, *accepted);
        let state = Answer::Prepared {
            promised: mb,
            accepted: acc,
        };
        match request {
            Request::CanCommit { .. } => {
                out.answer(target, txn, digest, Answer::Yes { results });
            }
            Request::Poll => out.answer(target, txn, digest, state),
            Request::Fence { .. } if mode == Mode::TwoPhase => {
                out.answer(target, txn, digest, state);
            }
            // At the ballot that is promised already, the first promise may have been lost.
            Request::Fence { ballot } if ballot >= mb => {
                if ballot > mb {
                    *promised = ballot;
                    out.force.push(Force::Branch(txn, branch.clone()));
                }
                out.answer(
                    target,
                    txn,
                    digest,
                    Answer::Promise {
                        ballot,
                        accepted: acc,
                    },
                );
                if self.rules.fenced_is_aborted() {
                    self.decide(txn, Value::Abort, None, out);
                }
            }
            Request::Accept { ballot, value } if ballot >= mb => {
                self.accept(target, txn, Accepted { ballot, value }, out);
            }
            Request::Fence { .. } | Request::Accept { .. } => {
                let answer = Answer::Refuse {
                    promised: mb,
                    accepted: acc,
                };
                out.answer(target, txn, digest, answer);
            }
            Request::DoCommit => self.decide(txn, Value::Commit, Some(target), out),
            Request::Abort => self.decide(txn, Value::Abort, Some(target), out),
            Request::Horizon(_) => {}
        }
    }

    /// A prepared branch accepts `accept`, whose ballot is not too low.
    fn accept(
        &mut self,
        target: Target,
        txn: TxnId,
        accept: Accepted,
        out: &mut ParticipantOutputs,
    ) {
        let branch = self.branches.get_mut(&txn).expect("the caller looked");
        let digest = branch.digest;
        let BranchState::Prepared {
            terms,
            age,
            promised,
            accepted,
        } = &mut branch.state
        else {
            unreachable!("the caller looked")
        };
        let ballot = accept.ballot;
        if accept.value == Value::Commit {
            let (terms, age) = (terms.clone(), *age);
            branch.state = BranchState::PreCommitted { terms, age, ballot };
            out.force.push(Force::Branch(txn, branch.clone()));
            out.ack(self.rules.ack_unforced(), target, txn, digest, ballot);
            out.timer(txn, ParticipantTimer::Finish);
            self.doubts.remove(&txn);
            return;
        }
        *promised = ballot;
        *accepted = Some(accept);
        out.force.push(Force::Branch(txn, branch.clone()));
        if ballot.is_peer() {
            out.answer(target, txn, digest, Answer::Ack { ballot });
        } else {
            self.decide(txn, Value::Abort, None, out);
            let acting = self.acting.get_mut(&txn).expect("it was just decided");
            acting.ack = Some((target, ballot));
        }
    }

    fn handle_pre_committed(
        &mut self,
        target: Target,
        txn: TxnId,
        digest: Digest,
        request: Request,
        out: &mut ParticipantOutputs,
    ) {
        let branch = &self.branches[&txn];
        let BranchState::PreCommitted { ballot: at, .. } = branch.state else {
            unreachable!("the caller looked")
        };
        match request {
            Request::CanCommit { .. } => {
                let results = branch.results.clone();
                out.answer(target, txn, digest, Answer::Yes { results });
            }
            Request::DoCommit => self.decide(txn, Value::Commit, Some(target), out),
            Request::Abort => out.alarms.push((txn, Alarm::Contradiction)),
            // One of a lower ballot is late: a coordinator's ballot has overtaken that round.
            Request::Accept {
                value: Value::Abort,
                ballot,
            } if ballot >= at => out.alarms.push((txn, Alarm::Contradiction)),
            _ => out.answer(target, txn, digest, Answer::Decided),
        }
    }

    fn handle_read(
        &mut self,
        target: Target,
        txn: TxnId,
        request: Request,
        out: &mut ParticipantOutputs,
    ) {
        let branch = self.branches.get_mut(&txn).expect("the caller looked");
        let (digest, results) = (branch.digest, branch.results.clone());
        let stored = match request {
            Request::Fence { ballot } if self.rules.count_read_promise() => Some(Answer::Promise {
                ballot,
                accepted: None,
            }),
            Request::Accept { ballot, .. } if self.rules.count_read_ack() => {
                Some(Answer::Ack { ballot })
            }
            _ => None,
        };
        if let Some(answer) = stored {
            return out.answer(target, txn, digest, answer);
        }
        let BranchState::Read { released, .. } = &mut branch.state else {
            unreachable!("the caller looked")
        };
        if !matches!(request, Request::DoCommit | Request::Abort) {
            return out.answer(target, txn, digest, Answer::Read { results });
        }
        // Nobody waits to hear of a release: an answer here would be answered with the outcome, and
        // so on for ever.
        if !*released {
            *released = true;
            out.actions.push((txn, Action::Release));
            out.force.push(Force::Branch(txn, branch.clone()));
            self.doubts.remove(&txn);
        }
        if self.rules.forget_read() {
            self.branches.remove(&txn);
            out.force.push(Force::Forget(txn));
        }
    }

    fn handle_finished(
        &mut self,
        target: Target,
        txn: TxnId,
        digest: Digest,
        request: Request,
        out: &mut ParticipantOutputs,
    ) {
        let branch = &self.branches[&txn];
        let committed = branch.state == BranchState::Committed;
        // A late accept is none: a fence round has decided before a late pre-commit arrives, or a
        // coordinator's ballot before a late accept of a peer's.
        let contradicts = match &request {
            Request::DoCommit => !committed,
            Request::Abort => committed,
            _ => false,
        };
        if contradicts {
            out.alarms.push((txn, Alarm::Contradiction));
        }
        let answer = match &branch.state {
            BranchState::Committed => {
                let wanted = matches!(request, Request::CanCommit { .. });
                Answer::Committed {
                    results: wanted.then(|| branch.results.clone()),
                }
            }
            BranchState::Refused(reason) => Answer::No {
                reason: reason.clone(),
            },
            _ => Answer::Aborted,
        };
        out.answer(target, txn, digest, answer);
    }
}
