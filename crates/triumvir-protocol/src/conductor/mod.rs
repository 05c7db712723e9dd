//! The leader's volatile half: votes, refusals, retries. Rebuilt from the replicated state and the
//! participants after every activation; losing it loses no decision.

mod answers;
mod flight;
mod horizon;
mod outputs;
mod removal;

use std::collections::{BTreeMap, BTreeSet};

use flight::{Flight, Phase as FlightPhase};
pub use outputs::{
    AbortCause, Caller, ConductorOutputs, ConductorTimer, Limits, Milestone, Reply, Submission,
};

use crate::{
    AbortReason, Coordinator, Digest, Epoch, Horizon, Inquiry, Mode, Outcome, ParticipantId,
    Record, Request, Rules, Standing, TxnId, Value,
};

/// How far a transaction has come under this leader.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Phase {
    /// Votes are being gathered.
    Voting,
    /// A first record is proposed and not yet applied: its outcome is unknown.
    Proposed,
    /// Commit or abort is recorded and not yet decided.
    Recorded,
    /// Committed; not every YES voter has confirmed it.
    Committed,
    /// Aborted; not every participant has been told.
    Aborted,
}

/// Drives transactions to their outcomes while its replica leads.
///
/// Contract. The driver makes one with [`Conductor::new`] when the replica's own activation record
/// is *applied*, and drops it when the replica is deposed or another activation is applied. It calls
/// [`on_applied`](Self::on_applied) for every transaction that an applied record names, and
/// [`on_removed`](Self::on_removed) for an applied removal, with the state just after that record,
/// before any other call. Everything in `propose` is proposed in
/// order, or the replica is deposed. Everything in `send` may be lost; nothing in it leaves before
/// the call returns. A caller whose deadline passes is told *unknown* by the driver, which then calls
/// [`leave`](Self::leave).
///
/// Every decision is taken from evidence (docs/protocol.md, "Evidence"); nothing is said of a
/// transaction between a proposal and its application.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Conductor {
    rules: Rules,
    epoch: Epoch,
    limits: Limits,
    flights: BTreeMap<TxnId, Flight>,
    /// Callers that know an id alone and wait for a record of it, which binds every content.
    asked: BTreeMap<TxnId, BTreeSet<Caller>>,
    /// Flights that are not yet decided.
    undecided: usize,
    /// The horizon proposed last.
    wanted: Horizon,
}

impl Conductor {
    /// Takes over: everything open in `coordinator` is sent on towards its outcome.
    pub fn new(
        rules: Rules,
        limits: Limits,
        coordinator: &Coordinator,
        out: &mut ConductorOutputs,
    ) -> Self {
        let mut conductor = Self {
            rules,
            epoch: coordinator.epoch(),
            limits,
            flights: BTreeMap::new(),
            asked: BTreeMap::new(),
            undecided: 0,
            wanted: coordinator.horizon(),
        };
        let open: Vec<_> = coordinator.open().keys().copied().collect();
        for txn in open {
            conductor.on_applied(coordinator, txn, out);
        }
        conductor
    }

    /// The activation that this conductor acts under.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The transactions under way, oldest first.
    pub fn flights(&self) -> impl Iterator<Item = (TxnId, Digest, Phase)> {
        self.flights
            .iter()
            .map(|(txn, flight)| (*txn, flight.terms.digest, flight.public_phase()))
    }

    /// How far `txn` has come, if it is under way.
    pub fn phase(&self, txn: TxnId) -> Option<Phase> {
        self.flights.get(&txn).map(Flight::public_phase)
    }

    /// How many transactions are not yet decided.
    pub fn undecided(&self) -> usize {
        self.undecided
    }

    /// Whether nothing is under way, so that leadership can be handed on at no cost.
    pub fn is_idle(&self) -> bool {
        self.undecided == 0 && self.asked.is_empty()
    }

    /// A client asks to commit. Answered in `out.replies`, now or later.
    pub fn handle_commit(
        &mut self,
        coordinator: &Coordinator,
        caller: Caller,
        submission: Submission,
        out: &mut ConductorOutputs,
    ) {
        let Submission {
            txn,
            terms,
            work,
            age,
        } = submission;
        let same = |digest: Digest| digest == terms.digest || self.rules.ignore_digest_in_commit();
        match coordinator.standing(txn) {
            Standing::Forgotten => out.reply(caller, txn, self.forgotten()),
            Standing::Ended(ended) if !ended.digest.is_none_or(same) => {
                out.reply(caller, txn, Reply::IdInUse);
            }
            Standing::Ended(ended) if ended.outcome == Value::Abort => {
                out.reply(caller, txn, Reply::aborted(ended.reason));
            }
            Standing::Ended(_) => {
                let flight = self
                    .flights
                    .entry(txn)
                    .or_insert_with(|| Flight::ended(coordinator, terms));
                flight.callers.insert(caller);
                flight.answer_committed(txn, out);
            }
            Standing::Open(open) if !same(open.terms.digest) => {
                out.reply(caller, txn, Reply::IdInUse);
            }
            Standing::Open(_) | Standing::Absent => {
                if let Some(flight) = self.flights.get_mut(&txn) {
                    if flight.terms.digest != terms.digest && !self.rules.ignore_digest_in_commit()
                    {
                        // Without a record nothing is certain: a former leader may have begun this
                        // content, and it may yet commit.
                        return out.reply(caller, txn, Reply::Contested);
                    }
                    flight.callers.insert(caller);
                    flight.supply(txn, (work, age), out);
                } else if self.undecided >= self.limits.inflight_max
                    || coordinator.open().len() >= self.limits.open_max
                {
                    out.reply(caller, txn, Reply::Busy);
                } else {
                    let mut flight = Flight::voting(coordinator, terms, work, age);
                    flight.callers.insert(caller);
                    self.begin(txn, flight, out);
                }
            }
        }
    }

    /// A client asks how a transaction ended; with `decide`, a transaction without a record is
    /// recorded as aborted first.
    pub fn handle_outcome(
        &mut self,
        coordinator: &Coordinator,
        caller: Caller,
        txn: TxnId,
        decide: bool,
        out: &mut ConductorOutputs,
    ) {
        match coordinator.standing(txn) {
            Standing::Forgotten => out.reply(caller, txn, self.forgotten()),
            Standing::Ended(ended) => out.reply(caller, txn, Reply::ended(ended)),
            Standing::Open(_) => {
                if let Some(flight) = self.flights.get_mut(&txn) {
                    flight.callers.insert(caller);
                    flight.answer_if_decided(txn, out);
                }
            }
            Standing::Absent => {
                if self.flights.contains_key(&txn) {
                    self.asked.entry(txn).or_default().insert(caller);
                    self.close_for_asked(txn, out);
                } else if decide {
                    self.propose_unknown(txn, caller, AbortReason::Decided, out);
                } else if self.rules.absence_is_abort() {
                    out.reply(caller, txn, Reply::aborted(None));
                } else {
                    out.reply(caller, txn, Reply::NoRecord);
                }
            }
        }
    }

    /// A client asks to abort. It is answered with what then stands, which may be commit.
    pub fn handle_abort(
        &mut self,
        coordinator: &Coordinator,
        caller: Caller,
        txn: TxnId,
        out: &mut ConductorOutputs,
    ) {
        if coordinator.standing(txn) == Standing::Absent {
            match self.flights.get_mut(&txn) {
                Some(flight) => flight.propose_abort(txn, AbortReason::Requested, out),
                None => {
                    return self.propose_unknown(txn, caller, AbortReason::Requested, out);
                }
            }
        }
        self.handle_outcome(coordinator, caller, txn, false, out);
    }

    /// A participant in doubt asks. Its list lets this leader adopt a transaction that it has never
    /// seen.
    pub fn handle_inquiry(
        &mut self,
        coordinator: &Coordinator,
        from: ParticipantId,
        txn: TxnId,
        inquiry: Inquiry,
        out: &mut ConductorOutputs,
    ) {
        let Inquiry { terms } = inquiry;
        let digest = terms.digest;
        if !terms.lists(from) {
            return;
        }
        if let Some(request) = Self::evidence(coordinator, self.rules, txn, digest) {
            out.send(from, txn, digest, request);
            return;
        }
        match self.flights.get(&txn) {
            Some(flight)
                if flight.terms.digest == digest || self.rules.ignore_digest_in_inquiry() =>
            {
                flight.remind(txn, from, out);
            }
            Some(_) => {}
            None if self.rules.absence_is_abort() => out.send(from, txn, digest, Request::Abort),
            None => {
                let flight = Flight::voting(coordinator, terms, BTreeMap::new(), txn);
                self.begin(txn, flight, out);
            }
        }
    }

    /// What any replica, leader or not, may tell a participant that asks about `txn` under `digest`:
    /// only what the applied log is evidence of.
    pub fn evidence(
        coordinator: &Coordinator,
        rules: Rules,
        txn: TxnId,
        digest: Digest,
    ) -> Option<Request> {
        let found = Self::log_evidence(coordinator, txn, digest, rules.ignore_digest_in_inquiry());
        match found {
            Some(Request::Horizon(_)) if rules.horizon_told_as_abort() => Some(Request::Abort),
            found => found,
        }
    }

    /// The same for whoever says something about `txn`; `any`: any digest counts as the same.
    fn log_evidence(
        coordinator: &Coordinator,
        txn: TxnId,
        digest: Digest,
        any: bool,
    ) -> Option<Request> {
        let same = |own: Digest| own == digest || any;
        match coordinator.standing(txn) {
            Standing::Absent => None,
            Standing::Forgotten => Some(Request::Horizon(coordinator.horizon())),
            Standing::Open(open) if same(open.terms.digest) => None,
            Standing::Ended(ended) if ended.digest.is_none_or(same) => {
                Some(Request::outcome(ended.outcome))
            }
            Standing::Open(_) | Standing::Ended(_) => Some(Request::Abort),
        }
    }

    /// A record about `txn` was applied, by whichever leader it was proposed.
    pub fn on_applied(
        &mut self,
        coordinator: &Coordinator,
        txn: TxnId,
        out: &mut ConductorOutputs,
    ) {
        let stands = coordinator.standing(txn);
        let digest = match stands {
            Standing::Open(open) => Some(open.terms.digest),
            Standing::Ended(ended) => ended.digest,
            Standing::Absent | Standing::Forgotten => None,
        };
        if let Some(digest) = digest
            && !self.rules.ignore_digest_in_commit()
            && self
                .flights
                .get(&txn)
                .is_some_and(|flight| flight.terms.digest != digest)
        {
            let mut loser = self.remove(txn).expect("it was just seen");
            loser.refuse(txn, out);
        }
        match stands {
            Standing::Open(open) => {
                let flight = self.flights.entry(txn).or_insert_with(|| {
                    self.undecided += 1;
                    Flight::voting(coordinator, open.terms.clone(), BTreeMap::new(), txn)
                });
                let was_decided = flight.is_decided();
                flight
                    .callers
                    .extend(self.asked.remove(&txn).unwrap_or_default());
                flight.on_recorded(self.rules, txn, open, out);
                self.settle(txn, was_decided);
            }
            Standing::Ended(ended) => {
                for caller in self.asked.remove(&txn).unwrap_or_default() {
                    out.reply(caller, txn, Reply::ended(ended));
                }
                if let Some(mut flight) = self.remove(txn) {
                    flight.on_ended(txn, ended, out);
                    if !flight.callers.is_empty() {
                        self.flights.insert(txn, flight);
                    }
                }
            }
            Standing::Forgotten => self.expire(txn, out),
            Standing::Absent => {}
        }
    }

    /// Time to wait for votes is over.
    pub fn on_vote_timeout(&mut self, txn: TxnId, out: &mut ConductorOutputs) {
        let Some(flight) = self.flights.get_mut(&txn) else {
            return;
        };
        let was_decided = flight.is_decided();
        flight.on_vote_timeout(self.rules, txn, out);
        self.settle(txn, was_decided);
    }

    /// Nothing was heard for a while: what may have been lost is sent again.
    pub fn on_resend(&mut self, txn: TxnId, out: &mut ConductorOutputs) {
        let Some(flight) = self.flights.get_mut(&txn) else {
            return;
        };
        let aborted = matches!(flight.phase, FlightPhase::Aborted { .. });
        if aborted && flight.pending.is_none() || flight.has_ended() {
            // Whoever still waits asks by itself: an aborted flight has nothing durable to guard,
            // and an ended one only waits for results.
            flight.give_results(txn, out);
            self.remove(txn);
        } else if !self.rules.resend_silent() {
            flight.on_resend(txn, out);
        }
    }

    /// `who` is connected anew: it alone is told again what it may have missed.
    pub fn on_connected(&self, who: ParticipantId, out: &mut ConductorOutputs) {
        for (txn, flight) in self.flights.iter().filter(|(_, f)| f.terms.lists(who)) {
            match &flight.phase {
                FlightPhase::Voting if flight.yes.contains(&who) || flight.read.contains(&who) => {}
                FlightPhase::Committed { unconfirmed, .. } if !unconfirmed.contains(&who) => {}
                FlightPhase::Aborted { untold, .. } if !untold.contains(&who) => {}
                _ => flight.remind(*txn, who, out),
            }
        }
    }

    /// The caller no longer waits.
    pub fn leave(&mut self, caller: Caller, txn: TxnId) {
        if let Some(flight) = self.flights.get_mut(&txn) {
            flight.callers.remove(&caller);
        }
        if let Some(callers) = self.asked.get_mut(&txn) {
            callers.remove(&caller);
            if callers.is_empty() {
                self.asked.remove(&txn);
            }
        }
    }

    fn begin(&mut self, txn: TxnId, mut flight: Flight, out: &mut ConductorOutputs) {
        out.milestone(txn, Milestone::Begun);
        if flight.removed.is_empty() {
            flight.ask_votes(txn, out);
        } else {
            flight.go_on_without(txn, out);
        }
        out.timer(txn, ConductorTimer::Vote);
        out.timer(txn, ConductorTimer::Resend);
        self.undecided += 1;
        self.flights.insert(txn, flight);
    }

    fn propose_unknown(
        &mut self,
        txn: TxnId,
        caller: Caller,
        reason: AbortReason,
        out: &mut ConductorOutputs,
    ) {
        self.asked.entry(txn).or_default().insert(caller);
        out.propose.push(Record::Abort {
            txn,
            digest: None,
            reason,
        });
    }

    /// A NO closes one content; who asks by id alone is told *aborted* once a record closes the id.
    fn close_for_asked(&mut self, txn: TxnId, out: &mut ConductorOutputs) {
        if self.asked.contains_key(&txn)
            && let Some(flight) = self.flights.get_mut(&txn)
        {
            flight.close(txn, out);
        }
    }

    fn expire(&mut self, txn: TxnId, out: &mut ConductorOutputs) {
        let reply = self.forgotten();
        for caller in self.asked.remove(&txn).unwrap_or_default() {
            out.reply(caller, txn, reply.clone());
        }
        if let Some(mut flight) = self.remove(txn) {
            // One that has ended in commit only waited for results.
            flight.give_results(txn, out);
            flight.reply_all(txn, &reply, out);
        }
    }

    fn forgotten(&self) -> Reply {
        if self.rules.horizon_is_abort() {
            Reply::aborted(None)
        } else {
            Reply::Expired
        }
    }

    fn remove(&mut self, txn: TxnId) -> Option<Flight> {
        let flight = self.flights.remove(&txn)?;
        if !flight.is_decided() {
            self.undecided -= 1;
        }
        Some(flight)
    }

    /// Keeps the tally after a call that may have decided `txn`.
    fn settle(&mut self, txn: TxnId, was_decided: bool) {
        let decided = self.flights.get(&txn).is_some_and(Flight::is_decided);
        if decided && !was_decided {
            self.undecided -= 1;
        }
    }
}

impl Request {
    /// The word that carries evidence of `outcome`.
    pub(crate) fn outcome(outcome: Outcome) -> Self {
        match outcome {
            Value::Commit => Self::DoCommit,
            Value::Abort => Self::Abort,
        }
    }
}

/// Whether commit is decided by the record alone.
fn record_decides(mode: Mode, voters: &[ParticipantId]) -> bool {
    mode == Mode::TwoPhase || voters.is_empty()
}
