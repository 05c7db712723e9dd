//! The states and steps of a run, for stateright.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use stateright::{Model, Property};
use triumvir_protocol::invariants::Chronicle;
use triumvir_protocol::{
    Action as Job, Answer, BranchState, ConductorTimer, Coordinator, Horizon, ParticipantId,
    ParticipantTimer, Record, Request, Value, Work,
};

use crate::memo::Memo;
use crate::network::{Body, Envelope, Network};
use crate::node::Node;
use crate::shared::{Shared, hash};
use crate::state::{State, TXN};
use crate::step::Step;
use crate::{Action, Bounds, Vote, properties};

/// A run of the model within bounds.
#[derive(Debug)]
pub struct World {
    pub(crate) bounds: Bounds,
    pub(crate) memo: Memo,
}

impl World {
    /// A run within `bounds`.
    pub fn new(bounds: Bounds) -> Self {
        let memo = Memo::default();
        Self { bounds, memo }
    }

    /// The steps of `actions` for people: one line for each action, and what came of it.
    pub fn transcript(&self, actions: &[Action]) -> String {
        let mut lines = Vec::new();
        let mut state = self.start();
        for action in self.opening().iter().chain(actions) {
            let mut step = Step::new(&self.bounds, &self.memo, state.clone(), true);
            let acted = catch_unwind(AssertUnwindSafe(|| step.act(*action)));
            lines.append(step.trace.as_mut().expect("it is wanted"));
            if let Err(panic) = acted {
                lines.push(format!("BROKEN no panic: {}", reason(&*panic)));
                break;
            }
            step.settle();
            lines.extend(step.trace.into_iter().flatten());
            state = step.state;
            if let Some((name, why)) = state.broken() {
                lines.push(format!("BROKEN {name}: {why}"));
            }
        }
        lines.push(String::new());
        lines.join("\n")
    }

    /// The actions that the opening names.
    ///
    /// # Panics
    ///
    /// If one of them cannot happen.
    fn opening(&self) -> Vec<Action> {
        let mut state = self.start();
        let mut taken = Vec::new();
        for line in &self.bounds.opening {
            let mut actions = Vec::new();
            self.actions(&state, &mut actions);
            let mut step = Step::new(&self.bounds, &self.memo, state, false);
            let action = actions.into_iter().find(|a| step.describe(*a) == *line);
            let action = action.unwrap_or_else(|| panic!("this cannot happen now: {line}"));
            step.act(action);
            step.settle();
            taken.push(action);
            state = step.state;
        }
        taken
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

    fn log_actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.seats.len() < self.bounds.seats {
            actions.push(Action::Activate);
        }
        let mut changes_nothing = false;
        for record in &state.limbo {
            let mut head = (*state.head).clone();
            head.apply(0, (**record).clone());
            if head == *state.head {
                changes_nothing |= !matches!(**record, Record::Horizon(_));
            } else {
                actions.push(Action::Append(record.hash()));
            }
        }
        for (at, seat) in state.seats.iter().enumerate() {
            if !seat.behind.is_empty() {
                actions.push(Action::Apply(at));
            } else if changes_nothing && seat.conductor.is_some() {
                actions.push(Action::Idle(at));
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
            if node.inquiries < self.bounds.inquiries[at] {
                actions.push(Action::Fire(at, ParticipantTimer::Inquire));
            }
            if let Some(branch) = node.branches.get(&TXN) {
                match branch.state {
                    BranchState::Prepared { .. } if self.may_fence(state, at) => {
                        actions.push(Action::Fire(at, ParticipantTimer::Fence));
                    }
                    BranchState::PreCommitted { .. } => {
                        actions.push(Action::Fire(at, ParticipantTimer::Finish));
                    }
                    _ => {}
                }
            }
            if (told || state.head.horizon().covers(TXN)) && node.machine.horizon() < Horizon(TXN) {
                actions.push(Action::Learn(at));
            }
            let max = self.bounds.restarts_max;
            if self.bounds.restarts && max.is_none_or(|max| node.restarts < max) {
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
                actions.push(Action::Deliver(at, key));
                #[cfg(feature = "mutants")]
                if self.bounds.rules.ack_unforced && self.bounds.restarts {
                    actions.push(Action::Tear(at, key));
                }
                continue;
            }
            let acting = |at: &usize| state.seats[*at].conductor.is_some();
            let seats = (0..state.seats.len()).filter(acting);
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
        let mut state = self.start();
        for action in self.opening() {
            let mut step = Step::new(&self.bounds, &self.memo, state, false);
            step.act(action);
            step.settle();
            state = step.state;
        }
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.broken.is_some() {
            return;
        }
        self.log_actions(state, actions);
        self.seat_actions(state, actions);
        self.node_actions(state, actions);
        self.message_actions(state, actions);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut step = Step::new(&self.bounds, &self.memo, last.clone(), false);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| step.act(action))) {
            if self.bounds.only.is_some_and(|only| only != "no panic") {
                return None;
            }
            let broken = Some(Arc::new(("no panic", reason(&*panic))));
            let state = last.clone();
            return Some(State { broken, ..state });
        }
        if step.beyond || step.state == *last {
            return None;
        }
        step.settle();
        let mut state = step.state;
        self.bury(&mut state);
        (state != *last).then_some(state)
    }

    fn format_action(&self, action: &Action) -> String {
        format!("{action:?}")
    }

    fn format_step(&self, last: &State, action: Action) -> Option<String> {
        let mut step = Step::new(&self.bounds, &self.memo, last.clone(), true);
        catch_unwind(AssertUnwindSafe(|| step.act(action))).ok()?;
        step.trace.map(|lines| lines.join("\n"))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all(&self.bounds)
    }
}

impl World {
    /// Drops messages that nobody will ever heed, as long as nothing can be forgotten: answers to a
    /// branch that is over, and requests to it whose answer is under way for good.
    fn bury(&self, state: &mut State) {
        if self.bounds.horizon {
            return;
        }
        let last = |at: usize| {
            let branch = state.branch(at)?;
            let committed = branch.state == BranchState::Committed;
            let answer = match &branch.state {
                BranchState::Committed => Answer::Committed { results: None },
                BranchState::Aborted => Answer::Aborted,
                BranchState::Refused(reason) => Answer::No {
                    reason: reason.clone(),
                },
                _ => return None,
            };
            Some((branch.digest, answer, committed))
        };
        let last: Vec<_> = (0..state.nodes.len()).map(last).collect();
        if last.iter().all(Option::is_none) {
            return;
        }
        let answers = state.network.clone();
        state.network.retain(|envelope| {
            let Some(to) = envelope.to else {
                return true;
            };
            let Some((digest, answer, committed)) = &last[to.0 as usize - 1] else {
                return true;
            };
            let request = match &envelope.body {
                Body::Request(_, request) => request,
                Body::Answer(_) | Body::Inquiry(_) => return false,
            };
            let plain = match request {
                Request::CanCommit { .. } => !committed,
                Request::DoCommit => *committed,
                Request::Abort => !committed,
                Request::Accept { value, .. } => !committed || *value == Value::Commit,
                Request::Fence { .. } | Request::Poll => true,
                Request::Horizon(_) => false,
            };
            let reply = Envelope {
                from: Some(to),
                to: envelope.from,
                digest: *digest,
                body: Body::Answer(answer.clone()),
            };
            let dead = plain && envelope.digest == *digest && answers.contains(hash(&reply));
            !dead
        });
    }
}

fn reason(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
    text.unwrap_or_default()
}
