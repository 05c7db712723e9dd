//! Messages under way: a set. One that was sent may arrive at any later time, again, or never.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use triumvir_protocol::{Answer, Digest, Epoch, Inquiry, ParticipantId, Request};

use crate::shared::hash;

/// What is said.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Body {
    Request(Epoch, Request),
    Answer(Answer),
    Inquiry(Inquiry),
}

/// A message. `None`: the coordinators, of which any may receive what is meant for one, as a replica
/// may lead again.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Envelope {
    pub(crate) from: Option<ParticipantId>,
    pub(crate) to: Option<ParticipantId>,
    pub(crate) digest: Digest,
    pub(crate) body: Body,
}

/// All messages, by their hashes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Network {
    messages: Arc<Vec<(u64, Arc<Envelope>)>>,
}

impl Network {
    /// Returns whether it is a new one.
    pub(crate) fn post(&mut self, envelope: Envelope) -> bool {
        let key = hash(&envelope);
        match self.messages.binary_search_by_key(&key, |(key, _)| *key) {
            Ok(_) => false,
            Err(place) => {
                Arc::make_mut(&mut self.messages).insert(place, (key, Arc::new(envelope)));
                true
            }
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &(u64, Arc<Envelope>)> {
        self.messages.iter()
    }

    pub(crate) fn contains(&self, envelope: &Envelope) -> bool {
        let key = hash(envelope);
        let place = self.messages.binary_search_by_key(&key, |(key, _)| *key);
        place.is_ok()
    }

    pub(crate) fn find(&self, key: u64) -> Option<Arc<Envelope>> {
        let place = self.messages.binary_search_by_key(&key, |(key, _)| *key);
        Some(Arc::clone(&self.messages[place.ok()?].1))
    }

    pub(crate) fn retain(&mut self, keep: impl Fn(&Envelope) -> bool) {
        if self.messages.iter().any(|(_, envelope)| !keep(envelope)) {
            Arc::make_mut(&mut self.messages).retain(|(_, envelope)| keep(envelope));
        }
    }
}

impl PartialEq for Network {
    fn eq(&self, other: &Self) -> bool {
        let keys = |n: &Self| n.messages.iter().map(|(key, _)| *key).collect::<Vec<_>>();
        keys(self) == keys(other)
    }
}

impl Eq for Network {}

impl Hash for Network {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_usize(self.messages.len());
        for (key, _) in self.messages.iter() {
            state.write_u64(*key);
        }
    }
}
