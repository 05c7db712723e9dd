//! What messages are made of: modes, values, ballots, lists, parts, and the reasons of a NO.

use std::sync::Arc;

use bytes::Bytes;
use triumvir_protocol::{
    Accepted, Ballot, Digest, Incarnation, Mode, NoReason, ParticipantId, Payload, Terms, Value,
    Work,
};

use crate::limits::{NO_CODE_BYTES_MAX, NO_DETAIL_BYTES_MAX, PARTICIPANTS_MAX, PAYLOAD_BYTES_MAX};
use crate::{WireError, ids, v1};

/// A mode; one that is not said is refused.
pub fn mode(field: &'static str, value: i32) -> Result<Mode, WireError> {
    match v1::Mode::try_from(value) {
        Ok(v1::Mode::ThreePhase) => Ok(Mode::ThreePhase),
        Ok(v1::Mode::TwoPhase) => Ok(Mode::TwoPhase),
        Ok(v1::Mode::Unspecified) | Err(_) => Err(WireError::Unknown { field, value }),
    }
}

/// A mode's number.
pub fn mode_wire(mode: Mode) -> i32 {
    v1::Mode::from(mode) as i32
}

impl From<Mode> for v1::Mode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::ThreePhase => Self::ThreePhase,
            Mode::TwoPhase => Self::TwoPhase,
        }
    }
}

/// A value; one that is not said is refused.
pub fn decision(field: &'static str, value: i32) -> Result<Value, WireError> {
    match v1::Decision::try_from(value) {
        Ok(v1::Decision::Commit) => Ok(Value::Commit),
        Ok(v1::Decision::Abort) => Ok(Value::Abort),
        Ok(v1::Decision::Unspecified) | Err(_) => Err(WireError::Unknown { field, value }),
    }
}

/// A value's number.
pub fn decision_wire(value: Value) -> i32 {
    v1::Decision::from(value) as i32
}

impl From<Value> for v1::Decision {
    fn from(value: Value) -> Self {
        match value {
            Value::Commit => Self::Commit,
            Value::Abort => Self::Abort,
        }
    }
}

/// A ballot, which must be there.
pub fn ballot(field: &'static str, wire: Option<v1::Ballot>) -> Result<Ballot, WireError> {
    wire.map(Ballot::from).ok_or(WireError::Missing { field })
}

impl From<v1::Ballot> for Ballot {
    fn from(v1::Ballot { round, owner }: v1::Ballot) -> Self {
        Self { round, owner }
    }
}

impl From<Ballot> for v1::Ballot {
    fn from(Ballot { round, owner }: Ballot) -> Self {
        Self { round, owner }
    }
}

/// What was accepted.
pub fn accepted(field: &'static str, wire: v1::Accepted) -> Result<Accepted, WireError> {
    let value = decision(field, wire.value)?;
    Ok(Accepted {
        ballot: ballot(field, wire.ballot)?,
        value,
    })
}

impl From<Accepted> for v1::Accepted {
    fn from(Accepted { ballot, value }: Accepted) -> Self {
        Self {
            ballot: Some(ballot.into()),
            value: decision_wire(value),
        }
    }
}

/// A list and a mode, with the digest that travels beside them.
pub fn terms(
    field: &'static str,
    participants: Vec<u32>,
    mode_number: i32,
    digest: Digest,
) -> Result<Terms, WireError> {
    let found = participants.len();
    if found > PARTICIPANTS_MAX {
        return Err(WireError::TooMany {
            field,
            found,
            max: PARTICIPANTS_MAX,
        });
    }
    let participants = participants.into_iter().map(ParticipantId);
    Terms::from_parts(mode("mode", mode_number)?, digest, participants)
        .map_err(|source| WireError::List { field, source })
}

pub(super) fn list(terms: &Terms) -> Vec<u32> {
    terms
        .participants
        .iter()
        .map(|participant| participant.0)
        .collect()
}

impl TryFrom<v1::Terms> for Terms {
    type Error = WireError;

    fn try_from(wire: v1::Terms) -> Result<Self, WireError> {
        let digest = ids::digest("terms.digest", &wire.digest)?;
        terms("terms.participants", wire.participants, wire.mode, digest)
    }
}

impl From<&Terms> for v1::Terms {
    fn from(terms: &Terms) -> Self {
        Self {
            participants: list(terms),
            mode: mode_wire(terms.mode),
            digest: ids::digest_bytes(terms.digest),
        }
    }
}

/// A payload from the wire: one copy. At most [`PAYLOAD_BYTES_MAX`].
pub fn payload(field: &'static str, bytes: &Bytes) -> Result<Payload, WireError> {
    if bytes.len() > PAYLOAD_BYTES_MAX {
        return Err(WireError::TooMany {
            field,
            found: bytes.len(),
            max: PAYLOAD_BYTES_MAX,
        });
    }
    Ok(Payload::from(bytes.as_ref()))
}

/// A payload for the wire: no copy.
pub fn payload_bytes(payload: Payload) -> Bytes {
    if payload.is_empty() {
        Bytes::new()
    } else {
        Bytes::from_owner(payload)
    }
}

/// One participant's part, which must be there.
pub fn work(field: &'static str, wire: Option<v1::Work>) -> Result<Work, WireError> {
    wire.ok_or(WireError::Missing { field })?.try_into()
}

impl TryFrom<v1::Work> for Work {
    type Error = WireError;

    fn try_from(wire: v1::Work) -> Result<Self, WireError> {
        match wire.kind {
            Some(v1::work::Kind::Payload(bytes)) => {
                Ok(Self::Payload(payload("work.payload", &bytes)?))
            }
            Some(v1::work::Kind::Done(v1::WorkDone {
                incarnation,
                operations,
            })) => Ok(Self::Done {
                incarnation: Incarnation(incarnation),
                operations,
            }),
            None => Err(WireError::Missing { field: "work.kind" }),
        }
    }
}

impl From<Work> for v1::Work {
    fn from(work: Work) -> Self {
        let kind = match work {
            Work::Payload(payload) => v1::work::Kind::Payload(payload_bytes(payload)),
            Work::Done {
                incarnation,
                operations,
            } => v1::work::Kind::Done(v1::WorkDone {
                incarnation: incarnation.0,
                operations,
            }),
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<v1::NoVote> for NoReason {
    type Error = WireError;

    fn try_from(wire: v1::NoVote) -> Result<Self, WireError> {
        use v1::no_vote::Kind;
        match wire.kind() {
            Kind::Resource => Ok(Self::Resource {
                code: text("no.code", &wire.code, NO_CODE_BYTES_MAX)?,
                detail: text("no.detail", &wire.detail, NO_DETAIL_BYTES_MAX)?,
                retryable: wire.retryable,
            }),
            Kind::Overtaken => Ok(Self::Overtaken),
            Kind::Timeout => Ok(Self::Timeout),
            Kind::WorkLost => Ok(Self::WorkLost),
            Kind::OtherContent => Ok(Self::OtherContent),
            Kind::Unspecified => Err(WireError::Unknown {
                field: "no.kind",
                value: wire.kind,
            }),
        }
    }
}

impl From<NoReason> for v1::NoVote {
    fn from(reason: NoReason) -> Self {
        use v1::no_vote::Kind;
        let retryable = reason.is_retryable();
        let (kind, code, detail) = match reason {
            NoReason::Resource { code, detail, .. } => (Kind::Resource, code, detail),
            NoReason::Overtaken => (Kind::Overtaken, "".into(), "".into()),
            NoReason::Timeout => (Kind::Timeout, "".into(), "".into()),
            NoReason::WorkLost => (Kind::WorkLost, "".into(), "".into()),
            NoReason::OtherContent => (Kind::OtherContent, "".into(), "".into()),
        };
        Self {
            kind: kind as i32,
            code: cut(&code, NO_CODE_BYTES_MAX),
            detail: cut(&detail, NO_DETAIL_BYTES_MAX),
            retryable,
        }
    }
}

fn text(field: &'static str, text: &str, max: usize) -> Result<Arc<str>, WireError> {
    if text.len() > max {
        return Err(WireError::TooMany {
            field,
            found: text.len(),
            max,
        });
    }
    Ok(text.into())
}

fn cut(text: &str, max: usize) -> String {
    let fits = (0..=max.min(text.len()))
        .rev()
        .find(|end| text.is_char_boundary(*end));
    text[..fits.unwrap_or_default()].to_owned()
}
