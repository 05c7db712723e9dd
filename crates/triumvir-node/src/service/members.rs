//! Changes of the members: each is made by the leader, and one that would remove the leader is made
//! by the next. What is allowed is for replication to say.

use triumvir_protocol::DiskId;
use triumvir_replication::{Member, Members, MembershipError, Replica, TransferError};
use triumvir_wire::{Applied, Code, Failure, ids, v1};

#[cfg(feature = "failpoints")]
use crate::failpoint;
use crate::shared::Shared;

/// One change, as it was asked for and checked.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// A new learner.
    Add { node: u64, address: String },
    /// A learner becomes a voter.
    Promote { node: u64 },
    /// A member is removed.
    Remove { node: u64, force: bool },
    /// A new member starts on this folder.
    Join { node: u64, disk: DiskId },
}

impl Change {
    /// Makes the change, if this replica leads.
    pub(super) async fn make(&self, shared: &Shared) -> Result<v1::MembersResponse, Failure> {
        let replica = shared.replica.get().ok_or(Code::NoLeader)?;
        let made = match self {
            Self::Add { node, address } => {
                let (address, disk) = (address.clone(), 0);
                replica.add_learner(*node, Member { address, disk }).await
            }
            Self::Promote { node } => replica.promote(*node).await,
            Self::Remove { node, force } => replica.remove(*node, *force).await,
            Self::Join { node, disk } => replica.admit(*node, disk.0).await,
        };
        match made {
            Ok(()) => {
                tracing::info!(change = ?self, "the members were changed");
                #[cfg(feature = "failpoints")]
                self.reach();
                Ok(v1::MembersResponse {
                    cluster: shared.config.cluster.clone(),
                    members: list(&replica.members(), &replica.status()),
                })
            }
            Err(MembershipError::Leads { .. }) => Err(hand_on(replica).await),
            Err(error) => Err(failure(&error)),
        }
    }
}

#[cfg(feature = "failpoints")]
impl Change {
    /// The change is made, and nobody is told.
    fn reach(&self) {
        match self {
            Self::Add { .. } => failpoint::reach("leader::after-member-added"),
            Self::Promote { .. } => failpoint::reach("leader::after-member-promoted"),
            Self::Remove { .. } => failpoint::reach("leader::after-member-removed"),
            Self::Join { .. } => {}
        }
    }
}

/// The members as they are told to others.
pub(super) fn list(members: &Members, raft: &triumvir_replication::Status) -> Vec<v1::Member> {
    let voters = members.voters.iter().map(|member| (member, true));
    let learners = members.learners.iter().map(|member| (member, false));
    let member = |((node, member), voter): ((&u64, &Member), bool)| v1::Member {
        replica: *node,
        address: member.address.clone(),
        disk: ids::number_bytes(member.disk),
        voter,
        lag: raft.peers.get(node).map(|peer| peer.lag_entries),
    };
    voters.chain(learners).map(member).collect()
}

/// Hands the leadership on, so that the next leader removes this replica: the call goes there.
async fn hand_on(replica: &Replica) -> Failure {
    match replica.transfer_leadership(None).await {
        Ok(leader) => {
            tracing::info!(leader, "another replica leads, to remove this one");
            Failure::from(Code::NoLeader)
        }
        Err(TransferError::NoTarget) => failure(&MembershipError::LastVoter {
            node: replica.node(),
        }),
        Err(TransferError::Stopped { reason }) => {
            Failure::new(Code::Stopped, reason).with_applied(Applied::NotApplied)
        }
        Err(error) => Failure::new(Code::NoLeader, error.to_string()),
    }
}

fn failure(error: &MembershipError) -> Failure {
    let code = match error {
        MembershipError::NotLeader { .. } | MembershipError::NoQuorum => Code::NoLeader,
        MembershipError::Changing => Code::MembersChanging,
        MembershipError::IdUsed { .. } => Code::ReplicaIdUsed,
        MembershipError::AddressTaken { .. } => Code::AddressTaken,
        MembershipError::NotAMember { .. } => Code::NotAMember,
        MembershipError::Removed { .. } => Code::ReplicaRemoved,
        MembershipError::OtherDisk { .. } => Code::ReplicaOtherDisk,
        MembershipError::Behind { .. } => Code::NotCaughtUp,
        MembershipError::Majority { .. } | MembershipError::LastVoter { .. } => {
            Code::MajorityAtRisk
        }
        MembershipError::Leads { .. } | MembershipError::Refused { .. } => Code::Internal,
        MembershipError::Unknown | MembershipError::Stopped { .. } => Code::MembersUnknown,
    };
    Failure::new(code, error.to_string())
}
