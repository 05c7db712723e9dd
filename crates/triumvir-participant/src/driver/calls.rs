//! Calls of the resource: all on the owner's task, in order for each branch, and repeated until the
//! resource has carried out what is decided. What follows from a result is not known here.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use foldhash::quality::RandomState;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, Stream};
use triumvir_protocol::{Action, NoReason, TxnId, Work};

use crate::resource::{BranchId, Prepared, Refusal, Resource, ResourceError};
use crate::{Write, dial};

/// The most prepares under way; one more is refused. Each may wait for locks.
const PREPARES_MAX: usize = 65_536;
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// What a call of the resource came to.
pub(super) enum Done {
    Prepared(Result<Prepared, NoReason>),
    Applied(Option<Write>),
    Undone(Option<Write>),
    Released(Option<Write>),
    Cancelled,
}

/// The calls under way.
pub(super) struct Calls<R> {
    resource: Arc<R>,
    running: FuturesUnordered<BoxFuture<'static, (TxnId, Done)>>,
    /// Branches with a call under way that is not a prepare, and what waits behind it.
    busy: HashMap<TxnId, VecDeque<Action>, RandomState>,
    prepares: usize,
}

impl<R: Resource> Calls<R> {
    pub(super) fn new(resource: Arc<R>) -> Self {
        Self {
            resource,
            running: FuturesUnordered::new(),
            busy: HashMap::default(),
            prepares: 0,
        }
    }

    /// Starts a call, behind those of the same branch; a cancel does not wait for a prepare.
    pub(super) fn start(&mut self, txn: TxnId, action: Action) {
        if let Some(waiting) = self.busy.get_mut(&txn) {
            waiting.push_back(action);
            return;
        }
        if !matches!(action, Action::Prepare { .. }) {
            self.busy.insert(txn, VecDeque::new());
        }
        self.run(txn, action);
    }

    /// How many calls are under way.
    pub(super) fn len(&self) -> usize {
        self.running.len()
    }

    pub(super) fn poll_done(&mut self, cx: &mut Context<'_>) -> Poll<(TxnId, Done)> {
        match std::pin::Pin::new(&mut self.running).poll_next(cx) {
            Poll::Ready(Some((txn, done))) => {
                match done {
                    Done::Prepared(_) => self.prepares -= 1,
                    _ => self.next(txn),
                }
                Poll::Ready((txn, done))
            }
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }

    fn next(&mut self, txn: TxnId) {
        match self.busy.get_mut(&txn).and_then(VecDeque::pop_front) {
            Some(action) => self.run(txn, action),
            None => {
                self.busy.remove(&txn);
            }
        }
    }

    fn run(&mut self, txn: TxnId, action: Action) {
        let resource = self.resource.clone();
        self.running.push(match action {
            Action::Prepare { work, age } => {
                let branch = BranchId { txn, age };
                self.prepares += 1;
                if self.prepares > PREPARES_MAX {
                    let detail = format!("{PREPARES_MAX} branches are being prepared");
                    let refusal = Refusal::new("overloaded", detail).retryable();
                    let refused = Done::Prepared(Err(refusal.into()));
                    self.running
                        .push(Box::pin(std::future::ready((txn, refused))));
                    return;
                }
                Box::pin(
                    async move { (txn, Done::Prepared(prepare(&*resource, branch, work).await)) },
                )
            }
            Action::Commit => Box::pin(async move {
                (
                    txn,
                    Done::Applied(persist("commit", txn, || resource.commit(txn)).await),
                )
            }),
            Action::Abort => Box::pin(async move {
                (
                    txn,
                    Done::Undone(persist("abort", txn, || resource.abort(txn)).await),
                )
            }),
            Action::Release => Box::pin(async move {
                (
                    txn,
                    Done::Released(persist("release", txn, || resource.release(txn)).await),
                )
            }),
            Action::Cancel => Box::pin(async move {
                resource.cancel(txn).await;
                (txn, Done::Cancelled)
            }),
        });
    }
}

async fn prepare<R: Resource>(
    resource: &R,
    branch: BranchId,
    work: Work,
) -> Result<Prepared, NoReason> {
    match work {
        Work::Payload(payload) => Ok(resource.prepare(branch, payload).await?),
        // This runtime takes no work before can-commit, so none can be here.
        Work::Done { .. } => Err(NoReason::WorkLost),
    }
}

/// Repeats `call` until it succeeds: what is decided cannot be given back.
async fn persist<F>(what: &'static str, txn: TxnId, mut call: impl FnMut() -> F) -> Option<Write>
where
    F: Future<Output = Result<Option<Write>, ResourceError>>,
{
    let mut pauses = None;
    loop {
        match call().await {
            Ok(write) => return write,
            Err(error) => {
                let counter = metrics::counter!(
                    "triumvir_participant_resource_errors_total", "call" => what
                );
                counter.increment(1);
                let pauses = pauses.get_or_insert_with(|| dial::pauses(RETRY_MIN, RETRY_MAX));
                let pause = pauses.next().unwrap_or(RETRY_MAX);
                tracing::error!(%txn, call = what, %error, ?pause, "the resource failed; repeating");
                tokio::time::sleep(pause).await;
            }
        }
    }
}
