//! What several test files need: short ways to say things.

use std::collections::BTreeMap;

use proptest::test_runner::{Config, RngSeed};
use triumvir_kv::{Age, Engine, Event, Key, Operation, Operations, Prepared, Refusal, Step, Value};
use triumvir_protocol::TxnId;

pub(crate) type Store = BTreeMap<Key, Value>;

pub(crate) fn txn(number: u128) -> TxnId {
    TxnId::from_u128(number)
}

pub(crate) fn key(name: &str) -> Key {
    name.into()
}

pub(crate) fn put(name: &str, value: impl Into<Value>) -> Operation {
    Operation::Put {
        key: key(name),
        value: value.into(),
    }
}

pub(crate) fn delete(name: &str) -> Operation {
    Operation::Delete { key: key(name) }
}

pub(crate) fn get(name: &str) -> Operation {
    Operation::Get { key: key(name) }
}

pub(crate) fn add(name: &str, delta: i64) -> Operation {
    Operation::Add {
        key: key(name),
        delta,
        min: None,
        max: None,
    }
}

pub(crate) fn expect(name: &str, expected: Option<Value>) -> Operation {
    Operation::Expect {
        key: key(name),
        expected,
    }
}

pub(crate) fn store<const N: usize>(pairs: [(&str, Value); N]) -> Store {
    pairs
        .into_iter()
        .map(|(name, value)| (key(name), value))
        .collect()
}

/// Prepares under the id `number`, which is the age too.
pub(crate) fn prepare<const N: usize>(
    engine: &mut Engine,
    store: &Store,
    number: u128,
    operations: [Operation; N],
) -> Step {
    let operations = Operations::new(operations).unwrap();
    engine
        .prepare(store, txn(number), Age(txn(number)), operations)
        .unwrap()
}

pub(crate) fn prepared(step: Step) -> Prepared {
    match step {
        Step::Prepared(prepared) => prepared,
        other => panic!("not prepared: {other:?}"),
    }
}

pub(crate) fn refused(step: Step) -> Refusal {
    match step {
        Step::Refused(refusal) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

/// Commits and stores.
pub(crate) fn commit(engine: &mut Engine, store: &mut Store, number: u128) {
    engine.commit(txn(number)).unwrap().apply_to(store);
}

pub(crate) fn advance(engine: &mut Engine, store: &Store) -> Vec<Event> {
    let mut events = Vec::new();
    engine.advance(store, &mut events).unwrap();
    events
}

/// Advances and expects exactly one branch to have run, as `number`.
pub(crate) fn woken(engine: &mut Engine, store: &Store, number: u128) -> Step {
    let mut events = advance(engine, store);
    assert_eq!(events.len(), 1, "{events:?}");
    match events.remove(0) {
        Event::Branch { txn: woken, step } if woken == txn(number) => step,
        other => panic!("not {number}: {other:?}"),
    }
}

/// Property tests run the same cases every time and leave no file behind.
pub(crate) fn cases(cases: u32) -> Config {
    Config {
        cases,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(3),
        ..Config::default()
    }
}
