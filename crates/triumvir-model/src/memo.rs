//! What the machines do, computed once for each pair of state and event: they are deterministic and
//! see nothing but these two. The checker meets each pair in very many states.

use std::hash::Hash;
use std::sync::Arc;

use dashmap::DashMap;
use foldhash::quality::FixedState;
use triumvir_protocol::invariants::{Chronicle, Violation};

use crate::heal::Healed;
use crate::node::NodeStep;
use crate::seat::SeatStep;
use crate::shared::{Shared, hash};

type Table<T> = DashMap<u64, T, FixedState>;
type Seen = (Shared<Chronicle>, Vec<Violation>);

/// One table for each kind of computation. It only grows: with what a run reaches.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    nodes: Table<Arc<NodeStep>>,
    seats: Table<Arc<SeatStep>>,
    seen: Table<Arc<Seen>>,
    /// Each chronicle once: there are few of them, and they are large.
    pasts: Table<Shared<Chronicle>>,
    heals: Table<Healed>,
}

fn recall<T: Clone>(table: &Table<T>, key: u64, compute: impl FnOnce() -> T) -> T {
    if let Some(known) = table.get(&key) {
        return known.clone();
    }
    // Not under a lock: it may panic, or take its time.
    let value = compute();
    table.insert(key, value.clone());
    value
}

impl Memo {
    pub(crate) fn node(
        &self,
        key: &impl Hash,
        compute: impl FnOnce() -> NodeStep,
    ) -> Arc<NodeStep> {
        recall(&self.nodes, hash(key), || Arc::new(compute()))
    }

    pub(crate) fn seat(
        &self,
        key: &impl Hash,
        compute: impl FnOnce() -> SeatStep,
    ) -> Arc<SeatStep> {
        recall(&self.seats, hash(key), || Arc::new(compute()))
    }

    pub(crate) fn seen(&self, key: u64, compute: impl FnOnce() -> Seen) -> Arc<Seen> {
        recall(&self.seen, key, || {
            let (past, broken) = compute();
            let past = recall(&self.pasts, past.hash(), || past);
            Arc::new((past, broken))
        })
    }

    pub(crate) fn heals(&self, key: u64, compute: impl FnOnce() -> Healed) -> Healed {
        recall(&self.heals, key, compute)
    }
}
