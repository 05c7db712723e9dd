//! The participant: a durable acceptor for its branches.

mod branch;
mod fence;
mod outputs;
mod requests;

use std::collections::{BTreeMap, BTreeSet};

pub use branch::{Branch, BranchState};
use fence::Round;
pub use outputs::{
    Action, Alarm, Force, Message, ParticipantOutputs, ParticipantTimer, PrepareResult, Source,
    Target,
};

use crate::{
    Answer, Ballot, Digest, Epoch, Horizon, Incarnation, Inquiry, Mode, NoReason, ParticipantId,
    Payload, Request, Rules, Terms, TxnId, Value, Work,
};

/// A participant's branches and what it does about them.
///
/// Contract. The driver makes one with [`Participant::restore`] from what its journal holds, having
/// given the resource its prepared branches back first, and calls [`start`](Self::start) before it
/// delivers anything. After every call it makes `force` durable, in order and in one write, and only
/// then lets `send` leave. A failed force stops the process. Every [`Action`] is carried out, in
/// order for each transaction, and reported by [`on_prepared`](Self::on_prepared),
/// [`on_applied`](Self::on_applied) or [`on_undone`](Self::on_undone); what the resource makes durable
/// for it is in the same write as the force that the report causes, or durable before. Messages may
/// be lost, repeated, delayed and out of order.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Participant {
    rules: Rules,
    id: ParticipantId,
    incarnation: Incarnation,
    /// The highest epoch heard. Hygiene only, so it is not kept on disk.
    epoch: Epoch,
    horizon: Horizon,
    branches: BTreeMap<TxnId, Branch>,
    working: BTreeMap<TxnId, Working>,
    /// What the resource is doing about a decided branch.
    acting: BTreeMap<TxnId, Acting>,
    doubts: BTreeMap<TxnId, Doubt>,
}

/// Work that is not yet voted on; lost in a crash.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Working {
    /// Operations done before can-commit.
    operations: u64,
    /// The can-commit that is being served, and who asked last.
    asked: Option<(Terms, TxnId, Source)>,
}

/// A decision being carried out by the resource.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Acting {
    outcome: Value,
    /// Who is to be told when it is done.
    tell: BTreeSet<Target>,
    /// An abort accepted at a coordinator's ballot: it is acknowledged when it is durable.
    ack: Option<(Target, Ballot)>,
}

/// What a branch in doubt has learnt so far; lost in a crash.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
struct Doubt {
    /// A coordinator has spoken of it since the last inquiry.
    heard: bool,
    /// An inquiry was sent.
    inquired: bool,
    /// Inquiries in a row that a coordinator answered without moving the transaction on.
    idle: u8,
    /// Peers that answered a poll without knowing an outcome.
    polled: BTreeSet<ParticipantId>,
    /// The highest ballot seen.
    ballot: Ballot,
    /// The fence round of our own that is under way.
    round: Option<Round>,
}

impl Doubt {
    /// A coordinator speaks, and has not yet spoken too often in vain. One without a majority may
    /// speak for ever; it must not keep peers from finishing among themselves.
    fn is_cared_for(&self) -> bool {
        self.heard && self.idle < Participant::PATIENCE
    }
}

impl Participant {
    /// So many periods of [`ParticipantTimer::Inquire`] a branch in doubt leaves to a coordinator that
    /// answers and does not move it on. Together they should be longer than the vote timeout: the
    /// poll that follows makes a peer that is still at work refuse.
    pub const PATIENCE: u8 = 4;

    /// The state that the journal holds. `incarnation` is this start's.
    pub fn restore(
        rules: Rules,
        id: ParticipantId,
        incarnation: Incarnation,
        horizon: Horizon,
        branches: BTreeMap<TxnId, Branch>,
    ) -> Self {
        Self {
            rules,
            id,
            incarnation,
            epoch: Epoch::default(),
            horizon,
            branches,
            working: BTreeMap::new(),
            acting: BTreeMap::new(),
            doubts: BTreeMap::new(),
        }
    }

    /// Starts the timers of every branch that is in doubt, and applies what the horizon decides.
    pub fn start(&mut self, out: &mut ParticipantOutputs) {
        for (&txn, branch) in &self.branches {
            for &timer in branch.timers() {
                out.timer(txn, timer);
            }
        }
        self.settle_by_horizon(out);
    }

    /// This participant's id.
    pub fn id(&self) -> ParticipantId {
        self.id
    }

    /// Everything at or below it is over.
    pub fn horizon(&self) -> Horizon {
        self.horizon
    }

    /// The durable branches, oldest first.
    pub fn branches(&self) -> &BTreeMap<TxnId, Branch> {
        &self.branches
    }

    /// The branches that wait for an outcome: prepared, pre-committed, or read and not released.
    pub fn in_doubt(&self) -> impl Iterator<Item = (TxnId, &Branch)> {
        self.branches
            .iter()
            .filter(|(_, branch)| branch.is_live())
            .map(|(txn, b)| (*txn, b))
    }

    /// The highest epoch heard since the start.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// A leader's frame carries its epoch.
    pub fn on_epoch(&mut self, epoch: Epoch) {
        self.epoch = self.epoch.max(epoch);
    }

    /// A frame carried an applied horizon.
    pub fn on_horizon(&mut self, horizon: Horizon, out: &mut ParticipantOutputs) {
        if horizon > self.horizon {
            self.horizon = horizon;
            self.settle_by_horizon(out);
            let over: Vec<_> = self
                .branches
                .range(..=horizon.0)
                .filter(|(txn, branch)| !branch.is_in_doubt() && !self.acting.contains_key(txn))
                .map(|(txn, _)| *txn)
                .collect();
            for txn in &over {
                if let Some(Branch {
                    state:
                        BranchState::Read {
                            released: false, ..
                        },
                    ..
                }) = self.branches.remove(txn)
                {
                    out.actions.push((*txn, Action::Release));
                }
                self.doubts.remove(txn);
            }
            if !self.rules.horizon_unforced() {
                out.force.push(Force::Horizon(horizon));
            }
            out.force.extend(over.into_iter().map(Force::Forget));
        }
    }

    /// The application did one more operation in `txn` before it asks to commit.
    ///
    /// Returns false, and nothing may be done, if the branch can no longer take work.
    pub fn on_work(&mut self, txn: TxnId, out: &mut ParticipantOutputs) -> bool {
        let begun = self
            .working
            .get(&txn)
            .is_some_and(|working| working.asked.is_some());
        if self.branches.contains_key(&txn) || self.horizon.covers(txn) || begun {
            return false;
        }
        let working = self.working.entry(txn).or_insert_with(|| {
            out.timer(txn, ParticipantTimer::Work);
            Working {
                operations: 0,
                asked: None,
            }
        });
        working.operations += 1;
        true
    }

    /// The resource has done what [`Action::Prepare`] asked.
    pub fn on_prepared(&mut self, txn: TxnId, result: PrepareResult, out: &mut ParticipantOutputs) {
        // A tombstone, or the horizon, came while the resource was at work.
        let Some(working) = self.working.remove(&txn) else {
            if !matches!(result, PrepareResult::No(_)) {
                out.actions.push((txn, Action::Abort));
            }
            return;
        };
        let (terms, age, source) = working.asked.expect("only can-commit starts a prepare");
        let digest = terms.digest;
        let promised = Ballot::ZERO;
        let (branch, answer) = match result {
            PrepareResult::Yes { results } => {
                let state = BranchState::Prepared {
                    terms,
                    age,
                    promised,
                    accepted: None,
                };
                (
                    Branch {
                        digest,
                        state,
                        results: results.clone(),
                    },
                    Answer::Yes { results },
                )
            }
            PrepareResult::Read { results } => {
                let state = BranchState::Read {
                    terms,
                    age,
                    released: false,
                };
                (
                    Branch {
                        digest,
                        state,
                        results: results.clone(),
                    },
                    Answer::Read { results },
                )
            }
            PrepareResult::No(reason) => {
                if !self.rules.no_tombstone() {
                    self.tombstone(txn, digest, reason.clone(), out);
                }
                out.answer(source.into(), txn, digest, Answer::No { reason });
                return;
            }
        };
        for &timer in branch.timers() {
            out.timer(txn, timer);
        }
        self.write(txn, branch, out);
        out.answer(source.into(), txn, digest, answer);
    }

    /// The resource has applied a committed branch.
    pub fn on_applied(&mut self, txn: TxnId, out: &mut ParticipantOutputs) {
        self.finish(
            txn,
            BranchState::Committed,
            Answer::Committed { results: None },
            out,
        );
    }

    /// The resource has undone an aborted branch.
    pub fn on_undone(&mut self, txn: TxnId, out: &mut ParticipantOutputs) {
        self.finish(txn, BranchState::Aborted, Answer::Aborted, out);
    }

    fn finish(
        &mut self,
        txn: TxnId,
        state: BranchState,
        answer: Answer,
        out: &mut ParticipantOutputs,
    ) {
        let (Some(acting), Some(branch)) = (self.acting.remove(&txn), self.branches.get(&txn))
        else {
            return; // The undo of work that was never voted on.
        };
        let digest = branch.digest;
        let results = match acting.outcome {
            Value::Commit => branch.results.clone(),
            Value::Abort => Payload::from([]),
        };
        self.doubts.remove(&txn);
        let careless = acting.outcome == Value::Commit && self.rules.forget_committed();
        if self.horizon.covers(txn) || careless {
            self.branches.remove(&txn);
            out.force.push(Force::Forget(txn));
        } else {
            self.write(
                txn,
                Branch {
                    digest,
                    state,
                    results,
                },
                out,
            );
        }
        if let Some((target, ballot)) = acting.ack {
            out.answer(target, txn, digest, Answer::Ack { ballot });
        }
        for target in acting.tell {
            out.answer(target, txn, digest, answer.clone());
        }
    }

    /// The work of `txn` has taken too long.
    pub fn on_work_timeout(&mut self, txn: TxnId, out: &mut ParticipantOutputs) {
        let Some(working) = self.working.remove(&txn) else {
            return;
        };
        out.actions.push((txn, Action::Cancel));
        if let Some((terms, _, source)) = working.asked {
            let reason = NoReason::Timeout;
            self.tombstone(txn, terms.digest, reason.clone(), out);
            out.answer(source.into(), txn, terms.digest, Answer::No { reason });
        }
        // Work before can-commit has no digest yet: the incarnation's operation count, now 0, makes
        // its can-commit a NO.
    }

    /// T1: a branch in doubt has heard nothing. It asks every coordinator, and if nobody answered
    /// the last time, or too often in vain, its peers.
    pub fn on_inquire(&mut self, txn: TxnId, out: &mut ParticipantOutputs) {
        if self.acting.contains_key(&txn) {
            return;
        }
        let Some(branch) = self.branches.get(&txn) else {
            return;
        };
        let (terms, prepared) = match &branch.state {
            BranchState::Prepared { terms, .. } => (terms.clone(), true),
            BranchState::Read {
                terms,
                released: false,
                ..
            } => (terms.clone(), false),
            _ => return,
        };
        let doubt = self.doubts.entry(txn).or_default();
        if doubt.inquired && doubt.heard && !self.rules.endless_patience() {
            doubt.idle = Self::PATIENCE.min(doubt.idle + 1);
        }
        if doubt.inquired && !doubt.is_cared_for() {
            for &peer in terms.participants.iter().filter(|peer| **peer != self.id) {
                out.ask(peer, txn, terms.digest, Request::Poll);
            }
        }
        doubt.inquired = true;
        doubt.heard &= self.rules.endless_patience();
        out.inquire(txn, Inquiry { terms });
        out.timer(txn, ParticipantTimer::Inquire);
        if prepared && self.rules.abort_alone() {
            self.decide(txn, Value::Abort, None, out);
        }
    }

    /// T3: a pre-committed branch has not heard do-commit. The outcome is certain: it applies it and
    /// tells its peers.
    pub fn on_finish(&mut self, txn: TxnId, out: &mut ParticipantOutputs) {
        if self.acting.contains_key(&txn) || self.rules.finish_waits() {
            return;
        }
        if let Some(Branch {
            digest,
            state: BranchState::PreCommitted { terms, .. },
            ..
        }) = self.branches.get(&txn)
        {
            for &peer in terms.participants.iter().filter(|peer| **peer != self.id) {
                out.ask(peer, txn, *digest, Request::DoCommit);
            }
            self.decide(txn, Value::Commit, Some(Target::Coordinators), out);
        }
    }

    /// Starts to carry out a decision that there is evidence of; `tell` hears when it is durable.
    fn decide(
        &mut self,
        txn: TxnId,
        outcome: Value,
        tell: Option<Target>,
        out: &mut ParticipantOutputs,
    ) {
        let action = match outcome {
            Value::Commit => Action::Commit,
            Value::Abort => Action::Abort,
        };
        let acting = self.acting.entry(txn).or_insert_with(|| {
            out.actions.push((txn, action));
            Acting {
                outcome,
                tell: BTreeSet::new(),
                ack: None,
            }
        });
        assert_eq!(acting.outcome, outcome, "{txn}: evidence of both outcomes");
        acting.tell.extend(tell);
    }

    fn tombstone(
        &mut self,
        txn: TxnId,
        digest: Digest,
        reason: NoReason,
        out: &mut ParticipantOutputs,
    ) {
        let state = BranchState::Refused(reason);
        self.write(
            txn,
            Branch {
                digest,
                state,
                results: Payload::from([]),
            },
            out,
        );
    }

    fn write(&mut self, txn: TxnId, branch: Branch, out: &mut ParticipantOutputs) {
        out.force.push(Force::Branch(txn, branch.clone()));
        self.branches.insert(txn, branch);
    }

    /// The horizon is at or above these: no record will come, and pre-commit means commit.
    fn settle_by_horizon(&mut self, out: &mut ParticipantOutputs) {
        let over: Vec<_> = self
            .branches
            .range(..=self.horizon.0)
            .filter(|(txn, _)| !self.acting.contains_key(txn))
            .filter_map(|(txn, branch)| branch.outcome_at_horizon().map(|value| (*txn, value)))
            .collect();
        for (txn, outcome) in over {
            self.decide(txn, outcome, None, out);
        }
        let late: Vec<_> = self
            .working
            .range(..=self.horizon.0)
            .map(|(txn, _)| *txn)
            .collect();
        for txn in late {
            self.working.remove(&txn);
            out.actions.push((txn, Action::Cancel));
        }
    }
}
