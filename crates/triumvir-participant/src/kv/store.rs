//! The committed state as the engine sees it: what is on disk, under what is committed and on its way
//! there. Locks are not known here.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::sync::{Mutex, MutexGuard, PoisonError};

use metrics::Gauge;
use triumvir_kv::{Changes, Key, Operation, Operations, Storage, Value};
use triumvir_storage::{KvTables, ReadTransaction, StorageError, WeakDatabase};

/// Committed values.
///
/// A committed value is in the overlay from the moment of its decision until it is on stable storage.
/// Whoever reads looks into the overlay first and into the database afterwards, so that what leaves
/// the overlay in between is found in the database.
#[derive(Debug)]
pub(super) struct Store {
    database: WeakDatabase,
    overlay: Mutex<BTreeMap<Key, Pending>>,
    /// How many keys the overlay has.
    depth: Gauge,
}

#[derive(Clone, Debug)]
struct Pending {
    value: Option<Value>,
    /// Which commit put it here; a later one replaces it.
    commit: u64,
}

impl Store {
    pub(super) fn new(database: WeakDatabase) -> Self {
        Self {
            database,
            overlay: Mutex::default(),
            depth: metrics::gauge!("triumvir_kv_overlay_keys"),
        }
    }

    /// Shows the changes of commit number `commit` from now on.
    pub(super) fn show(&self, commit: u64, changes: &Changes) {
        let mut overlay = self.overlay();
        for (key, value) in changes.iter() {
            overlay.insert(
                key.clone(),
                Pending {
                    value: value.cloned(),
                    commit,
                },
            );
        }
        self.depth.set(overlay.len() as f64);
    }

    /// The changes of commit number `commit` are in the database.
    pub(super) fn landed(&self, commit: u64, changes: &Changes) {
        let mut overlay = self.overlay();
        for (key, _) in changes.iter() {
            if overlay
                .get(key)
                .is_some_and(|pending| pending.commit == commit)
            {
                overlay.remove(key);
            }
        }
        self.depth.set(overlay.len() as f64);
    }

    /// The committed entries whose keys begin with `prefix`, as of now if no commit is shown meanwhile.
    pub(super) fn snapshot(&self, prefix: &[u8]) -> Result<Snapshot, StorageError> {
        let range = (Bound::Included(prefix), Bound::Unbounded);
        let pending = self
            .overlay()
            .range::<[u8], _>(range)
            .take_while(|(key, _)| key.as_bytes().starts_with(prefix))
            .map(|(key, pending)| (key.clone(), pending.value.clone()))
            .collect();
        let read = self.database.upgrade()?.read()?;
        let prefix = prefix.to_vec();
        Ok(Snapshot {
            prefix,
            pending,
            read,
        })
    }

    /// What `operations` may read, in one transaction of the database that begins with the first read.
    /// For as long as no commit is shown.
    pub(super) fn view(&self, operations: Operations) -> View<'_> {
        View {
            store: self,
            operations,
            moment: OnceCell::new(),
        }
    }

    /// The committed values under `keys`, in one transaction of the database, as of now if no commit
    /// is shown meanwhile.
    pub(super) fn values(&self, keys: &[Key]) -> Result<Vec<Option<Value>>, StorageError> {
        let moment = self.moment(keys.iter())?;
        keys.iter().map(|key| moment.value(key)).collect()
    }

    /// What is on its way to the disk is noted first, for the transaction may not find it there.
    fn moment<'a>(&self, keys: impl Iterator<Item = &'a Key>) -> Result<Moment, StorageError> {
        let overlay = self.overlay();
        let pending = |key: &Key| Some((key.clone(), overlay.get(key)?.value.clone()));
        let pending = keys.filter_map(pending).collect();
        drop(overlay);
        let read = self.database.upgrade()?.read()?;
        Ok(Moment { pending, read })
    }

    fn overlay(&self) -> MutexGuard<'_, BTreeMap<Key, Pending>> {
        self.overlay.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The committed values of some keys at one moment.
struct Moment {
    pending: BTreeMap<Key, Option<Value>>,
    read: ReadTransaction,
}

impl Moment {
    fn value(&self, key: &Key) -> Result<Option<Value>, StorageError> {
        match self.pending.get(key) {
            Some(value) => Ok(value.clone()),
            None => KvTables::value(&self.read, key),
        }
    }
}

/// The committed values under the keys of a branch.
pub(super) struct View<'a> {
    store: &'a Store,
    operations: Operations,
    moment: OnceCell<Moment>,
}

impl Storage for View<'_> {
    type Error = StorageError;

    /// `key` must be one of the operations'.
    fn value(&self, key: &Key) -> Result<Option<Value>, StorageError> {
        if let Some(moment) = self.moment.get() {
            return moment.value(key);
        }
        let keys = self.operations.iter().map(Operation::key);
        let moment = self.store.moment(keys)?;
        self.moment.get_or_init(|| moment).value(key)
    }
}

/// The committed entries of one moment, not yet read. To be read soon, and not on a task that others
/// wait for.
pub(super) struct Snapshot {
    prefix: Vec<u8>,
    pending: BTreeMap<Key, Option<Value>>,
    read: ReadTransaction,
}

impl Snapshot {
    /// The entries in key order; nothing if they take more than `bytes_max` in all.
    pub(super) fn entries(
        self,
        bytes_max: usize,
    ) -> Result<Option<Vec<(Key, Value)>>, StorageError> {
        let Self {
            prefix,
            pending,
            read,
        } = self;
        let size = |key: &Key, value: &Value| key.as_bytes().len() + value.size();
        let mut bytes = 0;
        let mut entries = BTreeMap::new();
        KvTables::scan(&read, &prefix, |key, value| {
            bytes += size(&key, &value);
            entries.insert(key, value);
            if bytes > bytes_max {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        for (key, value) in pending {
            match value {
                Some(value) => {
                    bytes += size(&key, &value);
                    entries.insert(key, value);
                }
                None => {
                    entries.remove(&key);
                }
            }
        }
        Ok((bytes <= bytes_max).then(|| entries.into_iter().collect()))
    }
}

impl Storage for Store {
    type Error = StorageError;

    fn value(&self, key: &Key) -> Result<Option<Value>, StorageError> {
        if let Some(pending) = self.overlay().get(key) {
            return Ok(pending.value.clone());
        }
        KvTables::value(&self.database.upgrade()?.read()?, key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use triumvir_storage::{Database, Limits, Options, Writer};

    fn changes(entries: &[(&str, Option<i64>)]) -> Changes {
        entries
            .iter()
            .map(|(key, value)| (Key::from(*key), value.map(Value::from)))
            .collect()
    }

    #[test]
    fn the_overlay_is_over_the_database_until_the_same_commit_has_landed() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path(), &Options::default()).unwrap();
        let store = Store::new(database.downgrade());
        let writer = Writer::start(&database, Limits::default());
        let (one, two) = (
            changes(&[("a", Some(1)), ("b", Some(1))]),
            changes(&[("a", None)]),
        );
        let stored = one.clone();
        let (done, forced) = std::sync::mpsc::channel();
        writer.submit(
            0,
            move |write| KvTables::apply(write, &stored),
            move |result| done.send(result).unwrap(),
        );
        forced.recv().unwrap().unwrap();

        let key = Key::from("a");
        assert_eq!(store.value(&key).unwrap(), Some(Value::from(1)));
        store.show(1, &one);
        store.show(2, &two);
        let gets = Operations::new(vec![Operation::Get { key: key.clone() }]).unwrap();
        let view = store.view(gets);
        assert_eq!(view.value(&key).unwrap(), None);
        store.landed(1, &one);
        assert_eq!(store.value(&key).unwrap(), None);
        let both = [key.clone(), Key::from("b")];
        assert_eq!(store.values(&both).unwrap(), [None, Some(Value::from(1))]);
        let scan =
            |prefix: &[u8], bytes_max| store.snapshot(prefix).unwrap().entries(bytes_max).unwrap();
        let b = vec![(Key::from("b"), Value::from(1))];
        assert_eq!(scan(b"", 100), Some(b));
        assert_eq!(scan(b"", 5), None);
        assert_eq!(scan(b"a", 100), Some(Vec::new()));
        // Here it leaves the overlay without being stored: whoever has begun still sees it.
        store.landed(2, &two);
        assert_eq!(view.value(&key).unwrap(), None);
        assert_eq!(store.value(&key).unwrap(), Some(Value::from(1)));
    }
}
