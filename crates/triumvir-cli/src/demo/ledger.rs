//! What the clients were told about each order. The audit holds the stores against it.

use std::collections::BTreeMap;

use serde::Serialize;

/// The last word about an order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Told {
    /// Acknowledged: it is committed.
    Committed,
    /// A participant refused it for good (no stock): nothing of it is or will be applied.
    Refused,
    /// Nobody could say before the time was up.
    Unknown,
}

/// How many orders were told what.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
pub(super) struct Counts {
    pub(super) committed: u64,
    pub(super) refused: u64,
    pub(super) unknown: u64,
}

/// By row number, what was told.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Ledger(BTreeMap<u32, Told>);

impl Ledger {
    /// Notes what was told about an order. What was known before stays known.
    pub(super) fn note(&mut self, row: u32, told: Told) {
        let last = self.0.entry(row).or_insert(told);
        if *last == Told::Unknown {
            *last = told;
        }
    }

    /// What was told about an order, if it was ever asked for.
    pub(super) fn told(&self, row: u32) -> Option<Told> {
        self.0.get(&row).copied()
    }

    /// Whether its client was told that it is committed.
    pub(super) fn is_committed(&self, row: u32) -> bool {
        self.told(row) == Some(Told::Committed)
    }

    /// How many orders were told what.
    pub(super) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for told in self.0.values() {
            match told {
                Told::Committed => counts.committed += 1,
                Told::Refused => counts.refused += 1,
                Told::Unknown => counts.unknown += 1,
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_replaces_not_knowing_and_nothing_replaces_an_outcome() {
        let mut ledger = Ledger::default();
        ledger.note(1, Told::Unknown);
        ledger.note(2, Told::Refused);
        ledger.note(1, Told::Committed);
        ledger.note(1, Told::Unknown);
        assert!(ledger.is_committed(1));
        assert_eq!(ledger.told(3), None);
        let counts = Counts {
            committed: 1,
            refused: 1,
            unknown: 0,
        };
        assert_eq!(ledger.counts(), counts);
    }
}
