//! Everything that was ever durable or said: what an onlooker still knows when those concerned have
//! forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Stored, View};
use crate::{
    Accepted, Answer, Ballot, Branch, BranchState, Digest, Ended, Horizon, Mode, Open, Outcome,
    ParticipantId, Reply, Terms, TxnId, Value,
};

/// A vote that was durable once.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Vote {
    /// Prepared.
    Yes,
    /// Nothing changed.
    Read,
    /// A tombstone, or another content under the same id.
    No,
}

/// A content under an id.
pub(super) type Key = (TxnId, Digest);

/// The facts of an execution so far.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Chronicle {
    pub(super) terms: BTreeMap<Key, Terms>,
    pub(super) votes: BTreeMap<Key, BTreeMap<ParticipantId, Vote>>,
    pub(super) outcomes: BTreeMap<Key, BTreeMap<ParticipantId, Outcome>>,
    /// What resources did for good. Pre-commit is an outcome and not yet an effect.
    pub(super) effects: BTreeMap<Key, BTreeMap<ParticipantId, Outcome>>,
    /// By ballot, what YES voters accepted, and by 0 what the coordinator did.
    pub(super) accepts: BTreeMap<Key, BTreeMap<Ballot, BTreeMap<ParticipantId, Value>>>,
    /// The content and the YES voters of every record that was ever applied.
    pub(super) records: BTreeMap<TxnId, (Digest, Arc<[ParticipantId]>)>,
    pub(super) ended: BTreeMap<TxnId, Ended>,
    pub(super) horizon: Horizon,
    pub(super) told_committed: BTreeSet<Key>,
    /// Without a digest: of an id, whatever its content.
    pub(super) told_aborted: BTreeSet<(TxnId, Option<Digest>)>,
    /// Told that it was aborted while there was no record of it.
    pub(super) closed: BTreeSet<Key>,
    pub(super) disks: BTreeMap<ParticipantId, (Horizon, BTreeMap<TxnId, Branch>)>,
    pub(super) open: Vec<BTreeMap<TxnId, Open>>,
    /// Participants that an operator has removed: nobody waits for them.
    pub(super) removed: BTreeSet<ParticipantId>,
}

/// The coordinator's place among the acceptors.
pub(super) const COORDINATOR: ParticipantId = ParticipantId(0);

impl Chronicle {
    /// Names a content, so that its list and mode are known before anybody votes on it.
    pub fn name(&mut self, txn: TxnId, terms: &Terms) {
        self.terms.insert((txn, terms.digest), terms.clone());
    }

    /// Whether any participant has the outcome of this content, and which.
    pub fn outcome(&self, txn: TxnId, digest: Digest) -> Option<Outcome> {
        self.outcomes.get(&(txn, digest))?.values().next().copied()
    }

    /// Every outcome that anything says of this content for good: a participant's branch or its
    /// resource, a client's answer, the log, and what is chosen. Never both, where agreement and client
    /// truth hold.
    pub fn verdicts(&self, txn: TxnId, digest: Digest) -> BTreeSet<Outcome> {
        let key = (txn, digest);
        let outcomes = self.outcomes.get(&key).into_iter().flatten();
        let mut all: BTreeSet<_> = outcomes.map(|(_, outcome)| *outcome).collect();
        all.extend(self.chosen(key).iter().map(|accepted| accepted.value));
        if self.told_committed.contains(&key) {
            all.insert(Value::Commit);
        }
        let told = |digest| self.told_aborted.contains(&(txn, digest));
        let other = |own: &Digest| *own != digest;
        let recorded = self.records.get(&txn);
        if told(None) || told(Some(digest)) || recorded.is_some_and(|(own, _)| other(own)) {
            all.insert(Value::Abort);
        }
        if let Some(ended) = self.ended.get(&txn) {
            let covers = ended.covers(digest);
            all.insert(if covers { ended.outcome } else { Value::Abort });
        }
        all
    }

    pub(super) fn observe(&mut self, view: &View<'_>) {
        for coordinator in &view.coordinators {
            self.horizon = self.horizon.max(coordinator.horizon());
            let registered = coordinator.participants().iter();
            let removed = registered.filter(|(_, known)| known.removed);
            self.removed.extend(removed.map(|(id, _)| *id));
            for (&txn, open) in coordinator.open() {
                self.name(txn, &open.terms);
                let record = (open.terms.digest, open.voters.clone());
                self.records.entry(txn).or_insert(record);
                self.accept((txn, open.terms.digest), COORDINATOR, open.accepted);
            }
            for (&txn, ended) in coordinator.ended() {
                self.ended.entry(txn).or_insert(*ended);
            }
        }
        self.open = view.coordinators.iter().map(|c| c.open().clone()).collect();
        for (&id, stored) in &view.participants {
            self.observe_disk(id, stored);
        }
        self.observe_words(view);
    }

    fn observe_disk(&mut self, id: ParticipantId, stored: &Stored<'_>) {
        for (&txn, branch) in stored.branches {
            let key = (txn, branch.digest);
            self.observe_branch(id, key, &branch.state);
        }
        for (&key, &outcome) in stored.effects {
            self.outcomes.entry(key).or_default().insert(id, outcome);
            self.effects.entry(key).or_default().insert(id, outcome);
        }
        self.disks
            .insert(id, (stored.horizon, stored.branches.clone()));
    }

    fn observe_branch(&mut self, id: ParticipantId, key: Key, state: &BranchState) {
        let (vote, outcome) = match state {
            BranchState::Prepared {
                terms, accepted, ..
            } => {
                self.name(key.0, terms);
                if let Some(accepted) = accepted {
                    self.accept(key, id, *accepted);
                }
                (Some(Vote::Yes), None)
            }
            BranchState::PreCommitted { terms, ballot, .. } => {
                self.name(key.0, terms);
                let (ballot, value) = (*ballot, Value::Commit);
                self.accept(key, id, Accepted { ballot, value });
                (Some(Vote::Yes), Some(Value::Commit))
            }
            BranchState::Read { terms, .. } => {
                self.name(key.0, terms);
                (Some(Vote::Read), None)
            }
            BranchState::Committed => (Some(Vote::Yes), Some(Value::Commit)),
            BranchState::Aborted => (None, Some(Value::Abort)),
            BranchState::Refused(_) => (Some(Vote::No), Some(Value::Abort)),
        };
        if let Some(vote) = vote {
            self.votes.entry(key).or_default().entry(id).or_insert(vote);
        }
        if let Some(outcome) = outcome {
            let known = self.outcomes.entry(key).or_default();
            known.entry(id).or_insert(outcome);
        }
    }

    fn observe_words(&mut self, view: &View<'_>) {
        for told in &view.told {
            match (told.reply, told.digest) {
                (Reply::Committed { .. }, Some(digest)) => {
                    self.told_committed.insert((told.txn, digest));
                }
                // Another content has the id for good: that says as much as *aborted* does.
                (Reply::Aborted(_) | Reply::IdInUse, digest) => {
                    self.told_aborted.insert((told.txn, digest));
                    if let Some(digest) = digest
                        && !self.is_recorded((told.txn, digest))
                    {
                        self.closed.insert((told.txn, digest));
                    }
                }
                _ => {}
            }
        }
        // A branch with another content is a NO for this one, for as long as it is remembered.
        for said in &view.said {
            if matches!(said.answer, Answer::No { .. }) {
                let votes = self.votes.entry((said.txn, said.digest)).or_default();
                votes.entry(said.from).or_insert(Vote::No);
            }
        }
    }

    fn accept(&mut self, key: Key, by: ParticipantId, accepted: Accepted) {
        let at = self.accepts.entry(key).or_default();
        let at = at.entry(accepted.ballot).or_default();
        at.entry(by).or_insert(accepted.value);
    }

    pub(super) fn is_recorded(&self, (txn, digest): Key) -> bool {
        self.records
            .get(&txn)
            .is_some_and(|(own, _)| *own == digest)
    }

    /// Those that voted YES: as recorded, else as they voted.
    pub(super) fn voters(&self, key: Key) -> BTreeSet<ParticipantId> {
        match self.records.get(&key.0) {
            Some((digest, voters)) if *digest == key.1 => voters.iter().copied().collect(),
            _ => {
                let votes = self.votes.get(&key).into_iter().flatten();
                votes
                    .filter(|(_, vote)| **vote == Vote::Yes)
                    .map(|(id, _)| *id)
                    .collect()
            }
        }
    }

    /// Whether every listed participant has voted YES or READ.
    pub(super) fn all_voted(&self, key: Key) -> bool {
        let Some(terms) = self.terms.get(&key) else {
            return false;
        };
        terms.participants.iter().all(|id| {
            let vote = self.votes.get(&key).and_then(|votes| votes.get(id));
            matches!(vote, Some(Vote::Yes | Vote::Read))
        })
    }

    /// The values that are chosen, with their ballots, lowest first.
    pub(super) fn chosen(&self, key: Key) -> Vec<Accepted> {
        let voters = self.voters(key);
        let alone = self
            .terms
            .get(&key)
            .is_some_and(|terms| terms.mode == Mode::TwoPhase)
            || voters.is_empty();
        let mut chosen = Vec::new();
        for (&ballot, accepts) in self.accepts.get(&key).into_iter().flatten() {
            let by = |id: &ParticipantId| accepts.get(id).copied();
            let witnessed = voters.iter().any(|id| accepts.contains_key(id));
            let value = match by(&COORDINATOR) {
                Some(value) if witnessed || alone => Some(value),
                _ if ballot.is_peer()
                    && self.all_voted(key)
                    && voters.iter().all(|v| by(v).is_some()) =>
                {
                    voters.iter().find_map(by)
                }
                _ => None,
            };
            chosen.extend(value.map(|value| Accepted { ballot, value }));
        }
        chosen
    }
}
