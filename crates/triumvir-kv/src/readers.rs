//! Reads from outside transactions that wait for prepared branches. No transaction ever waits for
//! one of them.

use std::collections::{BTreeMap, BTreeSet};

use crate::Key;

/// The waiting reads. Each is parked at one key that was locked when it was looked at; when that
/// lock goes, the read is stirred and looked at again.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Readers {
    /// What each waiting read wants, and where it is parked (`None`: stirred).
    waiting: BTreeMap<u64, (BTreeSet<Key>, Option<Key>)>,
    parked: BTreeMap<Key, BTreeSet<u64>>,
    stirred: BTreeSet<u64>,
}

impl Readers {
    /// Lets `reader` wait at `at`, one of its `keys`.
    pub(crate) fn park(&mut self, reader: u64, keys: BTreeSet<Key>, at: Key) {
        self.cancel(reader);
        self.parked.entry(at.clone()).or_default().insert(reader);
        self.waiting.insert(reader, (keys, Some(at)));
    }

    /// The lock on `key` is gone: every read that is parked there is to be looked at again.
    pub(crate) fn stir(&mut self, key: &Key) {
        for reader in self.parked.remove(key).unwrap_or_default() {
            if let Some((_, at)) = self.waiting.get_mut(&reader) {
                *at = None;
            }
            self.stirred.insert(reader);
        }
    }

    /// Takes out one read that was stirred.
    pub(crate) fn take_stirred(&mut self) -> Option<(u64, BTreeSet<Key>)> {
        let reader = self.stirred.pop_first()?;
        let (keys, _) = self.waiting.remove(&reader)?;
        Some((reader, keys))
    }

    /// Forgets `reader`; says whether it was waiting.
    pub(crate) fn cancel(&mut self, reader: u64) -> bool {
        let Some((_, at)) = self.waiting.remove(&reader) else {
            return false;
        };
        self.stirred.remove(&reader);
        if let Some(at) = at
            && let Some(parked) = self.parked.get_mut(&at)
        {
            parked.remove(&reader);
            if parked.is_empty() {
                self.parked.remove(&at);
            }
        }
        true
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}
