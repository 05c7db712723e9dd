//! A restart: branches that have voted come back from their intents.

use triumvir_kv::{Engine, Intent, LockMode, RecoverError, Step};

use crate::support::{
    Store, add, advance, commit, delete, get, key, prepare, prepared, put, refused, store, txn,
    woken,
};

#[test]
fn a_recovered_engine_is_the_engine_before() {
    let (mut engine, store) = (Engine::new(), store([("a", 1.into())]));
    let yes = prepared(prepare(
        &mut engine,
        &store,
        5,
        [get("a"), get("b"), add("a", 1), delete("c"), put("d", "x")],
    ));
    let read = prepared(prepare(&mut engine, &store, 6, [get("b")]));
    let before = engine.clone();

    let mut after = Engine::new();
    for (number, prepared) in [(6, read), (5, yes)] {
        let intent = Intent::decode(&prepared.intent.encode()).unwrap();
        assert_eq!(intent, prepared.intent);
        after.recover(txn(number), intent.clone()).unwrap();
        after.recover(txn(number), intent).unwrap();
    }
    // Only the order of the two shared claims differs, and neither waits for the other.
    let locks = |engine: &Engine| {
        let views = engine.locks();
        views
            .map(|mut view| {
                view.holders.sort();
                format!("{view:?}")
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(locks(&before), locks(&after));
}

#[test]
fn recovered_branches_keep_others_out_and_commit() {
    let (mut engine, mut store) = (Engine::new(), store([("a", 1.into())]));
    let mut first = Engine::new();
    let intent = prepared(prepare(&mut first, &store, 5, [add("a", 1), get("b")])).intent;
    assert_eq!(intent.locks().get(&key("b")), Some(&LockMode::Shared));
    engine.recover(txn(5), intent).unwrap();

    assert_eq!(engine.read_blocked_by(&key("a")), Some(txn(5)));
    refused(prepare(&mut engine, &store, 6, [put("b", 1)]));
    prepared(prepare(&mut engine, &store, 7, [get("b")]));
    assert_eq!(prepare(&mut engine, &store, 4, [get("a")]), Step::Waiting);
    assert_eq!(
        prepare(&mut engine, &store, 5, [add("a", 1)]),
        Step::Standing
    );
    commit(&mut engine, &mut store, 5);
    prepared(woken(&mut engine, &store, 4));
    assert_eq!(store[&key("a")], 2.into());
}

#[test]
fn intents_that_cannot_both_be_true_are_refused() {
    let store = Store::new();
    let intent =
        |number| prepared(prepare(&mut Engine::new(), &store, number, [put("a", 1)])).intent;
    let mut engine = Engine::new();
    engine.recover(txn(5), intent(5)).unwrap();
    let error = engine.recover(txn(4), intent(4)).unwrap_err();
    assert_eq!(
        error,
        RecoverError {
            txn: txn(4),
            key: key("a"),
            holder: txn(5)
        }
    );
    engine.abort(txn(5));
    assert_eq!(advance(&mut engine, &store), []);
    assert!(engine.is_idle());
}
