//! The payload of a key-value branch and its results: `triumvir.v1.KvOperations` and `KvResults`, from
//! and to the engine's types. Every limit is checked before an operation reaches the engine.

use prost::Message as _;
use triumvir_kv::{
    Key, OPERATIONS_BYTES_MAX, OPERATIONS_MAX, Operation, OperationResult, Operations, Refusal,
    Results, Value,
};
use triumvir_protocol::Payload;
use triumvir_wire::limits::KV_VERSION;
use triumvir_wire::v1;
use triumvir_wire::v1::kv_operation::Kind;

/// Reads the operations of a payload.
pub(super) fn operations(payload: &[u8]) -> Result<Operations, Refusal> {
    if payload.len() > OPERATIONS_BYTES_MAX {
        let detail = format!(
            "{} bytes of operations exceed {OPERATIONS_BYTES_MAX}",
            payload.len()
        );
        return Err(Refusal::TooLarge { detail });
    }
    let wire = v1::KvOperations::decode(payload).map_err(|error| malformed(error.to_string()))?;
    if wire.version != KV_VERSION {
        return Err(malformed(format!(
            "operations of version {}; this participant knows version {KV_VERSION}",
            wire.version
        )));
    }
    if wire.operations.len() > OPERATIONS_MAX {
        let detail = format!(
            "{} operations exceed {OPERATIONS_MAX}",
            wire.operations.len()
        );
        return Err(Refusal::TooLarge { detail });
    }
    let operations = wire.operations.into_iter().enumerate();
    let operations: Vec<_> = operations
        .map(|(place, wire)| operation(place, wire))
        .collect::<Result<_, _>>()?;
    Ok(Operations::new(operations)?)
}

fn operation(place: usize, wire: v1::KvOperation) -> Result<Operation, Refusal> {
    let missing = |what: &str| malformed(format!("operation {place} has no {what}"));
    let value = |wire: v1::KvValue| self::value(wire).ok_or_else(|| missing("value"));
    if wire.key.is_empty() {
        return Err(missing("key"));
    }
    let key = Key::from(&*wire.key);
    Ok(
        match wire.kind.ok_or_else(|| missing("kind that is known"))? {
            Kind::Put(wire) => Operation::Put {
                key,
                value: value(wire)?,
            },
            Kind::Delete(_) => Operation::Delete { key },
            Kind::Get(_) => Operation::Get { key },
            Kind::Add(v1::KvAdd { delta, min, max }) => Operation::Add {
                key,
                delta,
                min,
                max,
            },
            Kind::Expect(wire) => Operation::Expect {
                key,
                expected: wire.value.map(value).transpose()?,
            },
        },
    )
}

/// The encoded results of a branch, one for each operation.
pub(super) fn results(results: &Results) -> Payload {
    let results = results.iter().map(|result| {
        let value = match result {
            OperationResult::Done => None,
            OperationResult::Value(value) => value.clone(),
            OperationResult::Sum(sum) => Some(Value::Integer(*sum)),
        };
        v1::KvResult {
            value: value.as_ref().map(wire_value),
        }
    });
    v1::KvResults {
        version: KV_VERSION,
        results: results.collect(),
    }
    .encode_to_vec()
    .into()
}

fn value(wire: v1::KvValue) -> Option<Value> {
    Some(match wire.kind? {
        v1::kv_value::Kind::Bytes(bytes) => Value::from(&*bytes),
        v1::kv_value::Kind::Integer(number) => Value::Integer(number),
    })
}

/// A value as it travels.
pub(super) fn wire_value(value: &Value) -> v1::KvValue {
    let kind = match value {
        Value::Bytes(bytes) => v1::kv_value::Kind::Bytes(bytes::Bytes::copy_from_slice(bytes)),
        Value::Integer(number) => v1::kv_value::Kind::Integer(*number),
    };
    v1::KvValue { kind: Some(kind) }
}

fn malformed(detail: String) -> Refusal {
    Refusal::Malformed { detail }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use triumvir_kv::{Age, RESULTS_BYTES_MAX, Step};

    use super::*;

    fn encoded(version: u32, operations: Vec<v1::KvOperation>) -> Vec<u8> {
        v1::KvOperations {
            version,
            operations,
        }
        .encode_to_vec()
    }

    fn put(key: &[u8], value: Option<v1::KvValue>) -> v1::KvOperation {
        let key = bytes::Bytes::copy_from_slice(key);
        v1::KvOperation {
            key,
            kind: value.map(Kind::Put),
        }
    }

    #[test]
    fn every_kind_is_understood() {
        let one = wire_value(&Value::from(1));
        let kinds = [
            Kind::Put(one.clone()),
            Kind::Delete(v1::KvDelete {}),
            Kind::Get(v1::KvGet {}),
            Kind::Add(v1::KvAdd {
                delta: -2,
                min: Some(0),
                max: None,
            }),
            Kind::Expect(v1::KvExpect { value: Some(one) }),
            Kind::Expect(v1::KvExpect { value: None }),
        ];
        let wire = kinds.map(|kind| v1::KvOperation {
            key: "k".into(),
            kind: Some(kind),
        });
        let read = operations(&encoded(KV_VERSION, wire.to_vec())).unwrap();
        let key = || Key::from("k");
        let expected = [
            Operation::Put {
                key: key(),
                value: Value::from(1),
            },
            Operation::Delete { key: key() },
            Operation::Get { key: key() },
            Operation::Add {
                key: key(),
                delta: -2,
                min: Some(0),
                max: None,
            },
            Operation::Expect {
                key: key(),
                expected: Some(Value::from(1)),
            },
            Operation::Expect {
                key: key(),
                expected: None,
            },
        ];
        assert_eq!(read.as_slice(), expected);
    }

    #[test]
    fn rubbish_is_malformed_and_excess_is_too_large() {
        let code = |payload: &[u8]| operations(payload).unwrap_err().code().as_str();
        assert_eq!(code(&[0xff; 9]), "malformed");
        assert_eq!(code(b""), "malformed");
        assert_eq!(code(&encoded(2, Vec::new())), "malformed");
        assert_eq!(code(&encoded(1, vec![put(b"k", None)])), "malformed");
        assert_eq!(
            code(&encoded(
                1,
                vec![put(b"k", Some(v1::KvValue { kind: None }))]
            )),
            "malformed"
        );
        let one = Some(wire_value(&Value::from(1)));
        assert_eq!(code(&encoded(1, vec![put(b"", one.clone())])), "malformed");
        assert_eq!(
            code(&encoded(1, vec![put(&[0; 5000], one.clone())])),
            "too-large"
        );
        assert_eq!(
            code(&encoded(1, vec![put(b"k", one); OPERATIONS_MAX + 1])),
            "too-large"
        );
        assert_eq!(code(&vec![0; OPERATIONS_BYTES_MAX + 1]), "too-large");
    }

    #[test]
    fn what_the_engine_accepts_fits_on_the_wire() {
        let add = |place: usize| {
            let mut key = vec![b'k'; 1900];
            key[..8].copy_from_slice(&place.to_be_bytes());
            let bound = Some(i64::MIN);
            let kind = Some(Kind::Add(v1::KvAdd {
                delta: i64::MIN,
                min: bound,
                max: bound,
            }));
            let key = key.into();
            v1::KvOperation { key, kind }
        };
        let payload = encoded(KV_VERSION, (0..OPERATIONS_MAX).map(add).collect());
        assert!(payload.len() <= OPERATIONS_BYTES_MAX, "{}", payload.len());
        assert_eq!(operations(&payload).unwrap().len(), OPERATIONS_MAX);

        let mut engine = triumvir_kv::Engine::default();
        let key = Key::from("k");
        let store = BTreeMap::from([(key.clone(), Value::from(&[0; 1984][..]))]);
        let gets = vec![Operation::Get { key }; OPERATIONS_MAX];
        let txn = triumvir_protocol::TxnId::from_u128(1);
        let gets = Operations::new(gets).unwrap();
        let Ok(Step::Prepared(prepared)) = engine.prepare(&store, txn, Age(txn), gets) else {
            panic!("it fits")
        };
        let encoded = results(&prepared.results);
        assert!(encoded.len() <= RESULTS_BYTES_MAX, "{}", encoded.len());
    }
}
