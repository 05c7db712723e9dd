//! What a transaction is made of: its mode, its participants, their work, and the digest over all
//! of it.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::{Incarnation, ParticipantId, Rules};

/// Opaque bytes that belong to a resource: operations on the way in, results on the way out.
pub type Payload = Arc<[u8]>;

/// How the outcome is decided.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Mode {
    /// Prepared participants can finish without any coordinator.
    ThreePhase,
    /// The coordinator's record alone decides: one forced write less, and nobody finishes without it.
    TwoPhase,
}

/// SHA-256 over the mode and every participant's part: see [`Terms::of`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .take(4)
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One participant's work in a transaction.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Work {
    /// Operations that travel with can-commit.
    Payload(Payload),
    /// Work that was done at the participant before commit was asked for.
    Done {
        /// The participant's incarnation when it did the work.
        incarnation: Incarnation,
        /// How many operations it did.
        operations: u64,
    },
}

/// What is fixed when commit is asked for. Travels in every inquiry and in every durable record.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Terms {
    /// The participants: not empty, ascending, no one twice.
    pub participants: Arc<[ParticipantId]>,
    /// How the outcome is decided.
    pub mode: Mode,
    /// Over the mode and all parts.
    pub digest: Digest,
}

/// Why a list of parts is not a transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TermsError {
    /// No participant at all.
    #[error("the transaction names no participant")]
    Empty,
    /// One participant has two parts.
    #[error("the transaction names participant {0} twice")]
    Twice(ParticipantId),
    /// The id 0 is reserved.
    #[error("participant id 0 is reserved")]
    Reserved,
}

impl Terms {
    /// The terms of a transaction of `parts` in `mode`; the order of `parts` does not matter.
    ///
    /// The digest is SHA-256 over a version byte, the mode, and for each participant in ascending
    /// order its id with the SHA-256 of its payload, or with incarnation and operation count.
    pub fn of(mode: Mode, parts: &[(ParticipantId, Work)]) -> Result<Self, TermsError> {
        Self::under(Rules::default(), mode, parts)
    }

    /// [`Terms::of`] under other rules, for the model checker.
    pub fn under(
        rules: Rules,
        mode: Mode,
        parts: &[(ParticipantId, Work)],
    ) -> Result<Self, TermsError> {
        let mut sorted: Vec<_> = parts.iter().collect();
        sorted.sort_by_key(|(id, _)| *id);
        let participants = Self::checked(sorted.iter().map(|(id, _)| *id))?;
        let mut hash = Sha256::new();
        hash.update([1, if rules.ignore_mode() { 0 } else { mode as u8 }]);
        for (id, work) in sorted {
            hash.update(id.0.to_be_bytes());
            match work {
                Work::Payload(payload) => {
                    hash.update([0]);
                    hash.update(Sha256::digest(payload));
                }
                Work::Done {
                    incarnation,
                    operations,
                } => {
                    hash.update([1]);
                    hash.update(incarnation.0.to_be_bytes());
                    hash.update(operations.to_be_bytes());
                }
            }
        }
        Ok(Self {
            participants,
            mode,
            digest: Digest(hash.finalize().into()),
        })
    }

    /// Terms as they come off the wire or the disk: the list is checked, the digest is taken as it
    /// is.
    pub fn from_parts(
        mode: Mode,
        digest: Digest,
        participants: impl IntoIterator<Item = ParticipantId>,
    ) -> Result<Self, TermsError> {
        Ok(Self {
            participants: Self::checked(participants)?,
            mode,
            digest,
        })
    }

    /// Whether `participant` is listed.
    pub fn lists(&self, participant: ParticipantId) -> bool {
        self.participants.binary_search(&participant).is_ok()
    }

    fn checked(
        participants: impl IntoIterator<Item = ParticipantId>,
    ) -> Result<Arc<[ParticipantId]>, TermsError> {
        let mut list: Vec<_> = participants.into_iter().collect();
        list.sort_unstable();
        match list.first() {
            None => return Err(TermsError::Empty),
            Some(ParticipantId(0)) => return Err(TermsError::Reserved),
            Some(_) => {}
        }
        match list.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(TermsError::Twice(pair[0])),
            None => Ok(list.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(id: u32, payload: &[u8]) -> (ParticipantId, Work) {
        (ParticipantId(id), Work::Payload(payload.into()))
    }

    #[test]
    fn order_of_parts_does_not_matter_and_everything_else_does() {
        let a = Terms::of(Mode::ThreePhase, &[part(1, b"x"), part(2, b"y")]).unwrap();
        let b = Terms::of(Mode::ThreePhase, &[part(2, b"y"), part(1, b"x")]).unwrap();
        assert_eq!(a, b);
        let done = |incarnation, operations| {
            let work = Work::Done {
                incarnation: Incarnation(incarnation),
                operations,
            };
            (ParticipantId(2), work)
        };
        for other in [
            Terms::of(Mode::TwoPhase, &[part(1, b"x"), part(2, b"y")]),
            Terms::of(Mode::ThreePhase, &[part(1, b"y"), part(2, b"x")]),
            Terms::of(Mode::ThreePhase, &[part(1, b"x"), part(3, b"y")]),
            Terms::of(Mode::ThreePhase, &[part(1, b"x")]),
            Terms::of(Mode::ThreePhase, &[part(1, b"x"), done(1, 1)]),
        ] {
            assert_ne!(a.digest, other.unwrap().digest);
        }
        let one = Terms::of(Mode::ThreePhase, &[part(1, b"x"), done(1, 2)]).unwrap();
        let two = Terms::of(Mode::ThreePhase, &[part(1, b"x"), done(2, 1)]).unwrap();
        assert_ne!(one.digest, two.digest);
    }

    #[test]
    fn refuses_lists_that_are_not_transactions() {
        assert_eq!(Terms::of(Mode::TwoPhase, &[]), Err(TermsError::Empty));
        assert_eq!(
            Terms::of(Mode::TwoPhase, &[part(3, b""), part(3, b"")]),
            Err(TermsError::Twice(ParticipantId(3)))
        );
        assert_eq!(
            Terms::of(Mode::TwoPhase, &[part(0, b"")]),
            Err(TermsError::Reserved)
        );
    }
}
