//! The window onto committed state. The engine reads through it and never writes.

use std::collections::BTreeMap;
use std::convert::Infallible;

use crate::{Key, Value};

/// The committed state as the engine may see it.
///
/// It shows what the caller has stored of [`Changes`](crate::Changes) that a commit returned, whole
/// transactions only, and nothing else ever changes it while the engine is in use.
pub trait Storage {
    /// Why a read failed. The engine hands it back and has changed nothing for it.
    type Error;

    /// What stands under `key`, or nothing.
    fn value(&self, key: &Key) -> Result<Option<Value>, Self::Error>;
}

/// Committed state in memory, for the simulator and for tests.
impl Storage for BTreeMap<Key, Value> {
    type Error = Infallible;

    fn value(&self, key: &Key) -> Result<Option<Value>, Infallible> {
        Ok(self.get(key).cloned())
    }
}
