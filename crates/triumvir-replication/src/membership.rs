//! Changing who the members are. A change of voters goes through a joint configuration; openraft
//! does both steps. When to change is the operator's decision.

use std::collections::{BTreeMap, BTreeSet};

use openraft::ChangeMembers;
use openraft::errors::{ClientWriteError, RaftError};

use crate::error::MembershipError;
use crate::replica::Replica;
use crate::types::{Member, TypeConfig};

impl Replica {
    /// Adds `node` as a learner and begins to replicate to it, without waiting for it to catch up.
    ///
    /// # Errors
    ///
    /// See [`MembershipError`].
    pub async fn add_learner(&self, node: u64, member: Member) -> Result<(), MembershipError> {
        self.change(
            ChangeMembers::AddNodes(BTreeMap::from([(node, member)])),
            true,
        )
        .await
    }

    /// Makes the learner `node` a voter.
    ///
    /// # Errors
    ///
    /// See [`MembershipError`].
    pub async fn promote(&self, node: u64) -> Result<(), MembershipError> {
        self.change(ChangeMembers::AddVoterIds(BTreeSet::from([node])), true)
            .await
    }

    /// Makes exactly `voters` the voters; all of them must be members. Voters that are left out
    /// become learners when `keep` is set, and are removed otherwise.
    ///
    /// # Errors
    ///
    /// See [`MembershipError`].
    pub async fn set_voters(
        &self,
        voters: BTreeSet<u64>,
        keep: bool,
    ) -> Result<(), MembershipError> {
        self.change(ChangeMembers::ReplaceAllVoters(voters), keep)
            .await
    }

    /// Removes `node`, voter or learner. Its id must never come back with another disk.
    ///
    /// # Errors
    ///
    /// See [`MembershipError`].
    pub async fn remove(&self, node: u64) -> Result<(), MembershipError> {
        let node_set = BTreeSet::from([node]);
        let change = match self.members().voters.contains_key(&node) {
            true => ChangeMembers::RemoveVoters(node_set),
            false => ChangeMembers::RemoveNodes(node_set),
        };
        self.change(change, false).await
    }

    /// Replaces the address of the member `node`, which keeps its disk.
    ///
    /// # Errors
    ///
    /// See [`MembershipError`].
    pub async fn set_address(&self, node: u64, address: String) -> Result<(), MembershipError> {
        let members = self.members();
        let Some(member) = members.member(node) else {
            return Err(MembershipError::Refused {
                reason: format!("{node} is not a member"),
            });
        };
        let member = Member {
            address,
            disk: member.disk,
        };
        self.change(
            ChangeMembers::SetNodes(BTreeMap::from([(node, member)])),
            true,
        )
        .await
    }

    async fn change(
        &self,
        change: ChangeMembers<u64, Member>,
        keep: bool,
    ) -> Result<(), MembershipError> {
        match self.raft.change_membership(change, keep).await {
            Ok(_) => Ok(()),
            Err(error) => Err(membership_error(error)),
        }
    }
}

fn membership_error(error: RaftError<TypeConfig, ClientWriteError<TypeConfig>>) -> MembershipError {
    match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(to)) => MembershipError::NotLeader {
            leader: to.leader_id,
        },
        RaftError::APIError(ClientWriteError::LogEntryDiscarded(_)) => MembershipError::Unknown,
        RaftError::APIError(refused) => MembershipError::Refused {
            reason: refused.to_string(),
        },
        RaftError::Fatal(fatal) => MembershipError::Stopped {
            reason: fatal.to_string(),
        },
    }
}
