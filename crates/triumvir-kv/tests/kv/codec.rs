//! The binary forms: what goes out comes back, limits hold, and rubbish is an error.

use proptest::prelude::*;
use triumvir_kv::{
    CodecError, Engine, Intent, KEY_BYTES_MAX, OPERATIONS_BYTES_MAX, OPERATIONS_MAX, Operation,
    OperationResult, Operations, Refusal, RefusalCode, Results, VALUE_BYTES_MAX, Value,
};

use crate::support::{Store, cases, get, prepare, prepared, put, txn};

pub(crate) fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<i64>().prop_map(Value::from),
        proptest::collection::vec(any::<u8>(), 0..20).prop_map(Value::from),
    ]
}

fn operation() -> impl Strategy<Value = Operation> {
    let key = proptest::collection::vec(any::<u8>(), 0..10).prop_map(triumvir_kv::Key::from);
    let maybe = proptest::option::of(value());
    let bounds = (any::<i64>(), any::<Option<i64>>(), any::<Option<i64>>());
    (key, value(), maybe, bounds, 0..5).prop_map(|(key, value, expected, bounds, kind)| {
        let (delta, min, max) = bounds;
        match kind {
            0 => Operation::Put { key, value },
            1 => Operation::Delete { key },
            2 => Operation::Get { key },
            3 => Operation::Add {
                key,
                delta,
                min,
                max,
            },
            _ => Operation::Expect { key, expected },
        }
    })
}

fn operations() -> impl Strategy<Value = Operations> {
    proptest::collection::vec(operation(), 0..12).prop_map(|list| Operations::new(list).unwrap())
}

proptest! {
    #![proptest_config(cases(512))]

    #[test]
    fn operations_come_back(operations in operations()) {
        let bytes = operations.encode();
        prop_assert_eq!(Operations::decode(&bytes), Ok(operations.clone()));
        prop_assert_eq!(operations.encode(), bytes);
    }

    #[test]
    fn values_come_back(value in value()) {
        prop_assert_eq!(Value::decode(&value.encode()), Ok(value));
    }

    #[test]
    fn results_and_intents_come_back(operations in operations()) {
        let age = triumvir_kv::Age(txn(77 << 90));
        let step = Engine::new().prepare(&Store::new(), txn(1), age, operations).unwrap();
        if let triumvir_kv::Step::Prepared(prepared) = step {
            let (intent, results) = (prepared.intent, prepared.results);
            prop_assert_eq!(Results::decode(&results.encode()), Ok(results));
            prop_assert_eq!(Intent::decode(&intent.encode()), Ok(intent));
        }
    }

    #[test]
    fn rubbish_is_an_error_or_harmless(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Results::decode(&bytes);
        let _ = Intent::decode(&bytes);
        let _ = Value::decode(&bytes);
        if let Ok(operations) = Operations::decode(&bytes) {
            prop_assert_eq!(Operations::decode(&operations.encode()), Ok(operations));
        }
    }

    #[test]
    fn damage_is_an_error_or_harmless(
        operations in operations(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<bool>(),
    ) {
        let mut bytes = operations.encode().to_vec();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        if let Ok(operations) = Operations::decode(&bytes) {
            prop_assert_eq!(Operations::decode(&operations.encode()), Ok(operations));
        }
        let _ = Intent::decode(&bytes);
        let _ = Results::decode(&bytes);
    }
}

#[test]
fn the_form_of_version_1_is_fixed() {
    let operations = Operations::new([
        put("a", "x"),
        put("b", -1),
        Operation::Add {
            key: "c".into(),
            delta: 1,
            min: Some(0),
            max: None,
        },
        Operation::Expect {
            key: "d".into(),
            expected: None,
        },
        Operation::Delete { key: "e".into() },
        get("f"),
    ])
    .unwrap();
    let text: String = operations
        .encode()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let expected = "0801\
        12080a0161 12030a0178\
        12070a0162 12021001\
        12090a0163 2a0408021000\
        12050a0164 3200\
        12050a0165 1a00\
        12050a0166 2200";
    assert_eq!(text, expected.replace(' ', ""));
}

#[test]
fn another_version_and_what_is_missing_are_refused() {
    assert_eq!(
        Operations::decode(&[]),
        Err(CodecError::Version { found: 0 })
    );
    assert_eq!(
        Operations::decode(&[8, 2]),
        Err(CodecError::Version { found: 2 })
    );
    assert_eq!(
        Results::decode(&[8, 9]),
        Err(CodecError::Version { found: 9 })
    );
    assert_eq!(Operations::decode(&[8, 1]).map(|list| list.len()), Ok(0));
    // An operation of a kind that this version does not know.
    let unknown = Operations::decode(&[8, 1, 0x12, 3, 0x0a, 1, b'a']);
    assert!(
        matches!(unknown, Err(CodecError::Missing(_))),
        "{unknown:?}"
    );
    assert!(matches!(
        Operations::decode(&[0xff]),
        Err(CodecError::Message(_))
    ));
    assert!(matches!(
        Intent::decode(&[8, 1]),
        Err(CodecError::Missing(_))
    ));
    assert!(matches!(
        Value::decode(&[8, 1]),
        Err(CodecError::Missing(_))
    ));
}

#[test]
fn an_intent_with_a_change_that_is_not_locked_for_it_is_refused() {
    let prepared = prepared(prepare(&mut Engine::new(), &Store::new(), 1, [put("a", 1)]));
    let mut bytes = prepared.intent.encode();
    // The key of the change once more, as a shared key.
    bytes.extend([0x22, 1, b'a']);
    assert!(matches!(
        Intent::decode(&bytes),
        Err(CodecError::Inconsistent(_))
    ));
}

#[test]
fn limits_hold_on_both_sides() {
    let long = vec![b'k'; KEY_BYTES_MAX];
    let large = Value::from(vec![0; VALUE_BYTES_MAX]);
    let at_limit = Operation::Put {
        key: long.clone().into(),
        value: large.clone(),
    };
    let operations = Operations::new([at_limit]).unwrap();
    assert_eq!(Operations::decode(&operations.encode()), Ok(operations));

    let key = [&long[..], b"k"].concat();
    let error = Operations::new([Operation::Get { key: key.into() }]).unwrap_err();
    assert_eq!(
        error,
        CodecError::KeyTooLarge {
            bytes: KEY_BYTES_MAX + 1
        }
    );
    let error = Operations::new([put("a", vec![0; VALUE_BYTES_MAX + 1])]).unwrap_err();
    assert_eq!(
        error,
        CodecError::ValueTooLarge {
            bytes: VALUE_BYTES_MAX + 1
        }
    );
    let many = vec![get("a"); OPERATIONS_MAX + 1];
    let error = Operations::new(many).unwrap_err();
    assert_eq!(
        error,
        CodecError::TooMany {
            count: OPERATIONS_MAX + 1
        }
    );
    let error = Operations::new([put("a", large.clone()), put("b", large)]).unwrap_err();
    assert!(matches!(error, CodecError::TooLarge { .. }));
    assert_eq!(Refusal::from(error).code(), RefusalCode::TooLarge);

    let error = Operations::decode(&vec![0; OPERATIONS_BYTES_MAX + 1]).unwrap_err();
    assert!(error.is_limit());
    // One operation too many, as bytes.
    let bytes = [&[8, 1][..], &[0x12, 2, 0x22, 0].repeat(OPERATIONS_MAX + 1)].concat();
    let error = Operations::decode(&bytes).unwrap_err();
    assert_eq!(
        error,
        CodecError::TooMany {
            count: OPERATIONS_MAX + 1
        }
    );
    let malformed = Refusal::from(Operations::decode(&[0xff]).unwrap_err());
    assert_eq!(malformed.code(), RefusalCode::Malformed);
}

/// What is counted is more than what is encoded, so that whatever is accepted can be sent.
#[test]
fn the_costliest_operations_and_results_fit() {
    let extreme = || Operation::Add {
        key: vec![1; 1900].into(),
        delta: i64::MIN,
        min: Some(i64::MIN),
        max: Some(i64::MAX),
    };
    let operations = Operations::new(vec![extreme(); OPERATIONS_MAX]).unwrap();
    assert_eq!(Operations::decode(&operations.encode()), Ok(operations));

    let store = Store::from([("a".into(), Value::from(vec![1; 1984]))]);
    let gets = vec![get("a"); OPERATIONS_MAX];
    let operations = Operations::new(gets).unwrap();
    let age = triumvir_kv::Age(txn(1));
    let step = Engine::new()
        .prepare(&store, txn(1), age, operations)
        .unwrap();
    let results = prepared(step).results;
    assert_eq!(Results::decode(&results.encode()), Ok(results.clone()));
    assert!(matches!(results[0], OperationResult::Value(Some(_))));
}
