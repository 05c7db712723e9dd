//! Who waits and who dies, in small scenarios. Numbers are ids and ages: smaller is older.

use triumvir_kv::{
    Age, Engine, LockMode, OperationResult, Operations, Refusal, RefusalCode, Step, Vote,
};

use crate::support::{
    Store, add, advance, commit, get, key, prepare, prepared, put, refused, store, txn, woken,
};

fn conflict(name: &str, holder: u128) -> Refusal {
    Refusal::Conflict {
        key: key(name),
        holder: txn(holder),
    }
}

#[test]
fn the_younger_dies_and_may_retry() {
    let (mut engine, store) = (Engine::new(), Store::new());
    prepared(prepare(&mut engine, &store, 1, [put("a", 1)]));
    let before = engine.clone();
    let refusal = refused(prepare(&mut engine, &store, 2, [put("b", 1), get("a")]));
    assert_eq!(refusal, conflict("a", 1));
    assert!(refusal.is_retryable());
    assert_eq!(engine, before);
}

#[test]
fn the_older_waits_and_sees_what_was_committed() {
    let (mut engine, mut store) = (Engine::new(), store([("a", 10.into())]));
    prepared(prepare(&mut engine, &store, 2, [add("a", 1)]));
    assert_eq!(
        prepare(&mut engine, &store, 1, [add("a", 1)]),
        Step::Waiting
    );
    assert_eq!(
        prepare(&mut engine, &store, 1, [add("a", 1)]),
        Step::Waiting
    );
    assert_eq!(advance(&mut engine, &store), []);
    commit(&mut engine, &mut store, 2);
    let results = prepared(woken(&mut engine, &store, 1)).results;
    assert_eq!(results.as_slice(), [OperationResult::Sum(12)]);
}

#[test]
fn a_committed_branch_keeps_its_locks_until_the_storage_shows_its_changes() {
    let (mut engine, mut store) = (Engine::new(), Store::new());
    prepared(prepare(&mut engine, &store, 2, [add("a", 1), add("b", 1)]));
    assert_eq!(
        prepare(&mut engine, &store, 1, [add("a", 1)]),
        Step::Waiting
    );
    let changes = engine.commit(txn(2)).unwrap();
    assert_eq!(advance(&mut engine, &store), []);
    // Half of it is not it.
    store.insert(key("a"), 1.into());
    assert_eq!(advance(&mut engine, &store), []);
    assert_eq!(
        engine.commit(txn(2)),
        Some(changes.clone()),
        "and once more"
    );
    changes.apply_to(&mut store);
    prepared(woken(&mut engine, &store, 1));
    assert_eq!(engine.commit(txn(2)), None);
}

#[test]
fn the_older_waits_after_an_abort_too() {
    let (mut engine, store) = (Engine::new(), Store::new());
    prepared(prepare(&mut engine, &store, 2, [add("a", 1)]));
    assert_eq!(
        prepare(&mut engine, &store, 1, [add("a", 1)]),
        Step::Waiting
    );
    engine.abort(txn(2));
    engine.abort(txn(2));
    let results = prepared(woken(&mut engine, &store, 1)).results;
    assert_eq!(results.as_slice(), [OperationResult::Sum(1)]);
}

#[test]
fn shared_locks_are_shared_and_last_until_released() {
    let (mut engine, store) = (Engine::new(), Store::new());
    assert_eq!(
        prepared(prepare(&mut engine, &store, 2, [get("a")])).vote(),
        Vote::Read
    );
    prepared(prepare(&mut engine, &store, 3, [get("a")]));
    assert_eq!(
        prepare(&mut engine, &store, 1, [put("a", 1)]),
        Step::Waiting
    );
    engine.release(txn(2));
    engine.release(txn(2));
    assert_eq!(advance(&mut engine, &store), []);
    assert!(engine.commit(txn(3)).unwrap().is_empty());
    prepared(woken(&mut engine, &store, 1));
}

#[test]
fn a_waiting_elder_keeps_the_younger_out() {
    let (mut engine, store) = (Engine::new(), Store::new());
    prepared(prepare(&mut engine, &store, 5, [get("a")]));
    assert_eq!(
        prepare(&mut engine, &store, 3, [put("a", 1)]),
        Step::Waiting
    );
    // 4 could share the lock with 5, but would make 3 wait for ever more like it.
    assert_eq!(
        refused(prepare(&mut engine, &store, 4, [get("a")])),
        conflict("a", 3)
    );
    // The same at a key that is free and that the waiting one has only claimed.
    engine.cancel(txn(3));
    assert_eq!(
        prepare(&mut engine, &store, 3, [put("a", 1), put("z", 1)]),
        Step::Waiting
    );
    assert_eq!(
        refused(prepare(&mut engine, &store, 4, [get("z")])),
        conflict("z", 3)
    );
}

#[test]
fn an_elder_does_not_overtake_a_waiting_junior() {
    let (mut engine, mut store) = (Engine::new(), Store::new());
    prepared(prepare(&mut engine, &store, 5, [get("a")]));
    assert_eq!(
        prepare(&mut engine, &store, 3, [put("a", 1)]),
        Step::Waiting
    );
    // Overtaking would leave 3 waiting for its elder 2, which may wait for 3 elsewhere.
    assert_eq!(prepare(&mut engine, &store, 2, [get("a")]), Step::Waiting);
    engine.release(txn(5));
    prepared(woken(&mut engine, &store, 3));
    commit(&mut engine, &mut store, 3);
    let results = prepared(woken(&mut engine, &store, 2)).results;
    assert_eq!(results.as_slice(), [OperationResult::Value(Some(1.into()))]);
}

#[test]
fn a_retry_has_the_age_of_the_first_attempt() {
    let (mut engine, store) = (Engine::new(), Store::new());
    prepared(prepare(&mut engine, &store, 5, [put("a", 1)]));
    let again = Operations::new([put("a", 2)]).unwrap();
    let step = engine
        .prepare(&store, txn(9), Age(txn(4)), again.clone())
        .unwrap();
    assert_eq!(step, Step::Waiting);
    // A second attempt of the same age, while the first is still there, is the younger one.
    let step = engine.prepare(&store, txn(10), Age(txn(4)), again).unwrap();
    assert_eq!(refused(step), conflict("a", 9));
}

#[test]
fn a_wait_can_expire_and_lets_the_next_one_in() {
    let (mut engine, mut store) = (Engine::new(), Store::new());
    prepared(prepare(&mut engine, &store, 5, [put("b", 1)]));
    assert_eq!(
        prepare(&mut engine, &store, 3, [put("a", 1), put("b", 1)]),
        Step::Waiting
    );
    assert_eq!(
        prepare(&mut engine, &store, 2, [put("a", 1)]),
        Step::Waiting
    );
    let busy = engine.on_wait_expired(txn(3)).unwrap();
    assert_eq!(
        busy,
        Refusal::Busy {
            key: key("b"),
            holder: txn(5)
        }
    );
    assert_eq!(busy.code(), RefusalCode::Busy);
    assert_eq!(
        engine.on_wait_expired(txn(2)),
        None,
        "it has its locks and is about to run"
    );
    prepared(woken(&mut engine, &store, 2));
    assert_eq!(engine.on_wait_expired(txn(2)), None);
    assert_eq!(engine.on_wait_expired(txn(3)), None);
    commit(&mut engine, &mut store, 2);
    commit(&mut engine, &mut store, 5);
    assert_eq!(advance(&mut engine, &store), []);
    assert!(engine.is_idle());
}

#[test]
fn a_branch_refused_on_waking_lets_the_next_one_in() {
    let (mut engine, mut store) = (Engine::new(), Store::new());
    prepared(prepare(&mut engine, &store, 5, [put("a", "text")]));
    assert_eq!(
        prepare(&mut engine, &store, 3, [add("a", 1)]),
        Step::Waiting
    );
    assert_eq!(prepare(&mut engine, &store, 2, [get("a")]), Step::Waiting);
    commit(&mut engine, &mut store, 5);
    let events = advance(&mut engine, &store);
    let steps: Vec<_> = events
        .into_iter()
        .map(|event| match event {
            triumvir_kv::Event::Branch { txn, step } => (txn, step),
            read @ triumvir_kv::Event::Read { .. } => panic!("{read:?}"),
        })
        .collect();
    let [(first, refusal), (second, step)] = steps.try_into().unwrap();
    assert_eq!(
        (first, refused(refusal).code()),
        (txn(3), RefusalCode::NotInteger)
    );
    assert_eq!((second, prepared(step).vote()), (txn(2), Vote::Read));
}

#[test]
fn cancelling_ends_only_what_waits() {
    let (mut engine, mut store) = (Engine::new(), Store::new());
    prepared(prepare(&mut engine, &store, 2, [put("a", 1)]));
    assert_eq!(
        prepare(&mut engine, &store, 1, [put("a", 2)]),
        Step::Waiting
    );
    assert!(!engine.cancel(txn(2)));
    assert!(engine.cancel(txn(1)));
    assert!(!engine.cancel(txn(1)));
    commit(&mut engine, &mut store, 2);
    assert_eq!(advance(&mut engine, &store), []);
    assert!(engine.is_idle());
    assert_eq!(engine, Engine::new());
}

#[test]
fn a_branch_that_has_voted_is_not_run_again() {
    let (mut engine, store) = (Engine::new(), Store::new());
    prepared(prepare(&mut engine, &store, 1, [put("a", 1)]));
    let before = engine.clone();
    assert_eq!(
        prepare(&mut engine, &store, 1, [put("a", 1)]),
        Step::Standing
    );
    assert_eq!(engine, before);
}

#[test]
fn locks_can_be_inspected() {
    let (mut engine, store) = (Engine::new(), Store::new());
    prepared(prepare(&mut engine, &store, 5, [get("b")]));
    prepared(prepare(&mut engine, &store, 6, [put("a", 1), get("b")]));
    assert_eq!(
        prepare(&mut engine, &store, 2, [put("b", 1)]),
        Step::Waiting
    );
    let views: Vec<_> = engine.locks().collect();
    assert_eq!(views.len(), 2);
    assert_eq!(
        (views[0].key, views[0].mode),
        (&key("a"), LockMode::Exclusive)
    );
    assert_eq!(
        (&views[0].holders, &views[0].waiters),
        (&vec![txn(6)], &vec![])
    );
    assert_eq!((views[1].key, views[1].mode), (&key("b"), LockMode::Shared));
    assert_eq!(
        (&views[1].holders, &views[1].waiters),
        (&vec![txn(5), txn(6)], &vec![txn(2)])
    );
}

#[test]
fn ends_without_a_branch_do_nothing() {
    let mut engine = Engine::new();
    assert_eq!(engine.commit(txn(1)), None);
    engine.abort(txn(1));
    engine.release(txn(1));
    assert!(!engine.cancel(txn(1)));
    assert_eq!(engine.on_wait_expired(txn(1)), None);
    assert_eq!(engine, Engine::new());
}

#[test]
#[should_panic(expected = "has not voted")]
fn commit_of_a_waiting_branch_is_a_broken_invariant() {
    let (mut engine, store) = (Engine::new(), Store::new());
    prepared(prepare(&mut engine, &store, 2, [put("a", 1)]));
    assert_eq!(
        prepare(&mut engine, &store, 1, [put("a", 1)]),
        Step::Waiting
    );
    let _ = engine.commit(txn(1));
}

#[test]
#[should_panic(expected = "was committed")]
fn abort_of_a_committed_branch_is_a_broken_invariant() {
    let (mut engine, store) = (Engine::new(), Store::new());
    prepared(prepare(&mut engine, &store, 2, [put("a", 1)]));
    let _ = engine.commit(txn(2));
    engine.abort(txn(2));
}

#[test]
#[should_panic(expected = "did not vote READ")]
fn release_of_a_yes_voter_is_a_broken_invariant() {
    let (mut engine, store) = (Engine::new(), Store::new());
    prepared(prepare(&mut engine, &store, 2, [put("a", 1)]));
    engine.release(txn(2));
}
