//! Runs the operations of a branch that holds its locks. Changes nothing: it says what would
//! change.

use crate::limits::{ENTRY_OVERHEAD_BYTES, RESULTS_BYTES_MAX};
use crate::{
    Changes, Key, Operation, OperationResult, Operations, Refusal, Results, Storage, Value,
};

/// Why an evaluation stopped.
pub(crate) enum Halt<E> {
    Refused(Refusal),
    Storage(E),
}

impl<E> From<Refusal> for Halt<E> {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Runs `operations` in order over what `storage` shows, each seeing those before it. The first
/// that cannot be done refuses the whole.
pub(crate) fn evaluate<S: Storage>(
    storage: &S,
    operations: &Operations,
) -> Result<(Changes, Results), Halt<S::Error>> {
    let mut evaluation = Evaluation {
        storage,
        changes: Changes::default(),
        answered: 0,
    };
    let results = operations.iter().map(|operation| evaluation.run(operation));
    let results = Results::from_vec(results.collect::<Result<_, _>>()?);
    Ok((evaluation.changes, results))
}

struct Evaluation<'a, S> {
    storage: &'a S,
    changes: Changes,
    /// Size of the answers so far, in bytes.
    answered: usize,
}

impl<S: Storage> Evaluation<'_, S> {
    fn run(&mut self, operation: &Operation) -> Result<OperationResult, Halt<S::Error>> {
        let result = match operation {
            Operation::Put { key, value } => {
                self.changes.set(key.clone(), Some(value.clone()));
                OperationResult::Done
            }
            Operation::Delete { key } => {
                self.changes.set(key.clone(), None);
                OperationResult::Done
            }
            Operation::Get { key } => OperationResult::Value(self.value(key)?),
            Operation::Add {
                key,
                delta,
                min,
                max,
            } => {
                let sum = self.sum(key, *delta, *min, *max)?;
                self.changes.set(key.clone(), Some(Value::Integer(sum)));
                OperationResult::Sum(sum)
            }
            Operation::Expect { key, expected } => {
                let found = self.value(key)?;
                if found != *expected {
                    let (key, expected) = (key.clone(), expected.clone());
                    return Err(Refusal::Expectation {
                        key,
                        expected,
                        found,
                    }
                    .into());
                }
                OperationResult::Done
            }
        };
        self.count(&result)?;
        Ok(result)
    }

    /// The value as the operations before have left it.
    fn value(&self, key: &Key) -> Result<Option<Value>, Halt<S::Error>> {
        match self.changes.change(key) {
            Some(value) => Ok(value.clone()),
            None => self.storage.value(key).map_err(Halt::Storage),
        }
    }

    fn sum(
        &self,
        key: &Key,
        delta: i64,
        min: Option<i64>,
        max: Option<i64>,
    ) -> Result<i64, Halt<S::Error>> {
        let key = key.clone();
        let current = match self.value(&key)? {
            None => 0,
            Some(Value::Integer(current)) => current,
            Some(found) => return Err(Refusal::NotInteger { key, found }.into()),
        };
        let Some(sum) = current.checked_add(delta) else {
            return Err(Refusal::Overflow {
                key,
                current,
                delta,
            }
            .into());
        };
        if let Some(minimum) = min.filter(|min| sum < *min) {
            return Err(Refusal::Minimum {
                key,
                current,
                delta,
                minimum,
            }
            .into());
        }
        if let Some(maximum) = max.filter(|max| sum > *max) {
            return Err(Refusal::Maximum {
                key,
                current,
                delta,
                maximum,
            }
            .into());
        }
        Ok(sum)
    }

    /// Stops before more than the limit of values is gathered in memory.
    fn count(&mut self, result: &OperationResult) -> Result<(), Refusal> {
        let value = match result {
            OperationResult::Value(Some(value)) => value.size(),
            OperationResult::Value(None) | OperationResult::Sum(_) | OperationResult::Done => 0,
        };
        self.answered += ENTRY_OVERHEAD_BYTES + value;
        if self.answered > RESULTS_BYTES_MAX {
            let detail = format!("the answers exceed {RESULTS_BYTES_MAX} bytes");
            return Err(Refusal::TooLarge { detail });
        }
        Ok(())
    }
}
