//! Participants: messages, timers, jobs and restarts, and what comes out of them.

use triumvir_protocol::{
    Action as Job, Digest, Epoch, Incarnation, Message, ParticipantOutputs, ParticipantTimer,
    Source, Target, TxnId, Work,
};

use super::{REPLICA, Step};
use crate::network::{Body, Envelope};
use crate::node::Node;
use crate::state::TXN;
use crate::{Action, Vote};

impl Step<'_> {
    pub(super) fn deliver(&mut self, node: usize, key: u64, torn: bool) {
        if let Some(envelope) = self.state.network.find(key) {
            self.deliver_envelope(node, &envelope, torn);
        }
    }

    pub(crate) fn deliver_envelope(&mut self, node: usize, envelope: &Envelope, torn: bool) {
        let digest = envelope.digest;
        let mut out = ParticipantOutputs::default();
        self.state.nodes[node].change(|node| match (envelope.from, envelope.body.clone()) {
            (None, Body::Request(epoch, request)) => {
                let source = Source::Coordinator(REPLICA, epoch);
                node.machine
                    .handle_request(source, TXN, digest, request, &mut out);
            }
            (Some(from), Body::Request(_, request)) => {
                let source = Source::Peer(from);
                node.machine
                    .handle_request(source, TXN, digest, request, &mut out);
            }
            (Some(from), Body::Answer(answer)) => {
                node.machine
                    .handle_answer(from, TXN, digest, answer, &mut out);
            }
            (_, body) => unreachable!("{body:?} is not for a participant"),
        });
        if torn {
            self.unforced(node, &mut out);
            self.restart(node);
        } else {
            self.absorb_node(node, out);
        }
    }

    pub(super) fn call(
        &mut self,
        node: usize,
        call: impl FnOnce(&mut Node, &mut ParticipantOutputs),
    ) {
        let mut out = ParticipantOutputs::default();
        self.state.nodes[node].change(|node| call(node, &mut out));
        self.absorb_node(node, out);
    }

    pub(super) fn fire(&mut self, node: usize, timer: ParticipantTimer) {
        self.call(node, |node, out| match timer {
            ParticipantTimer::Work => node.machine.on_work_timeout(TXN, out),
            ParticipantTimer::Inquire => {
                // Twice, as nobody need have answered the first: peers are polled, too.
                node.machine.on_inquire(TXN, out);
                node.machine.on_inquire(TXN, out);
                if !out.send.is_empty() {
                    node.inquiries = node.inquiries.saturating_add(1);
                }
            }
            ParticipantTimer::Fence => node.machine.on_fence(TXN, out),
            ParticipantTimer::Finish => node.machine.on_finish(TXN, out),
        });
    }

    pub(crate) fn restart(&mut self, node: usize) {
        self.seen = true;
        let contents = &self.bounds.contents;
        let works = contents.iter().flat_map(|content| content.work.values());
        // Only work done before tells incarnations apart, and only whether it is the first.
        let counts = works.into_iter().any(|w| matches!(w, Work::Done { .. }));
        let (rules, incarnation) = (self.bounds.rules, Incarnation(if counts { 2 } else { 1 }));
        self.call(node, |node, out| {
            node.restore(rules, incarnation);
            node.machine.start(out);
        });
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
            self.state.broken = Some(("work", format!("{id} votes for {work:?}")));
        }
    }

    /// What a broken rule lets leave before it is forced.
    fn unforced(&mut self, node: usize, out: &mut ParticipantOutputs) {
        #[cfg(feature = "mutants")]
        for (target, _, digest, message) in std::mem::take(&mut out.send_unforced) {
            self.send(node, target, digest, message);
        }
        #[cfg(not(feature = "mutants"))]
        let _ = (node, out);
    }

    fn absorb_node(&mut self, at: usize, mut out: ParticipantOutputs) {
        self.unforced(at, &mut out);
        let name = at + 1;
        for force in &out.force {
            self.say(|bounds| format!("  p{name} forces {}", bounds.force(force)));
        }
        for (_, job) in &out.actions {
            self.say(|bounds| format!("  p{name} is to {}", bounds.job(job)));
        }
        let actions: Vec<(TxnId, Job)> = std::mem::take(&mut out.actions);
        if !out.force.is_empty() || !actions.is_empty() {
            let force = std::mem::take(&mut out.force);
            self.seen = true;
            self.state.nodes[at].change(|node| {
                force.iter().for_each(|force| node.force(force));
                node.take(actions);
            });
        }
        for (target, _, digest, message) in out.send {
            self.send(at, target, digest, message);
        }
        for (_, alarm) in out.alarms {
            self.say(|_| format!("  p{name} ALARM {alarm:?}"));
            self.seen = true;
            self.alarm = Some(format!("p{name}: {alarm:?}"));
        }
        if !self.bounds.slow
            && let Some((_, Job::Commit | Job::Abort)) = self.state.nodes[at].jobs.front()
        {
            self.observe();
            if self.state.broken.is_none() {
                self.say(|_| format!("p{name} does so"));
                self.call(at, |node, out| node.work(Vote::Yes, out));
            }
        }
    }

    fn send(&mut self, at: usize, target: Target, digest: Digest, message: Message) {
        let body = match message {
            Message::Answer(answer) => Body::Answer(answer),
            Message::Request(request) => Body::Request(Epoch(0), request),
            Message::Inquiry(inquiry) => Body::Inquiry(inquiry),
        };
        let to = match target {
            Target::Coordinators | Target::Coordinator(_) => None,
            Target::Peer(peer) => Some(peer),
        };
        let from = Some(self.state.nodes[at].machine.id());
        self.post(Envelope {
            from,
            to,
            digest,
            body,
        });
    }

    /// The resource at `node` does all it has to; a prepare is answered by the first vote allowed.
    pub(crate) fn work_off(&mut self, node: usize) -> bool {
        let busy = !self.state.nodes[node].jobs.is_empty();
        while !self.state.nodes[node].jobs.is_empty() {
            let vote = self.bounds.votes[node]
                .first()
                .copied()
                .unwrap_or(Vote::Yes);
            self.act(Action::Work(node, vote));
        }
        busy
    }
}
