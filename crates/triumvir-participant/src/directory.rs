//! Where the other participants are: what the cluster last said, kept on disk, under what the operator
//! says. Nobody is contacted from here.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use triumvir_protocol::{Incarnation, ParticipantId};
use triumvir_storage::{Journal, PeerAddress, Writer};
use triumvir_wire::v1;

/// The peers' addresses.
#[derive(Debug)]
pub(crate) struct Directory {
    overrides: BTreeMap<String, String>,
    known: Mutex<BTreeMap<ParticipantId, PeerAddress>>,
    writer: Writer,
}

impl Directory {
    pub(crate) fn new(
        overrides: BTreeMap<String, String>,
        stored: BTreeMap<ParticipantId, PeerAddress>,
        writer: Writer,
    ) -> Self {
        Self {
            overrides,
            known: Mutex::new(stored),
            writer,
        }
    }

    /// Takes what the cluster says; what is new is stored with the next forced write. A replica that
    /// lags behind may still say where an older start was: that is left out.
    pub(crate) fn refresh(&self, directory: v1::Directory) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut news = Vec::new();
        for entry in directory.entries {
            let id = ParticipantId(entry.participant);
            let place = PeerAddress {
                name: entry.name,
                address: entry.address,
                incarnation: Incarnation(entry.incarnation),
            };
            let newer =
                |have: &PeerAddress| place.incarnation >= have.incarnation && place != *have;
            if known.get(&id).is_none_or(newer) {
                known.insert(id, place.clone());
                news.push((id, place));
            }
        }
        if !news.is_empty() {
            let size = news.len() * 128;
            self.writer.submit_lazy(size, move |write| {
                news.iter()
                    .try_for_each(|(id, place)| Journal::put_peer(write, *id, place))
            });
        }
    }

    /// Where `peer` is reached.
    pub(crate) fn address(&self, peer: ParticipantId) -> Option<String> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let place = known.get(&peer)?;
        Some(
            self.overrides
                .get(&place.name)
                .unwrap_or(&place.address)
                .clone(),
        )
    }

    /// What `peer` is called in logs.
    pub(crate) fn name(&self, peer: ParticipantId) -> String {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .get(&peer)
            .map_or_else(|| peer.to_string(), |place| place.name.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use triumvir_storage::{Database, Limits, Options};

    #[test]
    fn what_an_older_start_registered_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path(), &Options::default()).unwrap();
        let writer = Writer::start(&database, Limits::default());
        let directory = Directory::new(BTreeMap::new(), BTreeMap::new(), writer.clone());
        let peer = ParticipantId(3);
        for (incarnation, address, expected) in [(4, "b", "b"), (3, "a", "b"), (5, "c", "c")] {
            let entry = v1::DirectoryEntry {
                participant: peer.0,
                name: "orders".to_owned(),
                address: address.to_owned(),
                incarnation,
            };
            directory.refresh(v1::Directory {
                entries: vec![entry],
                replicas: None,
            });
            assert_eq!(directory.address(peer).as_deref(), Some(expected));
        }
        writer.shutdown();
        let stored = Journal::load(&database).unwrap().directory;
        assert_eq!(stored[&peer].incarnation, Incarnation(5));
    }
}
