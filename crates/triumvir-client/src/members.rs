//! Changing the members of the cluster: an operator's calls, each answered by the leader.

use std::time::Duration;

use tonic::transport::Channel;
use tonic::{Response, Status};
use triumvir_wire::v1::cluster_client::ClusterClient;
use triumvir_wire::{Code, Failure, v1};

use crate::Client;
use crate::call::{call, timed};

impl Client {
    /// Makes the replica `replica`, which does not run yet, a learner: the cluster replicates to it at
    /// `address` (`host:port`) from then on. Adding it again changes nothing.
    ///
    /// # Errors
    ///
    /// The id or the address is in use, or the id ever was; or the members may or may not be changed,
    /// which the failure says: the call may be repeated.
    pub async fn add_member(
        &self,
        replica: u64,
        address: &str,
    ) -> Result<v1::MembersResponse, Failure> {
        let address = address.to_owned();
        let request = v1::AddMemberRequest { replica, address };
        self.change_members(|channel, time| {
            let request = timed(request.clone(), time);
            async move { ClusterClient::new(channel).add_member(request).await }
        })
        .await
    }

    /// Makes a learner that has caught up a voter. A voter stays one.
    ///
    /// # Errors
    ///
    /// It has not caught up, or is no member; or as [`Client::add_member`].
    pub async fn promote_member(&self, replica: u64) -> Result<v1::MembersResponse, Failure> {
        self.change_members(|channel, time| {
            let request = timed(v1::PromoteMemberRequest { replica }, time);
            async move { ClusterClient::new(channel).promote_member(request).await }
        })
        .await
    }

    /// Removes a member, voter or learner, for good. With `force` also when no majority of the voters
    /// that remain answers: then nothing commits until one does. Removing it again changes nothing.
    ///
    /// # Errors
    ///
    /// The cluster would lose its majority, or it was never a member; or as [`Client::add_member`].
    pub async fn remove_member(
        &self,
        replica: u64,
        force: bool,
    ) -> Result<v1::MembersResponse, Failure> {
        self.change_members(|channel, time| {
            let request = timed(v1::RemoveMemberRequest { replica, force }, time);
            async move { ClusterClient::new(channel).remove_member(request).await }
        })
        .await
    }

    async fn change_members<F>(
        &self,
        send: impl Fn(Channel, Duration) -> F,
    ) -> Result<v1::MembersResponse, Failure>
    where
        F: Future<Output = Result<Response<v1::MembersResponse>, Status>>,
    {
        let silence = Code::MembersUnknown;
        let answer = call(self.replicas(), self.deadline(), silence, send);
        answer.await.map_err(|missed| match missed.doubt {
            true => Failure::new(Code::MembersUnknown, missed.last.to_string()),
            false => missed.last,
        })
    }
}
