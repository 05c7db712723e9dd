//! One transaction under way at the leader: what has been heard, and what is to be said.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::outputs::{AbortCause, Caller, ConductorOutputs, ConductorTimer, Milestone, Reply};
use super::record_decides;
use crate::{
    AbortReason, Accepted, Ballot, Coordinator, Ended, Open, ParticipantId, Payload, Record,
    Request, Rules, Terms, TxnId, Value, Work,
};

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Flight {
    pub(super) terms: Terms,
    pub(super) age: TxnId,
    pub(super) work: BTreeMap<ParticipantId, Work>,
    pub(super) yes: BTreeSet<ParticipantId>,
    pub(super) read: BTreeSet<ParticipantId>,
    pub(super) results: BTreeMap<ParticipantId, Payload>,
    /// A record proposed and not yet applied.
    pub(super) pending: Option<Record>,
    pub(super) phase: Phase,
    pub(super) callers: BTreeSet<Caller>,
    /// Those listed that an operator has removed: nobody waits for them.
    pub(super) removed: BTreeSet<ParticipantId>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Phase {
    /// No record is applied.
    Voting,
    /// The coordinator has accepted; no outcome is certain.
    Recorded {
        accepted: Accepted,
        voters: Arc<[ParticipantId]>,
        fence: Option<Ballot>,
    },
    /// Committed; these have not confirmed it. `ended`: the log says so.
    Committed {
        unconfirmed: BTreeSet<ParticipantId>,
        ended: bool,
    },
    /// Aborted, for this reason; these have not been heard to know it.
    Aborted {
        cause: AbortCause,
        untold: BTreeSet<ParticipantId>,
    },
}

impl Flight {
    pub(super) fn voting(
        coordinator: &Coordinator,
        terms: Terms,
        work: BTreeMap<ParticipantId, Work>,
        age: TxnId,
    ) -> Self {
        Self {
            removed: coordinator.removed_among(&terms.participants),
            terms,
            age,
            work,
            yes: BTreeSet::new(),
            read: BTreeSet::new(),
            results: BTreeMap::new(),
            pending: None,
            phase: Phase::Voting,
            callers: BTreeSet::new(),
        }
    }

    /// A transaction that ended in commit, whose results are asked for once more.
    pub(super) fn ended(coordinator: &Coordinator, terms: Terms) -> Self {
        let phase = Phase::Committed {
            unconfirmed: BTreeSet::new(),
            ended: true,
        };
        Self {
            phase,
            ..Self::voting(coordinator, terms, BTreeMap::new(), TxnId::default())
        }
    }

    pub(super) fn is_decided(&self) -> bool {
        matches!(self.phase, Phase::Committed { .. } | Phase::Aborted { .. })
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Committed { ended: true, .. })
    }

    pub(super) fn public_phase(&self) -> super::Phase {
        match &self.phase {
            Phase::Voting if self.pending.is_some() => super::Phase::Proposed,
            Phase::Voting => super::Phase::Voting,
            Phase::Recorded { .. } => super::Phase::Recorded,
            Phase::Committed { .. } => super::Phase::Committed,
            Phase::Aborted { .. } => super::Phase::Aborted,
        }
    }

    pub(super) fn propose(&mut self, record: Record, out: &mut ConductorOutputs) {
        debug_assert!(record.check().is_ok(), "proposed {record:?}");
        self.pending = Some(record.clone());
        out.propose.push(record);
    }

    pub(super) fn propose_abort(
        &mut self,
        txn: TxnId,
        reason: AbortReason,
        out: &mut ConductorOutputs,
    ) {
        if self.phase == Phase::Voting && self.pending.is_none() {
            let digest = Some(self.terms.digest);
            self.propose(
                Record::Abort {
                    txn,
                    digest,
                    reason,
                },
                out,
            );
        }
    }

    /// Records an abort that a NO has decided.
    pub(super) fn close(&mut self, txn: TxnId, out: &mut ConductorOutputs) {
        if let (
            Phase::Aborted {
                cause: AbortCause::No(from, _),
                ..
            },
            None,
        ) = (&self.phase, &self.pending)
        {
            let (digest, reason) = (Some(self.terms.digest), AbortReason::Reported(*from));
            self.propose(
                Record::Abort {
                    txn,
                    digest,
                    reason,
                },
                out,
            );
        }
    }

    /// can-commit to every participant that has not voted.
    pub(super) fn ask_votes(&self, txn: TxnId, out: &mut ConductorOutputs) {
        for &participant in self.terms.participants.iter() {
            if !self.yes.contains(&participant) && !self.read.contains(&participant) {
                self.ask_vote(txn, participant, out);
            }
        }
    }

    pub(super) fn ask_vote(
        &self,
        txn: TxnId,
        participant: ParticipantId,
        out: &mut ConductorOutputs,
    ) {
        let work = self.work.get(&participant).cloned();
        let request = Request::CanCommit {
            terms: self.terms.clone(),
            work,
            age: self.age,
        };
        out.send(participant, txn, self.terms.digest, request);
    }

    /// A client has brought the content once more.
    pub(super) fn supply(
        &mut self,
        txn: TxnId,
        (work, age): (BTreeMap<ParticipantId, Work>, TxnId),
        out: &mut ConductorOutputs,
    ) {
        if self.phase == Phase::Voting && self.pending.is_none() && self.work.is_empty() {
            self.work = work;
            self.age = age;
            self.ask_votes(txn, out);
        } else {
            self.answer_if_decided(txn, out);
        }
    }

    /// Answers one participant that is in doubt with whatever this leader can say now.
    pub(super) fn remind(&self, txn: TxnId, to: ParticipantId, out: &mut ConductorOutputs) {
        match &self.phase {
            Phase::Voting => self.ask_vote(txn, to, out),
            Phase::Recorded {
                accepted,
                voters,
                fence,
            } if voters.contains(&to) => {
                let Accepted { ballot, value } = *accepted;
                let request = match fence {
                    Some(ballot) => Request::Fence { ballot: *ballot },
                    None => Request::Accept { ballot, value },
                };
                out.send(to, txn, self.terms.digest, request);
            }
            Phase::Recorded { .. } => {}
            Phase::Committed { .. } => out.send(to, txn, self.terms.digest, Request::DoCommit),
            Phase::Aborted { .. } => out.send(to, txn, self.terms.digest, Request::Abort),
        }
    }

    /// The log has a record of this transaction that has not ended.
    pub(super) fn on_recorded(
        &mut self,
        rules: Rules,
        txn: TxnId,
        open: &Open,
        out: &mut ConductorOutputs,
    ) {
        if self.is_decided() {
            // A ballot was under way when a voter said that it is decided: the end waited for it.
            if !matches!(self.pending, Some(Record::End { .. })) {
                self.pending = None;
                self.end_if_confirmed(txn, out);
            }
            return;
        }
        if let Phase::Recorded { accepted, .. } = &self.phase
            && *accepted == open.accepted
        {
            // A record that changed nothing must not disturb a ballot that is under way: that ballot
            // would lead to another such record, and so on for ever.
            return;
        }
        self.pending = None;
        out.milestone(txn, Milestone::Recorded);
        let accepted = open.accepted;
        let voters = open.voters.clone();
        if accepted.value == Value::Commit && record_decides(open.terms.mode, &voters) {
            self.phase = Phase::Recorded {
                accepted,
                voters,
                fence: None,
            };
            self.become_committed(txn, None, out);
            return;
        }
        let asked = if rules.count_read_ack() {
            &self.terms.participants
        } else {
            &voters
        };
        for voter in self.remaining(asked) {
            let Accepted { ballot, value } = accepted;
            out.send(
                voter,
                txn,
                self.terms.digest,
                Request::Accept { ballot, value },
            );
        }
        out.timer(txn, ConductorTimer::Resend);
        self.phase = Phase::Recorded {
            accepted,
            voters,
            fence: None,
        };
        if !self.removed.is_empty() {
            self.go_on_without(txn, out);
        }
        if rules.answer_at_record() {
            let results = self.results.clone();
            self.reply_all(txn, &Reply::Committed { results }, out);
        }
    }

    /// The log says how this transaction ended.
    pub(super) fn on_ended(&mut self, txn: TxnId, ended: &Ended, out: &mut ConductorOutputs) {
        match ended.outcome {
            Value::Commit => {
                if !matches!(self.phase, Phase::Committed { .. }) {
                    self.become_committed(txn, None, out);
                }
                self.phase = Phase::Committed {
                    unconfirmed: BTreeSet::new(),
                    ended: true,
                };
            }
            Value::Abort if !self.is_decided() => {
                let cause = ended
                    .reason
                    .map_or(AbortCause::Unexplained, AbortCause::Recorded);
                self.become_aborted(txn, cause, None, out);
            }
            Value::Abort => {}
        }
        self.pending = None;
        out.milestone(txn, Milestone::Ended);
    }

    /// Commit is certain: callers are answered, everyone is told. `witness` has confirmed it.
    pub(super) fn become_committed(
        &mut self,
        txn: TxnId,
        witness: Option<ParticipantId>,
        out: &mut ConductorOutputs,
    ) {
        let mut unconfirmed: BTreeSet<_> = match &self.phase {
            Phase::Recorded { voters, .. } => self.remaining(voters).collect(),
            _ => BTreeSet::new(),
        };
        if let Some(witness) = witness {
            unconfirmed.remove(&witness);
        }
        self.work.clear();
        self.phase = Phase::Committed {
            unconfirmed,
            ended: false,
        };
        out.milestone(txn, Milestone::Decided(Value::Commit, None));
        self.answer_committed(txn, out);
        for participant in self.remaining(&self.terms.participants) {
            if Some(participant) != witness {
                out.send(participant, txn, self.terms.digest, Request::DoCommit);
            }
        }
        out.timer(txn, ConductorTimer::Resend);
        self.end_if_confirmed(txn, out);
    }

    /// Abort is certain: callers are answered, everyone but `witness` is told.
    pub(super) fn become_aborted(
        &mut self,
        txn: TxnId,
        cause: AbortCause,
        witness: Option<ParticipantId>,
        out: &mut ConductorOutputs,
    ) {
        self.work.clear();
        self.reply_all(txn, &Reply::Aborted(cause.clone()), out);
        out.milestone(txn, Milestone::Decided(Value::Abort, Some(cause.clone())));
        let mut untold: BTreeSet<_> = self.remaining(&self.terms.participants).collect();
        if let Some(witness) = witness {
            untold.remove(&witness);
        }
        for &participant in &untold {
            out.send(participant, txn, self.terms.digest, Request::Abort);
        }
        self.phase = Phase::Aborted { cause, untold };
        out.timer(txn, ConductorTimer::Resend);
    }

    /// All YES voters have confirmed: the record may end.
    pub(super) fn end_if_confirmed(&mut self, txn: TxnId, out: &mut ConductorOutputs) {
        let Phase::Committed {
            unconfirmed,
            ended: false,
        } = &self.phase
        else {
            return;
        };
        if unconfirmed.is_empty() && self.pending.is_none() {
            self.propose(
                Record::End {
                    txn,
                    outcome: Value::Commit,
                },
                out,
            );
        }
    }

    /// The id has gone to another content: nothing of this one will be applied.
    pub(super) fn refuse(&mut self, txn: TxnId, out: &mut ConductorOutputs) {
        self.reply_all(txn, &Reply::IdInUse, out);
        for participant in self.remaining(&self.terms.participants) {
            out.send(participant, txn, self.terms.digest, Request::Abort);
        }
    }

    pub(super) fn on_vote_timeout(&mut self, rules: Rules, txn: TxnId, out: &mut ConductorOutputs) {
        if self.phase != Phase::Voting {
            return;
        }
        let missing = self.terms.participants.iter().copied();
        let missing = missing
            .into_iter()
            .find(|id| !self.yes.contains(id) && !self.read.contains(id));
        let reason = AbortReason::VoteTimeout(missing.unwrap_or_default());
        let proposed = self.pending.is_some();
        if !proposed && rules.abort_without_record() || proposed && rules.abort_after_proposal() {
            self.become_aborted(txn, AbortCause::Recorded(reason), None, out);
        } else {
            self.propose_abort(txn, reason, out);
        }
    }

    /// Says again what may have been lost.
    pub(super) fn on_resend(&mut self, txn: TxnId, out: &mut ConductorOutputs) {
        if let Some(record) = &self.pending {
            out.propose.push(record.clone());
        }
        match &self.phase {
            Phase::Voting if self.pending.is_none() => self.ask_votes(txn, out),
            Phase::Voting | Phase::Aborted { .. } => {}
            Phase::Recorded { voters, .. } => {
                for voter in self.remaining(voters) {
                    self.remind(txn, voter, out);
                }
            }
            Phase::Committed { unconfirmed, .. } => {
                for &participant in unconfirmed {
                    self.remind(txn, participant, out);
                }
            }
        }
        self.give_results(txn, out);
        out.timer(txn, ConductorTimer::Resend);
    }

    pub(super) fn reply_all(&mut self, txn: TxnId, reply: &Reply, out: &mut ConductorOutputs) {
        for caller in std::mem::take(&mut self.callers) {
            out.reply(caller, txn, reply.clone());
        }
    }

    pub(super) fn answer_if_decided(&mut self, txn: TxnId, out: &mut ConductorOutputs) {
        match &self.phase {
            Phase::Committed { .. } => self.answer_committed(txn, out),
            Phase::Aborted { cause, .. } => {
                let reply = Reply::Aborted(cause.clone());
                self.reply_all(txn, &reply, out);
            }
            Phase::Voting | Phase::Recorded { .. } => {}
        }
    }

    /// Answers the callers of a committed transaction. Results that a former leader gathered are
    /// asked for again first; [`on_resend`](Self::on_resend) answers without those still missing.
    pub(super) fn answer_committed(&mut self, txn: TxnId, out: &mut ConductorOutputs) {
        if self.callers.is_empty() {
            return;
        }
        let missing = |id: &&ParticipantId| !self.results.contains_key(id);
        if self.terms.participants.iter().any(|id| missing(&id)) {
            for &participant in self.terms.participants.iter().filter(missing) {
                self.ask_vote(txn, participant, out);
            }
            out.timer(txn, ConductorTimer::Resend);
        } else {
            self.give_results(txn, out);
        }
    }

    /// Answers the callers of a committed transaction with the results at hand.
    pub(super) fn give_results(&mut self, txn: TxnId, out: &mut ConductorOutputs) {
        if matches!(self.phase, Phase::Committed { .. }) && !self.callers.is_empty() {
            let reply = Reply::Committed {
                results: self.results.clone(),
            };
            self.reply_all(txn, &reply, out);
        }
    }
}
