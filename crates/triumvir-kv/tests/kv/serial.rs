//! The reference: operations as one would write them for a single thread, on one map. Nothing of
//! the engine is used here.

use triumvir_kv::{Operation, OperationResult, Value};

use crate::support::Store;

/// Runs a branch on `store`. `None`: it is refused, and the store is as before.
pub(crate) fn run(store: &mut Store, operations: &[Operation]) -> Option<Vec<OperationResult>> {
    let mut work = store.clone();
    let mut results = Vec::new();
    for operation in operations {
        results.push(step(&mut work, operation)?);
    }
    *store = work;
    Some(results)
}

fn step(store: &mut Store, operation: &Operation) -> Option<OperationResult> {
    match operation {
        Operation::Put { key, value } => {
            store.insert(key.clone(), value.clone());
        }
        Operation::Delete { key } => {
            store.remove(key);
        }
        Operation::Get { key } => return Some(OperationResult::Value(store.get(key).cloned())),
        Operation::Expect { key, expected } => {
            if store.get(key) != expected.as_ref() {
                return None;
            }
        }
        Operation::Add {
            key,
            delta,
            min,
            max,
        } => {
            let before = match store.get(key) {
                None => 0,
                Some(Value::Integer(number)) => i128::from(*number),
                Some(Value::Bytes(_)) => return None,
            };
            let sum = before + i128::from(*delta);
            let low = i128::from(min.unwrap_or(i64::MIN));
            let high = i128::from(max.unwrap_or(i64::MAX));
            if sum < low || sum > high {
                return None;
            }
            let sum = i64::try_from(sum).ok()?;
            store.insert(key.clone(), Value::Integer(sum));
            return Some(OperationResult::Sum(sum));
        }
    }
    Some(OperationResult::Done)
}
