//! The durable forms: what goes out comes back, limits hold, and rubbish is an error.

use proptest::prelude::*;
use triumvir_kv::{
    Age, CodecError, Engine, Intent, KEY_BYTES_MAX, Key, Operation, Operations, Refusal,
    RefusalCode, Step, VALUE_BYTES_MAX, Value,
};

use crate::support::{Store, add, cases, delete, get, prepare, prepared, put, store, txn};

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<i64>().prop_map(Value::from),
        proptest::collection::vec(any::<u8>(), 0..20).prop_map(Value::from),
    ]
}

fn operation() -> impl Strategy<Value = Operation> {
    let key = proptest::collection::vec(any::<u8>(), 0..10).prop_map(Key::from);
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

/// What a branch that may be prepared leaves behind; `None` if it is refused.
fn intent(operations: Operations) -> Option<Intent> {
    let age = Age(txn(77 << 90));
    let step = Engine::new().prepare(&Store::new(), txn(1), age, operations);
    match step.unwrap() {
        Step::Prepared(prepared) => Some(prepared.intent),
        _ => None,
    }
}

proptest! {
    #![proptest_config(cases(512))]

    #[test]
    fn values_come_back(value in value()) {
        prop_assert_eq!(Value::decode(&value.encode()), Ok(value));
    }

    #[test]
    fn intents_come_back(operations in operations()) {
        if let Some(intent) = intent(operations) {
            let bytes = intent.encode();
            prop_assert_eq!(Intent::decode(&bytes), Ok(intent.clone()));
            prop_assert_eq!(intent.encode(), bytes);
        }
    }

    #[test]
    fn rubbish_is_an_error_or_harmless(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(intent) = Intent::decode(&bytes) {
            prop_assert_eq!(Intent::decode(&intent.encode()), Ok(intent));
        }
        if let Ok(value) = Value::decode(&bytes) {
            prop_assert_eq!(Value::decode(&value.encode()), Ok(value));
        }
    }

    #[test]
    fn damage_is_an_error_or_harmless(
        operations in operations(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<bool>(),
    ) {
        if let Some(intent) = intent(operations) {
            let mut bytes = intent.encode();
            let at = at.index(bytes.len());
            if cut { bytes.truncate(at) } else { bytes[at] = byte }
            if let Ok(intent) = Intent::decode(&bytes) {
                prop_assert_eq!(Intent::decode(&intent.encode()), Ok(intent));
            }
            let _ = Value::decode(&bytes);
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_forms_of_version_1_are_fixed() {
    assert_eq!(hex(&Value::from("x").encode()), "080112030a0178");
    assert_eq!(hex(&Value::from(-1).encode()), "080112021001");

    let store = store([("b", 1.into())]);
    let operations = [put("a", "x"), add("b", -2), delete("c"), get("d")];
    let intent = prepared(prepare(&mut Engine::new(), &store, 0x0102, operations)).intent;
    let expected = "0801\
        1210 00000000000000000000000000000102\
        1a08 0a0161 12030a0178\
        1a07 0a0162 12021001\
        1a03 0a0163\
        2201 64";
    assert_eq!(hex(&intent.encode()), expected.replace(' ', ""));
}

#[test]
fn another_version_and_what_is_missing_are_refused() {
    let version = |found| CodecError::Version { found };
    assert_eq!(Intent::decode(&[]), Err(version(0)));
    assert_eq!(Intent::decode(&[8, 2]), Err(version(2)));
    assert_eq!(Value::decode(&[]), Err(version(0)));
    assert_eq!(Value::decode(&[8, 9]), Err(version(9)));
    // A value of a kind that this version does not know.
    for bytes in [&[8, 1][..], &[8, 1, 0x12, 2, 0x18, 0]] {
        let error = Value::decode(bytes).unwrap_err();
        assert!(matches!(error, CodecError::Missing(_)), "{error:?}");
    }
    let error = Intent::decode(&[8, 1]).unwrap_err();
    assert!(matches!(error, CodecError::Missing(_)), "{error:?}");
    let error = Intent::decode(&[0xff]).unwrap_err();
    assert!(matches!(error, CodecError::Message(_)), "{error:?}");
    let error = Value::decode(&[0xff]).unwrap_err();
    assert!(matches!(error, CodecError::Message(_)), "{error:?}");
    assert_eq!(Refusal::from(error).code(), RefusalCode::Malformed);
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
fn limits_hold_when_reading() {
    let largest = Value::from(vec![0; VALUE_BYTES_MAX]);
    assert_eq!(Value::decode(&largest.encode()), Ok(largest));
    let larger = Value::from(vec![0; VALUE_BYTES_MAX + 1]);
    assert_eq!(
        Value::decode(&larger.encode()),
        Err(CodecError::ValueTooLarge {
            bytes: VALUE_BYTES_MAX + 1
        })
    );

    // An intent with a shared key more, its length as a varint of two bytes.
    let read = |bytes: usize| {
        let mut encoded = intent(Operations::new([get("a")]).unwrap())
            .unwrap()
            .encode();
        encoded.extend([0x22, 0x80 | (bytes % 128) as u8, (bytes / 128) as u8]);
        encoded.extend(vec![b'k'; bytes]);
        Intent::decode(&encoded)
    };
    assert_eq!(
        read(KEY_BYTES_MAX).map(|intent| intent.shared().len()),
        Ok(2)
    );
    assert_eq!(
        read(KEY_BYTES_MAX + 1),
        Err(CodecError::KeyTooLarge {
            bytes: KEY_BYTES_MAX + 1
        })
    );

    let at_limit = Operation::Put {
        key: vec![b'k'; KEY_BYTES_MAX].into(),
        value: vec![0; VALUE_BYTES_MAX].into(),
    };
    let intent = intent(Operations::new([at_limit]).unwrap()).unwrap();
    assert_eq!(Intent::decode(&intent.encode()), Ok(intent));
}
