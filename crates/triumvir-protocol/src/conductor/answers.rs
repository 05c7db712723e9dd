//! Participants' answers: votes, acknowledgements, refusals and what they have heard elsewhere.

use super::Conductor;
use super::flight::{Flight, Phase};
use super::outputs::{AbortCause, ConductorOutputs, ConductorTimer, Milestone, Reply};
use crate::{
    AbortReason, Accepted, Answer, Ballot, Coordinator, Digest, NoReason, ParticipantId, Payload,
    Record, Request, Rules, TxnId, Value,
};

impl Conductor {
    /// A participant answers a request of this leader or of an earlier one.
    pub fn handle_answer(
        &mut self,
        coordinator: &Coordinator,
        from: ParticipantId,
        txn: TxnId,
        digest: Digest,
        answer: Answer,
        out: &mut ConductorOutputs,
    ) {
        let finished = matches!(
            answer,
            Answer::Committed { .. }
                | Answer::Aborted
                | Answer::No { .. }
                | Answer::Forgotten { .. }
        );
        let vote = matches!(
            answer,
            Answer::Yes { .. } | Answer::Read { .. } | Answer::No { .. }
        );
        let ignored = vote && self.rules.ignore_digest_in_vote();
        if !finished && let Some(request) = Self::log_evidence(coordinator, txn, digest, ignored) {
            let recall = self
                .flights
                .get(&txn)
                .is_some_and(|f| f.terms.digest == digest);
            if !recall {
                out.send(from, txn, digest, request);
                return;
            }
        }
        let Some(flight) = self.flights.get_mut(&txn) else {
            return;
        };
        if flight.terms.digest != digest && !ignored || !flight.terms.lists(from) {
            return;
        }
        if let (Answer::Forgotten { horizon }, Phase::Voting) = (&answer, &flight.phase)
            && horizon.covers(txn)
            && flight.pending.is_none()
        {
            return self.expire(txn, out);
        }
        let was_decided = flight.is_decided();
        flight.handle_answer(self.rules, txn, from, answer, out);
        if self.asked.contains_key(&txn) {
            flight.close(txn, out);
        }
        let done = match &flight.phase {
            Phase::Aborted { untold, .. } => untold.is_empty() && flight.pending.is_none(),
            Phase::Committed { ended, .. } => *ended && flight.callers.is_empty(),
            Phase::Voting | Phase::Recorded { .. } => false,
        };
        self.settle(txn, was_decided);
        if done {
            self.remove(txn);
        }
    }
}

impl Flight {
    fn handle_answer(
        &mut self,
        rules: Rules,
        txn: TxnId,
        from: ParticipantId,
        answer: Answer,
        out: &mut ConductorOutputs,
    ) {
        match answer {
            Answer::Yes { results } => self.on_vote(txn, from, results, true, out),
            Answer::Read { results } => self.on_vote(txn, from, results, false, out),
            Answer::No { reason } => self.on_no(txn, from, reason, out),
            Answer::NeedPayload => {
                if self.phase == Phase::Voting && self.work.contains_key(&from) {
                    self.ask_vote(txn, from, out);
                } else if self.phase == Phase::Voting && rules.read_without_work() {
                    self.on_vote(txn, from, [].into(), false, out);
                }
            }
            Answer::Ack { ballot } => self.on_ack(rules, txn, from, ballot, out),
            Answer::Promise { ballot, accepted } => {
                self.on_promise(rules, txn, from, ballot, accepted, out);
            }
            Answer::Refuse { promised, .. } => self.on_refuse(rules, txn, from, promised, out),
            Answer::Decided => self.on_decided(rules, txn, from, out),
            Answer::Committed { results } => self.on_committed(txn, from, results, out),
            Answer::Aborted => self.on_aborted(txn, from, out),
            // States that a poll asks for, and a horizon that ours will reach: nothing to learn.
            Answer::Prepared { .. } | Answer::Forgotten { .. } => {}
        }
    }

    fn is_voter(&self, id: ParticipantId) -> bool {
        matches!(&self.phase, Phase::Recorded { voters, .. } if voters.contains(&id))
    }

    fn on_vote(
        &mut self,
        txn: TxnId,
        from: ParticipantId,
        results: Payload,
        yes: bool,
        out: &mut ConductorOutputs,
    ) {
        self.results.insert(from, results);
        match &mut self.phase {
            Phase::Voting => {}
            Phase::Committed { .. } => {
                // Only a caller that came after a change of leader still waits for results.
                if self.results.len() == self.terms.participants.len() {
                    self.give_results(txn, out);
                }
                return;
            }
            Phase::Aborted { untold, .. } => {
                if !untold.remove(&from) || yes {
                    out.send(from, txn, self.terms.digest, Request::Abort);
                }
                return;
            }
            Phase::Recorded { .. } => return,
        }
        let votes = if yes { &mut self.yes } else { &mut self.read };
        if votes.insert(from) {
            out.milestone(txn, Milestone::Voted(from, true));
        }
        let all = self.yes.len() + self.read.len() == self.terms.participants.len();
        if all && self.pending.is_none() {
            let voters = self.yes.iter().copied().collect();
            out.milestone(txn, Milestone::Prepared);
            self.propose(
                Record::PreCommit {
                    txn,
                    terms: self.terms.clone(),
                    voters,
                },
                out,
            );
        }
    }

    fn on_no(
        &mut self,
        txn: TxnId,
        from: ParticipantId,
        reason: NoReason,
        out: &mut ConductorOutputs,
    ) {
        match &mut self.phase {
            // Impossible with its disk intact, as all have voted; nothing is said before the record.
            Phase::Voting if matches!(self.pending, Some(Record::PreCommit { .. })) => {}
            Phase::Voting => {
                out.milestone(txn, Milestone::Voted(from, false));
                if reason == NoReason::OtherContent {
                    self.reply_all(txn, &Reply::IdInUse, out);
                }
                self.become_aborted(txn, AbortCause::No(from, reason), Some(from), out);
            }
            Phase::Aborted { untold, .. } => {
                untold.remove(&from);
            }
            // Impossible with its disk intact: a YES or READ of this digest is recorded.
            Phase::Recorded { .. } | Phase::Committed { .. } => {}
        }
    }

    fn on_ack(
        &mut self,
        rules: Rules,
        txn: TxnId,
        from: ParticipantId,
        ballot: Ballot,
        out: &mut ConductorOutputs,
    ) {
        let Phase::Recorded { accepted, .. } = &self.phase else {
            return;
        };
        if accepted.ballot != ballot || !(self.is_voter(from) || rules.count_read_ack()) {
            return;
        }
        match accepted.value {
            Value::Commit => self.become_committed(txn, None, out),
            Value::Abort => {
                let cause = AbortCause::Recorded(AbortReason::Fenced);
                let end = Record::End {
                    txn,
                    outcome: Value::Abort,
                };
                let proposed = self.pending.as_ref() == Some(&end);
                self.become_aborted(txn, cause, Some(from), out);
                if !proposed {
                    self.propose(end, out);
                }
            }
        }
    }

    fn on_refuse(
        &mut self,
        rules: Rules,
        txn: TxnId,
        from: ParticipantId,
        promised: Ballot,
        out: &mut ConductorOutputs,
    ) {
        if !self.is_voter(from) {
            return;
        }
        let Phase::Recorded {
            accepted,
            voters,
            fence,
        } = &mut self.phase
        else {
            return;
        };
        if promised <= fence.unwrap_or(accepted.ballot) || rules.refusal_ignored() {
            return;
        }
        if rules.abort_on_refusal() {
            let cause = AbortCause::Recorded(AbortReason::Fenced);
            self.become_aborted(txn, cause, None, out);
            return;
        }
        let Some(round) = promised.round.checked_add(1) else {
            return;
        };
        let ballot = Ballot::coordinator(round);
        *fence = Some(ballot);
        let promisers = if rules.count_read_promise() {
            &self.terms.participants
        } else {
            &*voters
        };
        for &voter in promisers.iter() {
            out.send(voter, txn, self.terms.digest, Request::Fence { ballot });
        }
        self.pending = None;
        out.timer(txn, ConductorTimer::Resend);
    }

    fn on_promise(
        &mut self,
        rules: Rules,
        txn: TxnId,
        from: ParticipantId,
        ballot: Ballot,
        promised: Option<Accepted>,
        out: &mut ConductorOutputs,
    ) {
        if !(self.is_voter(from) || rules.count_read_promise()) || self.pending.is_some() {
            return;
        }
        let Phase::Recorded {
            accepted,
            voters,
            fence,
        } = &self.phase
        else {
            return;
        };
        if *fence != Some(ballot) {
            return;
        }
        // The value of the highest ballot among the coordinator's own and the promise.
        let highest = promised
            .filter(|p| p.ballot > accepted.ballot)
            .unwrap_or(*accepted);
        let value = highest.value;
        if rules.send_unrecorded() {
            for &voter in voters.iter() {
                out.send(
                    voter,
                    txn,
                    self.terms.digest,
                    Request::Accept { ballot, value },
                );
            }
        }
        let expected = accepted.ballot;
        self.propose(
            Record::Accept {
                txn,
                ballot,
                value,
                expected,
            },
            out,
        );
    }

    fn on_decided(
        &mut self,
        rules: Rules,
        txn: TxnId,
        from: ParticipantId,
        out: &mut ConductorOutputs,
    ) {
        if self.is_voter(from) {
            self.become_committed(txn, rules.end_on_decided().then_some(from), out);
        } else if let Phase::Committed { unconfirmed, .. } = &mut self.phase
            && rules.end_on_decided()
        {
            unconfirmed.remove(&from);
            self.end_if_confirmed(txn, out);
        }
    }

    fn on_committed(
        &mut self,
        txn: TxnId,
        from: ParticipantId,
        results: Option<Payload>,
        out: &mut ConductorOutputs,
    ) {
        if let Some(results) = results {
            self.results.insert(from, results);
        }
        if self.is_voter(from) {
            self.become_committed(txn, Some(from), out);
        } else if let Phase::Committed { unconfirmed, .. } = &mut self.phase {
            unconfirmed.remove(&from);
            if self.results.len() == self.terms.participants.len() {
                self.give_results(txn, out);
            }
            self.end_if_confirmed(txn, out);
        }
    }

    fn on_aborted(&mut self, txn: TxnId, from: ParticipantId, out: &mut ConductorOutputs) {
        match &mut self.phase {
            Phase::Voting => self.propose_abort(txn, AbortReason::Reported(from), out),
            Phase::Recorded { .. } => {
                let end = Record::End {
                    txn,
                    outcome: Value::Abort,
                };
                if self.pending.as_ref() != Some(&end) {
                    self.propose(end, out);
                }
            }
            Phase::Aborted { untold, .. } => {
                untold.remove(&from);
            }
            Phase::Committed { .. } => {}
        }
    }
}
