//! Those that wait for an answer about a transaction.

use std::collections::HashMap;

use tokio::sync::oneshot;
use triumvir_protocol::{Caller, Reply, TxnId};

use super::input::Answered;

/// The callers that wait, by the number under which the conductor knows them.
#[derive(Debug, Default)]
pub(super) struct Callers {
    next: u64,
    waiting: HashMap<Caller, (TxnId, oneshot::Sender<Answered>)>,
}

impl Callers {
    /// Takes in one that waits about `txn`.
    pub(super) fn enter(&mut self, txn: TxnId, reply: oneshot::Sender<Answered>) -> Caller {
        self.next += 1;
        let caller = Caller(self.next);
        self.waiting.insert(caller, (txn, reply));
        caller
    }

    /// Answers one. Its deadline may have passed: that is no error.
    pub(super) fn answer(&mut self, caller: Caller, reply: Reply) {
        if let Some((_, waiting)) = self.waiting.remove(&caller) {
            let _ = waiting.send(Answered::Reply(reply));
        }
    }

    /// Takes out those that wait no longer.
    pub(super) fn left(&mut self) -> Vec<(Caller, TxnId)> {
        let gone = self.waiting.extract_if(|_, (_, reply)| reply.is_closed());
        gone.map(|(caller, (txn, _))| (caller, txn)).collect()
    }

    /// Lets go of all: each of them sees that this replica leads no longer.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}
