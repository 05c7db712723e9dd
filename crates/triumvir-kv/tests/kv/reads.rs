//! Reads outside transactions.

use triumvir_kv::{Engine, Event, ReadStep, Step};

use crate::support::{Store, add, advance, commit, get, key, prepare, prepared, put, store, txn};

#[test]
fn only_a_prepared_change_blocks_a_read() {
    let (mut engine, store) = (Engine::new(), Store::new());
    assert_eq!(engine.read(1, [key("a")]), ReadStep::Ready);
    prepared(prepare(&mut engine, &store, 5, [get("a"), put("b", 1)]));
    assert_eq!(engine.read_blocked_by(&key("a")), None);
    assert_eq!(engine.read(1, [key("a")]), ReadStep::Ready);
    // 3 waits for 5; it has not voted, so nobody was told anything about it.
    assert_eq!(
        prepare(&mut engine, &store, 3, [put("a", 1), put("c", 1)]),
        Step::Waiting
    );
    assert_eq!(engine.read(1, [key("a"), key("c")]), ReadStep::Ready);
    assert_eq!(engine.read_blocked_by(&key("b")), Some(txn(5)));
    assert_eq!(engine.read(1, [key("a"), key("b")]), ReadStep::Waiting);
}

#[test]
fn a_read_waits_until_the_change_is_stored() {
    let (mut engine, mut store) = (Engine::new(), Store::new());
    prepared(prepare(&mut engine, &store, 5, [put("a", 1)]));
    assert_eq!(engine.read(7, [key("a")]), ReadStep::Waiting);
    let changes = engine.commit(txn(5)).unwrap();
    assert_eq!(advance(&mut engine, &store), []);
    changes.apply_to(&mut store);
    assert_eq!(advance(&mut engine, &store), [Event::Read { reader: 7 }]);
    assert_eq!(advance(&mut engine, &store), []);
    assert!(engine.is_idle());
}

#[test]
fn a_read_gets_in_between_two_writers() {
    let (mut engine, mut store) = (Engine::new(), Store::new());
    prepared(prepare(&mut engine, &store, 5, [add("a", 1)]));
    assert_eq!(
        prepare(&mut engine, &store, 4, [add("a", 1)]),
        Step::Waiting
    );
    assert_eq!(engine.read(7, [key("a")]), ReadStep::Waiting);
    commit(&mut engine, &mut store, 5);
    let events = advance(&mut engine, &store);
    assert_eq!(events[0], Event::Read { reader: 7 });
    assert!(matches!(events[1], Event::Branch { txn: woken, .. } if woken == txn(4)));
    assert_eq!(engine.read(8, [key("a")]), ReadStep::Waiting);
}

#[test]
fn a_read_of_many_keys_needs_all_of_them_at_once() {
    let (mut engine, mut store) = (Engine::new(), store([("b", 1.into())]));
    prepared(prepare(&mut engine, &store, 5, [put("a", 1)]));
    prepared(prepare(&mut engine, &store, 6, [put("b", 2)]));
    assert_eq!(engine.read(7, [key("b"), key("a")]), ReadStep::Waiting);
    commit(&mut engine, &mut store, 5);
    assert_eq!(advance(&mut engine, &store), []);
    prepared(prepare(&mut engine, &store, 7, [put("a", 3)]));
    commit(&mut engine, &mut store, 6);
    assert_eq!(advance(&mut engine, &store), []);
    engine.abort(txn(7));
    assert_eq!(advance(&mut engine, &store), [Event::Read { reader: 7 }]);
}

#[test]
fn a_read_can_be_cancelled_and_replaced() {
    let (mut engine, mut store) = (Engine::new(), Store::new());
    prepared(prepare(&mut engine, &store, 5, [put("a", 1)]));
    prepared(prepare(&mut engine, &store, 6, [put("b", 1)]));
    assert_eq!(engine.read(7, [key("a")]), ReadStep::Waiting);
    assert_eq!(engine.read(8, [key("a")]), ReadStep::Waiting);
    assert_eq!(engine.read(9, [key("a")]), ReadStep::Waiting);
    assert_eq!(engine.read(9, [key("b")]), ReadStep::Waiting);
    assert!(engine.cancel_read(7));
    assert!(!engine.cancel_read(7));
    engine.abort(txn(5));
    // Between the end and the advance it still counts as waiting.
    assert!(engine.cancel_read(8));
    assert_eq!(advance(&mut engine, &store), []);
    commit(&mut engine, &mut store, 6);
    assert_eq!(advance(&mut engine, &store), [Event::Read { reader: 9 }]);
    assert_eq!(engine, Engine::new());
}
