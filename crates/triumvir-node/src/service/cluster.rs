//! The cluster's state, and what replicas ask each other. Served before Raft runs, by every replica
//! about itself.

use std::sync::Arc;

use tonic::{Request, Response, Status};
use triumvir_replication::Replica;
use triumvir_wire::v1::cluster_server::Cluster;
use triumvir_wire::{Code, Failure, ids, v1};

use super::forward::status;
use crate::clock;
use crate::owner::Input;
use crate::shared::Shared;

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
        let members = self
            .shared
            .replica
            .get()
            .map(Replica::members)
            .unwrap_or_default();
        let voters = members
            .voters
            .iter()
            .map(|(node, member)| (node, member, true));
        let learners = members
            .learners
            .iter()
            .map(|(node, member)| (node, member, false));
        let member =
            |(node, member, voter): (&u64, &triumvir_replication::Member, bool)| v1::Member {
                replica: *node,
                address: member.address.clone(),
                disk: ids::number_bytes(member.disk),
                voter,
                lag: raft.peers.get(node).map(|peer| peer.lag_entries),
            };
        voters.chain(learners).map(member).collect()
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
                .map(|member| ids::number_bytes(member.disk))
                .unwrap_or_default(),
            clock_millis: clock::millis(),
        }))
    }
}
