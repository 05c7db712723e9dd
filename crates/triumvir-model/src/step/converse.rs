//! What can be said without any change of whoever says it is said at once. An execution in which it is
//! said later, or never, is one in which the message is under way for longer, or lost.

use triumvir_protocol::{Answer, ConductorTimer};

use super::Step;
use crate::network::{Body, Envelope};
use crate::node::NodeEvent;
use crate::past::Cause;
use crate::seat::{About, SeatEvent};
use crate::shared::Shared;

impl Step<'_> {
    pub(super) fn converse(&mut self) {
        let mut heard: Vec<_> = self.state.network.iter().cloned().collect();
        for at in 0..self.state.seats.len() {
            let event = SeatEvent::Timeout(ConductorTimer::Resend);
            self.converse_seat(at, event, About::Nothing, &mut heard);
        }
        while let Some(envelope) = heard.pop() {
            match envelope.to {
                Some(id) => self.converse_node(id.0 as usize - 1, &envelope, &mut heard),
                None => {
                    for at in 0..self.state.seats.len() {
                        let event = SeatEvent::Receive(envelope.hash());
                        self.converse_seat(at, event, About::Message(&envelope), &mut heard);
                    }
                }
            }
        }
    }

    fn converse_node(
        &mut self,
        at: usize,
        message: &Shared<Envelope>,
        heard: &mut Vec<Shared<Envelope>>,
    ) {
        let step = self.node_step(at, NodeEvent::Receive(message.hash()), Some(message));
        let unchanged = step.node == self.state.nodes[at]
            && step.force.is_empty()
            && step.jobs.is_empty()
            && step.unforced.is_empty()
            && step.alarm.is_none();
        if unchanged {
            let cause = Cause {
                applied: None,
                message: Some(message.clone()),
            };
            self.add(&step.send, &cause, heard);
        }
    }

    fn converse_seat(
        &mut self,
        at: usize,
        event: SeatEvent,
        about: About<'_>,
        heard: &mut Vec<Shared<Envelope>>,
    ) {
        let Some(step) = self.seat_step(at, event, about) else {
            return;
        };
        let seat = &self.state.seats[at];
        let unchanged = seat.conductor.as_ref() == Some(&step.conductor)
            && seat.coordinator == step.coordinator
            && step.propose.is_empty()
            && step.replies.is_empty();
        if unchanged {
            let cause = Cause {
                applied: Some(step.coordinator.clone()),
                message: None,
            };
            self.add(&step.send, &cause, heard);
        }
    }

    /// Sends what is new. A NO is a fact that onlookers keep: it has a step of its own.
    fn add(
        &mut self,
        messages: &[Shared<Envelope>],
        cause: &Cause,
        heard: &mut Vec<Shared<Envelope>>,
    ) {
        let no =
            |envelope: &&Shared<Envelope>| matches!(envelope.body, Body::Answer(Answer::No { .. }));
        if messages.iter().any(|m| no(&m) || self.is_beyond(m)) {
            return;
        }
        for envelope in messages {
            if !self.state.network.contains(envelope.hash()) {
                self.post(envelope, cause);
                heard.push(envelope.clone());
            }
        }
    }
}
