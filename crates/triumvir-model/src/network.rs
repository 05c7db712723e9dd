//! Messages under way: a set. One that was sent may arrive at any later time, again, or never.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use triumvir_protocol::{Answer, Digest, Epoch, Inquiry, ParticipantId, Request};

use crate::shared::Shared;

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

/// All messages, ascending by hash.
#[derive(Clone, Debug, Default)]
pub(crate) struct Network {
    messages: Arc<Vec<Shared<Envelope>>>,
    /// The sum of their hashes: that of the set.
    sum: u64,
}

impl Network {
    pub(crate) fn post(&mut self, envelope: &Shared<Envelope>) {
        if let Err(place) = self.place(envelope.hash()) {
            Arc::make_mut(&mut self.messages).insert(place, envelope.clone());
            self.sum = self.sum.wrapping_add(envelope.hash());
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Shared<Envelope>> {
        self.messages.iter()
    }

    pub(crate) fn contains(&self, key: u64) -> bool {
        self.place(key).is_ok()
    }

    pub(crate) fn find(&self, key: u64) -> Option<&Shared<Envelope>> {
        Some(&self.messages[self.place(key).ok()?])
    }

    pub(crate) fn retain(&mut self, keep: impl Fn(&Shared<Envelope>) -> bool) {
        if self.messages.iter().any(|envelope| !keep(envelope)) {
            let sum = &mut self.sum;
            Arc::make_mut(&mut self.messages).retain(|envelope| {
                let keeps = keep(envelope);
                if !keeps {
                    *sum = sum.wrapping_sub(envelope.hash());
                }
                keeps
            });
        }
    }

    fn place(&self, key: u64) -> Result<usize, usize> {
        self.messages.binary_search_by_key(&key, Shared::hash)
    }
}

impl PartialEq for Network {
    fn eq(&self, other: &Self) -> bool {
        (self.sum, self.messages.len()) == (other.sum, other.messages.len())
    }
}

impl Eq for Network {}

impl Hash for Network {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.sum);
    }
}
