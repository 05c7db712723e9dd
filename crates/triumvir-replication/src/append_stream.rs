//! A pipeline of appends to one follower over a bidirectional gRPC stream, and the conversions that
//! both of its ends need.
//!
//! The stream that openraft polls drives both directions. The requests are not handed to the
//! transport's own tasks, because those may outlive the stream: a request that such a task takes
//! after openraft has begun a new stream would be lost.

use std::collections::VecDeque;
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use openraft::base::BoxStream;
use openraft::errors::RPCError;
use openraft::raft::{AppendEntriesRequest, StreamAppendError, StreamAppendResult};
use openraft::{OptionalSend, RPCTypes};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use triumvir_wire::v1;

use crate::codec::{self, DecodeError};
use crate::network::{CallError, Peer};
use crate::types::TypeConfig;

/// How many requests wait for the transport at most.
const QUEUED_REQUESTS_MAX: usize = 16;

/// How long an idle stream sleeps at a time.
const IDLE: Duration = Duration::from_secs(3600);

type Item = Result<StreamAppendResult<TypeConfig>, RPCError<TypeConfig>>;

/// Opens a stream with `first`, within `limit`, and pipes `input` through it.
pub(crate) async fn open<'s, S>(
    peer: &'s Peer,
    first: AppendEntriesRequest<TypeConfig>,
    input: S,
    limit: Duration,
) -> Result<BoxStream<'s, Item>, RPCError<TypeConfig>>
where
    S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
{
    let failed = |error| peer.rpc_error(RPCTypes::AppendEntries, limit, error);
    let mut client = peer.client().map_err(failed)?;
    let (requests, queue) = mpsc::channel(QUEUED_REQUESTS_MAX);
    let sent_at = Instant::now();
    let first = request(first, peer.envelope());
    // There is room: the channel is new.
    let _ = requests.try_send(first);
    let opening = client.stream_append(ReceiverStream::new(queue));
    let responses = match tokio::time::timeout(limit, opening).await {
        Ok(Ok(responses)) => responses.into_inner(),
        Ok(Err(status)) => return Err(failed(status.into())),
        Err(_) => return Err(failed(CallError::Timeout)),
    };
    let pipe = Pipe {
        peer,
        input: Some(input),
        requests: Some(requests),
        responses,
        unanswered: VecDeque::from([sent_at]),
    };
    Ok(futures::stream::unfold(Some(pipe), Pipe::next).boxed())
}

/// Both directions of an open stream.
struct Pipe<'s, S> {
    peer: &'s Peer,
    /// What openraft still wants to send; gone when it has ended.
    input: Option<S>,
    requests: Option<mpsc::Sender<v1::AppendRequest>>,
    responses: Streaming<v1::AppendResponse>,
    /// When each unanswered request was sent, oldest first.
    unanswered: VecDeque<Instant>,
}

impl<S> Pipe<'_, S>
where
    S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
{
    /// Sends requests until there is a response. After an error, or an answer other than a match,
    /// the stream is over.
    async fn next(pipe: Option<Self>) -> Option<(Item, Option<Self>)> {
        let mut pipe = pipe?;
        match pipe.next_response().await {
            Ok(Some(Ok(matched))) => Some((Ok(Ok(matched)), Some(pipe))),
            Ok(Some(refused)) => Some((Ok(refused), None)),
            Ok(None) => None,
            Err(error) => {
                let timeout = pipe.peer.append_timeout;
                let error = pipe.peer.rpc_error(RPCTypes::AppendEntries, timeout, error);
                Some((Err(error), None))
            }
        }
    }

    async fn next_response(&mut self) -> Result<Option<StreamAppendResult<TypeConfig>>, CallError> {
        loop {
            let now = Instant::now();
            let deadline = self
                .unanswered
                .front()
                .map_or(now + IDLE, |sent| *sent + self.peer.append_timeout);
            tokio::select! {
                biased;
                response = self.responses.message() => {
                    let Some(response) = response? else {
                        return match self.unanswered.is_empty() {
                            true => Ok(None),
                            false => Err(CallError::Other("the stream was closed".to_owned())),
                        };
                    };
                    self.unanswered.pop_front();
                    return Ok(Some(result_from(response)?));
                }
                sent = send_next(&mut self.input, &self.requests) => match sent {
                    Some(()) => self.unanswered.push_back(Instant::now()),
                    None => {
                        // Closes our direction; the answers still come.
                        self.input = None;
                        self.requests = None;
                    }
                },
                () = tokio::time::sleep_until(deadline) => {
                    if !self.unanswered.is_empty() {
                        return Err(CallError::Timeout);
                    }
                }
            }
        }
    }
}

/// Sends the next request once there is one and room for it. `None` when the input has just ended;
/// never resolves once it has.
async fn send_next<S>(
    input: &mut Option<S>,
    requests: &Option<mpsc::Sender<v1::AppendRequest>>,
) -> Option<()>
where
    S: Stream<Item = AppendEntriesRequest<TypeConfig>> + Unpin,
{
    let (Some(input), Some(requests)) = (input, requests) else {
        return std::future::pending().await;
    };
    // Room first: a request that was taken must not be lost when this future is dropped.
    let Ok(permit) = requests.reserve().await else {
        // The transport has given up; the responses will say why.
        return std::future::pending().await;
    };
    let next = input.next().await?;
    permit.send(request(next, None));
    Some(())
}

pub(crate) fn request(
    append: AppendEntriesRequest<TypeConfig>,
    envelope: Option<v1::ReplicaEnvelope>,
) -> v1::AppendRequest {
    v1::AppendRequest {
        envelope,
        vote: Some(codec::vote(&append.vote)),
        previous: append.prev_log_id.as_ref().map(codec::log_id),
        entries: append.entries.into_iter().map(codec::entry).collect(),
        committed: append.leader_commit.as_ref().map(codec::log_id),
    }
}

pub(crate) fn request_from(
    append: v1::AppendRequest,
) -> Result<AppendEntriesRequest<TypeConfig>, DecodeError> {
    let prev_log_id = append.previous.map(codec::log_id_from);
    Ok(AppendEntriesRequest {
        vote: codec::vote_from(append.vote)?,
        prev_log_id,
        entries: codec::entries_from(prev_log_id.as_ref(), append.entries)?,
        leader_commit: append.committed.map(codec::log_id_from),
    })
}

pub(crate) fn result(result: StreamAppendResult<TypeConfig>) -> v1::AppendResponse {
    use v1::append_response::{Matched, Result};
    let result = match result {
        Ok(last) => Result::Matched(Matched {
            last: last.as_ref().map(codec::log_id),
        }),
        Err(StreamAppendError::Conflict(at)) => Result::Conflict(codec::log_id(&at)),
        Err(StreamAppendError::HigherVote(vote)) => Result::HigherVote(codec::vote(&vote)),
    };
    v1::AppendResponse {
        result: Some(result),
    }
}

pub(crate) fn result_from(
    response: v1::AppendResponse,
) -> Result<StreamAppendResult<TypeConfig>, DecodeError> {
    use v1::append_response::Result;
    Ok(
        match response.result.ok_or(DecodeError::Missing("result"))? {
            Result::Matched(matched) => Ok(matched.last.map(codec::log_id_from)),
            Result::Conflict(at) => Err(StreamAppendError::Conflict(codec::log_id_from(at))),
            Result::HigherVote(vote) => {
                Err(StreamAppendError::HigherVote(codec::vote_from(Some(vote))?))
            }
        },
    )
}
