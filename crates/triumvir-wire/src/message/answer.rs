//! Answers: what a participant says about its branch.

use bytes::Bytes;
use triumvir_protocol::{Accepted, Answer, Ballot};

use super::terms::{self, payload, payload_bytes};
use crate::{WireError, ids, v1};

impl TryFrom<v1::Answer> for Answer {
    type Error = WireError;

    fn try_from(wire: v1::Answer) -> Result<Self, WireError> {
        use v1::answer::Kind;
        Ok(
            match wire.kind.ok_or(WireError::Missing {
                field: "answer.kind",
            })? {
                Kind::Yes(v1::Results { results }) => Self::Yes {
                    results: payload("yes", &results)?,
                },
                Kind::Read(v1::Results { results }) => Self::Read {
                    results: payload("read", &results)?,
                },
                Kind::No(no) => Self::No {
                    reason: no.try_into()?,
                },
                Kind::NeedPayload(v1::NeedPayload {}) => Self::NeedPayload,
                Kind::Ack(ballot) => Self::Ack {
                    ballot: ballot.into(),
                },
                Kind::Promise(wire) => {
                    let (ballot, accepted) = standing("promise", wire)?;
                    Self::Promise { ballot, accepted }
                }
                Kind::Refuse(wire) => {
                    let (promised, accepted) = standing("refuse", wire)?;
                    Self::Refuse { promised, accepted }
                }
                Kind::Prepared(wire) => {
                    let (promised, accepted) = standing("prepared", wire)?;
                    Self::Prepared { promised, accepted }
                }
                Kind::Decided(v1::Decided {}) => Self::Decided,
                Kind::Committed(v1::Committed { results }) => {
                    let read = |bytes: Bytes| payload("committed", &bytes);
                    Self::Committed {
                        results: results.map(read).transpose()?,
                    }
                }
                Kind::Aborted(v1::Aborted {}) => Self::Aborted,
                Kind::Forgotten(bytes) => Self::Forgotten {
                    horizon: ids::horizon("forgotten", &bytes)?,
                },
            },
        )
    }
}

impl From<Answer> for v1::Answer {
    fn from(answer: Answer) -> Self {
        use v1::answer::Kind;
        let results = |payload| v1::Results {
            results: payload_bytes(payload),
        };
        let kind = match answer {
            Answer::Yes { results: payload } => Kind::Yes(results(payload)),
            Answer::Read { results: payload } => Kind::Read(results(payload)),
            Answer::No { reason } => Kind::No(reason.into()),
            Answer::NeedPayload => Kind::NeedPayload(v1::NeedPayload {}),
            Answer::Ack { ballot } => Kind::Ack(ballot.into()),
            Answer::Promise { ballot, accepted } => Kind::Promise(standing_wire(ballot, accepted)),
            Answer::Refuse { promised, accepted } => {
                Kind::Refuse(standing_wire(promised, accepted))
            }
            Answer::Prepared { promised, accepted } => {
                Kind::Prepared(standing_wire(promised, accepted))
            }
            Answer::Decided => Kind::Decided(v1::Decided {}),
            Answer::Committed { results } => Kind::Committed(v1::Committed {
                results: results.map(payload_bytes),
            }),
            Answer::Aborted => Kind::Aborted(v1::Aborted {}),
            Answer::Forgotten { horizon } => Kind::Forgotten(ids::horizon_bytes(horizon)),
        };
        Self { kind: Some(kind) }
    }
}

fn standing(
    field: &'static str,
    wire: v1::Standing,
) -> Result<(Ballot, Option<Accepted>), WireError> {
    let accepted = wire
        .accepted
        .map(|accepted| terms::accepted(field, accepted))
        .transpose()?;
    Ok((terms::ballot(field, wire.ballot)?, accepted))
}

fn standing_wire(ballot: Ballot, accepted: Option<Accepted>) -> v1::Standing {
    v1::Standing {
        ballot: Some(ballot.into()),
        accepted: accepted.map(Into::into),
    }
}
