//! A participant: the real machine, its disk, and a resource. Volatile is what the machine holds
//! beyond its disk, and the resource's jobs. What an event does to it depends on nothing else.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use triumvir_protocol::invariants::Stored;
use triumvir_protocol::{
    Action as Job, Alarm, Branch, Digest, Epoch, Force, Horizon, Incarnation, Message, NoReason,
    Outcome, Participant, ParticipantId, ParticipantOutputs, ParticipantTimer, Payload,
    PrepareResult, Rules, Source, Target, TxnId, Value,
};

use crate::Vote;
use crate::network::{Body, Envelope};
use crate::shared::Shared;
use crate::state::TXN;

/// Every coordinator replica under one name: any of them may have led before.
pub(crate) const REPLICA: triumvir_protocol::ReplicaId = triumvir_protocol::ReplicaId(1);

/// A start after a crash.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Restart {
    pub(crate) incarnation: Incarnation,
    /// The run has a limit.
    pub(crate) counted: bool,
}

/// What happens at a participant. A message is named by its hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum NodeEvent {
    Receive(u64),
    /// It receives a message and crashes before its force.
    Tear(u64, Restart),
    Learn,
    Work(Vote),
    Operate,
    Fire(ParticipantTimer),
    /// T1 goes off twice in a row.
    Pair,
    Restart(Restart),
}

/// What came of an event.
#[derive(Clone, Debug)]
pub(crate) struct NodeStep {
    /// Afterwards.
    pub(crate) node: Shared<Node>,
    /// What a broken rule lets leave before it is forced.
    pub(crate) unforced: Vec<Shared<Envelope>>,
    pub(crate) force: Vec<Force>,
    pub(crate) jobs: Vec<Job>,
    pub(crate) send: Vec<Shared<Envelope>>,
    pub(crate) alarm: Option<Alarm>,
    /// Onlookers see it.
    pub(crate) seen: bool,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Node {
    pub(crate) machine: Participant,
    pub(crate) incarnation: Incarnation,
    pub(crate) horizon: Horizon,
    pub(crate) branches: BTreeMap<TxnId, Branch>,
    pub(crate) effects: BTreeMap<(TxnId, Digest), Outcome>,
    pub(crate) locked: BTreeSet<TxnId>,
    pub(crate) jobs: VecDeque<(TxnId, Job)>,
    /// T1 has gone off since the last start, where that is counted.
    pub(crate) inquired: bool,
    /// Where they are counted.
    pub(crate) restarts: u8,
    /// The application has done its operation, once.
    pub(crate) operated: bool,
}

impl Node {
    pub(crate) fn new(rules: Rules, id: ParticipantId) -> Self {
        let incarnation = Incarnation(1);
        let (horizon, branches) = Default::default();
        Self {
            machine: Participant::restore(rules, id, incarnation, horizon, BTreeMap::new()),
            incarnation,
            horizon,
            branches,
            effects: BTreeMap::new(),
            locked: BTreeSet::new(),
            jobs: VecDeque::new(),
            inquired: false,
            restarts: 0,
            operated: false,
        }
    }

    /// What `event` does; `message` is what it receives, if it does.
    pub(crate) fn step(
        &self,
        rules: Rules,
        event: NodeEvent,
        message: Option<&Envelope>,
    ) -> NodeStep {
        let mut node = self.clone();
        let mut out = ParticipantOutputs::default();
        match event {
            NodeEvent::Receive(_) => node.receive(message, &mut out),
            NodeEvent::Tear(_, restart) => {
                node.receive(message, &mut out);
                let unforced = node.unforced(&mut out);
                node = self.clone();
                let step = node.step(rules, NodeEvent::Restart(restart), None);
                return NodeStep { unforced, ..step };
            }
            NodeEvent::Learn => node.machine.on_horizon(Horizon(TXN), &mut out),
            NodeEvent::Work(vote) => node.work(vote, &mut out),
            NodeEvent::Operate => {
                node.operated = true;
                node.machine.on_work(TXN, &mut out);
            }
            NodeEvent::Fire(timer) => node.fire(timer, &mut out),
            NodeEvent::Pair => {
                // Twice, as nobody need have answered the first: peers are polled, too.
                node.fire(ParticipantTimer::Inquire, &mut out);
                node.fire(ParticipantTimer::Inquire, &mut out);
                node.inquired |= !out.send.is_empty();
            }
            NodeEvent::Restart(restart) => {
                node.restore(rules, restart.incarnation);
                node.restarts += u8::from(restart.counted);
                node.machine.start(&mut out);
            }
        }
        node.absorb(event, out)
    }

    fn absorb(mut self, event: NodeEvent, mut out: ParticipantOutputs) -> NodeStep {
        let unforced = self.unforced(&mut out);
        let send = out.send.drain(..);
        let send = send.map(|(target, _, digest, message)| self.envelope(target, digest, message));
        let send: Vec<_> = send.collect();
        out.force.iter().for_each(|force| self.force(force));
        let jobs = out.actions.iter().map(|(_, job)| job.clone()).collect();
        let seen = matches!(event, NodeEvent::Work(_) | NodeEvent::Restart(_))
            || !(out.force.is_empty() && out.actions.is_empty() && out.alarms.is_empty());
        self.take(out.actions);
        NodeStep {
            node: Shared::new(self),
            unforced,
            force: out.force,
            jobs,
            send,
            alarm: out.alarms.last().map(|(_, alarm)| *alarm),
            seen,
        }
    }

    fn receive(&mut self, message: Option<&Envelope>, out: &mut ParticipantOutputs) {
        let Envelope {
            from, digest, body, ..
        } = message.expect("a message is received").clone();
        match (from, body) {
            (None, Body::Request(epoch, request)) => {
                let source = Source::Coordinator(REPLICA, epoch);
                self.machine
                    .handle_request(source, TXN, digest, request, out);
            }
            (Some(from), Body::Request(_, request)) => {
                let source = Source::Peer(from);
                self.machine
                    .handle_request(source, TXN, digest, request, out);
            }
            (Some(from), Body::Answer(answer)) => {
                self.machine.handle_answer(from, TXN, digest, answer, out);
            }
            (_, body) => unreachable!("{body:?} is not for a participant"),
        }
    }

    fn fire(&mut self, timer: ParticipantTimer, out: &mut ParticipantOutputs) {
        match timer {
            ParticipantTimer::Work => self.machine.on_work_timeout(TXN, out),
            ParticipantTimer::Inquire => self.machine.on_inquire(TXN, out),
            ParticipantTimer::Fence => self.machine.on_fence(TXN, out),
            ParticipantTimer::Finish => self.machine.on_finish(TXN, out),
        }
    }

    #[cfg_attr(not(feature = "mutants"), allow(clippy::unused_self))]
    fn unforced(&self, out: &mut ParticipantOutputs) -> Vec<Shared<Envelope>> {
        #[cfg(feature = "mutants")]
        let all = std::mem::take(&mut out.send_unforced);
        #[cfg(not(feature = "mutants"))]
        let all: Vec<(Target, TxnId, Digest, Message)> = {
            let _ = out;
            Vec::new()
        };
        let all = all.into_iter();
        all.map(|(target, _, digest, message)| self.envelope(target, digest, message))
            .collect()
    }

    fn envelope(&self, target: Target, digest: Digest, message: Message) -> Shared<Envelope> {
        let body = match message {
            Message::Answer(answer) => Body::Answer(answer),
            Message::Request(request) => Body::Request(Epoch(0), request),
            Message::Inquiry(inquiry) => Body::Inquiry(inquiry),
        };
        let to = match target {
            Target::Coordinators | Target::Coordinator(_) => None,
            Target::Peer(peer) => Some(peer),
        };
        let from = Some(self.machine.id());
        Shared::new(Envelope {
            from,
            to,
            digest,
            body,
        })
    }

    /// Loses what is volatile. The caller calls `start`.
    fn restore(&mut self, rules: Rules, incarnation: Incarnation) {
        let live = self.branches.iter().filter(|(_, b)| b.is_live());
        self.locked = live.map(|(txn, _)| *txn).collect();
        self.jobs.clear();
        self.inquired = false;
        self.incarnation = incarnation;
        self.machine = Participant::restore(
            rules,
            self.machine.id(),
            incarnation,
            self.horizon,
            self.branches.clone(),
        );
    }

    pub(crate) fn stored(&self) -> Stored<'_> {
        Stored {
            horizon: self.horizon,
            branches: &self.branches,
            effects: &self.effects,
            locked: &self.locked,
        }
    }

    fn force(&mut self, force: &Force) {
        match force {
            Force::Branch(txn, branch) => {
                self.branches.insert(*txn, branch.clone());
            }
            Force::Horizon(horizon) => self.horizon = *horizon,
            Force::Forget(txn) => {
                self.branches.remove(txn);
            }
        }
    }

    /// Takes `jobs`; those that nobody hears of are done when their turn comes.
    fn take(&mut self, jobs: Vec<(TxnId, Job)>) {
        self.jobs.extend(jobs);
        while let Some((txn, Job::Cancel | Job::Release)) = self.jobs.front() {
            self.locked.remove(txn);
            self.jobs.pop_front();
        }
    }

    /// The resource finishes its oldest job.
    fn work(&mut self, vote: Vote, out: &mut ParticipantOutputs) {
        let Some((txn, job)) = self.jobs.pop_front() else {
            return;
        };
        let results = Payload::from([]);
        match job {
            Job::Prepare { .. } => {
                if vote != Vote::No {
                    self.locked.insert(txn);
                }
                let result = match vote {
                    Vote::Yes => PrepareResult::Yes { results },
                    Vote::Read => PrepareResult::Read { results },
                    Vote::No => PrepareResult::No(NoReason::Resource {
                        code: "no".into(),
                        detail: "".into(),
                        retryable: false,
                    }),
                };
                self.machine.on_prepared(txn, result, out);
            }
            Job::Commit => {
                self.machine.on_applied(txn, out);
                self.settle(txn, Value::Commit);
            }
            Job::Abort => {
                self.machine.on_undone(txn, out);
                self.settle(txn, Value::Abort);
            }
            Job::Cancel | Job::Release => {
                self.locked.remove(&txn);
            }
        }
    }

    /// The resource's effect for good, if a prepared branch stands.
    fn settle(&mut self, txn: TxnId, outcome: Value) {
        if let Some(branch) = self.branches.get(&txn)
            && branch.is_in_doubt()
        {
            self.effects.insert((txn, branch.digest), outcome);
        }
        self.locked.remove(&txn);
    }
}
