//! The horizon, as the leader moves it: never past a record that has not ended, and told to nobody
//! before it is applied.

use super::Conductor;
use super::outputs::ConductorOutputs;
use crate::{Coordinator, Horizon, Record, Standing, TxnId};

impl Conductor {
    /// Proposes to move the horizon to `wanted`, or to just below the oldest record that has not
    /// ended.
    pub fn propose_horizon(
        &mut self,
        coordinator: &Coordinator,
        wanted: TxnId,
        out: &mut ConductorOutputs,
    ) {
        let oldest = coordinator
            .open()
            .first_key_value()
            .map(|(txn, _)| txn.before());
        let horizon = Horizon(oldest.map_or(wanted, |oldest| oldest.min(wanted)));
        if horizon > coordinator.horizon() {
            self.wanted = horizon;
            out.propose.push(Record::Horizon(horizon));
        }
    }

    /// The horizon that frames carry: the applied one.
    pub fn horizon(&self, coordinator: &Coordinator) -> Horizon {
        if self.rules.horizon_unapplied() {
            self.wanted
        } else {
            coordinator.horizon()
        }
    }

    /// The horizon moved: transactions at or below it that have no record can get none.
    pub fn on_horizon(&mut self, coordinator: &Coordinator, out: &mut ConductorOutputs) {
        let horizon = coordinator.horizon();
        let over: Vec<_> = self
            .flights
            .range(..=horizon.0)
            .map(|(txn, _)| *txn)
            .chain(self.asked.range(..=horizon.0).map(|(txn, _)| *txn))
            .filter(|txn| coordinator.standing(*txn) == Standing::Forgotten)
            .collect();
        for txn in over {
            self.expire(txn, out);
        }
    }
}
