//! A whole system at one moment. Only data.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use triumvir_protocol::invariants::Chronicle;
use triumvir_protocol::{Branch, Coordinator, Record, TxnId};

use crate::network::Network;
use crate::node::Node;
use crate::seat::Seat;
use crate::shared::Shared;

/// The one transaction id of every run.
pub(crate) const TXN: TxnId = TxnId::from_u128(1);

/// A whole system at one moment, and all that an onlooker knows of what was before.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct State {
    /// The log's state: every record applied.
    pub(crate) head: Shared<Coordinator>,
    pub(crate) seats: Vec<Seat>,
    /// Proposed: each may enter the log at any time, or never. Ascending by hash.
    pub(crate) limbo: Vec<Shared<Record>>,
    pub(crate) nodes: Vec<Shared<Node>>,
    pub(crate) network: Network,
    pub(crate) past: Shared<Chronicle>,
    /// The property that does not hold, and why.
    pub(crate) broken: Option<Arc<(&'static str, String)>>,
}

impl State {
    /// The property that does not hold in this state, and what contradicts it.
    pub fn broken(&self) -> Option<(&'static str, &str)> {
        self.broken.as_ref().map(|broken| (broken.0, &*broken.1))
    }

    /// Whether `record` would change anything now. One whose application panics would.
    pub(crate) fn changes(&self, record: &Record) -> bool {
        let mut head = (*self.head).clone();
        let applied = catch_unwind(AssertUnwindSafe(|| head.apply(0, record.clone())));
        applied.is_err() || head != *self.head
    }

    pub(crate) fn branch(&self, node: usize) -> Option<&Branch> {
        self.nodes[node].branches.get(&TXN)
    }
}
