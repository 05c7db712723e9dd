//! The limits of operations and results: what is at a limit is accepted, what exceeds it is named.

use triumvir_kv::{
    Age, CodecError, Engine, KEY_BYTES_MAX, OPERATIONS_BYTES_MAX, OPERATIONS_MAX, Operation,
    OperationResult, Operations, Refusal, RefusalCode, VALUE_BYTES_MAX, Value,
};

use crate::support::{expect, get, prepared, put, refused, store, txn};

fn limit(operations: Vec<Operation>) -> CodecError {
    let error = Operations::new(operations).unwrap_err();
    assert!(error.is_limit());
    assert_eq!(Refusal::from(error.clone()).code(), RefusalCode::TooLarge);
    error
}

#[test]
fn what_is_at_a_limit_is_accepted() {
    let largest = Operation::Put {
        key: vec![b'k'; KEY_BYTES_MAX].into(),
        value: vec![0; VALUE_BYTES_MAX].into(),
    };
    assert!(Operations::new([largest]).is_ok());
    assert!(Operations::new([]).unwrap().is_empty());
    let most = Operations::new(vec![get("a"); OPERATIONS_MAX]).unwrap();
    assert_eq!(most.len(), OPERATIONS_MAX);
}

#[test]
fn a_key_or_a_value_that_is_too_large_is_refused() {
    let key = vec![b'k'; KEY_BYTES_MAX + 1].into();
    let error = limit(vec![get("a"), Operation::Get { key }]);
    let bytes = KEY_BYTES_MAX + 1;
    assert_eq!(error, CodecError::KeyTooLarge { bytes });

    let bytes = VALUE_BYTES_MAX + 1;
    let value = Value::from(vec![0; bytes]);
    for operation in [put("a", value.clone()), expect("a", Some(value))] {
        let error = limit(vec![operation]);
        assert_eq!(error, CodecError::ValueTooLarge { bytes });
    }
}

#[test]
fn too_many_operations_are_refused() {
    let count = OPERATIONS_MAX + 1;
    let error = limit(vec![get("a"); count]);
    assert_eq!(error, CodecError::TooMany { count });
}

/// Each operation counts as its key, its value and 64 bytes; one byte decides.
#[test]
fn the_operations_of_a_branch_are_limited_in_all() {
    let first = put("a", vec![0; VALUE_BYTES_MAX]);
    let rest = OPERATIONS_BYTES_MAX - (VALUE_BYTES_MAX + 1 + 64) - (1 + 64);
    let exact = vec![first.clone(), put("b", vec![0; rest])];
    assert!(Operations::new(exact).is_ok());

    let error = limit(vec![first, put("b", vec![0; rest + 1])]);
    let bytes = OPERATIONS_BYTES_MAX + 1;
    assert_eq!(error, CodecError::TooLarge { bytes });
}

/// Each result counts as its value and 64 bytes: 1024 of 2 KiB are exactly what is allowed.
#[test]
fn the_results_of_a_branch_are_limited_in_all() {
    let answer = |bytes: usize| {
        let store = store([("a", vec![1; bytes].into())]);
        let operations = Operations::new(vec![get("a"); OPERATIONS_MAX]).unwrap();
        Engine::new()
            .prepare(&store, txn(1), Age(txn(1)), operations)
            .unwrap()
    };
    let results = prepared(answer(1984)).results;
    assert!(matches!(results[0], OperationResult::Value(Some(_))));
    let refusal = refused(answer(1985));
    assert_eq!(refusal.code(), RefusalCode::TooLarge);
}
