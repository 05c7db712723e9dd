//! The states and steps of a run, for stateright.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use dashmap::DashMap;
use stateright::{Model, Property};
use triumvir_protocol::invariants::Chronicle;
use triumvir_protocol::{
    Action as Job, Answer, Branch, BranchState, ConductorTimer, Coordinator, Horizon,
    ParticipantId, ParticipantTimer, Record, Request, Work,
};

use crate::memo::Memo;
use crate::network::{Body, Envelope, Network};
use crate::node::Node;
use crate::shared::{Shared, hash};
use crate::state::{State, TXN};
use crate::step::Step;
use crate::{Action, Bounds, Inquiries, Vote, properties};

/// A run of the model within bounds.
#[derive(Debug)]
pub struct World {
    pub(crate) bounds: Bounds,
    pub(crate) memo: Memo,
    /// By property, the first state in which it does not hold, if only that one counts.
    first: Option<DashMap<&'static str, u64>>,
    /// When the search is given up.
    until: Option<Instant>,
    given_up: AtomicBool,
    /// Steps that were taken are looked at once more: time does not count.
    at_rest: AtomicBool,
}

impl World {
    /// A run within `bounds`.
    pub fn new(bounds: Bounds) -> Self {
        let memo = Memo::default();
        Self {
            bounds,
            memo,
            first: None,
            until: None,
            given_up: AtomicBool::new(false),
            at_rest: AtomicBool::new(false),
        }
    }

    /// One that is given up at `until`: there is nothing to be done in any state from then on. The
    /// checker's own limit is not heeded by a single thread.
    #[must_use]
    pub fn until(self, until: Option<Instant>) -> Self {
        Self { until, ..self }
    }

    /// Whether it was given up.
    pub fn is_over(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }

    /// The search has ended, by itself or not: what it found can be shown.
    pub(crate) fn rest(&self) {
        self.at_rest.store(true, Ordering::Relaxed);
    }

    /// Whether nothing more is to be looked for.
    fn has_stopped(&self) -> bool {
        if self.at_rest.load(Ordering::Relaxed) {
            return false;
        }
        if self.until.is_some_and(|until| Instant::now() >= until) {
            self.given_up.store(true, Ordering::Relaxed);
        }
        self.is_over()
    }

    /// Of the states in which a property does not hold, only the first that is met counts: the checker
    /// looks on for a while, and would show the last.
    #[must_use]
    pub fn first_failures(self) -> Self {
        let first = Some(DashMap::default());
        Self { first, ..self }
    }

    /// Whether it counts that the property `name` does not hold in `state`.
    pub(crate) fn counts(&self, name: &'static str, state: &State) -> bool {
        let own = hash(state);
        let first = self.first.as_ref();
        first.is_none_or(|first| *first.entry(name).or_insert(own) == own)
    }

    /// The steps of `actions` for people: one line for each action, and what came of it.
    pub fn transcript(&self, actions: &[Action]) -> String {
        let mut lines = Vec::new();
        let mut state = self.start();
        let (opening, opened) = self.opening();
        for action in opening.iter().chain(actions) {
            let mut step = Step::new(&self.bounds, &self.memo, state.clone(), true);
            let acted = step.complete(&state, *action);
            lines.extend(step.trace.take().into_iter().flatten());
            state = step.state;
            if let Err(panic) = acted {
                state.broken = Some(Arc::new(("no panic", panic)));
            }
        }
        if state.broken.is_none() && actions.is_empty() {
            state.broken = opened.broken;
        }
        if let Some((name, why)) = state.broken() {
            lines.push(format!("BROKEN {name}: {why}"));
        } else {
            let blocked = self.blocked(&state).into_iter();
            lines.extend(blocked.map(|(name, why)| format!("BROKEN {name}: {why}")));
        }
        lines.push(String::new());
        lines.join("\n")
    }

    /// The actions that the opening names, and what they lead to: a broken state if one of them cannot
    /// happen or panics.
    fn opening(&self) -> (Vec<Action>, State) {
        let mut state = self.start();
        let mut taken = Vec::new();
        for line in &self.bounds.opening {
            let mut actions = Vec::new();
            self.all_actions(&state, &mut actions);
            let mut step = Step::new(&self.bounds, &self.memo, state.clone(), false);
            let action = actions.into_iter().find(|a| step.describe(*a) == *line);
            let done = action.map_or_else(
                || Err(format!("this cannot happen now: {line}")),
                |action| {
                    taken.push(action);
                    step.complete(&state, action)
                },
            );
            state = step.state;
            if let Err(why) = done {
                state.broken = Some(Arc::new(("no panic", why)));
                break;
            }
        }
        (taken, state)
    }

    pub(crate) fn start(&self) -> State {
        let ids = 1..=self.bounds.votes.len() as u32;
        let rules = self.bounds.rules;
        let mut past = Chronicle::default();
        for content in &self.bounds.contents {
            past.name(TXN, &content.terms);
        }
        State {
            head: Shared::new(Coordinator::new(rules)),
            seats: Vec::new(),
            limbo: Vec::new(),
            nodes: ids
                .map(|id| Shared::new(Node::new(rules, ParticipantId(id))))
                .collect(),
            network: Network::default(),
            past: Shared::new(past),
            broken: None,
        }
    }

    fn all_actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.log_actions(state, actions);
        self.seat_actions(state, actions);
        self.node_actions(state, actions);
        self.message_actions(state, actions);
    }

    fn log_actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.seats.len() < self.bounds.seats {
            actions.push(Action::Activate);
        }
        let mut changes_nothing = false;
        for record in &state.limbo {
            if state.changes(record) {
                actions.push(Action::Append(record.hash()));
            } else {
                changes_nothing |= !matches!(**record, Record::Horizon(_));
            }
        }
        for (at, seat) in state.seats.iter().enumerate() {
            match seat.behind.first().map(|record| &**record) {
                // One that hears of a later leader does nothing any more; what matters is the one that does
                // not. What it might have applied late before that is looked at with `lag` alone.
                Some(Record::Activate { .. }) => {}
                Some(_) => actions.push(Action::Apply(at)),
                None if changes_nothing => actions.push(Action::Idle(at)),
                None => {}
            }
        }
    }

    fn seat_actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (at, seat) in state.seats.iter().enumerate() {
            let Some(conductor) = &seat.conductor else {
                continue;
            };
            if at < self.bounds.asked {
                let asks = self.bounds.asks.iter().enumerate();
                let asks = asks.filter(|(number, _)| seat.answered & 1 << number == 0);
                actions.extend(asks.map(|(_, ask)| Action::Ask(at, *ask)));
            }
            if conductor.phase(TXN).is_some() {
                if self.bounds.timeouts {
                    actions.push(Action::Timeout(at, ConductorTimer::Vote));
                }
                actions.push(Action::Timeout(at, ConductorTimer::Resend));
            }
            if self.bounds.horizon {
                actions.push(Action::Want(at));
            }
        }
    }

    fn node_actions(&self, state: &State, actions: &mut Vec<Action>) {
        let told = state.seats.iter().any(|seat| match &seat.conductor {
            Some(conductor) => conductor.horizon(&seat.coordinator).covers(TXN),
            None => seat.coordinator.horizon().covers(TXN),
        });
        for (at, node) in state.nodes.iter().enumerate() {
            match node.jobs.front() {
                Some((_, Job::Prepare { .. })) => {
                    let votes = self.bounds.votes[at].iter();
                    actions.extend(votes.map(|vote| Action::Work(at, *vote)));
                }
                Some(_) => actions.push(Action::Work(at, Vote::Yes)),
                None => {}
            }
            if self.bounds.timeouts {
                actions.push(Action::Fire(at, ParticipantTimer::Work));
            }
            if let Some(branch) = state.branch(at) {
                self.doubt_actions(state, at, branch, actions);
            }
            if (told || state.head.horizon().covers(TXN)) && node.machine.horizon() < Horizon(TXN) {
                actions.push(Action::Learn(at));
            }
            let max = self.bounds.restarts_max;
            if self.bounds.restarts[at] && max.is_none_or(|max| node.restarts < max) {
                actions.push(Action::Restart(at));
            }
            let id = node.machine.id();
            let done = |work: Option<&Work>| matches!(work, Some(Work::Done { .. }));
            let contents = &mut self.bounds.contents.iter();
            if !node.operated && contents.any(|content| done(content.work.get(&id))) {
                actions.push(Action::Operate(at));
            }
        }
    }

    /// T1 to T3.
    fn doubt_actions(&self, state: &State, at: usize, branch: &Branch, actions: &mut Vec<Action>) {
        let inquire = Action::Fire(at, ParticipantTimer::Inquire);
        match self.bounds.inquiries[at] {
            Inquiries::Pair if !state.nodes[at].inquired => actions.push(Action::Pair(at)),
            Inquiries::Any if branch.is_live() => actions.push(inquire),
            Inquiries::Late if branch.is_live() && !self.has_asked(state, at) => {
                actions.push(inquire);
            }
            _ => {}
        }
        match branch.state {
            BranchState::Prepared { .. } if self.may_fence(state, at) => {
                if self.bounds.inquiries[at] == Inquiries::Late {
                    self.round_actions(state, at, actions);
                } else {
                    actions.push(Action::Fire(at, ParticipantTimer::Fence));
                }
            }
            BranchState::PreCommitted { .. } => {
                actions.push(Action::Fire(at, ParticipantTimer::Finish));
            }
            _ => {}
        }
    }

    /// Whether all that T1 can say is said: peers that are over need not be asked.
    fn has_asked(&self, state: &State, at: usize) -> bool {
        let id = Some(state.nodes[at].machine.id());
        let terms = state.branch(at).and_then(|branch| branch.live());
        let said = |is: &dyn Fn(&Envelope) -> bool| state.network.iter().any(|message| is(message));
        let over = |answer: &Answer| {
            matches!(
                answer,
                Answer::No { .. } | Answer::Aborted | Answer::Committed { .. }
            )
        };
        let polled = |peer: Option<ParticipantId>| {
            said(&|message| match &message.body {
                Body::Request(_, Request::Poll) => (message.from, message.to) == (id, peer),
                Body::Answer(answer) => (message.from, message.to) == (peer, id) && over(answer),
                _ => false,
            })
        };
        let peers = terms
            .into_iter()
            .flat_map(|(terms, _)| terms.participants.iter());
        let mut peers = peers.map(|peer| Some(*peer)).filter(|peer| *peer != id);
        said(&|message| message.from == id && matches!(message.body, Body::Inquiry(_)))
            && peers.all(polled)
    }

    /// T2 with every choice of answers to polls, one of each peer of which there is any.
    fn round_actions(&self, state: &State, at: usize, actions: &mut Vec<Action>) {
        let id = Some(state.nodes[at].machine.id());
        let mut choices: [Vec<Option<u64>>; 2] = Default::default();
        let peers = (0..state.nodes.len()).filter(|peer| *peer != at);
        for (choice, peer) in choices.iter_mut().zip(peers) {
            let from = Some(state.nodes[peer].machine.id());
            let answers = state
                .network
                .iter()
                .filter(|message| is_polled(&message.body));
            let answers = answers.filter(|message| (message.from, message.to) == (from, id));
            choice.extend(answers.map(|message| Some(message.hash())));
        }
        let [first, second] = choices.map(|mut choice| {
            if choice.is_empty() {
                choice.push(None);
            }
            choice
        });
        for one in first {
            actions.extend(second.iter().map(|other| Action::Round(at, [one, *other])));
        }
    }

    /// Whether T2 can do anything: a poll has been answered, or there is nobody to poll.
    fn may_fence(&self, state: &State, at: usize) -> bool {
        let id = Some(state.nodes[at].machine.id());
        let polled = |body: &Body| {
            matches!(
                body,
                Body::Answer(Answer::Prepared { .. } | Answer::Read { .. })
            )
        };
        let terms = state.branch(at).and_then(|branch| branch.live());
        terms.is_some_and(|(terms, _)| terms.participants.len() == 1)
            || state
                .network
                .iter()
                .any(|envelope| envelope.to == id && polled(&envelope.body))
    }

    fn message_actions(&self, state: &State, actions: &mut Vec<Action>) {
        for envelope in state.network.iter() {
            let key = envelope.hash();
            if let Some(to) = envelope.to {
                let at = to.0 as usize - 1;
                let later = self.bounds.inquiries[at] == Inquiries::Late;
                if later && is_polled(&envelope.body) {
                    continue;
                }
                actions.push(Action::Deliver(at, key));
                #[cfg(feature = "mutants")]
                if self.bounds.rules.ack_unforced && self.bounds.restarts[at] {
                    actions.push(Action::Tear(at, key));
                }
                continue;
            }
            let acting = |at: &usize| state.seats[*at].conductor.is_some();
            let heeds = |at: &usize| acting(at) && !self.is_stale_vote(state, *at, envelope);
            let seats = (0..state.seats.len()).filter(heeds);
            actions.extend(seats.map(|at| Action::Receive(at, key)));
            if matches!(envelope.body, Body::Inquiry(_)) {
                actions.push(Action::Receive(state.seats.len(), key));
            }
        }
    }
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.opening().1]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.broken.is_none() && !self.has_stopped() {
            self.all_actions(state, actions);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut step = Step::new(&self.bounds, &self.memo, last.clone(), false);
        if let Err(panic) = step.complete(last, action) {
            if self.bounds.only.is_some_and(|only| only != "no panic") {
                return None;
            }
            let broken = Some(Arc::new(("no panic", panic)));
            let state = last.clone();
            return Some(State { broken, ..state });
        }
        if step.beyond {
            return None;
        }
        let mut state = step.state;
        self.bury(&mut state);
        if self.prunes() {
            self.prune(&mut state);
        }
        (state != *last).then_some(state)
    }

    fn format_action(&self, action: &Action) -> String {
        format!("{action:?}")
    }

    fn format_step(&self, last: &State, action: Action) -> Option<String> {
        let mut step = Step::new(&self.bounds, &self.memo, last.clone(), true);
        step.complete(last, action).ok()?;
        step.trace.map(|lines| lines.join("\n"))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all(&self.bounds)
    }
}

/// What a prepared peer answers to a poll.
fn is_polled(body: &Body) -> bool {
    matches!(body, Body::Answer(Answer::Prepared { .. }))
}
