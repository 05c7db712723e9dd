//! What a service implements: a store that can prepare work and then commit or undo it. Nothing of
//! the protocol is in here; a resource never learns of coordinators, ballots or peers.

use std::fmt;

use triumvir_protocol::{NoReason, Payload, TxnId};

use crate::Write;

/// A store that takes part in transactions.
///
/// # The contract
///
/// A *branch* is this store's part of one transaction. For each branch the runtime calls
/// [`prepare`](Self::prepare) once. If that says [`Prepared::Yes`], exactly one of
/// [`commit`](Self::commit) and [`abort`](Self::abort) follows, however long it takes and however
/// often the process restarts in between. After [`Prepared::Read`], [`release`](Self::release)
/// follows. After a [`Refusal`] nothing follows.
///
/// **What must be durable when.** Before YES leaves this process, the branch's changes must be on
/// stable storage, together with whatever lock or check guarantees that they can still be applied:
/// YES gives away the right to refuse. The same holds for the effect of a commit, and of an abort,
/// before their results are told. There are two ways:
///
/// - a store of its own makes its changes durable *before* the call returns, and returns no
///   [`Write`];
/// - a store that lives in the data folder's database returns a [`Write`]. It is forced in one commit
///   with the journal's record, so that the two never disagree and one fsync serves both.
///
/// **Isolation.** Once prepared, what the branch changed or read must not change under it until the
/// branch has ended: that is what its locks are for. They belong to the durable state.
///
/// **Idempotence.** `commit`, `abort` and `release` may be called again for a branch that they have
/// already ended, and for one that is not known: after a crash between the store's own commit and the
/// journal's record. They must then succeed and change nothing. (A store that could lose a prepared
/// branch must tell the two apart, by a marker that the commit writes; "not known" is then an error.)
///
/// **After a crash.** [`recover`](Self::recover) is called once at each start, before anything is
/// served or asked, with every branch that is still to be ended. The store holds these again, with
/// their changes *and their locks*, when it returns. Any other branch that it finds prepared was
/// never voted on: it is rolled back.
///
/// **Order and concurrency.** Calls for different branches overlap; all run on one task, so they
/// must not block it. For one branch they follow one another, except that [`cancel`](Self::cancel)
/// may come while `prepare` runs. [`Write`]s become durable in the order in which the calls that
/// returned them finished; a call that lets another go on (by releasing its locks) must therefore
/// finish without waiting once it has done so.
///
/// **Errors.** An error from `commit`, `abort` or `release` is logged and counted, and the call is
/// repeated with growing pauses for as long as the process lives: the decision stands and cannot be
/// given back.
///
/// # Example
///
/// A counter of tickets, kept in the data folder's own database.
///
/// ```no_run
#[doc = include_str!("../examples/tickets.rs")]
/// ```
pub trait Resource: Send + Sync + 'static {
    /// Takes the branches back that were voted on and not ended. See the contract.
    ///
    /// A returned [`Write`] is made durable some time later; it is for tidying up.
    ///
    /// # Errors
    ///
    /// The process does not start. A branch of which the store knows nothing is an error: its changes
    /// are lost, and no outcome that this participant reports would be true. A branch that the store
    /// has already committed or undone, as the marker of that says, is not missing: the process ended
    /// between the store's own commit and the journal's record. It is accepted; the same commit or
    /// abort follows again, and must succeed.
    fn recover(
        &self,
        live: Vec<Recovered>,
    ) -> impl Future<Output = Result<Option<Write>, ResourceError>> + Send;

    /// Does `work` and makes it ready to be committed or undone.
    ///
    /// May wait, for locks say; the runtime gives up after its work timeout and calls
    /// [`cancel`](Self::cancel). It must return even so.
    ///
    /// # Errors
    ///
    /// The refusal. The branch has left no trace then.
    fn prepare(
        &self,
        branch: BranchId,
        work: Payload,
    ) -> impl Future<Output = Result<Prepared, Refusal>> + Send;

    /// The transaction is committed: applies the changes of a prepared branch and gives up its locks.
    ///
    /// # Errors
    ///
    /// It is called again later.
    fn commit(
        &self,
        txn: TxnId,
    ) -> impl Future<Output = Result<Option<Write>, ResourceError>> + Send;

    /// Undoes a prepared branch and gives up its locks. Also called after a prepare whose vote was
    /// not wanted any more: its [`Write`] was not made then.
    ///
    /// # Errors
    ///
    /// It is called again later.
    fn abort(
        &self,
        txn: TxnId,
    ) -> impl Future<Output = Result<Option<Write>, ResourceError>> + Send;

    /// A prepare that may still be waiting is not wanted any more. It should return soon, with
    /// whatever result; if that is not a refusal, [`abort`](Self::abort) follows.
    fn cancel(&self, txn: TxnId) -> impl Future<Output = ()> + Send {
        let _ = txn;
        async {}
    }

    /// The transaction of a branch that answered [`Prepared::Read`] has ended, either way: gives up
    /// its shared locks.
    ///
    /// A returned [`Write`] is made durable some time later; it is for tidying up.
    ///
    /// # Errors
    ///
    /// It is called again later.
    fn release(
        &self,
        txn: TxnId,
    ) -> impl Future<Output = Result<Option<Write>, ResourceError>> + Send {
        let _ = txn;
        async { Ok(None) }
    }
}

/// Which branch.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct BranchId {
    /// Its transaction.
    pub txn: TxnId,
    /// The id of the transaction's first attempt: how old it is. Smaller is older.
    pub age: TxnId,
}

/// What a resource votes.
#[derive(Debug)]
pub enum Prepared {
    /// YES: there are changes, and they can be committed or undone from now on.
    Yes {
        /// What the client is told with the outcome.
        results: Payload,
        /// What has to be durable with the vote, for a store in the data folder's database.
        write: Option<Write>,
    },
    /// READ: nothing is changed; what was read stays as it is until [`Resource::release`].
    Read {
        /// What the client is told with the outcome.
        results: Payload,
        /// As for YES: what restores the shared locks after a restart.
        write: Option<Write>,
    },
}

/// NO: why a branch will not be prepared.
#[derive(Clone, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Refusal {
    /// A stable word for programs, such as `minimum`.
    pub code: String,
    /// What happened, for a person.
    pub detail: String,
    /// Whether the same work may succeed in a new transaction, as after a lock conflict.
    pub retryable: bool,
}

impl Refusal {
    /// A refusal that will be the same next time.
    pub fn new(code: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            detail: detail.into(),
            retryable: false,
        }
    }

    /// The same, for something that passes.
    #[must_use]
    pub fn retryable(self) -> Self {
        Self {
            retryable: true,
            ..self
        }
    }
}

impl From<Refusal> for NoReason {
    fn from(refusal: Refusal) -> Self {
        Self::Resource {
            code: refusal.code.into(),
            detail: refusal.detail.into(),
            retryable: refusal.retryable,
        }
    }
}

/// A branch that was voted on before a restart and is still to be ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Recovered {
    /// The branch.
    pub branch: BranchId,
    /// What was voted, and what is known since.
    pub state: RecoveredState,
}

/// How far a recovered branch has come.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RecoveredState {
    /// Voted YES; commit or abort will follow.
    Prepared,
    /// Voted YES; commit will follow.
    PreCommitted,
    /// Voted READ; release will follow.
    Read,
}

/// A resource failed for now.
#[derive(Debug)]
pub struct ResourceError(Box<dyn std::error::Error + Send + Sync>);

impl ResourceError {
    /// An error with its cause, or with a text.
    pub fn new(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}

impl fmt::Display for ResourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the resource failed: {}", self.0)
    }
}

impl std::error::Error for ResourceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}
