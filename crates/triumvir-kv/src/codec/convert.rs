//! Between the types of this crate and the encoded messages. Everything is checked on the way in.

use prost::Message;

use super::records::{
    ActRecord, AddRecord, AnswerRecord, ChangeRecord, IntentRecord, KindRecord, MaybeRecord,
    NothingRecord, OperationRecord, OperationsRecord, ResultRecord, ResultsRecord, StoredRecord,
    ValueRecord,
};
use super::{
    CodecError, ENTRY_OVERHEAD_BYTES, FORMAT_VERSION, KEY_BYTES_MAX, OPERATIONS_BYTES_MAX,
    OPERATIONS_MAX, RESULTS_BYTES_MAX, VALUE_BYTES_MAX,
};
use crate::{Age, Changes, Intent, Key, Operation, OperationResult, Operations, Results, Value};
use triumvir_protocol::{Payload, TxnId};

impl Operations {
    /// The binary form. The same operations always give the same bytes.
    pub fn encode(&self) -> Payload {
        operations_record(self).encode_to_vec().into()
    }

    /// Reads the binary form.
    ///
    /// # Errors
    ///
    /// The bytes are not operations of this format, or exceed a limit.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        within(bytes.len(), OPERATIONS_BYTES_MAX)?;
        let record = OperationsRecord::decode(bytes)?;
        known(record.version)?;
        few(record.operations.len())?;
        let operations = record.operations.into_iter().map(operation);
        Self::new(operations.collect::<Result<Vec<_>, _>>()?)
    }
}

/// Whether operations are within all limits.
pub(crate) fn check_operations(operations: &Operations) -> Result<(), CodecError> {
    few(operations.len())?;
    let mut size = 0;
    for operation in operations.iter() {
        let key = operation.key().as_bytes();
        check_key(key)?;
        size += ENTRY_OVERHEAD_BYTES + key.len();
        if let Operation::Put { value, .. }
        | Operation::Expect {
            expected: Some(value),
            ..
        } = operation
        {
            check_value(value)?;
            size += value.size();
        }
    }
    within(size, OPERATIONS_BYTES_MAX)
}

impl Results {
    /// The binary form.
    pub fn encode(&self) -> Payload {
        let results = self.iter().map(result_record).collect();
        ResultsRecord {
            version: FORMAT_VERSION,
            results,
        }
        .encode_to_vec()
        .into()
    }

    /// Reads the binary form.
    ///
    /// # Errors
    ///
    /// The bytes are not results of this format, or exceed a limit.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        within(bytes.len(), RESULTS_BYTES_MAX)?;
        let record = ResultsRecord::decode(bytes)?;
        known(record.version)?;
        few(record.results.len())?;
        let results = record.results.into_iter().map(result);
        Ok(Self::from_vec(results.collect::<Result<_, _>>()?))
    }
}

impl Intent {
    /// The durable form.
    pub fn encode(&self) -> Vec<u8> {
        let changes = self.changes().iter().map(|(key, value)| ChangeRecord {
            key: key.as_bytes().to_vec(),
            value: value.map(value_record),
        });
        let record = IntentRecord {
            version: FORMAT_VERSION,
            age: self.age().0.as_u128().to_be_bytes().to_vec(),
            changes: changes.collect(),
            shared: self
                .shared()
                .iter()
                .map(|key| key.as_bytes().to_vec())
                .collect(),
        };
        record.encode_to_vec()
    }

    /// Reads the durable form.
    ///
    /// # Errors
    ///
    /// The bytes are not an intent of this format.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let record = IntentRecord::decode(bytes)?;
        known(record.version)?;
        let age = record
            .age
            .try_into()
            .map_err(|_| CodecError::Missing("an age of 16 bytes"))?;
        let age = Age(TxnId::from_u128(u128::from_be_bytes(age)));
        let mut changes = Changes::default();
        for change in record.changes {
            let key = key(change.key)?;
            if changes.change(&key).is_some() {
                return Err(CodecError::Inconsistent("a key is changed twice"));
            }
            changes.set(key, change.value.map(value).transpose()?);
        }
        let shared = record
            .shared
            .into_iter()
            .map(key)
            .collect::<Result<Vec<_>, _>>()?;
        if shared.iter().any(|key| changes.change(key).is_some()) {
            return Err(CodecError::Inconsistent(
                "a changed key has only a shared lock",
            ));
        }
        Ok(Self::new(age, changes, shared))
    }
}

impl Value {
    /// The form in which a value is stored under its key.
    pub fn encode(&self) -> Vec<u8> {
        let value = Some(value_record(self));
        StoredRecord {
            version: FORMAT_VERSION,
            value,
        }
        .encode_to_vec()
    }

    /// Reads the stored form.
    ///
    /// # Errors
    ///
    /// The bytes are not a value of this format.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let record = StoredRecord::decode(bytes)?;
        known(record.version)?;
        value(record.value.ok_or(CodecError::Missing("a value"))?)
    }
}

fn operations_record(operations: &Operations) -> OperationsRecord {
    let operations = operations.iter().map(operation_record).collect();
    OperationsRecord {
        version: FORMAT_VERSION,
        operations,
    }
}

fn operation_record(operation: &Operation) -> OperationRecord {
    let act = match operation {
        Operation::Put { value, .. } => ActRecord::Put(value_record(value)),
        Operation::Delete { .. } => ActRecord::Delete(NothingRecord {}),
        Operation::Get { .. } => ActRecord::Get(NothingRecord {}),
        Operation::Add {
            delta, min, max, ..
        } => ActRecord::Add(AddRecord {
            delta: *delta,
            min: *min,
            max: *max,
        }),
        Operation::Expect { expected, .. } => ActRecord::Expect(maybe_record(expected)),
    };
    OperationRecord {
        key: operation.key().as_bytes().to_vec(),
        act: Some(act),
    }
}

fn operation(record: OperationRecord) -> Result<Operation, CodecError> {
    let key = key(record.key)?;
    Ok(
        match record
            .act
            .ok_or(CodecError::Missing("what to do with a key"))?
        {
            ActRecord::Put(record) => Operation::Put {
                key,
                value: value(record)?,
            },
            ActRecord::Delete(_) => Operation::Delete { key },
            ActRecord::Get(_) => Operation::Get { key },
            ActRecord::Add(AddRecord { delta, min, max }) => Operation::Add {
                key,
                delta,
                min,
                max,
            },
            ActRecord::Expect(record) => Operation::Expect {
                key,
                expected: maybe(record)?,
            },
        },
    )
}

fn result_record(result: &OperationResult) -> ResultRecord {
    let kind = match result {
        OperationResult::Done => AnswerRecord::Done(NothingRecord {}),
        OperationResult::Value(value) => AnswerRecord::Value(maybe_record(value)),
        OperationResult::Sum(sum) => AnswerRecord::Sum(*sum),
    };
    ResultRecord { kind: Some(kind) }
}

fn result(record: ResultRecord) -> Result<OperationResult, CodecError> {
    Ok(match record.kind.ok_or(CodecError::Missing("a result"))? {
        AnswerRecord::Done(_) => OperationResult::Done,
        AnswerRecord::Value(record) => OperationResult::Value(maybe(record)?),
        AnswerRecord::Sum(sum) => OperationResult::Sum(sum),
    })
}

fn value_record(value: &Value) -> ValueRecord {
    let kind = match value {
        Value::Bytes(bytes) => KindRecord::Bytes(bytes.to_vec()),
        Value::Integer(number) => KindRecord::Integer(*number),
    };
    ValueRecord { kind: Some(kind) }
}

fn value(record: ValueRecord) -> Result<Value, CodecError> {
    let value = match record.kind.ok_or(CodecError::Missing("a value"))? {
        KindRecord::Bytes(bytes) => Value::Bytes(bytes.into()),
        KindRecord::Integer(number) => Value::Integer(number),
    };
    check_value(&value)?;
    Ok(value)
}

fn maybe_record(value: &Option<Value>) -> MaybeRecord {
    MaybeRecord {
        value: value.as_ref().map(value_record),
    }
}

fn maybe(record: MaybeRecord) -> Result<Option<Value>, CodecError> {
    record.value.map(value).transpose()
}

fn key(bytes: Vec<u8>) -> Result<Key, CodecError> {
    check_key(&bytes)?;
    Ok(bytes.into())
}

fn check_key(bytes: &[u8]) -> Result<(), CodecError> {
    match bytes.len() {
        bytes if bytes > KEY_BYTES_MAX => Err(CodecError::KeyTooLarge { bytes }),
        _ => Ok(()),
    }
}

fn check_value(value: &Value) -> Result<(), CodecError> {
    match value.size() {
        bytes if bytes > VALUE_BYTES_MAX => Err(CodecError::ValueTooLarge { bytes }),
        _ => Ok(()),
    }
}

fn known(version: u32) -> Result<(), CodecError> {
    if version == FORMAT_VERSION {
        Ok(())
    } else {
        Err(CodecError::Version { found: version })
    }
}

fn few(count: usize) -> Result<(), CodecError> {
    if count > OPERATIONS_MAX {
        Err(CodecError::TooMany { count })
    } else {
        Ok(())
    }
}

fn within(bytes: usize, bytes_max: usize) -> Result<(), CodecError> {
    if bytes > bytes_max {
        Err(CodecError::TooLarge { bytes, bytes_max })
    } else {
        Ok(())
    }
}
