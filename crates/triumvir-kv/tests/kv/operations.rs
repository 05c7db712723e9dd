//! Each operation and its edges, one branch at a time.

use triumvir_kv::{
    Changes, Engine, Operation, OperationResult, Operations, RESULTS_BYTES_MAX, Refusal,
    RefusalCode, Value, Vote,
};

use crate::support::{
    Store, add, delete, expect, get, key, prepare, prepared, put, refused, store,
};

fn bounded(name: &str, delta: i64, min: Option<i64>, max: Option<i64>) -> Operation {
    Operation::Add {
        key: key(name),
        delta,
        min,
        max,
    }
}

fn changes<const N: usize>(pairs: [(&str, Option<Value>); N]) -> Changes {
    pairs
        .into_iter()
        .map(|(name, value)| (key(name), value))
        .collect()
}

fn run<const N: usize>(
    store: &Store,
    operations: [Operation; N],
) -> (Vote, Changes, Vec<OperationResult>) {
    let prepared = prepared(prepare(&mut Engine::new(), store, 1, operations));
    (
        prepared.vote(),
        prepared.intent.changes().clone(),
        prepared.results.to_vec(),
    )
}

fn refusal<const N: usize>(store: &Store, operations: [Operation; N]) -> Refusal {
    let mut engine = Engine::new();
    let refusal = refused(prepare(&mut engine, store, 1, operations));
    assert_eq!(engine, Engine::new(), "a refused branch leaves no trace");
    refusal
}

#[test]
fn put_and_delete_change_and_answer_done() {
    let store = store([("b", 1.into())]);
    let (vote, changed, results) = run(&store, [put("a", "x"), delete("b"), delete("absent")]);
    assert_eq!(vote, Vote::Yes);
    assert_eq!(
        changed,
        changes([("a", Some("x".into())), ("b", None), ("absent", None)])
    );
    assert_eq!(results, vec![OperationResult::Done; 3]);
}

#[test]
fn get_and_expect_vote_read() {
    let store = store([("a", "x".into())]);
    let operations = [
        get("a"),
        get("b"),
        expect("a", Some("x".into())),
        expect("b", None),
    ];
    let (vote, changed, results) = run(&store, operations);
    assert_eq!(vote, Vote::Read);
    assert!(changed.is_empty());
    let x = Some("x".into());
    let done = OperationResult::Done;
    let expected = [
        OperationResult::Value(x),
        OperationResult::Value(None),
        done.clone(),
        done,
    ];
    assert_eq!(results, expected);
}

#[test]
fn no_operations_vote_read_and_lock_nothing() {
    let mut engine = Engine::new();
    let prepared = prepared(prepare(&mut engine, &Store::new(), 1, []));
    assert_eq!(prepared.vote(), Vote::Read);
    assert_eq!(engine.locks().count(), 0);
}

#[test]
fn operations_see_those_before_them() {
    let store = store([("a", 5.into())]);
    let (_, changed, results) = run(
        &store,
        [
            add("a", 1),
            get("a"),
            delete("a"),
            get("a"),
            add("a", 7),
            expect("a", Some(7.into())),
            put("a", "text"),
            get("a"),
        ],
    );
    use OperationResult::{Done, Sum, Value};
    let expected = [
        Sum(6),
        Value(Some(6.into())),
        Done,
        Value(None),
        Sum(7),
        Done,
        Done,
        Value(Some("text".into())),
    ];
    assert_eq!(results, expected);
    assert_eq!(changed, changes([("a", Some("text".into()))]));
}

#[test]
fn add_counts_an_absent_key_as_zero_and_keeps_to_its_bounds() {
    let store = store([("a", 10.into())]);
    let (vote, changed, results) = run(&store, [add("new", -3), bounded("a", -10, Some(0), None)]);
    assert_eq!(vote, Vote::Yes);
    assert_eq!(results, [OperationResult::Sum(-3), OperationResult::Sum(0)]);
    assert_eq!(
        changed,
        changes([("new", Some((-3).into())), ("a", Some(0.into()))])
    );

    let minimum = refusal(&store, [bounded("a", -11, Some(0), None)]);
    let key_a = key("a");
    let expected = Refusal::Minimum {
        key: key_a.clone(),
        current: 10,
        delta: -11,
        minimum: 0,
    };
    assert_eq!(minimum, expected);
    let maximum = refusal(&store, [bounded("a", 1, None, Some(10))]);
    assert_eq!(
        maximum,
        Refusal::Maximum {
            key: key_a,
            current: 10,
            delta: 1,
            maximum: 10
        }
    );
    // Out of bounds is out of bounds, even on the way back in.
    assert_eq!(
        refusal(&store, [bounded("a", -1, None, Some(5))]).code(),
        RefusalCode::Maximum
    );
    assert!(!minimum.is_retryable());
}

#[test]
fn add_refuses_overflow_and_bytes() {
    let store = store([
        ("big", i64::MAX.into()),
        ("small", i64::MIN.into()),
        ("text", "x".into()),
    ]);
    let overflow = refusal(&store, [add("big", 1)]);
    assert_eq!(
        overflow,
        Refusal::Overflow {
            key: key("big"),
            current: i64::MAX,
            delta: 1
        }
    );
    assert_eq!(
        refusal(&store, [add("small", -1)]).code(),
        RefusalCode::Overflow
    );
    let bytes = refusal(&store, [add("text", 1)]);
    assert_eq!(
        bytes,
        Refusal::NotInteger {
            key: key("text"),
            found: "x".into()
        }
    );
}

#[test]
fn expect_tells_what_stands_there() {
    let store = store([("a", 1.into())]);
    let absent = refusal(&store, [put("b", 1), expect("a", None)]);
    let expected = Refusal::Expectation {
        key: key("a"),
        expected: None,
        found: Some(1.into()),
    };
    assert_eq!(absent, expected);
    assert_eq!(absent.to_string(), "key \"a\" is 1, expected absent");
    // Bytes that look like a number are not the number.
    assert_eq!(
        refusal(&store, [expect("a", Some("1".into()))]).code(),
        RefusalCode::Expectation
    );
}

#[test]
fn answers_that_are_too_large_are_refused() {
    let megabyte = Value::from(vec![7; 1 << 20]);
    let store = store([("a", megabyte.clone()), ("b", megabyte)]);
    let (_, _, results) = run(&store, [get("a")]);
    assert_eq!(results.len(), 1);
    assert_eq!(
        refusal(&store, [get("a"), get("b")]).code(),
        RefusalCode::TooLarge
    );
    assert_eq!(RESULTS_BYTES_MAX, 2 << 20);
}

#[test]
fn a_storage_error_leaves_no_trace() {
    struct Broken;
    impl triumvir_kv::Storage for Broken {
        type Error = &'static str;
        fn value(&self, _: &triumvir_kv::Key) -> Result<Option<Value>, &'static str> {
            Err("unreadable")
        }
    }
    let mut engine = Engine::new();
    let age = triumvir_kv::Age(crate::support::txn(1));
    let operations = Operations::new([put("a", 1), get("b")]).unwrap();
    let step = engine.prepare(&Broken, age.0, age, operations);
    assert_eq!(step, Err("unreadable"));
    assert_eq!(engine, Engine::new());
}
