//! Two participants under the rules in force: every state within the bounds of each short run. All
//! invariants and the conditions of *Non-blocking* hold in each, and what must be reachable is.
//! Optimised builds only: without, it takes many minutes.

#![cfg(not(debug_assertions))]

use std::time::Duration;

use triumvir_model::{Limits, run, runs};

/// Generous: it is there to end a run that has gone astray.
const LIMITS: Limits = Limits {
    threads: 2,
    time: Duration::from_secs(1200),
    states: 20_000_000,
};

#[test]
fn every_state_of_the_short_runs_holds() {
    for (name, bounds) in runs::short() {
        let found = run(bounds, LIMITS);
        assert!(found.failures.is_empty(), "{name}: {found}");
        assert!(found.complete, "{name}: {found}");
        assert_eq!(found.missing, Vec::<&str>::new(), "{name}: {found}");
    }
}
