//! A modelled world around the real machines: one log, replicas that have applied prefixes of it,
//! participants with disks and resources, and messages as a bag. Everything that the protocol must
//! stand is a method here; nothing here decides anything.

mod node;
mod replica;
mod text;

use std::collections::{BTreeMap, BTreeSet};

pub(crate) use node::{Node, Plan};
pub(crate) use replica::{Ask, Replica};
use triumvir_protocol::invariants::{self, Chronicle, Said, Told, View, Violation, Word};
use triumvir_protocol::{
    Answer, Caller, ConductorTimer, Digest, Epoch, Horizon, Inquiry, Mode, ParticipantId,
    ParticipantTimer, Record, ReplicaId, Reply, Request, Rules, Terms, TxnId, Work,
};

/// Where a message comes from or goes to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Party {
    Replica(ReplicaId),
    Node(ParticipantId),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Body {
    Request(Epoch, Request),
    Answer(Answer),
    Inquiry(Inquiry),
}

/// A message under way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Envelope {
    pub(crate) from: Party,
    pub(crate) to: Party,
    pub(crate) txn: TxnId,
    pub(crate) digest: Digest,
    pub(crate) horizon: Horizon,
    pub(crate) body: Body,
}

impl Envelope {
    /// What a message that is no answer says, and by what.
    fn word<'a>(
        &'a self,
        replicas: &'a BTreeMap<ReplicaId, Replica>,
        upon: Option<&'a (ParticipantId, Digest, Answer)>,
    ) -> Word<'a> {
        let (from, applied) = match self.from {
            Party::Node(id) => (Some(id), None),
            Party::Replica(id) => (None, Some(&replicas[&id].coordinator)),
        };
        let request = match &self.body {
            Body::Request(_, request) => Some(request),
            Body::Answer(_) | Body::Inquiry(_) => None,
        };
        Word {
            from,
            txn: self.txn,
            digest: self.digest,
            request,
            applied,
            upon: upon.map(|(peer, digest, answer)| (*peer, *digest, answer)),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Timer {
    Conductor(ReplicaId, TxnId, ConductorTimer),
    Participant(ParticipantId, TxnId, ParticipantTimer),
}

/// What a client submits, under a letter for the transcript.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    pub(crate) letter: char,
    pub(crate) terms: Terms,
    pub(crate) work: BTreeMap<ParticipantId, Work>,
}

/// What a client asked, and what it heard.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) txn: TxnId,
    pub(crate) digest: Option<Digest>,
    pub(crate) reply: Option<Reply>,
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) rules: Rules,
    pub(crate) contents: Vec<Content>,
    pub(crate) log: Vec<Record>,
    /// Proposed and not appended: may be appended at any time, or never.
    pub(crate) limbo: Vec<(ReplicaId, Record)>,
    pub(crate) replicas: BTreeMap<ReplicaId, Replica>,
    pub(crate) nodes: BTreeMap<ParticipantId, Node>,
    pub(crate) bag: Vec<Envelope>,
    pub(crate) timers: BTreeSet<Timer>,
    pub(crate) callers: BTreeMap<Caller, Asked>,
    pub(crate) past: Chronicle,
    pub(crate) trace: Vec<String>,
    pub(crate) alarms: usize,
    /// Whether participants' frames carry their horizon, too.
    pub(crate) peers_tell: bool,
    violation: Option<Violation>,
    /// Words and replies since the last step.
    said: Vec<(ParticipantId, TxnId, Digest, Answer)>,
    /// Requests and inquiries since then.
    words: Vec<Envelope>,
    /// The answer that has just arrived at a participant, from whom.
    upon: Option<(ParticipantId, Digest, Answer)>,
    told: Vec<(TxnId, Option<Digest>, Reply)>,
}

impl World {
    pub(crate) fn new(rules: Rules, replicas: u64, participants: u32) -> Self {
        let ids = (1..=participants).map(ParticipantId);
        Self {
            rules,
            contents: Vec::new(),
            log: Vec::new(),
            limbo: Vec::new(),
            replicas: (1..=replicas)
                .map(|id| (ReplicaId(id), Replica::new(rules)))
                .collect(),
            nodes: ids.map(|id| (id, Node::new(rules, id))).collect(),
            bag: Vec::new(),
            timers: BTreeSet::new(),
            callers: BTreeMap::new(),
            past: Chronicle::default(),
            trace: Vec::new(),
            alarms: 0,
            peers_tell: true,
            violation: None,
            said: Vec::new(),
            words: Vec::new(),
            upon: None,
            told: Vec::new(),
        }
    }

    /// Makes a content known: `parts` with their work, or with a payload of its own. Returns its
    /// index.
    pub(crate) fn content(&mut self, mode: Mode, parts: &[(ParticipantId, Option<Work>)]) -> usize {
        let letter = char::from(b'a' + u8::try_from(self.contents.len()).expect("few contents"));
        let work: BTreeMap<_, _> = parts
            .iter()
            .map(|(id, work)| {
                let own = format!("{letter} for {id}");
                let payload = Work::Payload(own.as_bytes().into());
                (*id, work.clone().unwrap_or(payload))
            })
            .collect();
        let list: Vec<_> = work.clone().into_iter().collect();
        let terms = Terms::under(self.rules, mode, &list).expect("a transaction");
        self.contents.push(Content {
            letter,
            terms,
            work,
        });
        self.contents.len() - 1
    }

    pub(crate) fn say(&mut self, line: String) {
        self.trace.push(line);
    }

    pub(crate) fn post(&mut self, envelope: Envelope) {
        self.say(format!("  {}", self.envelope(&envelope)));
        if let (Party::Node(from), Body::Answer(answer)) = (envelope.from, &envelope.body) {
            let said = (from, envelope.txn, envelope.digest, answer.clone());
            self.said.push(said);
        } else {
            self.words.push(envelope.clone());
        }
        self.bag.push(envelope);
    }

    /// Takes message `index` out of the bag and delivers it.
    pub(crate) fn deliver(&mut self, index: usize) {
        let envelope = self.bag.remove(index);
        self.deliver_copy(envelope);
    }

    /// Delivers a message that may well be delivered again.
    pub(crate) fn deliver_copy(&mut self, envelope: Envelope) {
        self.say(format!("deliver {}", self.envelope(&envelope)));
        match envelope.to {
            Party::Node(to) => self.deliver_to_node(to, envelope, false),
            Party::Replica(to) => self.deliver_to_replica(to, envelope),
        }
    }

    /// Appends proposal `index` to the log.
    pub(crate) fn append(&mut self, index: usize) {
        let (from, record) = self.limbo.remove(index);
        self.log.push(record);
        let (at, record) = (self.log.len(), self.log.last().expect("just pushed"));
        let line = format!("log {at}: {} of {from}", self.record(record));
        self.say(line);
    }

    /// The first property that did not hold since the last call.
    pub(crate) fn check(&mut self) -> Result<(), Violation> {
        self.violation.take().map_or(Ok(()), Err)
    }

    /// Checks the moment's view against all that was; every step ends with it.
    fn observe(&mut self) {
        let told = std::mem::take(&mut self.told);
        let said = std::mem::take(&mut self.said);
        let words = std::mem::take(&mut self.words);
        let upon = self.upon.take();
        for content in &self.contents {
            for txn in self.callers.values().map(|asked| asked.txn) {
                self.past.name(txn, &content.terms);
            }
        }
        let view = View {
            coordinators: self.replicas.values().map(|r| &r.coordinator).collect(),
            participants: self.nodes.iter().map(|(id, n)| (*id, n.stored())).collect(),
            told: told
                .iter()
                .map(|(txn, digest, reply)| Told {
                    txn: *txn,
                    digest: *digest,
                    reply,
                })
                .collect(),
            said: said
                .iter()
                .map(|(from, txn, digest, answer)| Said {
                    from: *from,
                    txn: *txn,
                    digest: *digest,
                    answer,
                })
                .collect(),
        };
        let verdict = invariants::check(&mut self.past, &view).and_then(|()| {
            let words = words
                .iter()
                .map(|envelope| envelope.word(&self.replicas, upon.as_ref()));
            let words: Vec<_> = words.collect();
            invariants::check_words(&self.past, &view, &words)
        });
        self.violation = self.violation.take().or(verdict.err());
    }

    /// A caller has heard.
    pub(crate) fn hear(&mut self, caller: Caller, txn: TxnId, reply: Reply) {
        self.say(format!("  c{} hears {}", caller.0, self.reply(txn, &reply)));
        let asked = self.callers.get_mut(&caller).expect("it asked");
        assert_eq!(asked.txn, txn, "the answer is about what was asked");
        self.told.push((txn, asked.digest, reply.clone()));
        let before = asked.reply.replace(reply);
        assert!(before.is_none(), "c{} is answered twice", caller.0);
    }
}
