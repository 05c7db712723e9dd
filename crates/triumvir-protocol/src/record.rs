//! The replicated log's records. The leader stamps everything into them, so that applying one is a
//! function of the state and the record alone.

use std::sync::Arc;

use crate::{
    Ballot, Digest, DiskId, Horizon, Incarnation, Outcome, ParticipantId, ReplicaId, Terms, TxnId,
    Value,
};

/// One record. When each is applied: [`Coordinator::apply`](crate::Coordinator::apply).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Record {
    /// All participants voted YES or READ: the coordinator accepts commit at [`Ballot::ZERO`].
    PreCommit {
        /// The transaction.
        txn: TxnId,
        /// List, mode and digest.
        terms: Terms,
        /// Those that voted YES: ascending, each listed in `terms`.
        voters: Arc<[ParticipantId]>,
    },
    /// The transaction is aborted for good.
    Abort {
        /// The transaction.
        txn: TxnId,
        /// Its digest, where it is known.
        digest: Option<Digest>,
        /// For the client.
        reason: AbortReason,
    },
    /// The coordinator accepts `value` at `ballot`, if it still stands at `expected`.
    Accept {
        /// The transaction.
        txn: TxnId,
        /// The new ballot.
        ballot: Ballot,
        /// Its value.
        value: Value,
        /// The ballot that the proposer saw accepted.
        expected: Ballot,
    },
    /// Every YES voter has made the outcome durable (commit), or the abort is decided.
    End {
        /// The transaction.
        txn: TxnId,
        /// How it ended.
        outcome: Outcome,
    },
    /// Everything at or below the bound is over.
    Horizon(Horizon),
    /// A leader starts to act; the record's log index is its epoch.
    Activate {
        /// The leader.
        replica: ReplicaId,
        /// Drawn by the leader for this one activation, to know its own record again.
        nonce: u64,
    },
    /// A participant's process has started.
    Register(Register),
    /// An operator has decided that the participant never comes back.
    Remove {
        /// Which one. Not 0.
        participant: ParticipantId,
    },
}

/// A participant's registration.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Register {
    /// Its stable name.
    pub name: Arc<str>,
    /// Its data folder.
    pub disk: DiskId,
    /// The incarnation that its data folder last stored, or 0.
    pub previous: Incarnation,
    /// Drawn and stored by the participant for this one start, so that a repeated registration is
    /// known again.
    pub nonce: u128,
    /// Where its peers reach it.
    pub address: Arc<str>,
    /// The operator says that the disk known under this name is lost.
    pub replace: bool,
}

/// Why the coordinator recorded an abort.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum AbortReason {
    /// This participant had not voted in time (the first of those missing).
    VoteTimeout(ParticipantId),
    /// A client asked for it.
    Requested,
    /// A client asked to decide a transaction of which there was no record.
    Decided,
    /// This participant reported that it holds evidence of abort.
    Reported(ParticipantId),
    /// Its participants' refusals or fences were resolved to abort.
    Fenced,
    /// This participant was removed before all had voted.
    Removed(ParticipantId),
}

/// Why a record must not be proposed nor applied.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RecordError {
    /// A voter that is not a participant, or out of order.
    #[error("the voters are not an ascending part of the list")]
    Voters,
    /// A ballot that does not grow.
    #[error("the ballot is not above the expected one")]
    Ballot,
    /// A ballot that belongs to a peer.
    #[error("the ballot is not a coordinator's")]
    Owner,
    /// An empty or overlong participant name or address.
    #[error("the participant's name or address is empty or over {0} bytes")]
    Name(usize),
    /// Id 0, which is no participant's.
    #[error("the participant has no id")]
    Participant,
}

impl Record {
    /// The longest participant name or address, in bytes.
    pub const NAME_MAX: usize = 256;

    /// Checks what [`Coordinator::apply`](crate::Coordinator::apply) relies on. Call it on every
    /// record that is decoded, and before one is proposed.
    pub fn check(&self) -> Result<(), RecordError> {
        match self {
            Self::PreCommit { terms, voters, .. } => {
                let ascending = voters.windows(2).all(|pair| pair[0] < pair[1]);
                let listed = voters.iter().all(|voter| terms.lists(*voter));
                if ascending && listed {
                    Ok(())
                } else {
                    Err(RecordError::Voters)
                }
            }
            Self::Accept { ballot, .. } if ballot.is_peer() => Err(RecordError::Owner),
            Self::Accept {
                ballot, expected, ..
            } if ballot <= expected => Err(RecordError::Ballot),
            Self::Register(Register { name, address, .. }) => {
                let fits = |text: &str| !text.is_empty() && text.len() <= Self::NAME_MAX;
                if fits(name) && fits(address) {
                    Ok(())
                } else {
                    Err(RecordError::Name(Self::NAME_MAX))
                }
            }
            Self::Remove { participant } if participant.0 == 0 => Err(RecordError::Participant),
            _ => Ok(()),
        }
    }
}
