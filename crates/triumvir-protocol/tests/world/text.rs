//! How the world is written down: transactions t1, t2.., contents a, b.., participants p1.., replicas
//! n1.., ballots round.owner.

use triumvir_protocol::{
    AbortCause, Accepted, Action, Answer, Ballot, Branch, BranchState, Digest, Force, Mode, Record,
    Reply, Request, Standing, TxnId, Value,
};

use super::replica::Ask;
use super::{Body, Envelope, Party, World};

fn value(value: Value) -> &'static str {
    match value {
        Value::Commit => "commit",
        Value::Abort => "abort",
    }
}

fn accepted(accepted: Option<Accepted>) -> String {
    accepted.map_or_else(String::new, |a| {
        format!(" accepted {}@{}", value(a.value), a.ballot)
    })
}

fn list(ids: &[impl std::fmt::Display]) -> String {
    let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
    format!("[{}]", ids.join(" "))
}

fn party(party: Party) -> String {
    match party {
        Party::Replica(id) => id.to_string(),
        Party::Node(id) => id.to_string(),
    }
}

impl World {
    pub(crate) fn txn(&self, txn: TxnId) -> String {
        format!("t{}", txn.as_u128())
    }

    fn letter(&self, digest: Digest) -> char {
        let own = self.contents.iter().find(|c| c.terms.digest == digest);
        own.map_or('?', |content| content.letter)
    }

    fn key(&self, txn: TxnId, digest: Digest) -> String {
        format!("{}{}", self.txn(txn), self.letter(digest))
    }

    pub(crate) fn envelope(&self, envelope: &Envelope) -> String {
        let key = self.key(envelope.txn, envelope.digest);
        let body = match &envelope.body {
            Body::Request(_, request) => self.request(request),
            Body::Answer(answer) => self.answer(answer),
            Body::Inquiry(_) => "INQUIRY".into(),
        };
        let (from, to) = (party(envelope.from), party(envelope.to));
        format!("{from} -> {to}: {body} {key}")
    }

    fn request(&self, request: &Request) -> String {
        match request {
            Request::CanCommit { work: Some(_), .. } => "CAN-COMMIT with work".into(),
            Request::CanCommit { work: None, .. } => "CAN-COMMIT".into(),
            Request::Accept { ballot, value } => match (value, ballot.is_peer()) {
                (Value::Commit, false) => format!("PRE-COMMIT@{ballot}"),
                _ => format!("ACCEPT {}@{ballot}", self::value(*value)),
            },
            Request::Fence { ballot } => format!("FENCE {ballot}"),
            Request::DoCommit => "DO-COMMIT".into(),
            Request::Abort => "ABORT".into(),
            Request::Poll => "POLL".into(),
            Request::Horizon(horizon) => format!("HORIZON({})", self.txn(horizon.0)),
        }
    }

    fn answer(&self, answer: &Answer) -> String {
        let ballot = |word: &str, ballot: &Ballot, acc: &Option<Accepted>| {
            format!("{word} {ballot}{}", accepted(*acc))
        };
        match answer {
            Answer::Yes { .. } => "YES".into(),
            Answer::Read { .. } => "READ".into(),
            Answer::No { reason } => format!("NO ({})", reason.code()),
            Answer::NeedPayload => "NEED-PAYLOAD".into(),
            Answer::Ack { ballot } => format!("ACK@{ballot}"),
            Answer::Promise {
                ballot: at,
                accepted,
            } => ballot("PROMISE", at, accepted),
            Answer::Refuse { promised, accepted } => ballot("REFUSE", promised, accepted),
            Answer::Prepared { promised, accepted } => ballot("PREPARED", promised, accepted),
            Answer::Decided => "DECIDED".into(),
            Answer::Committed { results: Some(_) } => "COMMITTED with results".into(),
            Answer::Committed { results: None } => "COMMITTED".into(),
            Answer::Aborted => "ABORTED".into(),
            Answer::Forgotten { horizon } => format!("FORGOTTEN({})", self.txn(horizon.0)),
        }
    }

    pub(crate) fn record(&self, record: &Record) -> String {
        match record {
            Record::PreCommit { txn, terms, voters } => {
                let mode = match terms.mode {
                    Mode::ThreePhase => "",
                    Mode::TwoPhase => " two-phase",
                };
                let key = self.key(*txn, terms.digest);
                format!("PRE-COMMIT {key}{mode} voters {}", list(voters))
            }
            Record::Abort {
                txn,
                digest,
                reason,
            } => {
                let key = match digest {
                    Some(digest) => self.key(*txn, *digest),
                    None => self.txn(*txn),
                };
                format!("ABORT {key} ({reason:?})")
            }
            Record::Accept {
                txn,
                ballot,
                value,
                expected,
            } => {
                let (txn, value) = (self.txn(*txn), self::value(*value));
                format!("ACCEPT {value}@{ballot} {txn} expecting {expected}")
            }
            Record::End { txn, outcome } => format!("END {} {}", value(*outcome), self.txn(*txn)),
            Record::Horizon(horizon) => format!("HORIZON {}", self.txn(horizon.0)),
            Record::Activate { replica, .. } => format!("ACTIVATE {replica}"),
            Record::Register(register) => format!("REGISTER {}", register.name),
            Record::Remove { participant } => format!("REMOVE {participant}"),
        }
    }

    pub(super) fn branch(&self, branch: &Branch) -> String {
        match &branch.state {
            BranchState::Prepared {
                promised,
                accepted: acc,
                ..
            } => format!("PREPARED promised {promised}{}", accepted(*acc)),
            BranchState::PreCommitted { ballot, .. } => format!("PRECOMMITTED@{ballot}"),
            BranchState::Read {
                released: false, ..
            } => "READ".into(),
            BranchState::Read { released: true, .. } => "READ released".into(),
            BranchState::Committed => "COMMITTED".into(),
            BranchState::Aborted => "ABORTED".into(),
            BranchState::Refused(reason) => format!("REFUSED ({})", reason.code()),
        }
    }

    pub(super) fn forced(&self, force: &Force) -> String {
        match force {
            Force::Branch(txn, branch) => {
                format!("{} {}", self.key(*txn, branch.digest), self.branch(branch))
            }
            Force::Horizon(horizon) => format!("HORIZON {}", self.txn(horizon.0)),
            Force::Forget(txn) => format!("FORGET {}", self.txn(*txn)),
        }
    }

    pub(super) fn action(&self, txn: TxnId, action: &Action) -> String {
        let word = match action {
            Action::Prepare { .. } => "prepare",
            Action::Cancel => "cancel",
            Action::Commit => "commit",
            Action::Abort => "abort",
            Action::Release => "release",
        };
        format!("{word} {}", self.txn(txn))
    }

    pub(super) fn asking(&self, txn: TxnId, ask: Ask) -> String {
        let key = self.txn(txn);
        match ask {
            Ask::Commit(index) => format!("commit {key}{}", self.contents[index].letter),
            Ask::Outcome { decide: false } => format!("outcome {key}"),
            Ask::Outcome { decide: true } => format!("decide {key}"),
            Ask::Abort => format!("abort {key}"),
        }
    }

    pub(super) fn reply(&self, txn: TxnId, reply: &Reply) -> String {
        let key = self.txn(txn);
        match reply {
            Reply::Committed { results } => {
                let of: Vec<_> = results.keys().collect();
                format!("COMMITTED {key} results {}", list(&of))
            }
            Reply::Aborted(cause) => match cause {
                AbortCause::No(id, reason) => {
                    format!("ABORTED {key}: NO of {id} ({})", reason.code())
                }
                AbortCause::Recorded(reason) => format!("ABORTED {key}: {reason:?}"),
                AbortCause::Unexplained => format!("ABORTED {key}"),
            },
            Reply::IdInUse => format!("ID IN USE {key}"),
            Reply::Expired => format!("EXPIRED {key}"),
            Reply::Busy => format!("BUSY {key}"),
            Reply::Contested => format!("CONTESTED {key}"),
            Reply::NoRecord => format!("NO RECORD {key}"),
        }
    }

    /// The whole state, one line each.
    pub(crate) fn picture(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (id, replica) in &self.replicas {
            let state = &replica.coordinator;
            let leads = if replica.conductor.is_some() {
                ", conducts"
            } else {
                ""
            };
            lines.push(format!(
                "{id}: applied {}{leads}, horizon {}",
                replica.applied,
                self.txn(state.horizon().0)
            ));
            for txn in state.open().keys().chain(state.ended().keys()) {
                lines.push(format!("  {}", self.standing(*txn, state.standing(*txn))));
            }
            for (txn, digest, phase) in replica.conductor.iter().flat_map(|c| c.flights()) {
                lines.push(format!("  flight {} {phase:?}", self.key(txn, digest)));
            }
        }
        for (id, node) in &self.nodes {
            let down = if node.machine.is_none() { ", down" } else { "" };
            lines.push(format!(
                "{id}: horizon {}{down}",
                self.txn(node.horizon().0)
            ));
            for (txn, branch) in node.branches() {
                let lock = if node.locked.contains(txn) {
                    ", locked"
                } else {
                    ""
                };
                let key = self.key(*txn, branch.digest);
                lines.push(format!("  {key} {}{lock}", self.branch(branch)));
            }
        }
        lines
    }

    fn standing(&self, txn: TxnId, standing: Standing<'_>) -> String {
        match standing {
            Standing::Open(open) => format!(
                "record {}{} voters {}",
                self.key(txn, open.terms.digest),
                accepted(Some(open.accepted)),
                list(&open.voters)
            ),
            Standing::Ended(ended) => format!("ended {} {}", self.txn(txn), value(ended.outcome)),
            Standing::Absent | Standing::Forgotten => format!("no record {}", self.txn(txn)),
        }
    }
}
