//! The cluster's state, and what replicas ask each other. Served before Raft runs, by every replica
//! about itself.

use std::sync::Arc;

use tonic::transport::Channel;
use tonic::{Request, Response, Status};
use triumvir_replication::Replica;
use triumvir_wire::v1::cluster_client::ClusterClient;
use triumvir_wire::v1::cluster_server::Cluster;
use triumvir_wire::{Code, Failure, ids, v1};

use super::forward::{Call, Leader, status};
use super::members::{self, Change};
use super::removal;
use crate::owner::Input;
use crate::shared::Shared;
use crate::{InitialCluster, clock};

/// Answers about one replica.
#[derive(Clone, Debug)]
pub(crate) struct ClusterService {
    shared: Arc<Shared>,
}

impl ClusterService {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    fn members(&self, raft: &triumvir_replication::Status) -> Vec<v1::Member> {
        let members = self.shared.replica.get().map(Replica::members);
        members::list(&members.unwrap_or_default(), raft)
    }

    /// Has a change made by the leader: here by `change`, elsewhere by `remote`.
    async fn change<M, R>(
        &self,
        request: Request<M>,
        change: impl FnOnce(&M) -> Result<Change, Failure>,
        remote: impl Fn(ClusterClient<Channel>, Request<M>) -> R,
    ) -> Result<Response<v1::MembersResponse>, Status>
    where
        M: Clone,
        R: Future<Output = Result<Response<v1::MembersResponse>, Status>>,
    {
        let shared = &*self.shared;
        let default = shared.config.call_timeout;
        let call = Call::new(request.metadata(), default, Code::MembersUnknown);
        let message = request.into_inner();
        let change = change(&message).map_err(|failure| status(shared, failure))?;
        let local = || async { Some(change.make(shared).await) };
        let remote = |leader: Leader| {
            let forwarded = leader.request(message.clone());
            let answer = remote(ClusterClient::new(leader.channel), forwarded);
            async move { answer.await.map(Response::into_inner) }
        };
        let made = call.at_leader(shared, local, remote).await;
        made.map(Response::new)
            .map_err(|failure| status(shared, failure))
    }

    async fn is_initialized(&self) -> bool {
        match self.shared.replica.get() {
            Some(replica) => !replica.is_pristine().await.unwrap_or(false),
            None => self.shared.had_state,
        }
    }
}

#[tonic::async_trait]
impl Cluster for ClusterService {
    async fn status(
        &self,
        _: Request<v1::StatusRequest>,
    ) -> Result<Response<v1::StatusResponse>, Status> {
        let shared = &*self.shared;
        let raft = shared
            .replica
            .get()
            .map(Replica::status)
            .unwrap_or_default();
        let Some(own) = shared.ask(|reply| Input::Status { reply }).await else {
            return Err(status(shared, Failure::from(Code::Stopped)));
        };
        let index = |index: Option<u64>| index.unwrap_or(0);
        Ok(Response::new(v1::StatusResponse {
            cluster: shared.config.cluster.clone(),
            replica: shared.config.node,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            term: raft.leadership.term,
            leader: raft.leadership.leader,
            epoch: own.epoch,
            last_log: index(raft.last_log_index),
            committed: index(raft.committed_index),
            applied: index(raft.applied_index),
            snapshot: index(raft.snapshot_index),
            horizon: ids::txn_bytes(own.horizon),
            members: self.members(&raft),
            participants: own.participants,
            undecided: own.undecided as u64,
            open: own.open as u64,
            ended: own.ended as u64,
            oldest_in_doubt_millis: own.oldest_in_doubt_millis,
            clock_millis: clock::millis(),
            draining: shared.shutdown.is_draining(),
            pid: std::process::id(),
        }))
    }

    async fn identify(
        &self,
        request: Request<v1::IdentifyRequest>,
    ) -> Result<Response<v1::IdentifyResponse>, Status> {
        let shared = &*self.shared;
        let request = request.into_inner();
        let members = shared
            .replica
            .get()
            .map(Replica::members)
            .unwrap_or_default();
        // A replica of another cluster learns only that it is one.
        let known = (request.cluster == shared.config.cluster)
            .then(|| members.member(request.replica))
            .flatten();
        Ok(Response::new(v1::IdentifyResponse {
            cluster: shared.config.cluster.clone(),
            replica: shared.config.node,
            disk: ids::disk_bytes(shared.disk),
            initialized: self.is_initialized().await,
            known_disk: known
                .filter(|member| member.disk != 0)
                .map(|member| ids::number_bytes(member.disk))
                .unwrap_or_default(),
            clock_millis: clock::millis(),
            removed: request.cluster == shared.config.cluster
                && shared
                    .replica
                    .get()
                    .is_some_and(|replica| replica.is_removed(request.replica)),
        }))
    }

    async fn remove_participant(
        &self,
        request: Request<v1::RemoveParticipantRequest>,
    ) -> Result<Response<v1::RemoveParticipantResponse>, Status> {
        let default = self.shared.config.call_timeout;
        let call = Call::new(request.metadata(), default, Code::NoAnswer);
        let answer = removal::remove_participant(&self.shared, call, request.into_inner()).await;
        answer
            .map(Response::new)
            .map_err(|failure| status(&self.shared, failure))
    }

    async fn add_member(
        &self,
        request: Request<v1::AddMemberRequest>,
    ) -> Result<Response<v1::MembersResponse>, Status> {
        let checked = |request: &v1::AddMemberRequest| {
            let node = replica_id(request.replica)?;
            let address = request.address.clone();
            let line = format!("{node}={address}");
            match line.parse::<InitialCluster>() {
                Ok(_) => Ok(Change::Add { node, address }),
                Err(error) => Err(Failure::new(Code::Malformed, error.to_string())),
            }
        };
        self.change(request, checked, |mut client, request| async move {
            client.add_member(request).await
        })
        .await
    }

    async fn promote_member(
        &self,
        request: Request<v1::PromoteMemberRequest>,
    ) -> Result<Response<v1::MembersResponse>, Status> {
        let checked = |request: &v1::PromoteMemberRequest| {
            let node = replica_id(request.replica)?;
            Ok(Change::Promote { node })
        };
        self.change(request, checked, |mut client, request| async move {
            client.promote_member(request).await
        })
        .await
    }

    async fn remove_member(
        &self,
        request: Request<v1::RemoveMemberRequest>,
    ) -> Result<Response<v1::MembersResponse>, Status> {
        let checked = |request: &v1::RemoveMemberRequest| {
            let (node, force) = (replica_id(request.replica)?, request.force);
            Ok(Change::Remove { node, force })
        };
        self.change(request, checked, |mut client, request| async move {
            client.remove_member(request).await
        })
        .await
    }

    async fn join(
        &self,
        request: Request<v1::JoinRequest>,
    ) -> Result<Response<v1::MembersResponse>, Status> {
        let own = &self.shared.config.cluster;
        let checked = |request: &v1::JoinRequest| {
            if request.cluster != *own {
                let theirs = &request.cluster;
                let detail = format!("the replica is of {theirs:?}, this one of {own:?}");
                return Err(Failure::new(Code::WrongCluster, detail));
            }
            let node = replica_id(request.replica)?;
            let disk = ids::disk("disk", &request.disk)?;
            Ok(Change::Join { node, disk })
        };
        self.change(request, checked, |mut client, request| async move {
            client.join(request).await
        })
        .await
    }
}

fn replica_id(replica: u64) -> Result<u64, Failure> {
    match replica {
        0 => Err(Failure::new(Code::Malformed, "replica ids begin at 1")),
        node => Ok(node),
    }
}
