//! The engine: branches, their locks, and the order in which they get them. What is decided here is
//! who waits, who dies and what a branch may vote; whether it commits is decided elsewhere.

mod branch;
mod step;

use std::collections::{BTreeMap, BTreeSet};

use self::branch::{Branch, Phase};
use crate::age::Seniority;
use crate::evaluate::{Halt, evaluate};
use crate::locks::LockTable;
use crate::readers::Readers;
use crate::{Age, Changes, Intent, Key, LockMode, LockView, Operations, Refusal, Storage};
use triumvir_protocol::TxnId;

pub use self::step::{Event, Prepared, ReadStep, RecoverError, Step, Vote};

/// The volatile state of a key-value participant: branches that wait, branches that have voted, the
/// locks of both, and reads that wait.
///
/// # Use
///
/// - [`prepare`](Self::prepare) a branch. When the [`Step`] is [`Step::Prepared`], make its intent
///   durable and only then vote. After a restart, [`recover`](Self::recover) every branch that has
///   voted and not ended, before anything else.
/// - When the outcome is known: [`commit`](Self::commit), then store the changes that it returns;
///   or [`abort`](Self::abort); or [`release`](Self::release) for a READ voter.
/// - After ends, cancellations and stores, call [`advance`](Self::advance), and do so before
///   anything new is prepared: that is fairer to what waits. Only there are branches
///   that waited run, so that they never see a store without what was committed before them: a
///   committed branch keeps its locks until `advance` finds its changes in the storage.
///
/// # Two phases
///
/// A branch claims all keys that its operations name in one step, before any of them runs, and
/// keeps all of them until its transaction has ended: strict two-phase locking. Committed
/// transactions are therefore equivalent to running them one after the other in the order of their
/// commits, as long as READ voters keep their shared locks until the outcome too.
///
/// # Wait-die
///
/// Conflicts are settled by wait-die (D. J. Rosenkrantz, R. E. Stearns, P. M. Lewis: System Level
/// Concurrency Control for Distributed Database Systems, ACM TODS 3(2), 1978): the older waits for
/// the younger, the younger never waits for the older but is refused at once. Transactions are
/// ordered by [`Age`], then by id. Each key has a queue of claims in order of arrival; a claim is
/// held once it conflicts with none before it. One that conflicts with a claim of an older
/// transaction, *held or waiting*, is not let in. Nobody ever overtakes.
///
/// *No deadlock.* Every claim is older than each conflicting claim before it: so it was when it
/// came, and queues change only by removal. Waiting is for conflicting claims before one's own
/// only, so every transaction waits for younger ones only. The order is the same at all
/// participants; hence no cycle of waits exists, across participants neither. (Letting an older
/// newcomer overtake a younger waiter would break this: the waiter would then wait for its elder.)
///
/// *No starvation.* A claim that waits is bypassed by nobody, and what is before it only shrinks,
/// as transactions end. A transaction that is refused tries again under a new id with the age of
/// its first attempt; once all older ones have ended, it is refused no more, for refusal takes an
/// older one. This presumes that waits are not cut short:
/// [`on_wait_expired`](Self::on_wait_expired) trades it for bounded waiting when a holder stays in
/// doubt. The retry comes in behind those that came in between, but is still senior to them.
///
/// # Reads outside transactions
///
/// A key that a prepared branch will change cannot be read before that branch has ended, because
/// its client may already know that it is committed. Such reads wait; no transaction ever waits for
/// them. `advance` looks at them before it runs the next branch, so a read of one key gets in
/// between any two writers; a read of many keys may wait as long as at every moment one of them is
/// about to change.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Engine {
    branches: BTreeMap<TxnId, Branch>,
    locks: LockTable,
    readers: Readers,
    /// Waiting branches that now hold all their locks and have not run.
    woken: BTreeSet<TxnId>,
    /// Committed branches whose changes were not found in the storage yet.
    unstored: BTreeSet<TxnId>,
}

impl Engine {
    /// An engine without branches.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there is no branch, no lock and no waiting read.
    pub fn is_idle(&self) -> bool {
        self.branches.is_empty() && self.readers.is_empty()
    }

    /// Takes the locks of a branch and runs its operations, or lets it wait, or refuses it.
    ///
    /// A branch that is refused has left no trace. Asked again about a branch that waits, the
    /// answer is that it waits; about one that has voted: [`Step::Standing`]. That the operations
    /// are the same is for the caller to know.
    ///
    /// # Errors
    ///
    /// Of the storage; the branch has left no trace.
    pub fn prepare<S: Storage>(
        &mut self,
        storage: &S,
        txn: TxnId,
        age: Age,
        operations: Operations,
    ) -> Result<Step, S::Error> {
        if let Some(branch) = self.branches.get(&txn) {
            return Ok(match branch.phase {
                Phase::Waiting(_) => Step::Waiting,
                Phase::Voted(_) | Phase::Committed(_) => Step::Standing,
            });
        }
        let by = Seniority { age, txn };
        let locks = operations.locks();
        if let Some((key, holder)) = self.locks.elder(by, &locks) {
            return Ok(Step::Refused(Refusal::Conflict { key, holder }));
        }
        let (phase, step) = if self.locks.obstacle(txn, &locks).is_some() {
            (Phase::Waiting(operations), Step::Waiting)
        } else {
            match run(storage, age, &operations)? {
                Ok(prepared) => (
                    Phase::Voted(prepared.intent.clone()),
                    Step::Prepared(prepared),
                ),
                Err(refusal) => return Ok(Step::Refused(refusal)),
            }
        };
        self.locks.claim(by, &locks);
        self.branches.insert(txn, Branch { age, locks, phase });
        Ok(step)
    }

    /// Reinstalls a branch that has voted, with its uncommitted changes and its locks. Once more
    /// changes nothing.
    ///
    /// # Errors
    ///
    /// Another branch claims one of its locks: the intents are not those of one participant's
    /// unfinished branches, or something was prepared before. The branch is not installed.
    pub fn recover(&mut self, txn: TxnId, intent: Intent) -> Result<(), RecoverError> {
        if self.branches.contains_key(&txn) {
            return Ok(());
        }
        let (age, locks) = (intent.age(), intent.locks());
        if let Some((key, holder)) = self.locks.obstacle(txn, &locks) {
            return Err(RecoverError { txn, key, holder });
        }
        self.locks.claim(Seniority { age, txn }, &locks);
        self.branches.insert(
            txn,
            Branch {
                age,
                locks,
                phase: Phase::Voted(intent),
            },
        );
        Ok(())
    }

    /// The transaction is committed. Returns what the caller has to store, whole and at once, and
    /// before what later commits return; `None` if no branch stands here, or not any more.
    ///
    /// The locks go when a later [`advance`](Self::advance) finds the changes in the storage (at
    /// once, if nothing is changed). Once more returns the same changes until then.
    ///
    /// # Panics
    ///
    /// The branch has not voted: a transaction cannot be committed without its vote.
    #[must_use = "the changes have to be stored"]
    pub fn commit(&mut self, txn: TxnId) -> Option<Changes> {
        let branch = self.branches.get_mut(&txn)?;
        let intent = match &branch.phase {
            Phase::Waiting(_) => panic!("{txn} committed, but its branch has not voted"),
            Phase::Voted(intent) | Phase::Committed(intent) => intent.clone(),
        };
        let changes = intent.changes().clone();
        if changes.is_empty() {
            self.end(txn);
        } else {
            branch.phase = Phase::Committed(intent);
            self.unstored.insert(txn);
        }
        Some(changes)
    }

    /// The transaction is aborted: the branch ends, whether it waits or has voted. Without a branch
    /// nothing happens; in particular a later [`prepare`](Self::prepare) is not kept out.
    ///
    /// # Panics
    ///
    /// The branch was committed.
    pub fn abort(&mut self, txn: TxnId) {
        if let Some(branch) = self.branches.get(&txn) {
            assert!(
                !matches!(branch.phase, Phase::Committed(_)),
                "{txn} aborted, but its branch was committed"
            );
            self.end(txn);
        }
    }

    /// A READ voter ends, whatever the outcome. Without a branch nothing happens.
    ///
    /// # Panics
    ///
    /// The branch did not vote READ.
    pub fn release(&mut self, txn: TxnId) {
        if let Some(branch) = self.branches.get(&txn) {
            let vote = match &branch.phase {
                Phase::Waiting(_) => None,
                Phase::Voted(intent) | Phase::Committed(intent) => Some(intent.vote()),
            };
            assert!(
                vote == Some(Vote::Read),
                "{txn} released, but its branch did not vote READ"
            );
            self.end(txn);
        }
    }

    /// Nobody wants a waiting branch any more. Says whether it was waiting; one that has voted
    /// stays.
    pub fn cancel(&mut self, txn: TxnId) -> bool {
        let waiting = self
            .branches
            .get(&txn)
            .is_some_and(|branch| matches!(branch.phase, Phase::Waiting(_)));
        if waiting {
            self.end(txn);
        }
        waiting
    }

    /// A branch has waited long enough: it ends, refused with [`Refusal::Busy`]. `None`, and
    /// nothing happens, if it does not wait for a lock any more.
    pub fn on_wait_expired(&mut self, txn: TxnId) -> Option<Refusal> {
        let branch = self.branches.get(&txn)?;
        let (key, holder) = match branch.phase {
            Phase::Waiting(_) => self.locks.obstacle(txn, &branch.locks)?,
            Phase::Voted(_) | Phase::Committed(_) => return None,
        };
        self.end(txn);
        Some(Refusal::Busy { key, holder })
    }

    /// Does what ends have made possible, and appends what came of it to `events`: first reads that
    /// may go on, then branches that waited, each [`Step::Prepared`] or [`Step::Refused`].
    ///
    /// Committed branches whose changes `storage` shows give up their locks; the others keep them.
    ///
    /// # Errors
    ///
    /// Of the storage. What is in `events` then has happened; the rest is left for another call.
    pub fn advance<S: Storage>(
        &mut self,
        storage: &S,
        events: &mut Vec<Event>,
    ) -> Result<(), S::Error> {
        self.drop_stored(storage)?;
        while let Some((reader, keys)) = self.readers.take_stirred() {
            match self.read(reader, keys) {
                ReadStep::Ready => events.push(Event::Read { reader }),
                ReadStep::Waiting => {}
            }
        }
        while let Some(txn) = self.woken.first().copied() {
            let step = self.run_woken(storage, txn)?;
            events.push(Event::Branch { txn, step });
        }
        Ok(())
    }

    /// The branch that a read of `key` outside a transaction has to wait for.
    pub fn read_blocked_by(&self, key: &Key) -> Option<TxnId> {
        let holder = self.locks.exclusive_holder(key)?;
        let branch = self.branches.get(&holder)?;
        (!matches!(branch.phase, Phase::Waiting(_))).then_some(holder)
    }

    /// A read outside a transaction. Ready: read all `keys` from the storage before anything else
    /// is stored there. Waiting: a later [`advance`](Self::advance) says when, and then the same
    /// holds.
    ///
    /// `reader` is a number of the caller's choice; another read under the same one replaces it.
    pub fn read(&mut self, reader: u64, keys: impl IntoIterator<Item = Key>) -> ReadStep {
        let keys: BTreeSet<_> = keys.into_iter().collect();
        self.readers.cancel(reader);
        let blocked = keys
            .iter()
            .find(|key| self.read_blocked_by(key).is_some())
            .cloned();
        match blocked {
            None => ReadStep::Ready,
            Some(at) => {
                self.readers.park(reader, keys, at);
                ReadStep::Waiting
            }
        }
    }

    /// Nobody wants a waiting read any more. Says whether it was waiting.
    pub fn cancel_read(&mut self, reader: u64) -> bool {
        self.readers.cancel(reader)
    }

    /// Every locked key in order, for inspection and audits.
    pub fn locks(&self) -> impl Iterator<Item = LockView<'_>> {
        self.locks.views()
    }

    /// Ends committed branches whose changes are in the storage. While a branch holds its locks
    /// nobody else changes these keys, so a storage that shows its values is one that has them.
    fn drop_stored<S: Storage>(&mut self, storage: &S) -> Result<(), S::Error> {
        for txn in self.unstored.clone() {
            let Some(branch) = self.branches.get(&txn) else {
                continue;
            };
            if branch.is_stored(storage)? {
                self.end(txn);
            }
        }
        Ok(())
    }

    fn run_woken<S: Storage>(&mut self, storage: &S, txn: TxnId) -> Result<Step, S::Error> {
        let branch = self.branches.get_mut(&txn);
        let branch = branch.expect("a woken branch is there until it has run or ended");
        let Phase::Waiting(operations) = &branch.phase else {
            unreachable!("{txn} was woken and has voted")
        };
        let ran = run(storage, branch.age, operations)?;
        self.woken.remove(&txn);
        Ok(match ran {
            Ok(prepared) => {
                branch.phase = Phase::Voted(prepared.intent.clone());
                Step::Prepared(prepared)
            }
            Err(refusal) => {
                self.end(txn);
                Step::Refused(refusal)
            }
        })
    }

    /// Takes a branch and its claims out, and notes who can go on.
    fn end(&mut self, txn: TxnId) {
        let Some(branch) = self.branches.remove(&txn) else {
            return;
        };
        self.woken.remove(&txn);
        self.unstored.remove(&txn);
        for holder in self.locks.withdraw(txn, &branch.locks) {
            if let Some(Branch {
                locks,
                phase: Phase::Waiting(_),
                ..
            }) = self.branches.get(&holder)
                && self.locks.obstacle(holder, locks).is_none()
            {
                self.woken.insert(holder);
            }
        }
        for (key, mode) in &branch.locks {
            if *mode == LockMode::Exclusive {
                self.readers.stir(key);
            }
        }
    }
}

/// Runs operations whose locks are held. The outer error is the storage's.
fn run<S: Storage>(
    storage: &S,
    age: Age,
    operations: &Operations,
) -> Result<Result<Prepared, Refusal>, S::Error> {
    match evaluate(storage, operations) {
        Ok((changes, results)) => {
            let shared = operations.iter().map(|operation| operation.key().clone());
            Ok(Ok(Prepared {
                intent: Intent::new(age, changes, shared),
                results,
            }))
        }
        Err(Halt::Refused(refusal)) => Ok(Err(refusal)),
        Err(Halt::Storage(error)) => Err(error),
    }
}
