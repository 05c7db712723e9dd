//! The sending half of Raft's messages: one [`Peer`] per target and purpose, all over the one
//! channel to the target. Every call keeps openraft's soft deadline, and every failure that is not
//! a timeout is reported as unreachable, so that openraft waits before it tries again.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable};
use openraft::network::{
    Backoff, NetBackoff, NetSnapshot, NetStreamAppend, NetTransferLeader, NetVote, RPCOption,
};
use openraft::raft::{
    AppendEntriesRequest, SnapshotResponse, StreamAppendResult, TransferLeaderError,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{OptionalSend, RPCTypes, RaftNetworkFactory};
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};
use triumvir_wire::v1;
use triumvir_wire::v1::replication_client::ReplicationClient;

use crate::codec::{self, DecodeError};
use crate::peers::{DialError, Peers};
use crate::types::{Contents, Member, Snapshot, TypeConfig, Vote};
use crate::{append_stream, snapshot_stream};

/// The waits before a peer that did not answer is tried again; the last one repeats.
const BACKOFF_MILLIS: [u64; 4] = [20, 50, 100, 200];

/// Makes the senders that openraft asks for.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) peers: Arc<Peers>,
    pub(crate) node: u64,
    pub(crate) append_timeout: Duration,
}

/// Sends to one replica.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) peers: Arc<Peers>,
    pub(crate) node: u64,
    pub(crate) target: u64,
    pub(crate) append_timeout: Duration,
    /// Whether this sends heartbeats only: single appends without entries.
    heartbeat: bool,
}

impl Network {
    fn peer(&self, target: u64, member: &Member, heartbeat: bool) -> Peer {
        self.peers.add_member(target, member);
        let (peers, node) = (self.peers.clone(), self.node);
        Peer {
            peers,
            node,
            target,
            append_timeout: self.append_timeout,
            heartbeat,
        }
    }
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Peer;

    async fn new_client(&mut self, target: u64, member: &Member) -> Peer {
        self.peer(target, member, false)
    }

    async fn new_heartbeat_client(&mut self, target: u64, member: &Member) -> Peer {
        self.peer(target, member, true)
    }
}

/// Why a call failed, before it is put in openraft's words.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("no answer in time")]
    Timeout,
    #[error("{} ({:?})", .0.message(), .0.code())]
    Status(Box<Status>),
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error("{0}")]
    Other(String),
}

impl From<Status> for CallError {
    fn from(status: Status) -> Self {
        Self::Status(Box::new(status))
    }
}

impl Peer {
    pub(crate) fn envelope(&self) -> Option<v1::ReplicaEnvelope> {
        Some(self.peers.envelope(self.target))
    }

    pub(crate) fn client(&self) -> Result<ReplicationClient<Channel>, CallError> {
        Ok(self.peers.client(self.target)?)
    }

    pub(crate) fn rpc_error(
        &self,
        action: RPCTypes,
        timeout: Duration,
        error: CallError,
    ) -> RPCError<TypeConfig> {
        let timed_out = match &error {
            CallError::Timeout => true,
            CallError::Status(status) => status.code() == Code::DeadlineExceeded,
            _ => false,
        };
        if timed_out {
            let (id, target) = (self.node, self.target);
            RPCError::Timeout(Timeout {
                action,
                id,
                target,
                timeout,
            })
        } else {
            let reason = format!("node {}: {error}", self.target);
            RPCError::Unreachable(Unreachable::from_string(reason))
        }
    }

    /// One request and its answer within `limit`.
    async fn call<M, R>(
        &self,
        limit: Duration,
        message: M,
        send: impl AsyncFnOnce(ReplicationClient<Channel>, Request<M>) -> Result<Response<R>, Status>,
    ) -> Result<R, CallError> {
        let client = self.client()?;
        let mut request = Request::new(message);
        request.set_timeout(limit);
        match tokio::time::timeout(limit, send(client, request)).await {
            Ok(response) => Ok(response?.into_inner()),
            Err(_) => Err(CallError::Timeout),
        }
    }

    async fn heartbeat(
        &self,
        request: AppendEntriesRequest<TypeConfig>,
        limit: Duration,
    ) -> Result<StreamAppendResult<TypeConfig>, CallError> {
        let message = append_stream::request(request, self.envelope());
        let response = self.call(limit, message, async |mut client, request| {
            client.append(request).await
        });
        Ok(append_stream::result_from(response.await?)?)
    }

    async fn ask_vote(
        &self,
        request: VoteRequest<TypeConfig>,
        limit: Duration,
        pre_vote: bool,
    ) -> Result<VoteResponse<TypeConfig>, CallError> {
        let message = v1::RaftVoteRequest {
            envelope: self.envelope(),
            vote: Some(codec::vote(&request.vote)),
            last: request.last_log_id.as_ref().map(codec::log_id),
            leadership_transfer: request.leadership_transfer,
        };
        let response = self
            .call(limit, message, async |mut client, request| match pre_vote {
                true => client.pre_vote(request).await,
                false => client.vote(request).await,
            })
            .await?;
        Ok(VoteResponse {
            vote: codec::vote_from(response.vote)?,
            vote_granted: response.granted,
            last_log_id: response.last.map(codec::log_id_from),
        })
    }
}

impl NetBackoff<TypeConfig> for Peer {
    fn backoff(&self) -> Option<Backoff> {
        let last = BACKOFF_MILLIS[BACKOFF_MILLIS.len() - 1];
        let waits = BACKOFF_MILLIS.into_iter().chain(std::iter::repeat(last));
        Some(Backoff::new(waits.map(Duration::from_millis)))
    }
}

impl NetStreamAppend<TypeConfig> for Peer {
    fn stream_append<'s, S>(
        &'s mut self,
        mut input: S,
        option: RPCOption,
    ) -> BoxFuture<
        's,
        Result<
            BoxStream<'s, Result<StreamAppendResult<TypeConfig>, RPCError<TypeConfig>>>,
            RPCError<TypeConfig>,
        >,
    >
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
    {
        Box::pin(async move {
            // The first request is taken before anything is dialled: taking it is where openraft
            // waits after a failure, so that a refused connection is not retried in a hot loop.
            let Some(first) = input.next().await else {
                return Ok(futures::stream::empty().boxed());
            };
            let limit = option.soft_ttl();
            if self.heartbeat {
                let failed = |error| self.rpc_error(RPCTypes::AppendEntries, limit, error);
                let result = self.heartbeat(first, limit).await.map_err(failed)?;
                return Ok(futures::stream::once(async move { Ok(result) }).boxed());
            }
            append_stream::open(self, first, input, limit).await
        })
    }
}

impl NetVote<TypeConfig> for Peer {
    async fn vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        let limit = option.soft_ttl();
        let answer = self.ask_vote(request, limit, false).await;
        answer.map_err(|error| self.rpc_error(RPCTypes::Vote, limit, error))
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        let limit = option.soft_ttl();
        let answer = self.ask_vote(request, limit, true).await;
        answer.map_err(|error| self.rpc_error(RPCTypes::Vote, limit, error))
    }
}

impl NetTransferLeader<TypeConfig> for Peer {
    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RPCError<TypeConfig>> {
        use v1::transfer_leader_response::Result as Answer;
        let limit = option.soft_ttl();
        let message = v1::TransferLeaderRequest {
            envelope: self.envelope(),
            from_leader: Some(codec::vote(request.from_leader())),
            to_node: *request.to_node_id(),
            last: request.last_log_id().map(codec::log_id),
        };
        let answer = self.call(limit, message, async |mut client, request| {
            client.transfer_leader(request).await
        });
        let failed = |error| self.rpc_error(RPCTypes::TransferLeader, limit, error);
        match answer.await.map_err(failed)?.result {
            Some(Answer::Accepted(_)) => Ok(Ok(())),
            Some(Answer::VoteChanged(vote)) => {
                let actual = codec::vote_from(Some(vote)).map_err(|error| failed(error.into()))?;
                let expected = *request.from_leader();
                Ok(Err(TransferLeaderError::VoteChanged { expected, actual }))
            }
            Some(Answer::Behind(behind)) => {
                let actual = behind.last.map(codec::log_id_from);
                let expected = request.last_log_id().copied();
                Ok(Err(TransferLeaderError::LogNotFlushed { expected, actual }))
            }
            None => Err(failed(DecodeError::Missing("result").into())),
        }
    }
}

impl NetSnapshot<TypeConfig> for Peer {
    type SnapshotData = Contents;

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let limit = option.soft_ttl();
        let sent = snapshot_stream::send(self, vote, snapshot, limit);
        tokio::select! {
            closed = cancel => Err(closed.into()),
            sent = sent => sent.map_err(|error| {
                self.rpc_error(RPCTypes::InstallSnapshot, limit, error).into()
            }),
        }
    }
}
