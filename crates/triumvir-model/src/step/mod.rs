//! What an action does: calls of the real machines, and what comes out of them put where it belongs.

mod converse;
mod log;
mod nodes;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use triumvir_protocol::{Digest, Reply, Request};

use crate::memo::Memo;
use crate::network::{Body, Envelope};
use crate::node::NodeEvent;
use crate::past::{Cause, Sight};
use crate::seat::{About, SeatEvent};
use crate::shared::Shared;
use crate::state::State;
use crate::{Action, Bounds};

/// One step under way.
pub(crate) struct Step<'a> {
    pub(crate) bounds: &'a Bounds,
    pub(crate) memo: &'a Memo,
    pub(crate) state: State,
    /// What happened, for people, where it is wanted.
    pub(crate) trace: Option<Vec<String>>,
    /// It led to a ballot beyond the bounds, or was in vain.
    pub(crate) beyond: bool,
    said: Vec<Shared<Envelope>>,
    /// Requests and inquiries that nobody has said before.
    words: Vec<(Shared<Envelope>, Cause)>,
    told: Vec<(Option<Digest>, Reply)>,
    /// What clients were told, where nobody looks.
    pub(crate) heard: Vec<(Option<Digest>, Reply)>,
    alarm: Option<String>,
    /// Something became durable, or was said or told.
    seen: bool,
    /// Nobody looks: invariants are not checked, and the past stays as it is.
    unwatched: bool,
}

impl<'a> Step<'a> {
    pub(crate) fn new(bounds: &'a Bounds, memo: &'a Memo, state: State, traced: bool) -> Self {
        Self {
            bounds,
            memo,
            state,
            trace: traced.then(Vec::new),
            beyond: false,
            said: Vec::new(),
            words: Vec::new(),
            told: Vec::new(),
            heard: Vec::new(),
            alarm: None,
            seen: false,
            unwatched: false,
        }
    }

    /// One whose result does not depend on the past.
    pub(crate) fn unwatched(self) -> Self {
        let unwatched = true;
        Self { unwatched, ..self }
    }

    pub(crate) fn say(&mut self, line: impl FnOnce(&Bounds) -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(line(self.bounds));
        }
    }

    /// Carries out `action` and checks what came of it.
    pub(crate) fn act(&mut self, action: Action) {
        if self.trace.is_some() {
            let line = self.describe(action);
            self.say(|_| line);
        }
        match action {
            Action::Activate => self.activate(),
            Action::Ask(seat, ask) => self.ask(seat, ask),
            Action::Append(record) => self.append(record),
            Action::Apply(seat) => self.apply(seat),
            Action::Idle(seat) => self.conduct(seat, SeatEvent::Idle, About::Nothing),
            Action::Receive(seat, key) => {
                if let Some(envelope) = self.state.network.find(key).cloned() {
                    self.receive(seat, &envelope);
                }
            }
            Action::Timeout(seat, timer) => {
                self.conduct(seat, SeatEvent::Timeout(timer), About::Nothing)
            }
            Action::Want(seat) => self.conduct(seat, SeatEvent::Want, About::Nothing),
            Action::Deliver(node, key) => {
                if let Some(envelope) = self.state.network.find(key).cloned() {
                    self.deliver(node, &envelope);
                }
            }
            Action::Tear(node, key) => {
                if let Some(envelope) = self.state.network.find(key).cloned() {
                    let event = NodeEvent::Tear(key, self.bounds.restart());
                    self.node(node, event, Some(&envelope));
                }
            }
            Action::Learn(node) => self.node(node, NodeEvent::Learn, None),
            Action::Work(node, vote) => {
                self.compare_work(node, vote);
                self.node(node, NodeEvent::Work(vote), None);
            }
            Action::Operate(node) => self.node(node, NodeEvent::Operate, None),
            Action::Fire(node, timer) => self.node(node, NodeEvent::Fire(timer), None),
            Action::Pair(node) => self.node(node, NodeEvent::Pair, None),
            Action::Round(node, answers) => self.round(node, answers),
            Action::Restart(node) => self.restart(node),
        }
        self.observe();
    }

    /// Carries out `action` in `last` and all that follows from it at once. The reason, if a machine
    /// panics.
    pub(crate) fn complete(&mut self, last: &State, action: Action) -> Result<(), String> {
        let all = || {
            self.act(action);
            if self.state != *last {
                self.settle();
            }
        };
        catch_unwind(AssertUnwindSafe(all)).map_err(|panic| reason(&*panic))
    }

    /// Lets everybody say what saying does not change it, if this run is eager.
    fn settle(&mut self) {
        if self.bounds.eager && self.state.broken.is_none() && !self.beyond {
            self.converse();
            self.observe();
        }
    }

    /// Whether it needs a ballot beyond the bounds.
    fn is_beyond(&self, envelope: &Envelope) -> bool {
        match &envelope.body {
            Body::Request(_, Request::Fence { ballot } | Request::Accept { ballot, .. }) => {
                ballot.round > self.bounds.rounds
            }
            _ => false,
        }
    }

    pub(super) fn post(&mut self, envelope: &Shared<Envelope>, cause: &Cause) {
        self.beyond |= self.is_beyond(envelope);
        if matches!(envelope.body, Body::Answer(_)) {
            self.seen = true;
            self.said.push(envelope.clone());
        } else if !self.state.network.contains(envelope.hash()) {
            self.words.push((envelope.clone(), cause.clone()));
        }
        self.say(|bounds| format!("  {}", bounds.envelope(envelope)));
        self.state.network.post(envelope);
    }

    /// Checks the step against all that was.
    pub(crate) fn observe(&mut self) {
        if self.unwatched {
            self.said.clear();
            self.words.clear();
            self.heard.append(&mut self.told);
            return;
        }
        let seen = std::mem::take(&mut self.seen);
        if self.state.broken.is_some() {
            return;
        }
        if seen {
            let sight = self.sight();
            let known = self.memo.seen(sight.key(), || sight.observe());
            let (past, broken) = &*known;
            self.state.past = past.clone();
            let alarm = self.alarm.take().filter(|_| self.bounds.alarms);
            let broken = broken.iter().map(|v| (v.property, v.detail.clone()));
            self.fail(broken.chain(alarm.map(|alarm| ("no alarm", alarm))));
            self.said.clear();
            self.told.clear();
        }
        let words = std::mem::take(&mut self.words);
        if !words.is_empty() {
            let broken = self.sight().contradicts(&words);
            self.fail(broken.into_iter().map(|v| (v.property, v.detail)));
        }
    }

    /// Of these, the first that counts does not hold.
    fn fail(&mut self, broken: impl IntoIterator<Item = (&'static str, String)>) {
        let only = self.bounds.only;
        let mut broken = broken.into_iter();
        let first = broken.find(|(name, _)| only.is_none_or(|only| only == *name));
        self.state.broken = self.state.broken.take().or(first.map(Arc::new));
    }

    fn sight(&self) -> Sight<'_> {
        Sight {
            past: &self.state.past,
            head: &self.state.head,
            nodes: &self.state.nodes,
            said: &self.said,
            told: &self.told,
        }
    }
}

/// What a panic said.
pub(crate) fn reason(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
    text.unwrap_or_default()
}
