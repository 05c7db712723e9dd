//! Requests and inquiries. The digest of their terms travels beside them.

use triumvir_protocol::{Digest, Inquiry, Request};

use super::terms;
use crate::{WireError, ids, v1};

/// A request, under the digest that came with it.
pub fn request(wire: v1::Request, digest: Digest) -> Result<Request, WireError> {
    use v1::request::Kind;
    match wire.kind.ok_or(WireError::Missing {
        field: "request.kind",
    })? {
        Kind::CanCommit(wire) => {
            let field = "can_commit.participants";
            Ok(Request::CanCommit {
                terms: terms::terms(field, wire.participants, wire.mode, digest)?,
                work: wire.work.map(TryInto::try_into).transpose()?,
                age: ids::txn("can_commit.age", &wire.age)?,
            })
        }
        Kind::Accept(wire) => {
            let accepted = terms::accepted("accept", wire)?;
            Ok(Request::Accept {
                ballot: accepted.ballot,
                value: accepted.value,
            })
        }
        Kind::Fence(ballot) => Ok(Request::Fence {
            ballot: ballot.into(),
        }),
        Kind::DoCommit(v1::DoCommit {}) => Ok(Request::DoCommit),
        Kind::Abort(v1::DoAbort {}) => Ok(Request::Abort),
        Kind::Poll(v1::Poll {}) => Ok(Request::Poll),
        Kind::Horizon(bytes) => Ok(Request::Horizon(ids::horizon("request.horizon", &bytes)?)),
    }
}

/// The digest of a can-commit's terms is left out: it travels beside.
impl From<Request> for v1::Request {
    fn from(request: Request) -> Self {
        use v1::request::Kind;
        let kind = match request {
            Request::CanCommit { terms, work, age } => Kind::CanCommit(v1::CanCommit {
                participants: terms::list(&terms),
                mode: terms::mode_wire(terms.mode),
                work: work.map(Into::into),
                age: ids::txn_bytes(age),
            }),
            Request::Accept { ballot, value } => {
                Kind::Accept(triumvir_protocol::Accepted { ballot, value }.into())
            }
            Request::Fence { ballot } => Kind::Fence(ballot.into()),
            Request::DoCommit => Kind::DoCommit(v1::DoCommit {}),
            Request::Abort => Kind::Abort(v1::DoAbort {}),
            Request::Poll => Kind::Poll(v1::Poll {}),
            Request::Horizon(horizon) => Kind::Horizon(ids::horizon_bytes(horizon)),
        };
        Self { kind: Some(kind) }
    }
}

/// An inquiry, under the digest that came with it.
pub fn inquiry(wire: v1::Inquiry, digest: Digest) -> Result<Inquiry, WireError> {
    let terms = terms::terms("inquiry.participants", wire.participants, wire.mode, digest)?;
    Ok(Inquiry { terms })
}

/// The digest of the terms is left out: it travels beside.
impl From<Inquiry> for v1::Inquiry {
    fn from(Inquiry { terms }: Inquiry) -> Self {
        Self {
            participants: terms::list(&terms),
            mode: terms::mode_wire(terms.mode),
        }
    }
}
