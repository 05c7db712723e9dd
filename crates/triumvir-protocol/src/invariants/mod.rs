//! One predicate per invariant of docs/protocol.md, "Invariants", over a view of a whole system. The
//! model checker, the simulator and the tests share them. Pure: nothing here drives a machine, and
//! nothing that a participant or a leader could not have made durable or said is looked at.

mod abort_evidence;
mod agreement;
mod chronicle;
mod client_truth;
mod closure;
mod durability;
mod forget;
mod forget_in_doubt;
mod isolation;
mod one_value;
#[cfg(test)]
mod pair;
mod resurrection;
mod stability;
mod validity;
mod witness;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

pub use chronicle::{Chronicle, Vote};

use crate::{
    Answer, Branch, Coordinator, Digest, Horizon, Outcome, ParticipantId, Reply, Request, TxnId,
    Value,
};

/// A whole system at one moment, as an onlooker sees it.
#[derive(Clone, Debug, Default)]
pub struct View<'a> {
    /// Every replica's applied state.
    pub coordinators: Vec<&'a Coordinator>,
    /// What every participant would find after a restart.
    pub participants: BTreeMap<ParticipantId, Stored<'a>>,
    /// What was told to clients since the last view.
    pub told: Vec<Told<'a>>,
    /// What participants have said since the last view, to whomever.
    pub said: Vec<Said<'a>>,
}

/// One participant's disk, and what its resource did.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a> {
    /// The horizon on disk.
    pub horizon: Horizon,
    /// The branches on disk.
    pub branches: &'a BTreeMap<TxnId, Branch>,
    /// What the resource did for good, for every branch that it ever prepared.
    pub effects: &'a BTreeMap<(TxnId, Digest), Outcome>,
    /// The transactions that hold locks.
    pub locked: &'a BTreeSet<TxnId>,
}

/// A reply to a client.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// The transaction.
    pub txn: TxnId,
    /// The content that the client asked about; none if it only knows the id.
    pub digest: Option<Digest>,
    /// What it was told.
    pub reply: &'a Reply,
}

/// A participant's word about its own branch.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    /// Whose word.
    pub from: ParticipantId,
    /// The transaction.
    pub txn: TxnId,
    /// The content.
    pub digest: Digest,
    /// The word.
    pub answer: &'a Answer,
}

/// What is said that is no answer, by a participant or by a leader.
#[derive(Clone, Copy, Debug)]
pub struct Word<'a> {
    /// Whose word; none: a leader's.
    pub from: Option<ParticipantId>,
    /// The transaction.
    pub txn: TxnId,
    /// The content.
    pub digest: Digest,
    /// What is asked or told; none: an inquiry.
    pub request: Option<&'a Request>,
    /// The log as far as the sender has applied it; none: a participant's word.
    pub applied: Option<&'a Coordinator>,
    /// The peer's answer, and the content that it is about, that a participant says it upon, if one has
    /// just arrived.
    pub upon: Option<(ParticipantId, Digest, &'a Answer)>,
}

/// A property that does not hold.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{property} does not hold: {detail}")]
pub struct Violation {
    /// The name in docs/protocol.md, "Invariants".
    pub property: &'static str,
    /// What contradicts it.
    pub detail: String,
}

impl Violation {
    fn new(property: &'static str, detail: impl fmt::Display) -> Self {
        let detail = detail.to_string();
        Self { property, detail }
    }
}

type Verdict = Result<(), Violation>;

/// Checks one step of an execution, from what `past` has seen to `view`, and adds `view` to `past`. The
/// first property that does not hold, if one does not.
pub fn check(past: &mut Chronicle, view: &View<'_>) -> Result<(), Violation> {
    let mut all = violations(past, view).into_iter();
    all.next().map_or(Ok(()), Err)
}

/// The same, with every property that does not hold.
pub fn violations(past: &mut Chronicle, view: &View<'_>) -> Vec<Violation> {
    let step = [
        stability::check(past, view),
        resurrection::check(past, view),
    ];
    let forgotten = forget_in_doubt::check(past, view);
    past.observe(view);
    let rest = [
        agreement::check(past),
        validity::check(past),
        client_truth::check(past),
        one_value::check(past),
        witness::check(past),
        abort_evidence::check(past),
        closure::check(past),
        forget::check(past),
        forgotten,
        durability::check(past, view),
        isolation::check(view),
    ];
    let all = step.into_iter().chain(rest);
    all.filter_map(Result::err).collect()
}

/// Checks what was said at the moment of `view`, which `past` has seen: requests and inquiries, of
/// participants and leaders. An outcome that is told is certain, and the sender has evidence of it.
pub fn check_words(past: &Chronicle, view: &View<'_>, words: &[Word<'_>]) -> Result<(), Violation> {
    words::check(past, view, words)
}

fn opposite(value: Value) -> Value {
    match value {
        Value::Commit => Value::Abort,
        Value::Abort => Value::Commit,
    }
}
