//! Between the types of this crate and the encoded messages. Everything is checked on the way in.

use prost::Message;

use super::records::{ChangeRecord, IntentRecord, KindRecord, StoredRecord, ValueRecord};
use super::{CodecError, FORMAT_VERSION};
use crate::limits::{check_key, check_value};
use crate::{Age, Changes, Intent, Key, Value};
use triumvir_protocol::TxnId;

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
    /// The bytes are not an intent of this format, or a key or a value exceeds its limit.
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
    /// The bytes are not a value of this format, or the value exceeds its limit.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let record = StoredRecord::decode(bytes)?;
        known(record.version)?;
        value(record.value.ok_or(CodecError::Missing("a value"))?)
    }
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

fn key(bytes: Vec<u8>) -> Result<Key, CodecError> {
    check_key(&bytes)?;
    Ok(bytes.into())
}

fn known(version: u32) -> Result<(), CodecError> {
    if version == FORMAT_VERSION {
        Ok(())
    } else {
        Err(CodecError::Version { found: version })
    }
}
