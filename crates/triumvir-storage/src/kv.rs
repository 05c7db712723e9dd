//! The tables of the embedded key-value resource: committed values, and the intents of branches that
//! have voted and not ended. Locks, and which of these may be read when, are not known here.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use redb::{ReadTransaction, ReadableTable, TableDefinition, TableError};
use triumvir_kv::{Changes, Intent, Key, Value};
use triumvir_protocol::TxnId;

use crate::batch::WriteBatch;
use crate::database::Database;
use crate::error::StorageError;

pub(crate) const VALUES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("kv_values");
pub(crate) const INTENTS: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("kv_intents");

/// The tables of the key-value resource. Its writes take place within a transaction of the
/// [`Writer`](crate::Writer).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KvTables;

impl KvTables {
    /// The committed value under `key`.
    ///
    /// # Errors
    ///
    /// Of the database, and when what is stored is not a value.
    pub fn value(read: &ReadTransaction, key: &Key) -> Result<Option<Value>, StorageError> {
        let Some(table) = existing(read.open_table(VALUES))? else {
            return Ok(None);
        };
        let stored = table.get(key.as_bytes())?;
        stored
            .map(|bytes| decode(key.as_bytes(), bytes.value()))
            .transpose()
    }

    /// Hands every committed entry whose key begins with `prefix` to `visit`, in key order, until it
    /// breaks off.
    ///
    /// # Errors
    ///
    /// Of the database, and when what is stored is not a value.
    pub fn scan(
        read: &ReadTransaction,
        prefix: &[u8],
        mut visit: impl FnMut(Key, Value) -> ControlFlow<()>,
    ) -> Result<(), StorageError> {
        let Some(table) = existing(read.open_table(VALUES))? else {
            return Ok(());
        };
        for entry in table.range(prefix..)? {
            let (key, bytes) = entry?;
            if !key.value().starts_with(prefix) {
                break;
            }
            let value = decode(key.value(), bytes.value())?;
            if visit(Key::from(key.value()), value).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Every stored intent.
    ///
    /// # Errors
    ///
    /// Of the database, and when what is stored is not an intent.
    pub fn intents(database: &Database) -> Result<BTreeMap<TxnId, Intent>, StorageError> {
        let read = database.read()?;
        let Some(table) = existing(read.open_table(INTENTS))? else {
            return Ok(BTreeMap::new());
        };
        let mut intents = BTreeMap::new();
        for entry in table.iter()? {
            let (txn, bytes) = entry?;
            let txn = TxnId::from_u128(txn.value());
            let intent = Intent::decode(bytes.value()).map_err(|error| {
                StorageError::Corrupted(format!("the intent of {txn}: {error}"))
            })?;
            intents.insert(txn, intent);
        }
        Ok(intents)
    }

    /// Stores the encoded intent of a branch that votes.
    ///
    /// # Errors
    ///
    /// Of the database.
    pub fn put_intent(
        write: &mut WriteBatch<'_>,
        txn: TxnId,
        intent: &[u8],
    ) -> Result<(), StorageError> {
        write.intents.open()?.insert(txn.as_u128(), intent)?;
        Ok(())
    }

    /// Forgets the intent of a branch that has ended; one that is not there is no error.
    ///
    /// # Errors
    ///
    /// Of the database.
    pub fn remove_intent(write: &mut WriteBatch<'_>, txn: TxnId) -> Result<(), StorageError> {
        write.intents.open()?.remove(txn.as_u128())?;
        Ok(())
    }

    /// Stores the changes of a committed branch.
    ///
    /// # Errors
    ///
    /// Of the database.
    pub fn apply(write: &mut WriteBatch<'_>, changes: &Changes) -> Result<(), StorageError> {
        let table = write.values.open()?;
        for (key, value) in changes.iter() {
            match value {
                Some(value) => table.insert(key.as_bytes(), &*value.encode())?,
                None => table.remove(key.as_bytes())?,
            };
        }
        Ok(())
    }
}

fn decode(key: &[u8], bytes: &[u8]) -> Result<Value, StorageError> {
    Value::decode(bytes).map_err(|error| {
        StorageError::Corrupted(format!("the value of {}: {error}", Key::from(key)))
    })
}

/// The table, or nothing while nobody has written to it.
fn existing<T>(opened: Result<T, TableError>) -> Result<Option<T>, StorageError> {
    match opened {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::Options;

    #[test]
    fn changes_are_read_back_in_key_order() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path(), &Options::default()).unwrap();
        let change = |key: &str, value: Option<i64>| (Key::from(key), value.map(Value::from));
        let changes: Changes = [
            change("b/2", Some(2)),
            change("b/1", Some(1)),
            change("c", Some(3)),
        ]
        .into_iter()
        .collect();
        let write = database.begin_write().unwrap();
        let mut batch = WriteBatch::new(&write);
        KvTables::apply(&mut batch, &changes).unwrap();
        KvTables::apply(&mut batch, &[change("c", None)].into_iter().collect()).unwrap();
        KvTables::remove_intent(&mut batch, TxnId::from_u128(1)).unwrap();
        drop(batch);
        write.commit().unwrap();

        let read = database.read().unwrap();
        assert_eq!(
            KvTables::value(&read, &"b/2".into()).unwrap(),
            Some(Value::from(2))
        );
        assert_eq!(KvTables::value(&read, &"c".into()).unwrap(), None);
        let mut found = Vec::new();
        KvTables::scan(&read, b"b/", |key, value| {
            found.push((key, value));
            ControlFlow::Continue(())
        })
        .unwrap();
        let expected =
            [("b/1", 1), ("b/2", 2)].map(|(key, value)| (Key::from(key), Value::from(value)));
        assert_eq!(found, expected);
        assert!(KvTables::intents(&database).unwrap().is_empty());
    }
}
