//! One transaction of the writer, as the writes that share it see it. What they write is not known
//! here.

use std::ops::Deref;

use redb::{Key, Table, TableDefinition, Value, WriteTransaction};

use crate::error::StorageError;
use crate::kv;

/// What a write of a batch writes into: the database's transaction, with those tables kept open that
/// nearly every write of a batch touches. Opening one takes as long as an insertion.
pub struct WriteBatch<'t> {
    transaction: &'t WriteTransaction,
    pub(crate) values: Kept<'t, &'static [u8], &'static [u8]>,
    pub(crate) intents: Kept<'t, u128, &'static [u8]>,
}

impl<'t> WriteBatch<'t> {
    /// Nothing is open yet. It must be gone before `transaction` is committed.
    pub(crate) fn new(transaction: &'t WriteTransaction) -> Self {
        Self {
            transaction,
            values: Kept::new(transaction, kv::VALUES),
            intents: Kept::new(transaction, kv::INTENTS),
        }
    }
}

/// Other tables are opened by whoever writes to them.
impl Deref for WriteBatch<'_> {
    type Target = WriteTransaction;

    fn deref(&self) -> &WriteTransaction {
        self.transaction
    }
}

impl std::fmt::Debug for WriteBatch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WriteBatch").finish_non_exhaustive()
    }
}

/// A table that stays open from its first use on.
pub(crate) struct Kept<'t, K: Key + 'static, V: Value + 'static> {
    transaction: &'t WriteTransaction,
    definition: TableDefinition<'static, K, V>,
    table: Option<Table<'t, K, V>>,
}

impl<'t, K: Key + 'static, V: Value + 'static> Kept<'t, K, V> {
    fn new(transaction: &'t WriteTransaction, definition: TableDefinition<'static, K, V>) -> Self {
        Self {
            transaction,
            definition,
            table: None,
        }
    }

    /// The table.
    ///
    /// # Errors
    ///
    /// Of the database, when it has to be opened.
    pub(crate) fn open(&mut self) -> Result<&mut Table<'t, K, V>, StorageError> {
        if self.table.is_none() {
            self.table = Some(self.transaction.open_table(self.definition)?);
        }
        Ok(self.table.as_mut().expect("it was just opened"))
    }
}
