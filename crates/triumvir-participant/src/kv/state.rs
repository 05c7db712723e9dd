//! The engine and everybody who waits for it, behind one lock. The lock is held for the length of one
//! step only, and never across a wait.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use triumvir_kv::{
    Age, Changes, Engine, Event, Key, LockMode, LockView, Operations, Prepared, ReadStep, Step,
    Value,
};
use triumvir_protocol::TxnId;
use triumvir_storage::{StorageError, WeakDatabase};

use super::refused;
use super::store::Store;
use crate::resource::Refusal;

/// What a read outside transactions returns, in the order of its keys.
pub(super) type Values = Result<Vec<Option<Value>>, StorageError>;

/// What the resource and its read service share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) store: Store,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) engine: Engine,
    branches: HashMap<TxnId, oneshot::Sender<Result<Prepared, Refusal>>>,
    reads: HashMap<u64, Read>,
    next_read: u64,
    commits: u64,
}

#[derive(Debug)]
struct Read {
    keys: Vec<Key>,
    answer: oneshot::Sender<Values>,
}

/// How a prepare goes on.
pub(super) enum Verdict {
    Prepared(Box<Prepared>),
    Waiting(oneshot::Receiver<Result<Prepared, Refusal>>),
}

/// A read that waits. Dropped: it does not any more.
pub(super) struct WaitingRead<'a> {
    shared: &'a Shared,
    number: u64,
    pub(super) answer: oneshot::Receiver<Values>,
}

impl Drop for WaitingRead<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.engine.cancel_read(self.number);
        state.reads.remove(&self.number);
    }
}

impl Shared {
    pub(super) fn new(database: WeakDatabase) -> Self {
        Self {
            store: Store::new(database),
            state: Mutex::default(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn prepare(
        &self,
        txn: TxnId,
        age: Age,
        operations: Operations,
    ) -> Result<Verdict, Refusal> {
        let mut state = self.lock();
        let view = self.store.view(operations.clone());
        let mut step = state.engine.prepare(&view, txn, age, operations.clone());
        if matches!(step, Ok(Step::Standing)) {
            // Prepared before, for a vote that was never made: it would not be asked for otherwise.
            state.engine.abort(txn);
            state.advance(&self.store);
            let view = self.store.view(operations.clone());
            step = state.engine.prepare(&view, txn, age, operations);
        }
        match step {
            Ok(Step::Prepared(prepared)) => Ok(Verdict::Prepared(Box::new(prepared))),
            Ok(Step::Refused(refusal)) => Err(refused(&refusal)),
            Ok(Step::Waiting | Step::Standing) => {
                let (answer, waiting) = oneshot::channel();
                state.branches.insert(txn, answer);
                Ok(Verdict::Waiting(waiting))
            }
            Err(error) => Err(unreadable(&error)),
        }
    }

    /// A branch has waited long enough: it is refused, unless it has run meanwhile.
    pub(super) fn expire(&self, txn: TxnId) {
        let mut state = self.lock();
        if let Some(refusal) = state.engine.on_wait_expired(txn) {
            state.answer(txn, Err(refused(&refusal)));
        }
        state.advance(&self.store);
        // It got its locks, and the store could not be read.
        if state.branches.contains_key(&txn) && state.engine.cancel(txn) {
            let refusal = Refusal::new("unavailable", "the store cannot be read").retryable();
            state.answer(txn, Err(refusal));
            state.advance(&self.store);
        }
    }

    pub(super) fn cancel(&self, txn: TxnId) {
        let mut state = self.lock();
        if state.engine.cancel(txn) {
            let refusal = Refusal::new("cancelled", "the transaction is over").retryable();
            state.answer(txn, Err(refusal));
            state.advance(&self.store);
        }
    }

    /// Commits a branch: its changes are shown and its locks are free when this returns. What is to
    /// be stored, with the number of the commit; nothing if there is no branch.
    pub(super) fn commit(&self, txn: TxnId) -> Option<(u64, Changes)> {
        let mut state = self.lock();
        let changes = state.engine.commit(txn)?;
        state.commits += 1;
        let number = state.commits;
        self.store.show(number, &changes);
        state.advance(&self.store);
        Some((number, changes))
    }

    /// Ends a branch in another way.
    pub(super) fn end(&self, txn: TxnId, how: impl FnOnce(&mut Engine, TxnId)) {
        let mut state = self.lock();
        how(&mut state.engine, txn);
        state.advance(&self.store);
    }

    /// Reads `keys` as of one moment at which no prepared branch is about to change one of them.
    pub(super) fn read(&self, keys: Vec<Key>) -> Result<Values, WaitingRead<'_>> {
        let mut state = self.lock();
        state.next_read += 1;
        let number = state.next_read;
        match state.engine.read(number, keys.iter().cloned()) {
            ReadStep::Ready => Ok(self.store.values(&keys)),
            ReadStep::Waiting => {
                let (sender, answer) = oneshot::channel();
                state.reads.insert(
                    number,
                    Read {
                        keys,
                        answer: sender,
                    },
                );
                drop(state);
                Err(WaitingRead {
                    shared: self,
                    number,
                    answer,
                })
            }
        }
    }
}

impl State {
    /// Lets everybody go on who can.
    fn advance(&mut self, store: &Store) {
        let mut events = Vec::new();
        if let Err(error) = self.engine.advance(store, &mut events) {
            // What is in `events` has happened; the rest goes on with the next step.
            tracing::error!(%error, "the store cannot be read");
        }
        for event in events {
            match event {
                Event::Read { reader } => {
                    if let Some(Read { keys, answer }) = self.reads.remove(&reader) {
                        // A caller that does not wait any more needs no answer.
                        let _ = answer.send(store.values(&keys));
                    }
                }
                Event::Branch {
                    txn,
                    step: Step::Prepared(prepared),
                } => {
                    self.answer(txn, Ok(prepared));
                }
                Event::Branch {
                    txn,
                    step: Step::Refused(refusal),
                } => {
                    self.answer(txn, Err(refused(&refusal)));
                }
                Event::Branch { .. } => {}
            }
        }
    }

    fn answer(&mut self, txn: TxnId, result: Result<Prepared, Refusal>) {
        if let Some(waiting) = self.branches.remove(&txn) {
            // The runtime polls every prepare to its end; only a stopping one has no use for it.
            let _ = waiting.send(result);
        }
    }

    /// Branches that are about to change a key that begins with `prefix`, with that key.
    pub(super) fn changing(&self, prefix: &[u8]) -> HashMap<TxnId, Key> {
        let changes = |view: &LockView<'_>| {
            view.mode == LockMode::Exclusive && view.key.as_bytes().starts_with(prefix)
        };
        let views = self.engine.locks().filter(changes);
        let prepared = views.filter_map(|view| {
            self.engine
                .read_blocked_by(view.key)
                .map(|txn| (txn, view.key.clone()))
        });
        prepared.collect()
    }
}

fn unreadable(error: &StorageError) -> Refusal {
    tracing::error!(%error, "the store cannot be read");
    Refusal::new("unavailable", "the store cannot be read").retryable()
}
