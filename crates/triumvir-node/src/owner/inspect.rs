//! What the owner shows to people: descriptions, lists, status, gauges; and the horizon's clock.

use std::collections::BTreeMap;
use std::ops::Bound;

use triumvir_protocol::{
    AbortCause, Milestone, Outcome, ParticipantId, Phase, Standing, TxnId, Value,
};
use triumvir_wire::{ids, message, v1};

use super::Owner;
use super::input::{ListQuery, OwnStatus};
use super::lead::Role;
use crate::history::{BranchWord, Entry};
use crate::service::answer;
use crate::{clock, telemetry};

impl Owner {
    /// Proposes to move the horizon to what is older than the retention by the replicas' clocks, or
    /// further when more outcomes are kept than may be. It never passes what is under way.
    pub(super) fn move_horizon(&mut self, median_millis: u64) {
        let retention = u64::try_from(self.config.retention.as_millis()).unwrap_or(u64::MAX);
        let aged = TxnId::at_millis(median_millis.saturating_sub(retention)).before();
        let ended = self.coordinator.ended();
        let excess = ended.len().saturating_sub(self.config.outcomes_max);
        let crowded = excess
            .checked_sub(1)
            .and_then(|last| ended.keys().nth(last).copied());
        let Role::Leading(leading) = &self.role else {
            return;
        };
        let under_way = leading
            .conductor
            .flights()
            .next()
            .map(|(txn, ..)| txn.before());
        let wanted = aged.max(crowded.unwrap_or_default());
        let wanted = under_way.map_or(wanted, |oldest| oldest.min(wanted));
        self.conduct(|conductor, coordinator, out| {
            conductor.propose_horizon(coordinator, wanted, out);
        });
    }

    fn phase(&self, txn: TxnId) -> Option<Phase> {
        let Role::Leading(leading) = &self.role else {
            return None;
        };
        leading.conductor.phase(txn)
    }

    /// What stands for `txn`: the log's word on what is over, else the conductor's, else the log's.
    fn state(&self, txn: TxnId, phase: Option<Phase>) -> v1::State {
        match self.coordinator.standing(txn) {
            Standing::Ended(_) => v1::State::Ended,
            Standing::Forgotten => v1::State::Expired,
            Standing::Open(_) | Standing::Absent if phase.is_some() => match phase {
                Some(Phase::Voting) => v1::State::Voting,
                Some(Phase::Proposed) => v1::State::Proposed,
                Some(Phase::Recorded) => v1::State::Recorded,
                Some(Phase::Committed) => v1::State::Committed,
                Some(Phase::Aborted) | None => v1::State::Aborted,
            },
            Standing::Open(_) => v1::State::Recorded,
            Standing::Absent => match self.history.get(txn).and_then(|e| e.outcome.as_ref()) {
                // Aborted by evidence, without a record.
                Some((Value::Abort, _)) => v1::State::Aborted,
                Some((Value::Commit, _)) | None => v1::State::NoRecord,
            },
        }
    }

    fn outcome(&self, txn: TxnId) -> Option<(Outcome, Option<AbortCause>)> {
        let seen = self
            .history
            .get(txn)
            .and_then(|entry| entry.outcome.clone());
        match self.coordinator.standing(txn) {
            // The log decides; what was seen may say more of the reason.
            Standing::Ended(ended) => {
                let same = seen.filter(|(outcome, _)| *outcome == ended.outcome);
                same.or(Some((
                    ended.outcome,
                    ended.reason.map(AbortCause::Recorded),
                )))
            }
            Standing::Open(_) | Standing::Absent | Standing::Forgotten => seen,
        }
    }

    pub(super) fn describe(&self, txn: TxnId) -> v1::TransactionDescription {
        let entry = self.history.get(txn).cloned().unwrap_or_default();
        let (mode, digest, branches) = match self.coordinator.standing(txn) {
            Standing::Open(open) => {
                let word = |id| {
                    entry
                        .branches
                        .get(id)
                        .copied()
                        .unwrap_or(if open.voters.contains(id) {
                            BranchWord::Yes
                        } else {
                            BranchWord::Read
                        })
                };
                let listed = open.terms.participants.iter().map(|id| (*id, word(id)));
                (
                    Some(open.terms.mode),
                    Some(open.terms.digest),
                    listed.collect(),
                )
            }
            Standing::Ended(ended) => (
                entry.mode,
                ended.digest.or(entry.digest),
                entry.branches.clone(),
            ),
            Standing::Absent | Standing::Forgotten => {
                (entry.mode, entry.digest, entry.branches.clone())
            }
        };
        let outcome = self.outcome(txn);
        v1::TransactionDescription {
            txn: ids::txn_bytes(txn),
            state: self.state(txn, self.phase(txn)).into(),
            outcome: outcome.map(|(o, cause)| answer::outcome(&self.directory, o, cause.as_ref())),
            mode: mode.map(message::mode_wire).unwrap_or_default(),
            branches: self.branches(&branches),
            timeline: self.timeline(&entry),
            digest: digest.map(ids::digest_bytes).unwrap_or_default(),
            age_millis: clock::millis().saturating_sub(txn.millis()),
        }
    }

    fn branches(&self, branches: &BTreeMap<ParticipantId, BranchWord>) -> Vec<v1::Branch> {
        let branch = |(id, word): (&ParticipantId, &BranchWord)| v1::Branch {
            participant: self.directory.name(*id),
            state: word.as_str().to_owned(),
            session: self.sessions.is_up(*id),
            removed: !self.coordinator.removed_among(&[*id]).is_empty(),
        };
        branches.iter().map(branch).collect()
    }

    fn timeline(&self, entry: &Entry) -> Vec<v1::TimelineEvent> {
        let text = |milestone: &Milestone| match milestone {
            Milestone::Begun => "begun: can-commit is sent to all".to_owned(),
            Milestone::Voted(id, true) => {
                let read = entry.branches.get(id) == Some(&BranchWord::Read);
                format!(
                    "{} votes {}",
                    self.directory.name(*id),
                    if read { "READ" } else { "YES" }
                )
            }
            Milestone::Voted(id, false) => format!("{} votes NO", self.directory.name(*id)),
            Milestone::Prepared => "all have voted: pre-commit is proposed".to_owned(),
            Milestone::Recorded => "a record is applied".to_owned(),
            Milestone::Decided(Value::Commit, _) => "decided: committed".to_owned(),
            Milestone::Decided(Value::Abort, cause) => {
                let cause = cause
                    .as_ref()
                    .map(|cause| answer::cause_text(&self.directory, cause));
                format!("decided: aborted ({})", cause.unwrap_or_default())
            }
            Milestone::Ended => "ended: all that must be confirmed is".to_owned(),
        };
        let event = |(at_micros, milestone): &(u64, Milestone)| v1::TimelineEvent {
            at_micros: *at_micros,
            text: text(milestone),
        };
        entry.events.iter().map(event).collect()
    }

    pub(super) fn list(&self, query: ListQuery) -> v1::ListResponse {
        let after = query.after.map_or(Bound::Unbounded, Bound::Excluded);
        let range = (after, Bound::Unbounded);
        // One more than asked for says whether more follow.
        let most = query.limit + 1;
        let mut found = BTreeMap::<TxnId, Option<Phase>>::new();
        found.extend(
            self.coordinator
                .open()
                .range(range)
                .take(most)
                .map(|(txn, _)| (*txn, None)),
        );
        if query.ended {
            let ended = self.coordinator.ended().range(range).take(most);
            found.extend(ended.map(|(txn, _)| (*txn, None)));
        }
        if let Role::Leading(leading) = &self.role {
            let flights = leading
                .conductor
                .flights()
                .filter(|(txn, ..)| Some(*txn) > query.after);
            found.extend(flights.take(most).map(|(txn, _, phase)| (txn, Some(phase))));
        }
        let more = found.len() > query.limit;
        let listed = found.into_iter().take(query.limit);
        let transactions = listed
            .map(|(txn, phase)| self.summary(txn, phase))
            .collect();
        v1::ListResponse { transactions, more }
    }

    fn summary(&self, txn: TxnId, phase: Option<Phase>) -> v1::TransactionSummary {
        let participants: Vec<_> = match self.coordinator.standing(txn) {
            Standing::Open(open) => open.terms.participants.to_vec(),
            Standing::Ended(_) | Standing::Absent | Standing::Forgotten => {
                let entry = self.history.get(txn);
                entry
                    .map(|entry| entry.branches.keys().copied().collect())
                    .unwrap_or_default()
            }
        };
        let outcome = self.outcome(txn);
        v1::TransactionSummary {
            txn: ids::txn_bytes(txn),
            state: self.state(txn, phase).into(),
            outcome: outcome.map(|(o, cause)| answer::outcome(&self.directory, o, cause.as_ref())),
            age_millis: clock::millis().saturating_sub(txn.millis()),
            participants: participants
                .into_iter()
                .map(|id| self.directory.name(id))
                .collect(),
        }
    }

    pub(super) fn own_status(&self) -> OwnStatus {
        let in_doubt = self.in_doubt();
        let participants = self.coordinator.participants().iter().map(|(id, known)| {
            let seen = self.sessions.last_seen(*id);
            v1::ParticipantStatus {
                participant: id.0,
                name: known.name.to_string(),
                address: known.address.to_string(),
                incarnation: known.incarnation.0,
                session: self.sessions.is_up(*id),
                in_doubt: in_doubt.get(id).copied().unwrap_or_default() as u64,
                last_seen_millis: seen.and_then(|seen| u64::try_from(seen.as_millis()).ok()),
                replaced: known.replaced,
                removed: known.removed,
            }
        });
        OwnStatus {
            epoch: self.coordinator.epoch().0,
            horizon: self.coordinator.horizon().0,
            undecided: self.undecided(),
            open: self.coordinator.open().len(),
            ended: self.coordinator.ended().len(),
            oldest_in_doubt_millis: self.oldest_in_doubt_millis(),
            participants: participants.collect(),
        }
    }

    fn undecided(&self) -> usize {
        match &self.role {
            Role::Leading(leading) => leading.conductor.undecided(),
            Role::Following | Role::Activating { .. } => 0,
        }
    }

    /// The age of the oldest transaction whose outcome is open, or unconfirmed by a participant
    /// that may hold locks for it.
    fn oldest_in_doubt_millis(&self) -> Option<u64> {
        let recorded = self.coordinator.open().keys().next().copied();
        let flying = match &self.role {
            Role::Leading(leading) => {
                let undecided = |phase| phase < Phase::Committed;
                leading
                    .conductor
                    .flights()
                    .find(|(.., p)| undecided(*p))
                    .map(|(txn, ..)| txn)
            }
            Role::Following | Role::Activating { .. } => None,
        };
        let oldest = recorded.into_iter().chain(flying).min()?;
        Some(clock::millis().saturating_sub(oldest.millis()))
    }

    /// By participant that is not removed: branches that voted YES and are not known to have applied
    /// the outcome.
    fn in_doubt(&self) -> BTreeMap<ParticipantId, usize> {
        let mut count = BTreeMap::new();
        for (txn, open) in self.coordinator.open() {
            let branches = self.history.get(*txn).map(|entry| &entry.branches);
            let removed = self.coordinator.removed_among(&open.voters);
            for voter in open.voters.iter().filter(|voter| !removed.contains(voter)) {
                let word = branches.and_then(|branches| branches.get(voter));
                if word.is_none_or(|word| *word < BranchWord::Committed) {
                    *count.entry(*voter).or_default() += 1;
                }
            }
        }
        count
    }

    /// Sets the gauges, and looks after what is measured.
    pub(super) fn measure(&mut self) {
        let (open, ended) = (
            self.coordinator.open().len(),
            self.coordinator.ended().len(),
        );
        telemetry::transactions(self.undecided(), open, ended, self.oldest_in_doubt_millis());
        let in_doubt = self.in_doubt();
        for (id, known) in self.coordinator.participants() {
            if known.is_current() {
                let seen = self.sessions.last_seen(*id);
                let in_doubt = in_doubt.get(id).copied().unwrap_or_default();
                telemetry::participant(&known.name, self.sessions.is_up(*id), in_doubt, seen);
            }
        }
        if let Some(replica) = &self.replica {
            let status = replica.status();
            telemetry::raft(&status);
            if let Role::Leading(leading) = &mut self.role {
                leading.listen(&status);
            }
        }
    }
}
