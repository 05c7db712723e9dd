//! The types that openraft is instantiated with, and the public names for a member and its cluster.
//! No behaviour lives here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bytes::Bytes;
use openraft::impls::{BoxedErrorSource, InlineBatch, leader_id_adv};
use openraft::raft::responder::Responder;
use openraft::{OptionalSend, RaftTypeConfig};
use openraft_rt_tokio::TokioRuntime;
use tokio::sync::oneshot;

/// The Raft group of every message and key. There is one group for now.
pub(crate) const GROUP: u32 = 0;

/// A member of the cluster, voter or learner.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Member {
    /// `host:port` of its gRPC service.
    pub address: String,
    /// The id of its disk; 0 when it is not known and must not be checked.
    pub disk: u128,
}

/// The members of the cluster as of some log entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Members {
    /// Those whose votes and acknowledgements count. While a change is under way, those of the old
    /// and of the new set.
    pub voters: BTreeMap<u64, Member>,
    /// Those that only follow.
    pub learners: BTreeMap<u64, Member>,
    /// Whether a change is under way: two sets of voters are in force.
    pub changing: bool,
}

impl Members {
    /// The member with id `node`.
    #[must_use]
    pub fn member(&self, node: u64) -> Option<&Member> {
        self.voters.get(&node).or_else(|| self.learners.get(&node))
    }

    pub(crate) fn of(membership: &Membership) -> Self {
        let sets = membership.get_joint_config();
        let is_voter = |node: &u64| sets.iter().any(|set| set.contains(node));
        let (voters, learners) = membership
            .nodes()
            .map(|(node, member)| (*node, member.clone()))
            .partition(|(node, _)| is_voter(node));
        Self {
            voters,
            learners,
            changing: sets.len() > 1,
        }
    }
}

/// What an entry carries: bytes that are never looked into here. Cloning shares them.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Data(pub(crate) Bytes);

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What a snapshot holds beside its place in the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    /// The owner's state, never looked into here.
    pub(crate) state: Bytes,
    /// Every node id that is or was a member.
    pub(crate) used: BTreeSet<u64>,
}

/// Hands the outcome of a proposal to whoever waits for it. Nobody may: that is no error.
pub(crate) struct Reply<T>(pub(crate) oneshot::Sender<T>);

impl<T: OptionalSend + 'static> Responder<TypeConfig, T> for Reply<T> {
    fn on_complete(self, result: T) {
        let _ = self.0.send(result);
    }
}

/// openraft's parameters.
///
/// Leaders are identified by (term, node), in that order: two candidates of one term do not split
/// the vote, the one with the higher node id wins, which saves a round of failover.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TypeConfig;

impl RaftTypeConfig for TypeConfig {
    type D = Data;
    type R = ();
    type NodeId = u64;
    type Node = Member;
    type Term = u64;
    type LeaderId = LeaderId;
    type Vote = Vote;
    type Payload = Payload;
    type Entry = Entry;
    type AsyncRuntime = TokioRuntime;
    type Responder<T>
        = Reply<T>
    where
        T: OptionalSend + 'static;
    type Batch<T>
        = InlineBatch<T>
    where
        T: OptionalSend + 'static;
    type ErrorSource = BoxedErrorSource;
}

pub(crate) type LeaderId = leader_id_adv::LeaderId<u64, u64>;
pub(crate) type LogId = openraft::LogId<LeaderId>;
pub(crate) type Vote = openraft::Vote<LeaderId>;
pub(crate) type Payload = openraft::EntryPayload<Data, u64, Member>;
pub(crate) type Entry = openraft::Entry<LeaderId, Payload>;
pub(crate) type Membership = openraft::Membership<u64, Member>;
pub(crate) type StoredMembership = openraft::StoredMembership<LeaderId, u64, Member>;
pub(crate) type SnapshotMeta = openraft::SnapshotMeta<LeaderId, u64, Member>;
pub(crate) type Snapshot = openraft::Snapshot<LeaderId, u64, Member, Contents>;
pub(crate) type LogState = openraft::LogState<TypeConfig>;
pub(crate) type Raft = openraft::Raft<TypeConfig, crate::machine::MachineProxy>;
