//! A participant: the real machine, a disk that outlives it, and a resource that answers by plan.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use triumvir_protocol::invariants::Stored;
use triumvir_protocol::{
    Action, Branch, Digest, Force, Horizon, Incarnation, Message, NoReason, Outcome, Participant,
    ParticipantId, ParticipantOutputs, ParticipantTimer, PrepareResult, Rules, Source, Target,
    TxnId, Value,
};

use super::{Body, Envelope, Party, Timer, World};

/// How the resource answers a prepare.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Plan {
    #[default]
    Yes,
    Read,
    No,
}

#[derive(Debug)]
pub(crate) struct Node {
    rules: Rules,
    id: ParticipantId,
    /// None while it is down.
    pub(crate) machine: Option<Participant>,
    incarnation: Incarnation,
    horizon: Horizon,
    branches: BTreeMap<TxnId, Branch>,
    effects: BTreeMap<(TxnId, Digest), Outcome>,
    pub(crate) plan: Plan,
    pub(crate) jobs: VecDeque<(TxnId, Action)>,
    pub(crate) locked: BTreeSet<TxnId>,
}

impl Node {
    pub(super) fn new(rules: Rules, id: ParticipantId) -> Self {
        let mut node = Self {
            rules,
            id,
            machine: None,
            incarnation: Incarnation(0),
            horizon: Horizon::default(),
            branches: BTreeMap::new(),
            effects: BTreeMap::new(),
            plan: Plan::Yes,
            jobs: VecDeque::new(),
            locked: BTreeSet::new(),
        };
        node.restore();
        node
    }

    fn restore(&mut self) {
        self.incarnation.0 += 1;
        let live = self.branches.iter().filter(|(_, b)| b.is_live());
        self.locked = live.map(|(txn, _)| *txn).collect();
        self.machine = Some(Participant::restore(
            self.rules,
            self.id,
            self.incarnation,
            self.horizon,
            self.branches.clone(),
        ));
    }

    pub(super) fn stored(&self) -> Stored<'_> {
        Stored {
            horizon: self.horizon,
            branches: &self.branches,
            effects: &self.effects,
            locked: &self.locked,
        }
    }

    pub(crate) fn branches(&self) -> &BTreeMap<TxnId, Branch> {
        &self.branches
    }

    pub(crate) fn horizon(&self) -> Horizon {
        self.horizon
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

impl World {
    fn node(&mut self, id: ParticipantId) -> &mut Node {
        self.nodes
            .get_mut(&id)
            .expect("a participant of this world")
    }

    /// Delivers to a participant; `torn`: it crashes after the call and before its force.
    pub(super) fn deliver_to_node(&mut self, to: ParticipantId, envelope: Envelope, torn: bool) {
        let Some(machine) = self.node(to).machine.as_mut() else {
            return;
        };
        let mut out = ParticipantOutputs::default();
        let (txn, digest) = (envelope.txn, envelope.digest);
        machine.on_horizon(envelope.horizon, &mut out);
        match (envelope.from, envelope.body) {
            (Party::Replica(from), Body::Request(epoch, request)) => {
                let source = Source::Coordinator(from, epoch);
                machine.handle_request(source, txn, digest, request, &mut out);
            }
            (Party::Node(from), Body::Request(_, request)) => {
                machine.handle_request(Source::Peer(from), txn, digest, request, &mut out);
            }
            (Party::Node(from), Body::Answer(answer)) => {
                machine.handle_answer(from, txn, digest, answer.clone(), &mut out);
                self.upon = Some((from, digest, answer));
            }
            (_, body) => unreachable!("{body:?} is not for a participant"),
        }
        if torn {
            self.tear(to, out);
        } else {
            self.absorb_node(to, out);
        }
    }

    /// A message arrives, and the participant crashes before its force.
    #[cfg_attr(
        not(feature = "mutants"),
        expect(dead_code, reason = "shows broken rules only")
    )]
    pub(crate) fn deliver_torn(&mut self, index: usize) {
        let envelope = self.bag.remove(index);
        if let Party::Node(to) = envelope.to {
            self.say(format!("torn {}", self.envelope(&envelope)));
            self.deliver_to_node(to, envelope, true);
        }
    }

    fn tear(&mut self, id: ParticipantId, out: ParticipantOutputs) {
        #[cfg(feature = "mutants")]
        for (target, txn, digest, message) in out.send_unforced {
            self.send_from_node(id, target, (txn, digest), message);
        }
        #[cfg(not(feature = "mutants"))]
        drop(out);
        self.crash(id);
    }

    fn absorb_node(&mut self, id: ParticipantId, out: ParticipantOutputs) {
        #[cfg(feature = "mutants")]
        for (target, txn, digest, message) in out.send_unforced.clone() {
            self.send_from_node(id, target, (txn, digest), message);
        }
        for force in &out.force {
            self.node(id).force(force);
            self.say(format!("  {id} forces {}", self.forced(force)));
        }
        for (target, txn, digest, message) in out.send {
            self.send_from_node(id, target, (txn, digest), message);
        }
        for (txn, action) in out.actions {
            let node = self.node(id);
            node.jobs.push_back((txn, action.clone()));
            self.say(format!("  {id} is to {}", self.action(txn, &action)));
        }
        for (txn, timer) in out.timers {
            self.timers.insert(Timer::Participant(id, txn, timer));
        }
        for (txn, alarm) in out.alarms {
            self.alarms += 1;
            self.say(format!("  {id} ALARM {alarm:?} {}", self.txn(txn)));
        }
        self.observe();
    }

    fn send_from_node(
        &mut self,
        id: ParticipantId,
        target: Target,
        (txn, digest): (TxnId, Digest),
        message: Message,
    ) {
        let body = match message {
            Message::Answer(answer) => Body::Answer(answer),
            Message::Request(request) => Body::Request(Default::default(), request),
            Message::Inquiry(inquiry) => Body::Inquiry(inquiry),
        };
        let to = match target {
            Target::Coordinators => self.replicas.keys().map(|r| Party::Replica(*r)).collect(),
            Target::Coordinator(replica) => vec![Party::Replica(replica)],
            Target::Peer(peer) => vec![Party::Node(peer)],
        };
        let horizon = if self.peers_tell {
            self.nodes[&id].horizon
        } else {
            Horizon::default()
        };
        for to in to {
            self.post(Envelope {
                from: Party::Node(id),
                to,
                txn,
                digest,
                horizon,
                body: body.clone(),
            });
        }
    }

    /// The resource at `id` finishes its oldest job.
    pub(crate) fn work(&mut self, id: ParticipantId) {
        let node = self.node(id);
        let Some((txn, action)) = node.jobs.pop_front() else {
            return;
        };
        let Some(machine) = node.machine.as_mut() else {
            return;
        };
        let mut out = ParticipantOutputs::default();
        let results = format!("of {id}");
        match action {
            Action::Prepare { .. } => {
                let results = results.as_bytes().into();
                node.locked.insert(txn);
                let result = match node.plan {
                    Plan::Yes => PrepareResult::Yes { results },
                    Plan::Read => PrepareResult::Read { results },
                    Plan::No => {
                        node.locked.remove(&txn);
                        PrepareResult::No(NoReason::Resource {
                            code: "minimum".into(),
                            detail: "too few".into(),
                            retryable: false,
                        })
                    }
                };
                machine.on_prepared(txn, result, &mut out);
            }
            Action::Commit => {
                machine.on_applied(txn, &mut out);
                node.settle(txn, Value::Commit);
            }
            Action::Abort => {
                machine.on_undone(txn, &mut out);
                node.settle(txn, Value::Abort);
            }
            Action::Cancel | Action::Release => {
                node.locked.remove(&txn);
            }
        }
        self.say(format!("work {id} on {}", self.txn(txn)));
        self.absorb_node(id, out);
    }

    /// The application does one more operation before it asks to commit.
    pub(crate) fn operate(&mut self, id: ParticipantId, txn: TxnId) -> bool {
        let mut out = ParticipantOutputs::default();
        let Some(machine) = self.node(id).machine.as_mut() else {
            return false;
        };
        let done = machine.on_work(txn, &mut out);
        self.absorb_node(id, out);
        done
    }

    pub(crate) fn crash(&mut self, id: ParticipantId) {
        self.say(format!("crash {id}"));
        let node = self.node(id);
        node.machine = None;
        node.jobs.clear();
        self.timers
            .retain(|timer| !matches!(timer, Timer::Participant(own, ..) if *own == id));
        self.observe();
    }

    pub(crate) fn restart(&mut self, id: ParticipantId) {
        if self.node(id).machine.is_some() {
            return;
        }
        self.say(format!("restart {id}"));
        self.node(id).restore();
        let mut out = ParticipantOutputs::default();
        let machine = self.node(id).machine.as_mut();
        machine.expect("just restored").start(&mut out);
        self.absorb_node(id, out);
    }

    pub(super) fn fire_at_node(&mut self, id: ParticipantId, txn: TxnId, timer: ParticipantTimer) {
        let Some(machine) = self.node(id).machine.as_mut() else {
            return;
        };
        let mut out = ParticipantOutputs::default();
        match timer {
            ParticipantTimer::Work => machine.on_work_timeout(txn, &mut out),
            ParticipantTimer::Inquire => machine.on_inquire(txn, &mut out),
            ParticipantTimer::Fence => machine.on_fence(txn, &mut out),
            ParticipantTimer::Finish => machine.on_finish(txn, &mut out),
        }
        self.absorb_node(id, out);
    }
}
