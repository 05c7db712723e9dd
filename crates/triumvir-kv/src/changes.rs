//! What a branch will do to the store if it commits.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{Key, Value};

/// Keys in order, each with the value that it gets, or with `None` if it is deleted.
///
/// Storing them twice is the same as storing them once. Clones share them.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Changes(Arc<BTreeMap<Key, Option<Value>>>);

impl Changes {
    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many keys are changed.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether `key` is changed, and to what.
    pub fn change(&self, key: &Key) -> Option<&Option<Value>> {
        self.0.get(key)
    }

    /// All changes in key order.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, Option<&Value>)> {
        self.0.iter().map(|(key, value)| (key, value.as_ref()))
    }

    /// Stores the changes in a map.
    pub fn apply_to(&self, store: &mut BTreeMap<Key, Value>) {
        for (key, value) in &*self.0 {
            match value {
                Some(value) => store.insert(key.clone(), value.clone()),
                None => store.remove(key),
            };
        }
    }

    pub(crate) fn set(&mut self, key: Key, value: Option<Value>) {
        Arc::make_mut(&mut self.0).insert(key, value);
    }
}

impl FromIterator<(Key, Option<Value>)> for Changes {
    fn from_iter<I: IntoIterator<Item = (Key, Option<Value>)>>(changes: I) -> Self {
        Self(Arc::new(changes.into_iter().collect()))
    }
}
