//! A participant: the real machine, its disk, and a resource. Volatile is what the machine holds
//! beyond its disk, and the resource's jobs.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use triumvir_protocol::invariants::Stored;
use triumvir_protocol::{
    Action as Job, Branch, Digest, Force, Horizon, Incarnation, NoReason, Outcome, Participant,
    ParticipantId, ParticipantOutputs, Payload, PrepareResult, Rules, TxnId, Value,
};

use crate::Vote;

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Node {
    pub(crate) machine: Participant,
    pub(crate) incarnation: Incarnation,
    pub(crate) horizon: Horizon,
    pub(crate) branches: BTreeMap<TxnId, Branch>,
    pub(crate) effects: BTreeMap<(TxnId, Digest), Outcome>,
    pub(crate) locked: BTreeSet<TxnId>,
    pub(crate) jobs: VecDeque<(TxnId, Job)>,
    /// T1 since the last start.
    pub(crate) inquiries: u8,
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
            inquiries: 0,
            operated: false,
        }
    }

    /// Loses what is volatile. The caller calls `start`.
    pub(crate) fn restore(&mut self, rules: Rules, incarnation: Incarnation) {
        let live = self.branches.iter().filter(|(_, b)| b.is_live());
        self.locked = live.map(|(txn, _)| *txn).collect();
        self.jobs.clear();
        self.inquiries = 0;
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

    pub(crate) fn force(&mut self, force: &Force) {
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
    pub(crate) fn take(&mut self, jobs: Vec<(TxnId, Job)>) {
        self.jobs.extend(jobs);
        while let Some((txn, Job::Cancel | Job::Release)) = self.jobs.front() {
            self.locked.remove(txn);
            self.jobs.pop_front();
        }
    }

    /// The resource finishes its oldest job.
    pub(crate) fn work(&mut self, vote: Vote, out: &mut ParticipantOutputs) {
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
