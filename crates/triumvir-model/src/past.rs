//! What an onlooker knows, as a part of the state: two executions that differ in what was durable or
//! said differ in it.

use triumvir_protocol::invariants::{
    Chronicle, Said, Told, View, Violation, Word, check_words, violations,
};
use triumvir_protocol::{Answer, Coordinator, Digest, ParticipantId, Reply};

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

/// By what somebody may know what it says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cause {
    /// The log as far as a seat or a replica has applied it.
    pub(crate) applied: Option<Shared<Coordinator>>,
    /// What a participant has just received.
    pub(crate) message: Option<Shared<Envelope>>,
}

impl Cause {
    fn upon(&self) -> Option<(ParticipantId, Digest, &Answer)> {
        let message = self.message.as_deref()?;
        match (message.from, &message.body) {
            (Some(from), Body::Answer(answer)) => Some((from, message.digest, answer)),
            _ => None,
        }
    }
}

impl Sight<'_> {
    pub(crate) fn key(&self) -> u64 {
        hash(self)
    }

    /// What is known with it, and what it contradicts.
    pub(crate) fn observe(&self) -> (Shared<Chronicle>, Vec<Violation>) {
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
            told: told.collect(),
            said: said.collect(),
            ..self.view()
        };
        let mut next = (**self.past).clone();
        let broken = violations(&mut next, &view);
        (Shared::new(next), broken)
    }

    /// Whether requests and inquiries among `words` assert what is not so, or what who says it cannot
    /// know, with all of this known.
    pub(crate) fn contradicts(&self, words: &[(Shared<Envelope>, Cause)]) -> Option<Violation> {
        let words = words.iter().filter_map(|(envelope, cause)| {
            let request = match &envelope.body {
                Body::Request(_, request) => Some(request),
                Body::Inquiry(_) => None,
                Body::Answer(_) => return None,
            };
            let (from, txn, digest) = (envelope.from, TXN, envelope.digest);
            Some(Word {
                from,
                txn,
                digest,
                request,
                applied: cause.applied.as_deref(),
                upon: cause.upon(),
            })
        });
        let words: Vec<_> = words.collect();
        check_words(self.past, &self.view(), &words).err()
    }

    fn view(&self) -> View<'_> {
        let participants = self.nodes.iter();
        View {
            coordinators: vec![self.head],
            participants: participants
                .map(|node| (node.machine.id(), node.stored()))
                .collect(),
            ..View::default()
        }
    }
}
