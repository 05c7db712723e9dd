//! Changing who the members are: each change is checked against what is applied, then made. A change
//! of voters goes through a joint configuration; openraft does both steps. When to change is the
//! operator's decision.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use openraft::ChangeMembers;
use openraft::errors::{ChangeMembershipError, ClientWriteError, RaftError};
use tokio::sync::OwnedMutexGuard;
use tokio::time::{Instant, sleep};

use crate::error::{MembershipError, ReadError};
use crate::replica::Replica;
use crate::status::PeerStatus;
use crate::types::{Member, Members, TypeConfig};

/// Held while the members are checked and changed.
type Turn = OwnedMutexGuard<()>;

impl Replica {
    /// Adds `node` as a learner and begins to replicate to it, without waiting for it to catch up.
    /// Adding a member again that has the same address changes nothing.
    ///
    /// # Errors
    ///
    /// [`MembershipError::IdUsed`], [`MembershipError::AddressTaken`], and what every change has.
    pub async fn add_learner(&self, node: u64, member: Member) -> Result<(), MembershipError> {
        let (turn, members) = self.turn().await?;
        if members
            .member(node)
            .is_some_and(|known| known.address == member.address)
        {
            return Ok(());
        }
        let used = self.roll.used();
        if used.contains(&node) {
            let free = used.last().map_or(1, |last| last.saturating_add(1));
            return Err(MembershipError::IdUsed { node, free });
        }
        let mut others = members.voters.iter().chain(&members.learners);
        if let Some((holder, _)) = others.find(|(_, other)| other.address == member.address) {
            return Err(MembershipError::AddressTaken {
                address: member.address,
                holder: *holder,
            });
        }
        let change = ChangeMembers::AddNodes(BTreeMap::from([(node, member)]));
        self.change(turn, change, true).await.map(drop)
    }

    /// Takes `disk` for the data folder of the member `node`, if none is known for it.
    ///
    /// # Errors
    ///
    /// [`MembershipError::OtherDisk`], [`MembershipError::Removed`],
    /// [`MembershipError::NotAMember`], and what every change has.
    pub async fn admit(&self, node: u64, disk: u128) -> Result<(), MembershipError> {
        let (turn, members) = self.turn().await?;
        let member = self.known(&members, node)?;
        match member.disk {
            known if known == disk => Ok(()),
            0 => {
                let address = member.address.clone();
                let member = Member { address, disk };
                let change = ChangeMembers::SetNodes(BTreeMap::from([(node, member)]));
                self.change(turn, change, true).await.map(drop)
            }
            known => Err(MembershipError::OtherDisk { node, known }),
        }
    }

    /// Makes the learner `node` a voter, once it has caught up: it answers, and lacks no more than
    /// one append can hold. A voter stays one.
    ///
    /// # Errors
    ///
    /// [`MembershipError::Behind`], [`MembershipError::Removed`], [`MembershipError::NotAMember`],
    /// and what every change has.
    pub async fn promote(&self, node: u64) -> Result<(), MembershipError> {
        let (turn, members) = self.turn().await?;
        self.known(&members, node)?;
        if members.voters.contains_key(&node) {
            return Ok(());
        }
        self.patiently(|| self.check_lag(node)).await?;
        let change = ChangeMembers::AddVoterIds(BTreeSet::from([node]));
        self.change(turn, change, true).await.map(drop)
    }

    /// Removes `node`, voter or learner, for good: its id can not be used again. Removing it again
    /// changes nothing. Unless `force` is set a majority of the voters that remain must answer.
    ///
    /// # Errors
    ///
    /// [`MembershipError::Leads`], [`MembershipError::LastVoter`],
    /// [`MembershipError::Majority`], [`MembershipError::NotAMember`], and what every change has.
    pub async fn remove(&self, node: u64, force: bool) -> Result<(), MembershipError> {
        let (turn, members) = self.turn().await?;
        match self.known(&members, node) {
            Err(MembershipError::Removed { .. }) => return Ok(()),
            known => known?,
        };
        let nodes = BTreeSet::from([node]);
        if !members.voters.contains_key(&node) {
            let change = ChangeMembers::RemoveNodes(nodes);
            return self.change(turn, change, false).await.map(drop);
        }
        let remaining = members.voters.keys().filter(|voter| **voter != node);
        let voters = remaining.clone().count();
        if voters == 0 {
            return Err(MembershipError::LastVoter { node });
        }
        let check = || {
            let peers = self.status().peers;
            let answers = |voter: &u64| {
                *voter == self.config.node
                    || peers.get(voter).is_some_and(|peer| self.answers(peer))
            };
            let answering = remaining.clone().filter(|voter| answers(voter)).count();
            match answering * 2 > voters {
                true => Ok(()),
                false => Err(MembershipError::Majority {
                    node,
                    voters,
                    answering,
                }),
            }
        };
        if !force {
            self.patiently(check).await?;
        }
        if node == self.config.node {
            return Err(MembershipError::Leads { node });
        }
        let change = ChangeMembers::RemoveVoters(nodes);
        self.change(turn, change, false).await.map(drop)
    }

    /// Replaces the address of the member `node`, which keeps its disk.
    ///
    /// # Errors
    ///
    /// [`MembershipError::Removed`], [`MembershipError::NotAMember`], and what every change has.
    pub async fn set_address(&self, node: u64, address: String) -> Result<(), MembershipError> {
        let (turn, members) = self.turn().await?;
        let disk = self.known(&members, node)?.disk;
        let member = Member { address, disk };
        let change = ChangeMembers::SetNodes(BTreeMap::from([(node, member)]));
        self.change(turn, change, true).await.map(drop)
    }

    /// Finishes a change of voters that stands half-way, because its leader was lost. To be called
    /// at a leader now and then; nothing to finish is no error.
    ///
    /// # Errors
    ///
    /// What every change has.
    pub async fn finish_change(&self) -> Result<(), MembershipError> {
        if !self.members().changing || !self.status().leadership.me_leader {
            return Ok(());
        }
        self.turn().await.map(drop)
    }

    /// The turn to change the members, and the members as of all that was changed before. A change
    /// that stands half-way is finished first: another one on top of it would end it otherwise than
    /// it was asked for, and keep as a learner who was to be removed.
    async fn turn(&self) -> Result<(Turn, Members), MembershipError> {
        let turn = self.change.clone().try_lock_owned();
        let turn = turn.map_err(|_| MembershipError::Changing)?;
        self.read_barrier().await.map_err(|error| match error {
            ReadError::NotLeader { leader } => MembershipError::NotLeader { leader },
            ReadError::NoQuorum => MembershipError::NoQuorum,
            ReadError::Stopped { reason } => MembershipError::Stopped { reason },
        })?;
        let turn = match self.roll.members().changing {
            true => {
                let finish = ChangeMembers::AddVoterIds(BTreeSet::new());
                self.change(turn, finish, false).await?
            }
            false => turn,
        };
        let members = self.roll.members();
        // A leader that has finished its own removal leads on for a moment; Raft takes no change of the
        // members from it any more.
        match members.voters.contains_key(&self.config.node) {
            true => Ok((turn, members)),
            false => Err(MembershipError::NotLeader { leader: None }),
        }
    }

    fn known<'a>(&self, members: &'a Members, node: u64) -> Result<&'a Member, MembershipError> {
        members.member(node).ok_or_else(|| {
            if self.roll.is_removed(node) {
                MembershipError::Removed { node }
            } else {
                MembershipError::NotAMember { node }
            }
        })
    }

    fn check_lag(&self, node: u64) -> Result<(), MembershipError> {
        let peer = self.status().peers.get(&node).copied().unwrap_or_default();
        let answers = peer.matched_index.is_some() && self.answers(&peer);
        let (lag_entries, lag_max) = (peer.lag_entries, self.config.append_entries_max);
        match answers && lag_entries <= lag_max {
            true => Ok(()),
            false => Err(MembershipError::Behind {
                node,
                lag_entries,
                lag_max,
                answers,
            }),
        }
    }

    /// Checks until it is well, for a short time: a leader that has just begun has not heard
    /// everyone yet.
    async fn patiently(
        &self,
        check: impl Fn() -> Result<(), MembershipError>,
    ) -> Result<(), MembershipError> {
        let until = Instant::now() + self.config.election_timeout_max * 2;
        loop {
            match check() {
                Err(_) if Instant::now() < until => sleep(self.config.heartbeat).await,
                checked => return checked,
            }
        }
    }

    /// Whether a peer has answered within the time in which it would have been heard several times.
    fn answers(&self, peer: &PeerStatus) -> bool {
        let most = self.config.election_timeout_max * 3;
        peer.ack_millis
            .is_some_and(|age| Duration::from_millis(age) <= most)
    }

    /// Makes a change to its end, also when the caller waits for it no longer. Gives the turn back.
    async fn change(
        &self,
        turn: Turn,
        change: ChangeMembers<u64, Member>,
        keep: bool,
    ) -> Result<Turn, MembershipError> {
        let raft = self.raft.clone();
        let before = self.roll.index();
        let changed = tokio::spawn(async move {
            let changed = raft.change_membership(change, keep).await;
            (turn, changed)
        });
        match changed.await {
            Ok((turn, Ok(_))) => Ok(turn),
            Ok((_, Err(error))) => Err(membership_error(error, self.roll.index() != before)),
            Err(error) => Err(MembershipError::Stopped {
                reason: error.to_string(),
            }),
        }
    }
}

/// `begun`: the first of a change's two steps is in force, whatever became of the second.
fn membership_error(
    error: RaftError<TypeConfig, ClientWriteError<TypeConfig>>,
    begun: bool,
) -> MembershipError {
    match error {
        RaftError::Fatal(fatal) => MembershipError::Stopped {
            reason: fatal.to_string(),
        },
        RaftError::APIError(_) if begun => MembershipError::Unknown,
        RaftError::APIError(ClientWriteError::ForwardToLeader(to)) => MembershipError::NotLeader {
            leader: to.leader_id,
        },
        RaftError::APIError(ClientWriteError::LogEntryDiscarded(_)) => MembershipError::Unknown,
        RaftError::APIError(ClientWriteError::ChangeMembershipError(
            ChangeMembershipError::InProgress(_),
        )) => MembershipError::Changing,
        RaftError::APIError(refused) => MembershipError::Refused {
            reason: refused.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use openraft::errors::ForwardToLeader;

    use super::*;

    #[test]
    fn a_change_that_has_begun_is_never_said_to_be_none() {
        let lost = || ClientWriteError::ForwardToLeader(ForwardToLeader::empty());
        let said = |begun| membership_error(RaftError::APIError(lost()), begun);
        assert!(matches!(said(false), MembershipError::NotLeader { .. }));
        assert!(matches!(said(true), MembershipError::Unknown));
    }
}
