//! The receiving half of Raft's messages. Who may speak to this replica is checked here, on every
//! call and before Raft sees anything; what the messages mean is Raft's.

use std::pin::Pin;

use futures::{Stream, StreamExt as _};
use openraft::raft::{TransferLeaderError, TransferLeaderRequest, VoteRequest, VoteResponse};
use tonic::{Request, Response, Status, Streaming};
use triumvir_wire::v1::replication_server::Replication;
use triumvir_wire::{Code, Failure, v1};

use crate::codec::{self, DecodeError};
use crate::peers::FORMAT;
use crate::roll::Roll;
use crate::types::{GROUP, Raft, TypeConfig};
use crate::{append_stream, snapshot_stream};

/// Answers the other replicas. Made by [`Replica::service`](crate::Replica::service).
#[derive(Clone)]
pub struct ReplicationService {
    pub(crate) raft: Raft,
    pub(crate) cluster: String,
    pub(crate) node: u64,
    pub(crate) disk: u128,
    pub(crate) roll: Roll,
}

impl std::fmt::Debug for ReplicationService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReplicationService")
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

impl ReplicationService {
    /// Refuses whatever was not meant for this replica on this disk.
    fn check(&self, envelope: Option<v1::ReplicaEnvelope>) -> Result<(), Status> {
        let envelope =
            envelope.ok_or_else(|| Status::invalid_argument("the envelope is missing"))?;
        let says = |what: &str, found: &dyn std::fmt::Debug, own: &dyn std::fmt::Debug| {
            let (node, from) = (self.node, envelope.from_node);
            format!("node {from} sent to {what} {found:?}, and this is {own:?} (node {node})")
        };
        let refuse = |what: &str, found: &dyn std::fmt::Debug, own: &dyn std::fmt::Debug| {
            Err(Status::failed_precondition(says(what, found, own)))
        };
        if envelope.format != FORMAT {
            let detail = says("format", &envelope.format, &FORMAT);
            return Err(Failure::new(Code::UnsupportedVersion, detail).into());
        }
        if envelope.cluster != self.cluster {
            let detail = says("cluster", &envelope.cluster, &self.cluster);
            return Err(Failure::new(Code::WrongCluster, detail).into());
        }
        if envelope.group != GROUP {
            return refuse("group", &envelope.group, &GROUP);
        }
        if envelope.to_node != self.node {
            return refuse("node", &envelope.to_node, &self.node);
        }
        if envelope.from_node == self.node {
            return refuse("itself, node", &envelope.to_node, &self.node);
        }
        if self.roll.is_removed(envelope.from_node) {
            let from = envelope.from_node;
            let why = format!("node {from} was removed from the cluster");
            return Err(Status::failed_precondition(why));
        }
        let disk = codec::disk_from(&envelope.to_disk).map_err(malformed)?;
        if disk != 0 && self.disk != 0 && disk != self.disk {
            return refuse(
                "disk",
                &format!("{disk:032x}"),
                &format!("{:032x}", self.disk),
            );
        }
        Ok(())
    }

    fn vote_request(
        &self,
        request: v1::RaftVoteRequest,
    ) -> Result<VoteRequest<TypeConfig>, Status> {
        self.check(request.envelope)?;
        let vote = codec::vote_from(request.vote).map_err(malformed)?;
        let mut ask = VoteRequest::new(vote, request.last.map(codec::log_id_from));
        ask.leadership_transfer = request.leadership_transfer;
        Ok(ask)
    }
}

fn malformed(error: DecodeError) -> Status {
    Status::invalid_argument(error.to_string())
}

fn stopped(error: impl std::fmt::Display) -> Status {
    Status::unavailable(format!("replication has stopped: {error}"))
}

fn vote_response(response: VoteResponse<TypeConfig>) -> Response<v1::RaftVoteResponse> {
    Response::new(v1::RaftVoteResponse {
        vote: Some(codec::vote(&response.vote)),
        granted: response.vote_granted,
        last: response.last_log_id.as_ref().map(codec::log_id),
    })
}

#[tonic::async_trait]
impl Replication for ReplicationService {
    async fn append(
        &self,
        request: Request<v1::AppendRequest>,
    ) -> Result<Response<v1::AppendResponse>, Status> {
        let mut request = request.into_inner();
        self.check(request.envelope.take())?;
        let append = append_stream::request_from(request).map_err(malformed)?;
        // By the stream, whose answer, unlike that of a single append, says what was matched.
        let mut results = Box::pin(self.raft.stream_append(futures::stream::iter([append])));
        let result = results.next().await.ok_or_else(|| stopped("no answer"))?;
        Ok(Response::new(append_stream::result(
            result.map_err(stopped)?,
        )))
    }

    type StreamAppendStream =
        Pin<Box<dyn Stream<Item = Result<v1::AppendResponse, Status>> + Send>>;

    async fn stream_append(
        &self,
        request: Request<Streaming<v1::AppendRequest>>,
    ) -> Result<Response<Self::StreamAppendStream>, Status> {
        let mut rest = request.into_inner();
        let mut first = rest
            .message()
            .await?
            .ok_or_else(|| Status::invalid_argument("the stream is empty"))?;
        self.check(first.envelope.take())?;
        let first = append_stream::request_from(first).map_err(malformed)?;
        // A broken request ends the stream; what was answered before stays answered.
        let rest = rest
            .map(|request| request.map(append_stream::request_from))
            .scan((), |(), request| {
                let request = match request {
                    Ok(Ok(request)) => Some(request),
                    Ok(Err(error)) => {
                        tracing::warn!(%error, "a malformed append ends the stream");
                        None
                    }
                    Err(_) => None,
                };
                futures::future::ready(request)
            });
        let requests = futures::stream::iter([first]).chain(rest);
        let results = self
            .raft
            .stream_append(requests)
            .map(|result| match result {
                Ok(result) => Ok(append_stream::result(result)),
                Err(error) => Err(stopped(error)),
            });
        Ok(Response::new(Box::pin(results)))
    }

    async fn vote(
        &self,
        request: Request<v1::RaftVoteRequest>,
    ) -> Result<Response<v1::RaftVoteResponse>, Status> {
        let request = self.vote_request(request.into_inner())?;
        Ok(vote_response(
            self.raft.vote(request).await.map_err(stopped)?,
        ))
    }

    async fn pre_vote(
        &self,
        request: Request<v1::RaftVoteRequest>,
    ) -> Result<Response<v1::RaftVoteResponse>, Status> {
        let request = self.vote_request(request.into_inner())?;
        Ok(vote_response(
            self.raft.pre_vote(request).await.map_err(stopped)?,
        ))
    }

    async fn transfer_leader(
        &self,
        request: Request<v1::TransferLeaderRequest>,
    ) -> Result<Response<v1::TransferLeaderResponse>, Status> {
        use v1::transfer_leader_response::{Accepted, Behind, Result as Answer};
        let request = request.into_inner();
        self.check(request.envelope)?;
        let transfer = TransferLeaderRequest::new(
            codec::vote_from(request.from_leader).map_err(malformed)?,
            request.to_node,
            request.last.map(codec::log_id_from),
        );
        let answer = match self
            .raft
            .handle_transfer_leader(transfer)
            .await
            .map_err(stopped)?
        {
            Ok(()) => Answer::Accepted(Accepted {}),
            Err(TransferLeaderError::VoteChanged { actual, .. }) => {
                Answer::VoteChanged(codec::vote(&actual))
            }
            Err(TransferLeaderError::LogNotFlushed { actual, .. }) => Answer::Behind(Behind {
                last: actual.as_ref().map(codec::log_id),
            }),
        };
        Ok(Response::new(v1::TransferLeaderResponse {
            result: Some(answer),
        }))
    }

    async fn install_snapshot(
        &self,
        request: Request<Streaming<v1::SnapshotPiece>>,
    ) -> Result<Response<v1::SnapshotResponse>, Status> {
        let mut rest = request.into_inner();
        let mut first = rest
            .message()
            .await?
            .ok_or_else(|| Status::invalid_argument("the stream is empty"))?;
        self.check(first.envelope.take())?;
        let (vote, snapshot) = snapshot_stream::receive(first, rest).await?;
        let installed = self
            .raft
            .install_full_snapshot(vote, snapshot)
            .await
            .map_err(stopped)?;
        Ok(Response::new(v1::SnapshotResponse {
            vote: Some(codec::vote(&installed.vote)),
        }))
    }
}
