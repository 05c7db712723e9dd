//! What an onlooker knows, as a part of the state: two executions that differ in what was durable or
//! said differ in it.

use triumvir_protocol::invariants::{Chronicle, Said, Told, View, Violation, check};
use triumvir_protocol::{Coordinator, Digest, Reply};

use crate::network::{Body, Envelope};
use crate::node::Node;
use crate::shared::{Shared, hash};
use crate::state::TXN;

/// What is to be seen at one moment, and what was said since the last.
#[derive(Hash)]
pub(crate) struct Sight<'a> {
    pub(crate) past: &'a Shared<Chronicle>,
    pub(crate) head: &'a Shared<Coordinator>,
    pub(crate) nodes: &'a [Shared<Node>],
    /// Answers of participants.
    pub(crate) said: &'a [Shared<Envelope>],
    pub(crate) told: &'a [(Option<Digest>, Reply)],
}

impl Sight<'_> {
    pub(crate) fn key(&self) -> u64 {
        hash(self)
    }

    /// What is known with it, and the property that it contradicts.
    pub(crate) fn observe(&self) -> (Shared<Chronicle>, Option<Violation>) {
        let participants = self.nodes.iter();
        let said = self.said.iter().filter_map(|envelope| {
            let (Some(from), Body::Answer(answer)) = (envelope.from, &envelope.body) else {
                return None;
            };
            let (txn, digest) = (TXN, envelope.digest);
            Some(Said {
                from,
                txn,
                digest,
                answer,
            })
        });
        let told = self.told.iter().map(|(digest, reply)| Told {
            txn: TXN,
            digest: *digest,
            reply,
        });
        let view = View {
            coordinators: vec![self.head],
            participants: participants
                .map(|node| (node.machine.id(), node.stored()))
                .collect(),
            told: told.collect(),
            said: said.collect(),
        };
        let mut next = (**self.past).clone();
        let verdict = check(&mut next, &view);
        (Shared::new(next), verdict.err())
    }
}
