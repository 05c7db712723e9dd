//! Many commits on one stream: one task for the stream, none for a commit, and what is ready at one
//! moment goes into one frame.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, Stream, StreamExt as _};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};
use triumvir_wire::v1::numbered_answer::Result as Answered;
use triumvir_wire::{Code, Failure, limits, v1};

use super::forward::{Call, refusal};
use super::transactions::TransactionsService;
use crate::shared::Shared;

/// So many commits of one stream are under way at once; more wait in the connection.
const UNDER_WAY_MAX: usize = limits::FRAME_MESSAGES_MAX;
/// So many frames wait for a slow reader.
const FRAMES_MAX: usize = 4;

pub(super) type Answers = ReceiverStream<Result<v1::CommitAnswers, Status>>;

/// Serves `frames` until they end and all is answered, or until nobody reads the answers. After a frame
/// that is too large to be read nothing is read any more; that is said when all before it is answered,
/// of what has no answer then.
pub(super) fn serve(
    service: TransactionsService,
    shared: Arc<Shared>,
    frames: Streaming<v1::CommitFrame>,
) -> Answers {
    let (sender, answers) = mpsc::channel(FRAMES_MAX);
    tokio::spawn(async move {
        tokio::select! {
            () = sender.closed() => {}
            () = answer(&service, &shared, frames, &sender) => {}
        }
    });
    ReceiverStream::new(answers)
}

async fn answer(
    service: &TransactionsService,
    shared: &Shared,
    mut frames: Streaming<v1::CommitFrame>,
    sender: &mpsc::Sender<Result<v1::CommitAnswers, Status>>,
) {
    let mut under_way = FuturesUnordered::new();
    let mut open = true;
    let mut unread = None;
    while open || !under_way.is_empty() {
        tokio::select! {
            frame = frames.next(), if open && under_way.len() < UNDER_WAY_MAX => match frame {
                Some(Ok(frame)) => {
                    under_way.extend(frame.commits.into_iter().map(|c| commit(service, shared, c)));
                }
                Some(Err(status)) => {
                    open = false;
                    unread = Some(status).filter(|status| status.code() == tonic::Code::OutOfRange);
                }
                None => open = false,
            },
            Some(first) = under_way.next(), if !under_way.is_empty() => {
                let frame = gather(shared, first, &mut under_way);
                if sender.send(Ok(frame)).await.is_err() {
                    return;
                }
            }
        }
    }
    if let Some(status) = unread {
        let failure = Failure::new(Code::RequestTooLarge, status.message());
        // Whoever reads no more need not be told.
        let _ = sender.send(Err(failure.into())).await;
    }
}

/// One frame of what is ready.
fn gather(
    shared: &Shared,
    first: v1::NumberedAnswer,
    under_way: &mut (impl Stream<Item = v1::NumberedAnswer> + Unpin),
) -> v1::CommitAnswers {
    let mut bytes = size(&first);
    let mut answers = vec![first];
    while bytes < limits::FRAME_BYTES_TARGET
        && let Some(Some(answer)) = under_way.next().now_or_never()
    {
        bytes += size(&answer);
        answers.push(answer);
    }
    let leader = shared.leader_address().unwrap_or_default();
    v1::CommitAnswers { answers, leader }
}

fn size(answer: &v1::NumberedAnswer) -> usize {
    match &answer.result {
        Some(Answered::Response(response)) => {
            response.results.iter().map(|part| part.results.len()).sum()
        }
        _ => 0,
    }
}

async fn commit(
    service: &TransactionsService,
    shared: &Shared,
    commit: v1::NumberedCommit,
) -> v1::NumberedAnswer {
    let v1::NumberedCommit {
        number,
        request,
        timeout_millis,
    } = commit;
    let time = match timeout_millis {
        0 => shared.config.call_timeout,
        millis => Duration::from_millis(millis),
    };
    let call = Call::within(time, Code::OutcomeUnknown);
    let result = match request {
        Some(request) => TransactionsService::commit(service, call, request).await,
        None => Err(Failure::new(Code::Malformed, "a commit without a request")),
    };
    let result = match result {
        Ok(response) => Answered::Response(response),
        Err(failure) => Answered::Refusal(refusal(shared, failure).into()),
    };
    let result = Some(result);
    v1::NumberedAnswer { number, result }
}
