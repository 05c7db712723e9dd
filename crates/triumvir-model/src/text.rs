//! How steps are written down: contents a, b.., participants p1.., leaders n1.. by activation, ballots
//! round.owner. There is one transaction, so its id is left out.

use triumvir_protocol::{
    AbortCause, Accepted, Action as Job, Answer, Branch, BranchState, Digest, Force, Record, Reply,
    Request, Value,
};

use crate::network::{Body, Envelope};
use crate::step::Step;
use crate::{Action, Ask, Bounds};

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

impl Bounds {
    fn letter(&self, digest: Digest) -> char {
        let mut letters = ('a'..).zip(&self.contents);
        letters
            .find(|(_, content)| content.terms.digest == digest)
            .map_or('?', |(letter, _)| letter)
    }

    pub(crate) fn ask(&self, ask: Ask) -> String {
        match ask {
            Ask::Commit(index) => {
                format!("commit {}", self.letter(self.contents[index].terms.digest))
            }
            Ask::Outcome => "outcome".into(),
            Ask::Decide => "decide".into(),
            Ask::Abort => "abort".into(),
        }
    }

    pub(crate) fn envelope(&self, envelope: &Envelope) -> String {
        let name = |id: Option<_>| id.map_or_else(|| "n".into(), |id| format!("{id}"));
        let (from, to) = (name(envelope.from), name(envelope.to));
        let body = match &envelope.body {
            Body::Request(epoch, request) if epoch.0 > 0 => format!("{} of {epoch}", text(request)),
            Body::Request(_, request) => text(request),
            Body::Answer(answer) => self.answer(answer),
            Body::Inquiry(_) => "INQUIRY".into(),
        };
        format!("{from} -> {to}: {body} {}", self.letter(envelope.digest))
    }

    fn answer(&self, answer: &Answer) -> String {
        match answer {
            Answer::Yes { .. } => "YES".into(),
            Answer::Read { .. } => "READ".into(),
            Answer::No { reason } => format!("NO ({})", reason.code()),
            Answer::NeedPayload => "NEED-PAYLOAD".into(),
            Answer::Ack { ballot } => format!("ACK@{ballot}"),
            Answer::Promise {
                ballot,
                accepted: acc,
            } => {
                format!("PROMISE {ballot}{}", accepted(*acc))
            }
            Answer::Refuse {
                promised,
                accepted: acc,
            } => {
                format!("REFUSE {promised}{}", accepted(*acc))
            }
            Answer::Prepared {
                promised,
                accepted: acc,
            } => {
                format!("PREPARED {promised}{}", accepted(*acc))
            }
            Answer::Decided => "DECIDED".into(),
            Answer::Committed { .. } => "COMMITTED".into(),
            Answer::Aborted => "ABORTED".into(),
            Answer::Forgotten { .. } => "FORGOTTEN".into(),
        }
    }

    pub(crate) fn record(&self, record: &Record) -> String {
        match record {
            Record::PreCommit { terms, voters, .. } => {
                format!("PRE-COMMIT {} voters {voters:?}", self.letter(terms.digest))
            }
            Record::Abort { digest, reason, .. } => {
                let letter = digest.map_or_else(String::new, |d| format!(" {}", self.letter(d)));
                format!("ABORT{letter} ({reason:?})")
            }
            Record::Accept {
                ballot,
                value: v,
                expected,
                ..
            } => format!("ACCEPT {}@{ballot} expecting {expected}", value(*v)),
            Record::End { outcome, .. } => format!("END {}", value(*outcome)),
            Record::Horizon(_) => "HORIZON".into(),
            Record::Activate { nonce, .. } => format!("ACTIVATE n{nonce}"),
            Record::Register(_) => "REGISTER".into(),
            Record::Remove { participant } => format!("REMOVE {participant}"),
        }
    }

    fn branch(&self, branch: &Branch) -> String {
        let state = match &branch.state {
            BranchState::Prepared {
                promised,
                accepted: acc,
                ..
            } => format!("PREPARED promised {promised}{}", accepted(*acc)),
            BranchState::PreCommitted { ballot, .. } => format!("PRECOMMITTED@{ballot}"),
            BranchState::Read { released, .. } if *released => "READ released".into(),
            BranchState::Read { .. } => "READ".into(),
            BranchState::Committed => "COMMITTED".into(),
            BranchState::Aborted => "ABORTED".into(),
            BranchState::Refused(reason) => format!("REFUSED ({})", reason.code()),
        };
        format!("{} {state}", self.letter(branch.digest))
    }

    pub(crate) fn force(&self, force: &Force) -> String {
        match force {
            Force::Branch(_, branch) => self.branch(branch),
            Force::Horizon(_) => "HORIZON".into(),
            Force::Forget(_) => "FORGET".into(),
        }
    }

    pub(crate) fn job(&self, job: &Job) -> &'static str {
        match job {
            Job::Prepare { .. } => "prepare",
            Job::Cancel => "cancel",
            Job::Commit => "commit",
            Job::Abort => "abort",
            Job::Release => "release",
        }
    }

    pub(crate) fn reply(&self, reply: &Reply) -> String {
        match reply {
            Reply::Committed { .. } => "COMMITTED".into(),
            Reply::Aborted(AbortCause::No(id, reason)) => {
                format!("ABORTED: NO of {id} ({})", reason.code())
            }
            Reply::Aborted(AbortCause::Recorded(reason)) => format!("ABORTED: {reason:?}"),
            Reply::Aborted(AbortCause::Unexplained) => "ABORTED".into(),
            Reply::IdInUse => "ID IN USE".into(),
            Reply::Expired => "EXPIRED".into(),
            Reply::Busy => "BUSY".into(),
            Reply::Contested => "CONTESTED".into(),
            Reply::NoRecord => "NO RECORD".into(),
        }
    }
}

fn text(request: &Request) -> String {
    match request {
        Request::CanCommit { work: Some(_), .. } => "CAN-COMMIT with work".into(),
        Request::CanCommit { work: None, .. } => "CAN-COMMIT".into(),
        Request::Accept { ballot, value: v } => match (v, ballot.is_peer()) {
            (Value::Commit, false) => format!("PRE-COMMIT@{ballot}"),
            _ => format!("ACCEPT {}@{ballot}", value(*v)),
        },
        Request::Fence { ballot } => format!("FENCE {ballot}"),
        Request::DoCommit => "DO-COMMIT".into(),
        Request::Abort => "ABORT".into(),
        Request::Poll => "POLL".into(),
        Request::Horizon(_) => "HORIZON".into(),
    }
}

impl Step<'_> {
    /// What is about to happen, in a line.
    pub(crate) fn describe(&self, action: Action) -> String {
        let seat = |seat: usize| format!("n{}", seat + 1);
        let node = |node: usize| format!("p{}", node + 1);
        let message = |key| {
            let found = self.state.network.find(key);
            found.map_or_else(String::new, |envelope| self.bounds.envelope(envelope))
        };
        match action {
            Action::Activate => format!("{} is activated", seat(self.state.seats.len())),
            Action::Ask(at, ask) => format!("a client asks {}: {}", seat(at), self.bounds.ask(ask)),
            Action::Append(key) => {
                let record = self.state.limbo.iter().find(|record| record.hash() == key);
                let record = record.map_or_else(String::new, |r| self.bounds.record(r));
                format!("the log takes {record}")
            }
            Action::Apply(at) => {
                let record = self.state.seats[at].behind.first();
                let record = record.map_or_else(String::new, |r| self.bounds.record(r));
                format!("{} applies {record}", seat(at))
            }
            Action::Idle(at) => format!("{} applies a record that changes nothing", seat(at)),
            Action::Receive(at, key) if at == self.state.seats.len() => {
                format!("a replica receives {}", message(key))
            }
            Action::Receive(at, key) => format!("{} receives {}", seat(at), message(key)),
            Action::Timeout(at, timer) => format!("{}: timer {timer:?}", seat(at)),
            Action::Want(at) => format!("{} wants the horizon to pass", seat(at)),
            Action::Deliver(at, key) => format!("{} receives {}", node(at), message(key)),
            Action::Tear(at, key) => {
                format!(
                    "{} receives {} and crashes before its force",
                    node(at),
                    message(key)
                )
            }
            Action::Learn(at) => format!("{} hears of the horizon", node(at)),
            Action::Work(at, vote) => match self.state.nodes[at].jobs.front() {
                Some((_, Job::Prepare { .. })) => format!("{} has prepared: {vote:?}", node(at)),
                Some((_, job)) => format!("{} has done: {}", node(at), self.bounds.job(job)),
                None => format!("{} has nothing to do", node(at)),
            },
            Action::Operate(at) => format!("{} does an operation", node(at)),
            Action::Fire(at, timer) => format!("{}: timer {timer:?}", node(at)),
            Action::Pair(at) => format!("{}: timer Inquire, twice", node(at)),
            Action::Round(at, answers) => {
                let name = node(at);
                let answers: Vec<_> = answers.into_iter().flatten().map(message).collect();
                format!(
                    "{name}: timers Inquire and Fence, between them [{}]",
                    answers.join(", ")
                )
            }
            Action::Restart(at) => format!("{} restarts", node(at)),
        }
    }
}
