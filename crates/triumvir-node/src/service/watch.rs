//! Watch: every outcome as this replica learns it. A watcher that is too slow misses some and is
//! told how many; nothing waits for it.

use std::sync::Arc;

use futures::{Stream, StreamExt as _, future};
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;
use tonic::Status;
use triumvir_wire::{ids, v1};

use super::answer;
use crate::owner::Learnt;
use crate::shared::Shared;

/// The outcomes from now on, until the process is asked to stop.
pub(super) fn events(
    shared: Arc<Shared>,
) -> impl Stream<Item = Result<v1::WatchEvent, Status>> + Send {
    let shutdown = shared.shutdown.clone();
    BroadcastStream::new(shared.learnt.subscribe())
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
        .map(move |(learnt, missed)| Ok(event(&shared, &learnt, missed)))
        .take_until(async move { shutdown.draining().await })
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
    }
}
