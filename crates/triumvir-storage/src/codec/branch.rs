//! A participant's branch.

use prost::{Message, Oneof};
use triumvir_protocol::{Branch, BranchState, Terms, TxnId};

use super::parts::{StoredAccepted, StoredBallot, StoredNo, StoredTerms, bits, digest, txn};
use super::{CodecError, decode, encode};

#[derive(Clone, PartialEq, Message)]
struct StoredBranch {
    #[prost(bytes = "vec", tag = "1")]
    digest: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    results: Vec<u8>,
    #[prost(oneof = "State", tags = "3, 4, 5, 6, 7, 8")]
    state: Option<State>,
}

#[derive(Clone, PartialEq, Oneof)]
enum State {
    #[prost(message, tag = "3")]
    Prepared(StoredPrepared),
    #[prost(message, tag = "4")]
    PreCommitted(StoredPrepared),
    #[prost(message, tag = "5")]
    Read(StoredRead),
    #[prost(message, tag = "6")]
    Committed(()),
    #[prost(message, tag = "7")]
    Aborted(()),
    #[prost(message, tag = "8")]
    Refused(StoredNo),
}

#[derive(Clone, PartialEq, Message)]
struct StoredPrepared {
    #[prost(message, required, tag = "1")]
    terms: StoredTerms,
    #[prost(bytes = "vec", tag = "2")]
    age: Vec<u8>,
    #[prost(message, required, tag = "3")]
    ballot: StoredBallot,
    #[prost(message, optional, tag = "4")]
    accepted: Option<StoredAccepted>,
}

#[derive(Clone, PartialEq, Message)]
struct StoredRead {
    #[prost(message, required, tag = "1")]
    terms: StoredTerms,
    #[prost(bytes = "vec", tag = "2")]
    age: Vec<u8>,
    #[prost(bool, tag = "3")]
    released: bool,
}

/// A branch as the journal keeps it.
pub fn encode_branch(branch: &Branch) -> Vec<u8> {
    let live = |terms: &Terms, age: &TxnId| (StoredTerms::from(terms), bits(age.as_u128()));
    let state = match &branch.state {
        BranchState::Prepared {
            terms,
            age,
            promised,
            accepted,
        } => {
            let (terms, age) = live(terms, age);
            let (ballot, accepted) = ((*promised).into(), accepted.map(Into::into));
            State::Prepared(StoredPrepared {
                terms,
                age,
                ballot,
                accepted,
            })
        }
        BranchState::PreCommitted { terms, age, ballot } => {
            let (terms, age) = live(terms, age);
            State::PreCommitted(StoredPrepared {
                terms,
                age,
                ballot: (*ballot).into(),
                accepted: None,
            })
        }
        BranchState::Read {
            terms,
            age,
            released,
        } => {
            let (terms, age) = live(terms, age);
            State::Read(StoredRead {
                terms,
                age,
                released: *released,
            })
        }
        BranchState::Committed => State::Committed(()),
        BranchState::Aborted => State::Aborted(()),
        BranchState::Refused(reason) => State::Refused(reason.into()),
    };
    encode(&StoredBranch {
        digest: branch.digest.0.to_vec(),
        results: branch.results.to_vec(),
        state: Some(state),
    })
}

/// A branch that [`encode_branch`] wrote.
///
/// # Errors
///
/// [`CodecError`] if the bytes are not a branch of this format.
pub fn decode_branch(bytes: &[u8]) -> Result<Branch, CodecError> {
    let stored: StoredBranch = decode(bytes)?;
    let state = match stored.state.ok_or(CodecError::Field("state"))? {
        State::Prepared(prepared) => BranchState::Prepared {
            terms: prepared.terms.try_into()?,
            age: txn(&prepared.age)?,
            promised: prepared.ballot.into(),
            accepted: prepared.accepted.map(TryInto::try_into).transpose()?,
        },
        State::PreCommitted(prepared) => BranchState::PreCommitted {
            terms: prepared.terms.try_into()?,
            age: txn(&prepared.age)?,
            ballot: prepared.ballot.into(),
        },
        State::Read(read) => BranchState::Read {
            terms: read.terms.try_into()?,
            age: txn(&read.age)?,
            released: read.released,
        },
        State::Committed(()) => BranchState::Committed,
        State::Aborted(()) => BranchState::Aborted,
        State::Refused(reason) => BranchState::Refused(reason.try_into()?),
    };
    Ok(Branch {
        digest: digest(&stored.digest)?,
        state,
        results: stored.results.into(),
    })
}

#[cfg(test)]
mod tests {
    use triumvir_protocol::{Accepted, Ballot, Digest, Mode, NoReason, ParticipantId, Value};

    use super::*;

    fn branches() -> Vec<Branch> {
        let list = [ParticipantId(1), ParticipantId(4)];
        let terms = Terms::from_parts(Mode::TwoPhase, Digest([7; 32]), list).unwrap();
        let age = TxnId::at_millis(5);
        let promised = Ballot::peer(3, ParticipantId(4));
        let accepted = Some(Accepted {
            ballot: Ballot::coordinator(2),
            value: Value::Abort,
        });
        let refused = NoReason::Resource {
            code: "minimum".into(),
            detail: "stock is 1".into(),
            retryable: true,
        };
        [
            BranchState::Prepared {
                terms: terms.clone(),
                age,
                promised,
                accepted,
            },
            BranchState::PreCommitted {
                terms: terms.clone(),
                age,
                ballot: promised,
            },
            BranchState::Read {
                terms,
                age,
                released: true,
            },
            BranchState::Committed,
            BranchState::Aborted,
            BranchState::Refused(refused),
            BranchState::Refused(NoReason::WorkLost),
        ]
        .map(|state| Branch {
            digest: Digest([7; 32]),
            state,
            results: [1, 2].into(),
        })
        .into()
    }

    #[test]
    fn every_state_comes_back() {
        for branch in branches() {
            assert_eq!(decode_branch(&encode_branch(&branch)).unwrap(), branch);
        }
    }

    #[test]
    fn damage_is_refused_or_decodes_to_a_branch_but_never_panics() {
        for branch in branches() {
            let bytes = encode_branch(&branch);
            for cut in 0..bytes.len() {
                let _ = decode_branch(&bytes[..cut]);
            }
            for at in 0..bytes.len() {
                let mut bytes = bytes.clone();
                bytes[at] ^= 0x55;
                let _ = decode_branch(&bytes);
            }
            let mut newer = bytes.clone();
            newer[0] = 9;
            assert!(matches!(
                decode_branch(&newer),
                Err(CodecError::Version { found: 9 })
            ));
        }
    }
}
