//! The log and the seats: activations, records, and what conductors say.

use std::sync::Arc;

use triumvir_protocol::{Conductor, Epoch, Record};

use super::Step;
use crate::Ask;
use crate::network::{Body, Envelope};
use crate::node::REPLICA;
use crate::past::Cause;
use crate::seat::{About, Seat, SeatEvent, SeatStep};
use crate::shared::Shared;
use crate::state::TXN;

impl Step<'_> {
    /// What the frames of seat `at` carry.
    fn epoch(&self, at: usize) -> Epoch {
        Epoch(if self.bounds.epochs { at as u64 + 1 } else { 0 })
    }

    pub(super) fn activate(&mut self) {
        let at = self.state.seats.len();
        let nonce = at as u64 + 1;
        let replica = REPLICA;
        self.log(&Shared::new(Record::Activate { replica, nonce }), nonce);
        let (rules, epoch, head) = (self.bounds.rules, self.epoch(at), self.state.head.clone());
        let key = (head.hash(), epoch, "activate");
        let step = self
            .memo
            .seat(&key, || SeatStep::activate(rules, &head, epoch));
        self.state.seats.push(Seat {
            coordinator: head,
            conductor: None,
            behind: Vec::new(),
            answered: 0,
        });
        self.absorb_seat(at, &step);
    }

    /// The log takes a record: each acting seat will apply it.
    fn log(&mut self, record: &Shared<Record>, index: u64) {
        for seat in &mut self.state.seats {
            let ends = |record: &Shared<Record>| matches!(**record, Record::Activate { .. });
            if seat.conductor.is_some() && !seat.behind.last().is_some_and(ends) {
                seat.behind.push(record.clone());
            }
        }
        let mut head = (*self.state.head).clone();
        head.apply(index, (**record).clone());
        self.state.head = Shared::new(head);
    }

    pub(super) fn append(&mut self, key: u64) {
        self.seen = true;
        let found = self.state.limbo.iter().find(|record| record.hash() == key);
        let Some(record) = found.cloned() else {
            return;
        };
        self.log(&record, 0);
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
        } else {
            let event = SeatEvent::Apply(record.hash());
            self.conduct(at, event, About::Record(&record));
        }
    }

    /// Lets the conductor of seat `at` take `event`, if it still acts.
    pub(super) fn conduct(&mut self, at: usize, event: SeatEvent, about: About<'_>) {
        if let Some(step) = self.seat_step(at, event, about) {
            self.absorb_seat(at, &step);
        }
    }

    /// What `event` would do at seat `at`, if its conductor still acts.
    pub(super) fn seat_step(
        &self,
        at: usize,
        event: SeatEvent,
        about: About<'_>,
    ) -> Option<Arc<SeatStep>> {
        let epoch = self.epoch(at);
        let seat = &self.state.seats[at];
        let (state, conductor) = (&seat.coordinator, seat.conductor.as_ref()?);
        let key = (state.hash(), conductor.hash(), epoch, event);
        let compute = || SeatStep::of(state, conductor, epoch, event, about);
        Some(self.memo.seat(&key, compute))
    }

    pub(super) fn ask(&mut self, seat: usize, ask: Ask) {
        let mut asks = self.bounds.asks.iter();
        let number = asks.position(|own| *own == ask);
        let event = SeatEvent::Ask(number.expect("a client of this run"), ask);
        let about = About::Contents(&self.bounds.contents);
        self.conduct(seat, event, about);
    }

    /// Seat `at`, or a replica that does not lead, receives `envelope`.
    pub(crate) fn receive(&mut self, at: usize, envelope: &Shared<Envelope>) {
        if at < self.state.seats.len() {
            let event = SeatEvent::Receive(envelope.hash());
            return self.conduct(at, event, About::Message(envelope));
        }
        let digest = envelope.digest;
        let said = Conductor::evidence(&self.state.head, self.bounds.rules, TXN, digest);
        if let Some(request) = said {
            let reply = Envelope {
                from: None,
                to: envelope.from,
                digest,
                body: Body::Request(Epoch(0), request),
            };
            let cause = Cause {
                applied: Some(self.state.head.clone()),
                message: None,
            };
            self.post(&Shared::new(reply), &cause);
        }
    }

    fn absorb_seat(&mut self, at: usize, step: &Arc<SeatStep>) {
        let seat = &mut self.state.seats[at];
        seat.coordinator = step.coordinator.clone();
        seat.conductor = Some(step.conductor.clone());
        for record in &step.propose {
            if let Record::Accept { ballot, .. } = &**record {
                self.beyond |= ballot.round > self.bounds.rounds;
            }
            self.say(|bounds| format!("  proposes {}", bounds.record(record)));
            let limbo = &mut self.state.limbo;
            if let Err(place) = limbo.binary_search_by_key(&record.hash(), Shared::hash) {
                limbo.insert(place, record.clone());
            }
        }
        let cause = Cause {
            applied: Some(step.coordinator.clone()),
            message: None,
        };
        for envelope in &step.send {
            self.post(envelope, &cause);
        }
        for (number, reply) in &step.replies {
            let ask = self.bounds.asks[*number];
            self.say(|bounds| format!("  {} hears {}", bounds.ask(ask), bounds.reply(reply)));
            let digest = match ask {
                Ask::Commit(index) => Some(self.bounds.contents[index].terms.digest),
                _ => None,
            };
            self.state.seats[at].answered |= 1 << number;
            self.seen = true;
            self.told.push((digest, reply.clone()));
        }
    }
}
