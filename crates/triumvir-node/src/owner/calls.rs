//! Messages from the rest of the process. What must be true of a submission was checked before it
//! came here; limits that depend on the state are the conductor's.

use tokio::sync::oneshot;
use triumvir_protocol::{Record, Register, Reply, Standing, Submission, Terms, TxnId};

use super::Owner;
use super::input::{Answered, Input, Registered, SessionRefused};
use super::lead::Role;

/// How many callers may wait, for each transaction that may be in flight.
const CALLERS_PER_FLIGHT: usize = 4;

impl Owner {
    pub(super) fn on_input(&mut self, input: Input) {
        match input {
            Input::Started(replica) => {
                self.leadership = Some(replica.leadership());
                self.replica = Some(replica);
                self.reconsider_role();
            }
            Input::Commit { submission, reply } => self.on_commit(submission, reply),
            Input::Outcome { txn, decide, reply } => self.on_outcome(txn, decide, reply),
            Input::Abort { txn, reply } => self.on_abort(txn, reply),
            Input::Register { register, reply } => self.on_register(register, reply),
            Input::Remove { whom, force, reply } => self.on_remove(&whom, force, reply),
            Input::Describe { txn, reply } => drop(reply.send(self.describe(txn))),
            Input::List { query, reply } => drop(reply.send(self.list(query))),
            Input::Status { reply } => drop(reply.send(self.own_status())),
            Input::Open {
                hello,
                frames,
                reply,
            } => {
                if self.is_draining() && self.role.epoch().is_none() {
                    let _ = reply.send(Err(SessionRefused::Draining));
                    return;
                }
                let known = self.coordinator.participants().get(&hello.participant);
                let opened = self.sessions.open(hello, known, frames, self.me.0);
                let (who, accepted) = (hello.participant, opened.is_ok());
                let _ = reply.send(opened);
                if accepted {
                    self.conduct(|conductor, _, out| conductor.on_connected(who, out));
                }
            }
            Input::Frame {
                participant,
                serial,
                messages,
            } => {
                self.on_frame(participant, serial, messages);
            }
            Input::Closed {
                participant,
                serial,
            } => self.sessions.ended(participant, serial),
            Input::Clock { median_millis } => self.move_horizon(median_millis),
            // The round that it causes looks at the signal.
            Input::Drain => {}
            Input::EndSessions => {
                self.sessions
                    .close_all(triumvir_wire::Code::Draining, "the replica stops");
            }
        }
    }

    /// Whether one more caller may wait.
    fn admits(&self) -> bool {
        self.callers.len() < self.config.inflight_max.saturating_mul(CALLERS_PER_FLIGHT)
    }

    fn on_commit(&mut self, submission: Submission, reply: oneshot::Sender<Answered>) {
        if self.role.epoch().is_none() {
            return;
        }
        let (txn, terms) = (submission.txn, submission.terms.clone());
        if let Some(refusal) = self.commit_refusal(txn, &terms) {
            let _ = reply.send(refusal);
            return;
        }
        let caller = self.callers.enter(txn, reply);
        self.conduct(|conductor, coordinator, out| {
            conductor.handle_commit(coordinator, caller, submission, out);
        });
        if self.history.get(txn).is_some() {
            self.history.learn(txn, &terms);
        }
    }

    /// Why a call to commit `txn` cannot be taken up now, if so. Only what certainly is not under way
    /// may be refused as not applied.
    fn commit_refusal(&mut self, txn: TxnId, terms: &Terms) -> Option<Answered> {
        if self.is_under_way(txn) {
            return (!self.admits()).then_some(Answered::Crowded);
        }
        if self.is_draining() {
            Some(Answered::Draining)
        } else if !self.admits() {
            Some(Answered::Reply(Reply::Busy))
        } else if self.coordinator.open().len() >= self.config.open_max
            || self.lists_a_debtor(terms)
        {
            Some(Answered::TooManyOpen)
        } else {
            None
        }
    }

    fn on_outcome(&mut self, txn: TxnId, decide: bool, reply: oneshot::Sender<Answered>) {
        let Some(reply) = self.answer_what_is_over(txn, reply) else {
            return;
        };
        let caller = self.callers.enter(txn, reply);
        self.conduct(|conductor, coordinator, out| {
            conductor.handle_outcome(coordinator, caller, txn, decide, out);
        });
    }

    /// Answers where no conductor is needed, or none can be had; else gives the caller back.
    fn answer_what_is_over(
        &self,
        txn: TxnId,
        reply: oneshot::Sender<Answered>,
    ) -> Option<oneshot::Sender<Answered>> {
        // What the applied log says is over, is over everywhere: any replica may say it.
        if let Standing::Ended(ended) = self.coordinator.standing(txn) {
            let _ = reply.send(Answered::Ended(*ended));
            return None;
        }
        // Dropping the caller says that this replica does not lead.
        self.role.epoch()?;
        if !self.admits() {
            let _ = reply.send(Answered::Reply(Reply::Busy));
            return None;
        }
        Some(reply)
    }

    /// The log has a record of `txn`, or this leader works at it.
    fn is_under_way(&self, txn: TxnId) -> bool {
        let Role::Leading(leading) = &self.role else {
            return false;
        };
        self.coordinator.standing(txn) != Standing::Absent || leading.conductor.phase(txn).is_some()
    }

    fn on_abort(&mut self, txn: TxnId, reply: oneshot::Sender<Answered>) {
        let Some(reply) = self.answer_what_is_over(txn, reply) else {
            return;
        };
        let caller = self.callers.enter(txn, reply);
        self.conduct(|conductor, coordinator, out| {
            conductor.handle_abort(coordinator, caller, txn, out);
        });
    }

    fn on_register(&mut self, register: Register, reply: oneshot::Sender<Registered>) {
        if self.role.epoch().is_none() {
            return;
        }
        let record = Record::Register(register.clone());
        let waiting = self.registering.entry(register.nonce).or_default();
        waiting.push(reply);
        // A repeated call waits for the record that is on its way.
        if waiting.len() == 1 {
            self.proposals.extend([record]);
        }
    }
}
