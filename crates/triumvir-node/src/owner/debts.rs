//! The share of the open records that one participant may leave unconfirmed. What it owes is counted
//! by the conductor; here is only who has too many, as of a moment ago, so that one participant that
//! stays away does not use up the bound that is there for all.

use std::collections::BTreeSet;
use std::time::Instant;

use triumvir_protocol::{ParticipantId, Terms};

use super::lead::Role;
use super::{Owner, TICK};

/// Who leaves too many records open.
#[derive(Debug, Default)]
pub(super) struct Debts {
    /// The leadership and the time of the last count.
    counted: Option<(u64, Instant)>,
    debtors: BTreeSet<ParticipantId>,
}

impl Owner {
    /// Whether one that `terms` lists has left half of the records unconfirmed that may be open. They
    /// are not counted before so many are open, nor more than once in a while: counting looks at
    /// all of them.
    pub(super) fn lists_a_debtor(&mut self, terms: &Terms) -> bool {
        let share = self.config.open_max.div_ceil(2);
        let Role::Leading(leading) = &self.role else {
            return false;
        };
        if self.coordinator.open().len() < share {
            return false;
        }
        let fresh = |(generation, at): &(u64, Instant)| {
            *generation == self.generation && at.elapsed() < TICK
        };
        if !self.debts.counted.as_ref().is_some_and(fresh) {
            let owed = leading.conductor.unconfirmed().into_iter();
            self.debts = Debts {
                debtors: owed
                    .filter(|(_, count)| *count >= share)
                    .map(|(id, _)| id)
                    .collect(),
                counted: Some((self.generation, Instant::now())),
            };
        }
        let debtors = &self.debts.debtors;
        terms.participants.iter().any(|id| debtors.contains(id))
    }
}
