//! The replicated state: one acceptor per transaction, the horizon, the epoch and the registry.

mod registry;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use registry::{Registration, RegistrationRefused};

use crate::{
    AbortReason, Accepted, Ballot, Digest, Epoch, Horizon, Incarnation, Outcome, ParticipantId,
    Record, ReplicaId, Rules, Terms, TxnId, Value,
};

/// The state that every replica derives from the log, and nothing else.
///
/// `apply` is pure and deterministic: the same records in the same order give the same state
/// everywhere. A record whose condition does not hold changes nothing; whoever proposed it acts on
/// what stands. What a leader does about a transaction is not here but in
/// [`Conductor`](crate::Conductor).
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Coordinator {
    rules: Rules,
    open: BTreeMap<TxnId, Open>,
    ended: BTreeMap<TxnId, Ended>,
    horizon: Horizon,
    epoch: Epoch,
    leader: Option<ReplicaId>,
    registry: BTreeMap<ParticipantId, Registration>,
    names: BTreeMap<Arc<str>, ParticipantId>,
}

/// A transaction with a record that has not ended.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Open {
    /// List, mode and digest.
    pub terms: Terms,
    /// Those that voted YES.
    pub voters: Arc<[ParticipantId]>,
    /// What the coordinator has accepted.
    pub accepted: Accepted,
}

/// A transaction that is over, kept until the horizon passes it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Ended {
    /// None: it was aborted before anybody knew its content.
    pub digest: Option<Digest>,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it was aborted.
    pub reason: Option<AbortReason>,
}

impl Ended {
    /// Whether this outcome is that of a transaction with `digest`.
    pub fn covers(&self, digest: Digest) -> bool {
        self.digest.is_none_or(|own| own == digest)
    }
}

/// What the log says of a transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing<'a> {
    /// No record, above the horizon.
    Absent,
    /// At or below the horizon.
    Forgotten,
    /// A record that has not ended.
    Open(&'a Open),
    /// Over.
    Ended(&'a Ended),
}

/// What a record did, for the leader and for whoever waits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Look at what stands for this transaction.
    Transaction(TxnId),
    /// The horizon moved.
    Horizon(Horizon),
    /// This leader acts from now on.
    Activated {
        /// Its epoch.
        epoch: Epoch,
        /// The leader.
        replica: ReplicaId,
        /// The mark that it drew.
        nonce: u64,
    },
    /// A participant was registered, or not.
    Registered {
        /// The start's mark.
        nonce: u128,
        /// Its id and incarnation.
        result: Result<(ParticipantId, Incarnation), RegistrationRefused>,
    },
    /// A participant is removed for good, from this record on.
    Removed(ParticipantId),
    /// The record's condition did not hold, and nobody waits for it.
    Nothing,
}

impl Coordinator {
    /// The empty state.
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            ..Self::default()
        }
    }

    /// Applies the record at log `index`. The record must have passed [`Record::check`].
    pub fn apply(&mut self, index: u64, record: Record) -> Effect {
        match record {
            Record::PreCommit { txn, terms, voters } => self.apply_pre_commit(txn, terms, voters),
            Record::Abort {
                txn,
                digest,
                reason,
            } => self.apply_abort(txn, digest, reason),
            Record::Accept {
                txn,
                ballot,
                value,
                expected,
            } => self.apply_accept(txn, Accepted { ballot, value }, expected),
            Record::End { txn, outcome } => self.apply_end(txn, outcome),
            Record::Horizon(horizon) => self.apply_horizon(horizon),
            Record::Activate { replica, nonce } => {
                self.epoch = Epoch(index);
                self.leader = Some(replica);
                Effect::Activated {
                    epoch: self.epoch,
                    replica,
                    nonce,
                }
            }
            Record::Register(register) => {
                let nonce = register.nonce;
                Effect::Registered {
                    nonce,
                    result: self.apply_register(register),
                }
            }
            Record::Remove { participant } => self.apply_remove(participant),
        }
    }

    fn apply_pre_commit(
        &mut self,
        txn: TxnId,
        terms: Terms,
        voters: Arc<[ParticipantId]>,
    ) -> Effect {
        if self.standing(txn) == Standing::Absent {
            let accepted = Accepted {
                ballot: Ballot::ZERO,
                value: Value::Commit,
            };
            self.open.insert(
                txn,
                Open {
                    terms,
                    voters,
                    accepted,
                },
            );
        }
        Effect::Transaction(txn)
    }

    fn apply_abort(&mut self, txn: TxnId, digest: Option<Digest>, reason: AbortReason) -> Effect {
        let standing = self.standing(txn);
        let forgotten = standing == Standing::Forgotten && self.rules.abort_forgotten();
        if standing == Standing::Absent || forgotten {
            let (outcome, reason) = (Value::Abort, Some(reason));
            self.ended.insert(
                txn,
                Ended {
                    digest,
                    outcome,
                    reason,
                },
            );
        }
        Effect::Transaction(txn)
    }

    fn apply_accept(&mut self, txn: TxnId, accept: Accepted, expected: Ballot) -> Effect {
        if let Some(open) = self.open.get_mut(&txn)
            && (open.accepted.ballot == expected || self.rules.accept_unexpected())
            && accept.ballot > open.accepted.ballot
        {
            open.accepted = accept;
        }
        Effect::Transaction(txn)
    }

    fn apply_end(&mut self, txn: TxnId, outcome: Outcome) -> Effect {
        if let Some(open) = self.open.remove(&txn) {
            let reason = (outcome == Value::Abort).then_some(AbortReason::Fenced);
            let digest = Some(open.terms.digest);
            self.ended.insert(
                txn,
                Ended {
                    digest,
                    outcome,
                    reason,
                },
            );
        }
        Effect::Transaction(txn)
    }

    fn apply_horizon(&mut self, horizon: Horizon) -> Effect {
        let passes_open = self
            .open
            .first_key_value()
            .is_some_and(|(txn, _)| horizon.covers(*txn));
        if horizon <= self.horizon || passes_open && !self.rules.horizon_passes_open() {
            return Effect::Nothing;
        }
        self.horizon = horizon;
        let bound = TxnId::from_u128(horizon.0.as_u128().saturating_add(1));
        self.ended = self.ended.split_off(&bound);
        Effect::Horizon(horizon)
    }

    /// What the log says of `txn`.
    pub fn standing(&self, txn: TxnId) -> Standing<'_> {
        if let Some(open) = self.open.get(&txn) {
            Standing::Open(open)
        } else if let Some(ended) = self.ended.get(&txn) {
            Standing::Ended(ended)
        } else if self.horizon.covers(txn) {
            Standing::Forgotten
        } else {
            Standing::Absent
        }
    }

    /// The transactions with a record that has not ended, oldest first.
    pub fn open(&self) -> &BTreeMap<TxnId, Open> {
        &self.open
    }

    /// The outcomes that are still kept, oldest first.
    pub fn ended(&self) -> &BTreeMap<TxnId, Ended> {
        &self.ended
    }

    /// Everything at or below it is over.
    pub fn horizon(&self) -> Horizon {
        self.horizon
    }

    /// The last activation's log index.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The replica that was activated last.
    pub fn leader(&self) -> Option<ReplicaId> {
        self.leader
    }

    /// Every participant that was ever registered.
    pub fn participants(&self) -> &BTreeMap<ParticipantId, Registration> {
        &self.registry
    }

    /// The participant that has `name` now.
    pub fn participant(&self, name: &str) -> Option<ParticipantId> {
        self.names.get(name).copied()
    }

    /// Rebuilds the state from a snapshot's parts: what the accessors returned when it was taken.
    pub fn restore(
        rules: Rules,
        open: BTreeMap<TxnId, Open>,
        ended: BTreeMap<TxnId, Ended>,
        horizon: Horizon,
        activation: (Epoch, Option<ReplicaId>),
        registry: BTreeMap<ParticipantId, Registration>,
    ) -> Self {
        let names = registry
            .iter()
            .filter(|(_, entry)| entry.is_current())
            .map(|(id, entry)| (entry.name.clone(), *id))
            .collect();
        let (epoch, leader) = activation;
        Self {
            rules,
            open,
            ended,
            horizon,
            epoch,
            leader,
            registry,
            names,
        }
    }
}
