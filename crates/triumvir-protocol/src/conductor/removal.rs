//! Whom the leader waits for, and going on without a participant that an operator has removed. Its
//! absence is evidence of nothing: what a remaining YES voter can still say decides as before. Only
//! where none remains does a record end with what the coordinator has accepted, which nobody can
//! overrule any more; even then nothing is said before the End record is applied.

use std::collections::BTreeMap;

use super::Conductor;
use super::flight::{Flight, Phase};
use super::outputs::ConductorOutputs;
use crate::{AbortReason, ParticipantId, Record, TxnId};

impl Conductor {
    /// By participant, how many open records wait for it to confirm their outcome. Looks at every
    /// transaction under way.
    pub fn unconfirmed(&self) -> BTreeMap<ParticipantId, usize> {
        let mut count = BTreeMap::new();
        let mut owes = |id| *count.entry(id).or_default() += 1;
        for flight in self.flights.values() {
            match &flight.phase {
                Phase::Recorded { voters, .. } => flight.remaining(voters).for_each(&mut owes),
                Phase::Committed { unconfirmed, .. } => {
                    unconfirmed.iter().copied().for_each(&mut owes)
                }
                Phase::Voting | Phase::Aborted { .. } => {}
            }
        }
        count
    }

    /// The removal of `who` was applied: what waits for it goes on without it.
    pub fn on_removed(&mut self, who: ParticipantId, out: &mut ConductorOutputs) {
        let listed = self.flights.iter().filter(|(_, f)| f.terms.lists(who));
        for txn in listed.map(|(txn, _)| *txn).collect::<Vec<_>>() {
            let flight = self.flights.get_mut(&txn).expect("it was just seen");
            flight.removed.insert(who);
            flight.go_on_without(txn, out);
            if let Phase::Aborted { untold, .. } = &flight.phase
                && untold.is_empty()
                && flight.pending.is_none()
            {
                self.remove(txn);
            }
        }
    }
}

impl Flight {
    /// Those of `some` that are not removed.
    pub(super) fn remaining(&self, some: &[ParticipantId]) -> impl Iterator<Item = ParticipantId> {
        some.iter().copied().filter(|id| !self.removed.contains(id))
    }

    /// Does what no longer has to wait for those who are removed.
    pub(super) fn go_on_without(&mut self, txn: TxnId, out: &mut ConductorOutputs) {
        match &mut self.phase {
            Phase::Voting => {
                if let Some(&who) = self.removed.first() {
                    self.propose_abort(txn, AbortReason::Removed(who), out);
                }
            }
            Phase::Recorded {
                accepted, voters, ..
            } => {
                let none_remains = voters.iter().all(|voter| self.removed.contains(voter));
                if none_remains && self.pending.is_none() {
                    let outcome = accepted.value;
                    self.propose(Record::End { txn, outcome }, out);
                }
            }
            Phase::Committed { unconfirmed, .. } => {
                unconfirmed.retain(|id| !self.removed.contains(id));
                self.end_if_confirmed(txn, out);
            }
            Phase::Aborted { untold, .. } => untold.retain(|id| !self.removed.contains(id)),
        }
    }
}
