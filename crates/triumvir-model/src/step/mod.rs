//! What an action does: calls of the real machines, and what comes out of them put where it belongs.

mod log;
mod nodes;

use std::sync::Arc;

use triumvir_protocol::invariants::{Said, Told, View};
use triumvir_protocol::{
    Answer, ConductorTimer, Digest, Epoch, Horizon, ParticipantId, ReplicaId, Reply, Request,
};

use crate::network::{Body, Envelope};
use crate::past;
use crate::state::{State, TXN};
use crate::{Action, Bounds};

/// Every coordinator replica under one name: any of them may have led before.
const REPLICA: ReplicaId = ReplicaId(1);

/// One step under way.
pub(crate) struct Step<'a> {
    pub(crate) bounds: &'a Bounds,
    pub(crate) state: State,
    /// What happened, for people, where it is wanted.
    pub(crate) trace: Option<Vec<String>>,
    /// It led to a ballot beyond the bounds.
    pub(crate) beyond: bool,
    said: Vec<(ParticipantId, Digest, Answer)>,
    told: Vec<(Option<Digest>, Reply)>,
    alarm: Option<String>,
    /// Something became durable, or was said or told.
    seen: bool,
}

impl<'a> Step<'a> {
    pub(crate) fn new(bounds: &'a Bounds, state: State, traced: bool) -> Self {
        Self {
            bounds,
            state,
            trace: traced.then(Vec::new),
            beyond: false,
            said: Vec::new(),
            told: Vec::new(),
            alarm: None,
            seen: false,
        }
    }

    pub(crate) fn say(&mut self, line: impl FnOnce(&Bounds) -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(line(self.bounds));
        }
    }

    /// Carries out `action` and checks what came of it.
    pub(crate) fn act(&mut self, action: Action) {
        self.title(action);
        match action {
            Action::Activate => self.activate(),
            Action::Ask(seat, ask) => self.ask(seat, ask),
            Action::Append(record) => self.append(record),
            Action::Apply(seat) => self.apply(seat),
            Action::Idle(seat) => {
                self.conduct(seat, |conductor, state, out| {
                    conductor.on_applied(state, TXN, out)
                });
            }
            Action::Receive(seat, key) => self.receive(seat, key),
            Action::Timeout(seat, timer) => {
                self.conduct(seat, |conductor, _, out| match timer {
                    ConductorTimer::Vote => conductor.on_vote_timeout(TXN, out),
                    ConductorTimer::Resend => conductor.on_resend(TXN, out),
                });
            }
            Action::Want(seat) => self.conduct(seat, |conductor, state, out| {
                conductor.propose_horizon(state, TXN, out);
            }),
            Action::Deliver(node, key) => self.deliver(node, key, false),
            Action::Tear(node, key) => self.deliver(node, key, true),
            Action::Learn(node) => self.call(node, |node, out| {
                node.machine.on_horizon(Horizon(TXN), out);
            }),
            Action::Work(node, vote) => {
                self.seen = true;
                self.compare_work(node, vote);
                self.call(node, |node, out| node.work(vote, out));
            }
            Action::Operate(node) => self.call(node, |node, out| {
                node.operated = true;
                node.machine.on_work(TXN, out);
            }),
            Action::Fire(node, timer) => self.fire(node, timer),
            Action::Restart(node) => self.restart(node),
        }
        self.observe();
    }

    pub(super) fn request(
        &mut self,
        epoch: Epoch,
        to: ParticipantId,
        digest: Digest,
        request: Request,
    ) {
        self.post(Envelope {
            from: None,
            to: Some(to),
            digest,
            body: Body::Request(epoch, request),
        });
    }

    pub(super) fn post(&mut self, envelope: Envelope) {
        if let Body::Request(_, Request::Fence { ballot } | Request::Accept { ballot, .. }) =
            envelope.body
        {
            self.beyond |= ballot.round > self.bounds.rounds;
        }
        if let (Some(from), Body::Answer(answer)) = (envelope.from, &envelope.body) {
            self.seen = true;
            self.said.push((from, envelope.digest, answer.clone()));
        }
        self.say(|bounds| format!("  {}", bounds.envelope(&envelope)));
        self.state.network.post(envelope);
    }

    /// Checks the step against all that was.
    pub(crate) fn observe(&mut self) {
        if !std::mem::take(&mut self.seen) || self.state.broken.is_some() {
            return;
        }
        let state = &self.state;
        let view = View {
            coordinators: vec![&state.head],
            participants: state
                .nodes
                .iter()
                .map(|node| (node.machine.id(), node.stored()))
                .collect(),
            told: self
                .told
                .iter()
                .map(|(digest, reply)| Told {
                    txn: TXN,
                    digest: *digest,
                    reply,
                })
                .collect(),
            said: self
                .said
                .iter()
                .map(|(from, digest, answer)| Said {
                    from: *from,
                    txn: TXN,
                    digest: *digest,
                    answer,
                })
                .collect(),
        };
        let mut past = state.past.clone();
        let broken = past::observe(&mut past, &view).map(|v| (v.property, v.detail));
        let alarm = self.alarm.take().filter(|_| self.bounds.alarms);
        self.state.past = past;
        let broken = broken.or(alarm.map(|alarm| ("no alarm", alarm)));
        let only = self.bounds.only;
        let broken = broken.filter(|(name, _)| only.is_none_or(|only| only == *name));
        self.state.broken = self.state.broken.take().or(broken);
        self.said.clear();
        self.told.clear();
    }

    /// Takes all messages out of the network.
    pub(crate) fn take_messages(&mut self) -> Vec<Arc<Envelope>> {
        let network = std::mem::take(&mut self.state.network);
        network
            .iter()
            .map(|(_, message)| Arc::clone(message))
            .collect()
    }
}
