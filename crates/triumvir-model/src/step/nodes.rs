//! Participants: what comes out of them.

use std::sync::Arc;

use triumvir_protocol::{Action as Job, Incarnation, ParticipantTimer, Work};

use super::Step;
use crate::network::Envelope;
use crate::node::{NodeEvent, NodeStep, Restart};
use crate::past::Cause;
use crate::shared::Shared;
use crate::{Action, Bounds, Vote};

impl Bounds {
    /// A participant's start after a crash. Only work done before tells incarnations apart, and only
    /// whether it is the first.
    pub(crate) fn restart(&self) -> Restart {
        let contents = self.contents.iter();
        let works = contents.flat_map(|content| content.work.values());
        let mut done = works.filter(|work| matches!(work, Work::Done { .. }));
        Restart {
            incarnation: Incarnation(if done.next().is_some() { 2 } else { 1 }),
            counted: self.restarts_max.is_some(),
        }
    }
}

impl Step<'_> {
    pub(crate) fn deliver(&mut self, node: usize, envelope: &Shared<Envelope>) {
        self.node(node, NodeEvent::Receive(envelope.hash()), Some(envelope));
    }

    pub(crate) fn restart(&mut self, node: usize) {
        let event = NodeEvent::Restart(self.bounds.restart());
        self.node(node, event, None);
    }

    /// A fence round begins, or goes on; if it does not, the rest was in vain.
    pub(super) fn round(&mut self, node: usize, answers: [Option<u64>; 2]) {
        let inquire = NodeEvent::Fire(ParticipantTimer::Inquire);
        self.node(node, inquire, None);
        for key in answers.into_iter().flatten() {
            if let Some(envelope) = self.state.network.find(key).cloned() {
                self.deliver(node, &envelope);
            }
        }
        let fence = NodeEvent::Fire(ParticipantTimer::Fence);
        let before = self.state.nodes[node].clone();
        self.node(node, fence, None);
        self.beyond |= self.state.nodes[node] == before;
    }

    /// A resource that votes for other work than the content says has lost some.
    pub(super) fn compare_work(&mut self, at: usize, vote: Vote) {
        let node = &self.state.nodes[at];
        let Some((_, Job::Prepare { work, .. })) = node.jobs.front() else {
            return;
        };
        let id = node.machine.id();
        let mut contents = self.bounds.contents.iter();
        if vote != Vote::No && !contents.any(|content| content.work.get(&id) == Some(work)) {
            let broken = ("work", format!("{id} votes for {work:?}"));
            self.state.broken = Some(broken.into());
        }
    }

    /// What `event` would do at participant `at`.
    pub(super) fn node_step(
        &self,
        at: usize,
        event: NodeEvent,
        message: Option<&Shared<Envelope>>,
    ) -> Arc<NodeStep> {
        let (rules, node) = (self.bounds.rules, &self.state.nodes[at]);
        let key = (node.hash(), event);
        let message = message.map(|envelope| &**envelope);
        self.memo.node(&key, || node.step(rules, event, message))
    }

    pub(super) fn node(&mut self, at: usize, event: NodeEvent, message: Option<&Shared<Envelope>>) {
        let name = at + 1;
        let step = self.node_step(at, event, message);
        self.state.nodes[at] = step.node.clone();
        self.seen |= step.seen;
        let cause = Cause {
            applied: None,
            message: message.cloned(),
        };
        for envelope in &step.unforced {
            self.post(envelope, &cause);
        }
        for force in &step.force {
            self.say(|bounds| format!("  p{name} forces {}", bounds.force(force)));
        }
        for job in &step.jobs {
            self.say(|bounds| format!("  p{name} is to {}", bounds.job(job)));
        }
        for envelope in &step.send {
            self.post(envelope, &cause);
        }
        if let Some(alarm) = step.alarm {
            self.say(|_| format!("  p{name} ALARM {alarm:?}"));
            self.alarm = Some(format!("p{name}: {alarm:?}"));
        }
        if !self.bounds.slow
            && let Some((_, Job::Commit | Job::Abort)) = self.state.nodes[at].jobs.front()
        {
            self.observe();
            if self.state.broken.is_none() {
                self.say(|_| format!("p{name} does so"));
                self.node(at, NodeEvent::Work(Vote::Yes), None);
            }
        }
    }

    /// The resource at `node` does all it has to; a prepare is answered by the first vote allowed, or
    /// without `votes` goes on for ever. Whether it did anything.
    pub(crate) fn work_off(&mut self, node: usize, votes: bool) -> bool {
        let mut busy = false;
        while let Some((_, job)) = self.state.nodes[node].jobs.front() {
            if !votes && matches!(job, Job::Prepare { .. }) {
                break;
            }
            busy = true;
            let vote = self.bounds.votes[node]
                .first()
                .copied()
                .unwrap_or(Vote::Yes);
            self.act(Action::Work(node, vote));
        }
        busy
    }
}
