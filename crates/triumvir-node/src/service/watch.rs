//! Watch: every outcome as the leader learns it, at any replica. A follower passes on the leader's
//! stream, for an abort by NO is in no log. A watcher that is too slow misses some and is told how
//! many; nothing waits for it.

use std::future::Future;
use std::sync::Arc;

use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt as _, future};
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;
use tonic::Status;
use tonic::metadata::MetadataMap;
use triumvir_wire::v1::transactions_client::TransactionsClient;
use triumvir_wire::{Code, Failure, ids, v1};

use super::answer;
use super::forward::{Call, Leader, status};
use crate::owner::Learnt;
use crate::shared::Shared;
use crate::view::View;

/// Outcomes, and perhaps a failure at the end.
pub(super) type Events = BoxStream<'static, Result<v1::WatchEvent, Status>>;

/// The outcomes from now on, until the process is asked to stop. When the leadership moves the
/// stream goes on at the next leader, after an event that says so; one that another replica passes
/// on ends instead, for that one moves itself.
///
/// # Errors
///
/// No leader was found before the deadline of `call`, or the process is about to stop.
pub(super) async fn watch(shared: Arc<Shared>, call: Call) -> Result<Events, Failure> {
    let shutdown = shared.shutdown.clone();
    let draining = async move { shutdown.draining().await };
    let first = tokio::select! {
        biased;
        () = shared.shutdown.draining() => return Err(Failure::from(Code::Draining)),
        first = at_leader(&shared, call) => first?,
    };
    let rest = stream::unfold((!call.is_forwarded()).then_some(shared), next).flatten();
    Ok(first.chain(rest).take_until(draining).boxed())
}

/// The stream of the next leader; the failure that is the last event if none is found in time.
async fn next(shared: Option<Arc<Shared>>) -> Option<(Events, Option<Arc<Shared>>)> {
    let shared = shared?;
    let time = shared.config.call_timeout;
    let call = Call::new(&MetadataMap::new(), time, Code::NoAnswer);
    let gap = v1::WatchEvent {
        gap: true,
        ..v1::WatchEvent::default()
    };
    Some(match at_leader(&shared, call).await {
        Ok(events) => (one(Ok(gap)).chain(events).boxed(), Some(shared)),
        Err(failure) => (one(Err(status(&shared, failure))).boxed(), None),
    })
}

fn one<T: Send + 'static>(event: T) -> impl Stream<Item = T> + Send + 'static {
    stream::once(future::ready(event))
}

/// The outcomes as the leader of now learns them, for as long as it leads and can be heard.
async fn at_leader(shared: &Arc<Shared>, call: Call) -> Result<Events, Failure> {
    let local = || async {
        let (moved, learnt) = (moved(shared), shared.learnt.subscribe());
        shared.view.borrow().leading?;
        let events = own(shared.clone(), learnt).map(Ok);
        Some(Ok(events.take_until(moved).boxed()))
    };
    let remote = |leader: Leader| async move {
        let moved = moved(shared);
        let mut client = TransactionsClient::new(leader.channel.clone());
        let events = client.watch(leader.request(v1::WatchRequest {})).await?;
        let heard = events
            .into_inner()
            .take_while(|event| future::ready(event.is_ok()));
        Ok(heard.take_until(moved).boxed())
    };
    call.at_leader(shared, local, remote).await
}

/// Waits until another leads than now, as this replica sees it, or leads anew.
fn moved(shared: &Shared) -> impl Future<Output = ()> + Send + 'static {
    let mut view = shared.view.clone();
    let led = |view: &View| (view.leading, view.leader);
    let before = led(&view.borrow());
    async move {
        // A closed channel is the end of the process.
        let _ = view.wait_for(|now| led(now) != before).await;
    }
}

/// What this replica learns.
fn own(
    shared: Arc<Shared>,
    learnt: tokio::sync::broadcast::Receiver<Learnt>,
) -> impl Stream<Item = v1::WatchEvent> + Send + 'static {
    BroadcastStream::new(learnt)
        .scan(0, |missed, learnt| {
            future::ready(Some(match learnt {
                Ok(learnt) => Some((learnt, std::mem::take(missed))),
                Err(BroadcastStreamRecvError::Lagged(count)) => {
                    *missed += count;
                    None
                }
            }))
        })
        .filter_map(future::ready)
        .map(move |(learnt, missed)| event(&shared, &learnt, missed))
}

fn event(shared: &Shared, learnt: &Learnt, missed: u64) -> v1::WatchEvent {
    let names = shared.view().directory;
    v1::WatchEvent {
        txn: ids::txn_bytes(learnt.txn),
        outcome: Some(answer::outcome(
            &names,
            learnt.outcome,
            learnt.cause.as_ref(),
        )),
        at_micros: learnt.at_micros,
        missed,
        gap: false,
    }
}
