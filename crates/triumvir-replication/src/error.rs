//! The errors of replication, one type per operation. Each says whether the thing asked for can
//! have happened.

use triumvir_storage::StorageError;

use crate::codec::DecodeError;

/// A replica could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The log or the snapshot could not be read.
    #[error("cannot read the replicated log")]
    Storage(#[from] StorageError),
    /// The log or the snapshot does not have the shape that was written.
    #[error("the replicated log is corrupted: {reason}")]
    Corrupted {
        /// What was found.
        reason: String,
    },
    /// The configuration contradicts itself.
    #[error("the replication settings are not valid: {reason}")]
    Config {
        /// What is wrong with it.
        reason: String,
    },
    /// Raft refused to start, for instance because the owner of the state is gone.
    #[error("replication could not start: {reason}")]
    Raft {
        /// What it said.
        reason: String,
    },
}

impl From<DecodeError> for StartError {
    fn from(error: DecodeError) -> Self {
        Self::Corrupted {
            reason: error.to_string(),
        }
    }
}

/// A cluster could not be formed.
#[derive(Debug, thiserror::Error)]
pub enum InitializeError {
    /// This replica already has a log or has voted: it belongs to a cluster. Nothing was changed.
    #[error("this replica already belongs to a cluster")]
    NotPristine,
    /// This replica is not among the members it was given. Nothing was changed.
    #[error("this replica is not among the members")]
    NotAMember,
    /// This replica has stopped.
    #[error("replication has stopped: {reason}")]
    Stopped {
        /// Why.
        reason: String,
    },
}

/// A read that must be current was not possible. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// This replica does not lead.
    #[error("this replica does not lead")]
    NotLeader {
        /// Who does, as far as is known.
        leader: Option<u64>,
    },
    /// A majority did not confirm in time that this replica still leads.
    #[error("a majority did not confirm that this replica leads")]
    NoQuorum,
    /// This replica has stopped.
    #[error("replication has stopped: {reason}")]
    Stopped {
        /// Why.
        reason: String,
    },
}

/// Leadership was not handed over, as far as is known.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// This replica does not lead.
    #[error("this replica does not lead")]
    NotLeader {
        /// Who does, as far as is known.
        leader: Option<u64>,
    },
    /// There is no voter to hand it to, or the one named is none.
    #[error("there is no such voter to hand the leadership to")]
    NoTarget,
    /// No other replica has taken over in time. One may still.
    #[error("no other replica has taken over in time")]
    Timeout,
    /// This replica has stopped.
    #[error("replication has stopped: {reason}")]
    Stopped {
        /// Why.
        reason: String,
    },
}

/// The members were not changed, or it is not known whether they were.
#[derive(Debug, thiserror::Error)]
pub enum MembershipError {
    /// This replica does not lead. Nothing was changed.
    #[error("this replica does not lead")]
    NotLeader {
        /// Who does, as far as is known.
        leader: Option<u64>,
    },
    /// A majority did not confirm in time that this replica leads. Nothing was changed.
    #[error("a majority did not confirm that this replica leads")]
    NoQuorum,
    /// Another change is under way. Nothing was changed.
    #[error("another change of the members is under way")]
    Changing,
    /// The id is or was a member's. Nothing was changed.
    #[error("the id {node} is or was a member's; {free} is free")]
    IdUsed {
        /// The id.
        node: u64,
        /// The lowest id above every used one.
        free: u64,
    },
    /// Another member has the address. Nothing was changed.
    #[error("{address} is the address of node {holder}")]
    AddressTaken {
        /// The address.
        address: String,
        /// Who has it.
        holder: u64,
    },
    /// No member has this id, and none ever had. Nothing was changed.
    #[error("{node} is not a member")]
    NotAMember {
        /// The id.
        node: u64,
    },
    /// The member was removed. Nothing was changed.
    #[error("{node} was removed from the cluster")]
    Removed {
        /// The id.
        node: u64,
    },
    /// The member's id belongs to another data folder. Nothing was changed.
    #[error("{node} belongs to the data folder {known:032x}")]
    OtherDisk {
        /// The id.
        node: u64,
        /// The folder that is known.
        known: u128,
    },
    /// The learner has not caught up. Nothing was changed.
    #[error(
        "node {node} {} and lacks {lag_entries} log entries, of {lag_max} that it may lack",
        if *answers { "answers" } else { "does not answer" }
    )]
    Behind {
        /// The learner.
        node: u64,
        /// How many entries it lacks.
        lag_entries: u64,
        /// How many it may lack.
        lag_max: u64,
        /// Whether it has answered lately.
        answers: bool,
    },
    /// Too few of the voters that would remain answer. Nothing was changed.
    #[error(
        "without node {node}, {answering} of the {voters} voters that remain would answer, which is \
         no majority"
    )]
    Majority {
        /// Who would be removed.
        node: u64,
        /// How many voters would remain.
        voters: usize,
        /// How many of them answer.
        answering: usize,
    },
    /// There would be no voter left. Nothing was changed.
    #[error("node {node} is the last voter")]
    LastVoter {
        /// The voter.
        node: u64,
    },
    /// A leader does not remove itself: it hands its leadership on first. Nothing was changed.
    #[error("node {node} leads")]
    Leads {
        /// The leader.
        node: u64,
    },
    /// The change is not possible. Nothing was changed by this step; a change of voters that had
    /// begun may stand half-way and is finished by asking for it again.
    #[error("the change is not possible: {reason}")]
    Refused {
        /// Why.
        reason: String,
    },
    /// Leadership was lost on the way: whether the change is in force is unknown.
    #[error("it is not known whether the members were changed")]
    Unknown,
    /// This replica has stopped: whether the change is in force is unknown.
    #[error("replication has stopped: {reason}")]
    Stopped {
        /// Why.
        reason: String,
    },
}

/// This replica has stopped, by [`Replica::shutdown`](crate::Replica::shutdown) or because its
/// disk or the owner of its state failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("replication has stopped: {reason}")]
pub struct Stopped {
    /// Why.
    pub reason: String,
}
