//! What the owner task shows of its state to everyone else in the process: a value that is
//! replaced, never changed in place.

use std::collections::BTreeMap;
use std::sync::Arc;

use triumvir_protocol::{Coordinator, Epoch, ParticipantId};
use triumvir_wire::v1;

/// What everyone may know of this replica now.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    /// The activation under which this replica leads.
    pub(crate) leading: Option<Epoch>,
    /// The replica that leads, as far as is known.
    pub(crate) leader: Option<u64>,
    /// The participants.
    pub(crate) directory: Arc<Directory>,
    /// The replica was asked to drain, and nothing is under way: it may hand on its leadership.
    pub(crate) idle: bool,
}

/// The registered participants and the members, as of some point of the log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Directory {
    /// Grows with every change.
    pub(crate) version: u64,
    ids: BTreeMap<Arc<str>, ParticipantId>,
    names: BTreeMap<ParticipantId, Arc<str>>,
    /// As it is sent to participants.
    pub(crate) wire: v1::Directory,
}

impl Directory {
    pub(crate) fn of(
        coordinator: &Coordinator,
        version: u64,
        replicas: Option<v1::ReplicaDirectory>,
    ) -> Self {
        let participants = coordinator.participants();
        let entry =
            |(id, known): (&ParticipantId, &triumvir_protocol::Registration)| v1::DirectoryEntry {
                participant: id.0,
                name: known.name.to_string(),
                address: known.address.to_string(),
                incarnation: known.incarnation.0,
            };
        let current = participants.iter().filter(|(_, known)| known.is_current());
        Self {
            version,
            // Of those with one name, the last one to have it stays.
            ids: participants
                .iter()
                .map(|(id, known)| (known.name.clone(), *id))
                .collect(),
            names: participants
                .iter()
                .map(|(id, known)| (*id, known.name.clone()))
                .collect(),
            wire: v1::Directory {
                entries: current.map(entry).collect(),
                replicas,
            },
        }
    }

    /// The participant that has `name` now, or had it last and is removed. A transaction that names
    /// one of these is found again if it has a record, and else aborted for it.
    pub(crate) fn id(&self, name: &str) -> Option<ParticipantId> {
        self.ids.get(name).copied()
    }

    /// Whether `name` belonged to another participant before the present one.
    pub(crate) fn was_replaced(&self, name: &str) -> bool {
        let current = self.id(name);
        let mut named = self.names.iter().filter(|(_, own)| own.as_ref() == name);
        named.any(|(id, _)| Some(*id) != current)
    }

    /// The name of `id`, or its number.
    pub(crate) fn name(&self, id: ParticipantId) -> String {
        self.names
            .get(&id)
            .map_or_else(|| id.to_string(), ToString::to_string)
    }
}
