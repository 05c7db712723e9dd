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
mod isolation;
mod one_value;
mod resurrection;
mod stability;
mod validity;
mod witness;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

pub use chronicle::{Chronicle, Vote};

use crate::{
    Answer, Branch, Coordinator, Digest, Horizon, Outcome, ParticipantId, Reply, TxnId, Value,
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

/// Checks one step of an execution, from what `past` has seen to `view`, and adds `view` to `past`.
pub fn check(past: &mut Chronicle, view: &View<'_>) -> Verdict {
    stability::check(past, view)?;
    resurrection::check(past, view)?;
    past.observe(view);
    agreement::check(past)?;
    validity::check(past)?;
    client_truth::check(past)?;
    one_value::check(past)?;
    witness::check(past)?;
    abort_evidence::check(past)?;
    closure::check(past)?;
    forget::check(past)?;
    durability::check(view)?;
    isolation::check(view)
}

fn opposite(value: Value) -> Value {
    match value {
        Value::Commit => Value::Abort,
        Value::Abort => Value::Commit,
    }
}
