//! Which coordinators there are: those that the operator names, and those that the cluster names once
//! it is heard, which are kept on disk. Nobody is contacted from here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use triumvir_protocol::ReplicaId;
use triumvir_storage::{Coordinators, Journal, Writer};
use triumvir_wire::v1;

/// The coordinators, by what is known of them.
#[derive(Debug)]
pub(crate) struct Replicas {
    /// As the operator names them.
    configured: Vec<String>,
    known: Mutex<Known>,
    changed: watch::Sender<()>,
    writer: Writer,
}

#[derive(Debug, Default)]
struct Known {
    /// As the cluster names them; none: it was never heard.
    members: Option<Coordinators>,
    /// Which replica was last found at an address. An operator may name one otherwise than the
    /// cluster does.
    found: BTreeMap<String, u64>,
}

impl Replicas {
    pub(crate) fn new(
        configured: Vec<String>,
        stored: Option<Coordinators>,
        writer: Writer,
    ) -> Self {
        let known = Known {
            members: stored,
            found: BTreeMap::new(),
        };
        Self {
            configured,
            known: Mutex::new(known),
            changed: watch::Sender::new(()),
            writer,
        }
    }

    /// Takes what the cluster says; what is new is stored with the next forced write. A replica that
    /// lags behind may still name former members: that is left out.
    pub(crate) fn refresh(&self, said: v1::ReplicaDirectory) {
        let mut known = self.lock();
        let have = known.members.as_ref().map(|members| members.version);
        if said.entries.is_empty() || have.is_some_and(|have| have >= said.version) {
            return;
        }
        let entries = said.entries.into_iter();
        let members = Coordinators {
            version: said.version,
            members: entries
                .map(|entry| (entry.replica, entry.address))
                .collect(),
        };
        known.members = Some(members.clone());
        drop(known);
        let size = members.members.len() * 64;
        self.writer.submit_lazy(size, move |write| {
            Journal::put_coordinators(write, &members)
        });
        self.changed.send_replace(());
    }

    /// Takes note of who was found at `address`.
    pub(crate) fn found(&self, address: &str, replica: ReplicaId) {
        let before = self.lock().found.insert(address.to_owned(), replica.0);
        if before != Some(replica.0) {
            self.changed.send_replace(());
        }
    }

    /// The addresses to keep a session with: one for each member, under the operator's name for it if
    /// that is known; and those named by the operator behind which nobody was found yet.
    pub(crate) fn wanted(&self) -> BTreeSet<String> {
        let known = self.lock();
        let members = known.members.as_ref().map(|known| &known.members);
        let has_left = |address: &&String| {
            let found = known.found.get(*address);
            members.is_some_and(|members| {
                !members.values().any(|member| member == *address)
                    && found.is_some_and(|replica| !members.contains_key(replica))
            })
        };
        let configured = self.configured.iter().filter(|address| !has_left(address));
        let mut wanted: BTreeSet<String> = configured.cloned().collect();
        for (replica, address) in members.into_iter().flatten() {
            let mut named = self.configured.iter();
            if !named.any(|name| known.found.get(name) == Some(replica)) {
                wanted.insert(address.clone());
            }
        }
        wanted
    }

    /// Changes whenever [`Replicas::wanted`] may.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use triumvir_storage::{Database, Limits, Options};

    fn said(version: u64, members: &[(u64, &str)]) -> v1::ReplicaDirectory {
        let entries = members.iter().map(|(replica, address)| v1::ReplicaEntry {
            replica: *replica,
            address: (*address).to_owned(),
        });
        v1::ReplicaDirectory {
            version,
            entries: entries.collect(),
        }
    }

    struct Place {
        folder: tempfile::TempDir,
        database: Database,
        writer: Writer,
    }

    impl Place {
        fn new() -> Self {
            Self::open(tempfile::tempdir().unwrap())
        }

        fn open(folder: tempfile::TempDir) -> Self {
            let database = Database::open(folder.path(), &Options::default()).unwrap();
            let writer = Writer::start(&database, Limits::default());
            Self {
                folder,
                database,
                writer,
            }
        }

        fn replicas(&self) -> Replicas {
            let configured = vec!["one:1".to_owned(), "b:2".to_owned()];
            let stored = Journal::load(&self.database).unwrap().coordinators;
            Replicas::new(configured, stored, self.writer.clone())
        }

        /// After a restart of the process.
        fn reopened(self) -> Self {
            self.writer.shutdown();
            let Self {
                folder, database, ..
            } = self;
            drop(database);
            Self::open(folder)
        }
    }

    fn wanted(replicas: &Replicas) -> Vec<String> {
        replicas.wanted().into_iter().collect()
    }

    #[test]
    fn a_new_member_is_wanted_and_a_removed_one_is_not() {
        let place = Place::new();
        let replicas = place.replicas();
        replicas.found("one:1", ReplicaId(1));
        replicas.found("b:2", ReplicaId(2));
        replicas.refresh(said(5, &[(1, "a:1"), (2, "b:2"), (4, "d:4")]));
        assert_eq!(wanted(&replicas), ["b:2", "d:4", "one:1"]);
        replicas.refresh(said(7, &[(2, "b:2"), (4, "d:4")]));
        assert_eq!(wanted(&replicas), ["b:2", "d:4"]);
        replicas.refresh(said(6, &[(1, "a:1"), (2, "b:2")]));
        assert_eq!(wanted(&replicas), ["b:2", "d:4"]);
        drop(replicas);
        let replicas = place.reopened().replicas();
        assert_eq!(wanted(&replicas), ["b:2", "d:4", "one:1"]);
    }

    #[test]
    fn a_member_in_a_former_members_place_is_wanted() {
        let place = Place::new();
        let replicas = place.replicas();
        replicas.found("b:2", ReplicaId(2));
        replicas.refresh(said(5, &[(1, "one:1"), (4, "b:2")]));
        assert_eq!(wanted(&replicas), ["b:2", "one:1"]);
    }

    #[test]
    fn one_replica_under_two_names_has_one_session() {
        let place = Place::new();
        let replicas = place.replicas();
        replicas.refresh(said(5, &[(1, "a:1"), (2, "b:2")]));
        assert_eq!(wanted(&replicas), ["a:1", "b:2", "one:1"]);
        replicas.found("one:1", ReplicaId(1));
        assert_eq!(wanted(&replicas), ["b:2", "one:1"]);
    }
}
