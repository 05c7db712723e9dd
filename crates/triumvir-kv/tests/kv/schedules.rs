//! Random transactions under random schedules: the outcome is that of running the committed ones
//! one after the other, everything comes to an end, and no lock is left.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use triumvir_kv::Operation;

use crate::serial;
use crate::support::{Store, add, cases, delete, expect, get, key, put};
use crate::world::{Faults, KEYS, SITES, Script, World};

fn operation() -> impl Strategy<Value = Operation> {
    let bounded = |name: &str, delta| Operation::Add {
        key: key(name),
        delta,
        min: Some(-2),
        max: Some(4),
    };
    (0..KEYS.len(), -2..5_i64, 0..20).prop_map(move |(name, number, kind)| {
        let name = KEYS[name];
        match kind {
            0..5 => get(name),
            5..9 => put(name, number),
            9..11 => delete(name),
            11 => expect(name, None),
            12 => expect(name, Some(number.into())),
            13 => put(name, "text"),
            14..17 => bounded(name, number),
            _ => add(name, number),
        }
    })
}

fn script() -> impl Strategy<Value = Script> {
    let operations = proptest::collection::vec(operation(), 1..4);
    proptest::collection::btree_map(0..SITES, operations, 1..=SITES)
}

fn scripts() -> impl Strategy<Value = Vec<Script>> {
    proptest::collection::vec(script(), 2..9)
}

/// Runs a world to its end and compares it with the serial reference.
fn judge(scripts: Vec<Script>, faults: Faults, seed: u64) -> World {
    let mut world = World::new(scripts, faults, seed);
    world.run();
    let mut stores = vec![Store::new(); SITES];
    let mut history = vec![stores.clone()];
    for commit in &world.commits {
        for (site, operations) in &commit.script {
            let results = serial::run(&mut stores[*site], operations);
            assert_eq!(
                results.as_ref(),
                Some(&commit.results[site]),
                "not serializable"
            );
        }
        history.push(stores.clone());
    }
    assert_eq!(world.stores(), stores);
    for observation in &world.observations {
        let store = &history[observation.commits][observation.site];
        let keys = observation.seen.keys();
        let now: BTreeMap<_, _> = keys
            .map(|key| (key.clone(), store.get(key).cloned()))
            .collect();
        assert_eq!(observation.seen, now, "a read missed a commit");
    }
    world
}

proptest! {
    #![proptest_config(cases(600))]

    /// No wait is ever cut short here, so a deadlock or a lost wake-up would show as no progress.
    #[test]
    fn everything_ends_and_is_serializable(scripts in scripts(), seed in any::<u64>()) {
        judge(scripts, Faults { crashes: 0, expiries: 0 }, seed);
    }

    #[test]
    fn crashes_and_expired_waits_change_nothing_of_it(
        scripts in scripts(),
        seed in any::<u64>(),
    ) {
        judge(scripts, Faults { crashes: 4, expiries: 6 }, seed);
    }
}

/// The schedules above would prove little if transactions hardly met.
#[test]
fn schedules_have_conflicts_and_waits() {
    let mut runner = TestRunner::new(cases(1));
    let (mut conflicts, mut waits, mut commits) = (0, 0, 0);
    for seed in 0..100 {
        let scripts = scripts().new_tree(&mut runner).unwrap().current();
        let world = judge(
            scripts,
            Faults {
                crashes: 0,
                expiries: 0,
            },
            seed,
        );
        conflicts += world.conflicts;
        waits += world.waits;
        commits += world.commits.len();
    }
    assert!(
        conflicts > 200 && waits > 100 && commits > 200,
        "{conflicts} {waits} {commits}"
    );
}
