//! A coordinator replica: a prefix of the log, applied, and the conductor while it believes that it
//! leads. Several may believe so at once.

use triumvir_protocol::{
    Caller, Conductor, ConductorOutputs, ConductorTimer, Coordinator, Digest, Effect, Limits,
    ParticipantId, Record, ReplicaId, Request, Rules, Submission, TxnId,
};

use super::{Asked, Body, Envelope, Party, Timer, World};

#[derive(Debug)]
pub(crate) struct Replica {
    pub(crate) coordinator: Coordinator,
    pub(crate) applied: usize,
    pub(crate) conductor: Option<Conductor>,
    /// The mark of its own last activation.
    nonce: u64,
}

impl Replica {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            coordinator: Coordinator::new(rules),
            applied: 0,
            conductor: None,
            nonce: 0,
        }
    }
}

const LIMITS: Limits = Limits {
    inflight_max: 8,
    open_max: 8,
};

/// What a client asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ask {
    /// Commit this content.
    Commit(usize),
    Outcome {
        decide: bool,
    },
    Abort,
}

impl World {
    fn replica(&mut self, id: ReplicaId) -> &mut Replica {
        self.replicas.get_mut(&id).expect("a replica of this world")
    }

    /// The replica wins an election: its activation is appended, and nothing is applied yet.
    pub(crate) fn elect(&mut self, id: ReplicaId) {
        let nonce = self.log.len() as u64 + 1;
        self.replica(id).nonce = nonce;
        self.log.push(Record::Activate { replica: id, nonce });
        self.say(format!("log {nonce}: ACTIVATE {id}"));
    }

    /// The replica loses what is volatile; its proposals may still be appended.
    pub(crate) fn depose(&mut self, id: ReplicaId) {
        self.say(format!("depose {id}"));
        self.replica(id).conductor = None;
        self.timers
            .retain(|timer| !matches!(timer, Timer::Conductor(own, ..) if *own == id));
    }

    /// Applies the next record at `id`. Returns false at the end of the log.
    pub(crate) fn apply(&mut self, id: ReplicaId) -> bool {
        let rules = self.rules;
        let applied = self.replicas[&id].applied;
        let Some(record) = self.log.get(applied).cloned() else {
            return false;
        };
        self.say(format!("apply {} at {id}", applied + 1));
        let mut out = ConductorOutputs::default();
        let replica = self.replica(id);
        replica.applied += 1;
        let effect = replica.coordinator.apply(replica.applied as u64, record);
        let (state, conductor) = (&replica.coordinator, replica.conductor.as_mut());
        match (effect, conductor) {
            (
                Effect::Activated {
                    replica: own,
                    nonce,
                    ..
                },
                _,
            ) => {
                let is_own = own == id && nonce == replica.nonce;
                if !is_own && replica.conductor.is_some() {
                    self.depose(id);
                } else if is_own {
                    let new = Conductor::new(rules, LIMITS, state, &mut out);
                    replica.conductor = Some(new);
                }
            }
            (Effect::Transaction(txn), Some(conductor)) => {
                conductor.on_applied(state, txn, &mut out);
            }
            (Effect::Removed(who), Some(conductor)) => conductor.on_removed(who, &mut out),
            (Effect::Horizon(_), Some(conductor)) => conductor.on_horizon(state, &mut out),
            _ => {}
        }
        self.absorb_replica(id, out);
        true
    }

    /// Calls the conductor at `id`, if the replica believes that it leads.
    fn conduct(
        &mut self,
        id: ReplicaId,
        call: impl FnOnce(&mut Conductor, &Coordinator, &mut ConductorOutputs),
    ) {
        let mut out = ConductorOutputs::default();
        let replica = self.replica(id);
        if let Some(conductor) = replica.conductor.as_mut() {
            call(conductor, &replica.coordinator, &mut out);
        }
        self.absorb_replica(id, out);
    }

    /// A client asks the conductor at `id`; nobody answers where there is none.
    pub(crate) fn ask(&mut self, id: ReplicaId, txn: TxnId, ask: Ask) -> Caller {
        let caller = Caller(self.callers.len() as u64 + 1);
        self.say(format!(
            "c{} asks {id}: {}",
            caller.0,
            self.asking(txn, ask)
        ));
        let content = match ask {
            Ask::Commit(index) => Some(self.contents[index].clone()),
            _ => None,
        };
        let digest = content.as_ref().map(|content| content.terms.digest);
        self.callers.insert(
            caller,
            Asked {
                txn,
                digest,
                reply: None,
            },
        );
        self.conduct(id, |conductor, state, out| match (ask, content) {
            (Ask::Commit(_), Some(content)) => {
                let submission = Submission {
                    txn,
                    terms: content.terms,
                    work: content.work,
                    age: txn,
                };
                conductor.handle_commit(state, caller, submission, out);
            }
            (Ask::Outcome { decide }, _) => {
                conductor.handle_outcome(state, caller, txn, decide, out);
            }
            _ => conductor.handle_abort(state, caller, txn, out),
        });
        caller
    }

    pub(crate) fn propose_horizon(&mut self, id: ReplicaId, wanted: TxnId) {
        self.say(format!("{id} wants the horizon at {}", self.txn(wanted)));
        self.conduct(id, |conductor, state, out| {
            conductor.propose_horizon(state, wanted, out);
        });
    }

    /// An operator tells the replica that `who` never comes back.
    pub(crate) fn propose_removal(&mut self, id: ReplicaId, who: ParticipantId) {
        let record = Record::Remove { participant: who };
        record.check().expect("only sound records are proposed");
        self.say(format!("  {id} proposes {}", self.record(&record)));
        self.limbo.push((id, record));
    }

    pub(super) fn deliver_to_replica(&mut self, to: ReplicaId, envelope: Envelope) {
        let (txn, digest) = (envelope.txn, envelope.digest);
        let Party::Node(from) = envelope.from else {
            unreachable!("replicas replicate, they do not talk")
        };
        let rules = self.rules;
        let replica = self.replica(to);
        match (envelope.body, &replica.conductor) {
            (Body::Answer(answer), _) => self.conduct(to, |conductor, state, out| {
                conductor.handle_answer(state, from, txn, digest, answer, out);
            }),
            (Body::Inquiry(inquiry), Some(_)) => self.conduct(to, |conductor, state, out| {
                conductor.handle_inquiry(state, from, txn, inquiry, out);
            }),
            (Body::Inquiry(_), None) => {
                let state = &replica.coordinator;
                if let Some(request) = Conductor::evidence(state, rules, txn, digest) {
                    self.send_from_replica(to, Party::Node(from), (txn, digest), request);
                    self.observe();
                }
            }
            (Body::Request(..), _) => unreachable!("nobody asks a replica like that"),
        }
    }

    fn send_from_replica(
        &mut self,
        id: ReplicaId,
        to: Party,
        (txn, digest): (TxnId, Digest),
        request: Request,
    ) {
        let replica = &self.replicas[&id];
        let state = &replica.coordinator;
        let (epoch, horizon) = match &replica.conductor {
            Some(conductor) => (conductor.epoch(), conductor.horizon(state)),
            None => (state.epoch(), state.horizon()),
        };
        self.post(Envelope {
            from: Party::Replica(id),
            to,
            txn,
            digest,
            horizon,
            body: Body::Request(epoch, request),
        });
    }

    fn absorb_replica(&mut self, id: ReplicaId, out: ConductorOutputs) {
        for record in out.propose {
            record.check().expect("only sound records are proposed");
            self.say(format!("  {id} proposes {}", self.record(&record)));
            self.limbo.push((id, record));
        }
        for (to, txn, digest, request) in out.send {
            self.send_from_replica(id, Party::Node(to), (txn, digest), request);
        }
        for (caller, txn, reply) in out.replies {
            self.hear(caller, txn, reply);
        }
        for (txn, timer) in out.timers {
            self.timers.insert(Timer::Conductor(id, txn, timer));
        }
        self.observe();
    }

    /// A timer that is set goes off.
    pub(crate) fn fire(&mut self, timer: Timer) {
        self.timers.remove(&timer);
        match timer {
            Timer::Participant(id, txn, timer) => {
                self.say(format!("timer {id} {timer:?} {}", self.txn(txn)));
                self.fire_at_node(id, txn, timer);
            }
            Timer::Conductor(id, txn, timer) => {
                self.say(format!("timer {id} {timer:?} {}", self.txn(txn)));
                self.conduct(id, |conductor, _, out| match timer {
                    ConductorTimer::Vote => conductor.on_vote_timeout(txn, out),
                    ConductorTimer::Resend => conductor.on_resend(txn, out),
                });
            }
        }
    }
}
