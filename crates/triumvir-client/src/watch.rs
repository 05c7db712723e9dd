//! Outcomes as they happen, in a stream that outlives the replica it began at.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use backon::ExponentialBackoff;
use futures::stream::{self, BoxStream, Stream, StreamExt as _};
use tokio::time::{sleep, timeout};
use tonic::Streaming;
use triumvir_protocol::TxnId;
use triumvir_wire::{Applied, Code, Failure, WireError, ids, v1};

use crate::Outcome;
use crate::call::{pauses, timed, turn};
use crate::client::{transactions, unreadable};
use crate::replicas::{Asked, Replicas};

/// What a watcher sees.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Watched {
    /// A transaction ended.
    Ended {
        /// The transaction.
        txn: TxnId,
        /// How it ended.
        outcome: Outcome,
        /// When, by the replica's clock: microseconds since the Unix epoch.
        at_micros: u64,
        /// How many outcomes this watcher was too slow to take just before this one.
        missed: u64,
    },
    /// The stream goes on elsewhere, or at another leader: outcomes may be missing here, or come
    /// twice.
    Gap,
}

/// Every outcome from now on. Ends only after an error that repeating does not mend; waits as long as
/// nothing happens. Made by [`Client::watch`](crate::Client::watch).
#[must_use = "a stream does nothing before it is polled"]
pub struct Watch(BoxStream<'static, Result<Watched, Failure>>);

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

impl Stream for Watch {
    type Item = Result<Watched, Failure>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(cx)
    }
}

impl Watch {
    pub(crate) fn new(replicas: Arc<Replicas>, answer_timeout: Duration) -> Self {
        let watcher = Watcher {
            replicas,
            answer_timeout,
            pauses: fresh_pauses(),
            stream: None,
            seen: false,
        };
        Self(stream::unfold(Some(watcher), advance).boxed())
    }
}

struct Watcher {
    replicas: Arc<Replicas>,
    /// How long a replica may take to begin the stream.
    answer_timeout: Duration,
    pauses: ExponentialBackoff,
    stream: Option<(Asked, Streaming<v1::WatchEvent>)>,
    /// Whether there was a stream before.
    seen: bool,
}

async fn advance(watcher: Option<Watcher>) -> Option<(Result<Watched, Failure>, Option<Watcher>)> {
    let mut watcher = watcher?;
    loop {
        let failed = match watcher.step().await {
            Ok(Some(watched)) => return Some((Ok(watched), Some(watcher))),
            Ok(None) => continue,
            Err(failed) => failed,
        };
        let (asked, failure) = *failed;
        tracing::debug!(address = asked.address, %failure, "the watch was lost");
        watcher.stream = None;
        turn(&watcher.replicas, &asked, &failure);
        if !failure.is_retryable() {
            return Some((Err(failure), None));
        }
        sleep(watcher.pauses.next().unwrap_or_default()).await;
    }
}

impl Watcher {
    /// Opens the stream, or takes its next event.
    async fn step(&mut self) -> Result<Option<Watched>, Box<(Asked, Failure)>> {
        let Some((asked, stream)) = &mut self.stream else {
            return self.open().await;
        };
        match stream.message().await {
            Ok(Some(event)) => {
                self.pauses = fresh_pauses();
                let asked = asked.clone();
                read(event)
                    .map(Some)
                    .map_err(|error| Box::new((asked, unreadable(&error))))
            }
            Ok(None) => Err(Box::new((asked.clone(), Code::Draining.into()))),
            Err(status) => Err(Box::new((asked.clone(), failure(&status)))),
        }
    }

    async fn open(&mut self) -> Result<Option<Watched>, Box<(Asked, Failure)>> {
        let asked = self.replicas.current();
        let mut client = transactions(asked.channel.clone());
        let request = timed(v1::WatchRequest {}, self.answer_timeout);
        match timeout(self.answer_timeout, client.watch(request)).await {
            Ok(Ok(response)) => {
                self.stream = Some((asked, response.into_inner()));
                let gap = std::mem::replace(&mut self.seen, true);
                Ok(gap.then_some(Watched::Gap))
            }
            Ok(Err(status)) => Err(Box::new((asked, failure(&status)))),
            Err(_) => Err(Box::new((asked, Code::NoAnswer.into()))),
        }
    }
}

fn fresh_pauses() -> ExponentialBackoff {
    pauses(Duration::from_millis(20), Duration::from_secs(2))
}

fn failure(status: &tonic::Status) -> Failure {
    Failure::from_status(status).with_applied(Applied::NotApplied)
}

fn read(event: v1::WatchEvent) -> Result<Watched, WireError> {
    if event.gap {
        return Ok(Watched::Gap);
    }
    let outcome = event.outcome.ok_or(WireError::Missing {
        field: "event.outcome",
    })?;
    Ok(Watched::Ended {
        txn: ids::txn("event.txn", &event.txn)?,
        outcome: Outcome::from_wire(outcome)?,
        at_micros: event.at_micros,
        missed: event.missed,
    })
}
