//! The log and the seats: activations, records, and what conductors say.

use triumvir_protocol::{
    Caller, Conductor, ConductorOutputs, Coordinator, Effect, Epoch, Limits, Record, Submission,
};

use super::{REPLICA, Step};
use crate::Ask;
use crate::network::{Body, Envelope};
use crate::seat::Seat;
use crate::shared::Shared;
use crate::state::TXN;

const LIMITS: Limits = Limits {
    inflight_max: 8,
    open_max: 8,
};

impl Step<'_> {
    pub(super) fn activate(&mut self) {
        let epoch = self.state.seats.len() as u64 + 1;
        let record = Record::Activate {
            replica: REPLICA,
            nonce: epoch,
        };
        for seat in &mut self.state.seats {
            let ends = |record: &Shared<Record>| matches!(**record, Record::Activate { .. });
            if seat.conductor.is_some() && !seat.behind.last().is_some_and(ends) {
                seat.behind.push(Shared::new(record.clone()));
            }
        }
        self.state.head.change(|head| head.apply(epoch, record));
        let mut out = ConductorOutputs::default();
        let head = &self.state.head;
        let conductor = Conductor::new(self.bounds.rules, LIMITS, head, &mut out);
        self.state.seats.push(Seat {
            coordinator: head.clone(),
            conductor: Some(Shared::new(conductor)),
            behind: Vec::new(),
            answered: 0,
        });
        self.absorb_seat(self.state.seats.len() - 1, out);
    }

    pub(super) fn append(&mut self, key: u64) {
        self.seen = true;
        let found = self.state.limbo.iter().find(|record| record.hash() == key);
        let Some(record) = found.cloned() else {
            return;
        };
        self.state
            .head
            .change(|head| head.apply(0, (*record).clone()));
        for seat in &mut self.state.seats {
            let ends = |record: &Shared<Record>| matches!(**record, Record::Activate { .. });
            if seat.conductor.is_some() && !seat.behind.last().is_some_and(ends) {
                seat.behind.push(record.clone());
            }
        }
        let last = self.state.seats.len() - 1;
        if !self.bounds.lag && !self.state.seats[last].behind.is_empty() {
            self.apply(last);
        }
    }

    pub(super) fn apply(&mut self, at: usize) {
        let seat = &mut self.state.seats[at];
        let record = seat.behind.remove(0);
        if matches!(*record, Record::Activate { .. }) {
            seat.conductor = None;
            return;
        }
        let effect = seat
            .coordinator
            .change(|state| state.apply(0, (*record).clone()));
        self.conduct(at, |conductor, state, out| match effect {
            Effect::Transaction(txn) => conductor.on_applied(state, txn, out),
            Effect::Horizon(_) => conductor.on_horizon(state, out),
            _ => {}
        });
    }

    /// Calls the conductor of seat `at`, if it still acts.
    pub(super) fn conduct(
        &mut self,
        at: usize,
        call: impl FnOnce(&mut Conductor, &Coordinator, &mut ConductorOutputs),
    ) {
        let mut out = ConductorOutputs::default();
        let seat = &mut self.state.seats[at];
        let Some(conductor) = &mut seat.conductor else {
            return;
        };
        let state = &seat.coordinator;
        conductor.change(|conductor| call(conductor, state, &mut out));
        self.absorb_seat(at, out);
    }

    pub(super) fn ask(&mut self, seat: usize, ask: Ask) {
        let asks = &self.bounds.asks;
        let number = asks.iter().position(|own| *own == ask);
        let caller = Caller(number.expect("a client of this run") as u64);
        let contents = &self.bounds.contents;
        self.conduct(seat, |conductor, state, out| match ask {
            Ask::Commit(index) => {
                let submission = Submission {
                    txn: TXN,
                    terms: contents[index].terms.clone(),
                    work: contents[index].work.clone(),
                    age: TXN,
                };
                conductor.handle_commit(state, caller, submission, out);
            }
            Ask::Outcome => conductor.handle_outcome(state, caller, TXN, false, out),
            Ask::Decide => conductor.handle_outcome(state, caller, TXN, true, out),
            Ask::Abort => conductor.handle_abort(state, caller, TXN, out),
        });
    }

    pub(super) fn receive(&mut self, at: usize, key: u64) {
        let Some(envelope) = self.state.network.find(key) else {
            return;
        };
        self.receive_envelope(at, &envelope);
    }

    pub(crate) fn receive_envelope(&mut self, at: usize, envelope: &Envelope) {
        let digest = envelope.digest;
        let from = envelope
            .from
            .expect("coordinators replicate, they do not talk");
        if at == self.state.seats.len() {
            let head = &self.state.head;
            if let Some(request) = Conductor::evidence(head, self.bounds.rules, TXN, digest) {
                self.request(Epoch(0), from, digest, request);
            }
            return;
        }
        self.conduct(at, |conductor, state, out| match &envelope.body {
            Body::Answer(answer) => {
                conductor.handle_answer(state, from, TXN, digest, answer.clone(), out);
            }
            Body::Inquiry(inquiry) => {
                conductor.handle_inquiry(state, from, TXN, inquiry.clone(), out);
            }
            Body::Request(..) => unreachable!("nobody asks a coordinator like that"),
        });
    }

    fn absorb_seat(&mut self, at: usize, out: ConductorOutputs) {
        for record in out.propose {
            record.check().expect("only sound records are proposed");
            if let Record::Accept { ballot, .. } = &record {
                self.beyond |= ballot.round > self.bounds.rounds;
            }
            self.say(|bounds| format!("  proposes {}", bounds.record(&record)));
            let record = Shared::new(record);
            let limbo = &mut self.state.limbo;
            if let Err(place) = limbo.binary_search_by_key(&record.hash(), Shared::hash) {
                limbo.insert(place, record);
            }
        }
        let epoch = Epoch(if self.bounds.epochs { at as u64 + 1 } else { 0 });
        for (to, _, digest, request) in out.send {
            self.request(epoch, to, digest, request);
        }
        for (caller, _, reply) in out.replies {
            let ask = self.bounds.asks[usize::try_from(caller.0).expect("a small number")];
            self.say(|bounds| format!("  {} hears {}", bounds.ask(ask), bounds.reply(&reply)));
            let digest = match ask {
                Ask::Commit(index) => Some(self.bounds.contents[index].terms.digest),
                _ => None,
            };
            self.state.seats[at].answered |= 1 << caller.0;
            self.seen = true;
            self.told.push((digest, reply));
        }
    }
}
