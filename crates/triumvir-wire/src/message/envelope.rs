//! The envelopes: a transaction, its digest, and what is said about it. One per direction: coordinator
//! to participant, participant to coordinators, participant to participant.

use triumvir_protocol::{Answer, Digest, Message, Request, TxnId, Value};

use super::request;
use crate::{WireError, ids, v1};

impl From<(TxnId, Digest, Request)> for v1::CoordinatorMessage {
    fn from((txn, digest, request): (TxnId, Digest, Request)) -> Self {
        let (txn, digest) = ids::about_bytes(txn, digest);
        let request = Some(request.into());
        Self {
            txn,
            digest,
            request,
        }
    }
}

impl TryFrom<v1::CoordinatorMessage> for (TxnId, Digest, Request) {
    type Error = WireError;

    fn try_from(wire: v1::CoordinatorMessage) -> Result<Self, WireError> {
        let (txn, digest) = about(&wire.txn, &wire.digest)?;
        let request = wire
            .request
            .ok_or(WireError::Missing { field: "request" })?;
        let request = request::request(request, digest)?;
        let foreign = match &request {
            Request::Poll => Some("only a participant polls"),
            Request::Accept { ballot, .. } | Request::Fence { ballot } if ballot.is_peer() => {
                Some("a coordinator does not own this ballot")
            }
            _ => None,
        };
        refuse("request", foreign)?;
        Ok((txn, digest, request))
    }
}

impl From<(TxnId, Digest, Answer)> for v1::ParticipantMessage {
    fn from((txn, digest, answer): (TxnId, Digest, Answer)) -> Self {
        participant_message(
            txn,
            digest,
            v1::participant_message::Body::Answer(answer.into()),
        )
    }
}

/// A request has no place here: participants ask only their peers.
impl TryFrom<(TxnId, Digest, Message)> for v1::ParticipantMessage {
    type Error = WireError;

    fn try_from((txn, digest, message): (TxnId, Digest, Message)) -> Result<Self, WireError> {
        use v1::participant_message::Body;
        let body = match message {
            Message::Answer(answer) => Body::Answer(answer.into()),
            Message::Inquiry(inquiry) => Body::Inquiry(inquiry.into()),
            Message::Request(_) => {
                let what = "a participant asks nothing of a coordinator but an inquiry";
                return Err(WireError::Misplaced {
                    field: "body",
                    what,
                });
            }
        };
        Ok(participant_message(txn, digest, body))
    }
}

impl TryFrom<v1::ParticipantMessage> for (TxnId, Digest, Message) {
    type Error = WireError;

    fn try_from(wire: v1::ParticipantMessage) -> Result<Self, WireError> {
        use v1::participant_message::Body;
        let (txn, digest) = about(&wire.txn, &wire.digest)?;
        let message = match wire.body.ok_or(WireError::Missing { field: "body" })? {
            Body::Answer(answer) => Message::Answer(answer.try_into()?),
            Body::Inquiry(inquiry) => Message::Inquiry(request::inquiry(inquiry, digest)?),
        };
        Ok((txn, digest, message))
    }
}

/// An inquiry has no place here: it is for the coordinators.
impl TryFrom<(TxnId, Digest, Message)> for v1::PeerMessage {
    type Error = WireError;

    fn try_from((txn, digest, message): (TxnId, Digest, Message)) -> Result<Self, WireError> {
        use v1::peer_message::Body;
        let body = match message {
            Message::Request(request) => Body::Request(request.into()),
            Message::Answer(answer) => Body::Answer(answer.into()),
            Message::Inquiry(_) => {
                let what = "an inquiry is for the coordinators";
                return Err(WireError::Misplaced {
                    field: "body",
                    what,
                });
            }
        };
        let (txn, digest) = ids::about_bytes(txn, digest);
        let body = Some(body);
        Ok(Self { txn, digest, body })
    }
}

impl TryFrom<v1::PeerMessage> for (TxnId, Digest, Message) {
    type Error = WireError;

    fn try_from(wire: v1::PeerMessage) -> Result<Self, WireError> {
        use v1::peer_message::Body;
        let (txn, digest) = about(&wire.txn, &wire.digest)?;
        let message = match wire.body.ok_or(WireError::Missing { field: "body" })? {
            Body::Answer(answer) => Message::Answer(answer.try_into()?),
            Body::Request(wire) => {
                let request = request::request(wire, digest)?;
                refuse("request", unfit_for_a_peer(&request))?;
                Message::Request(request)
            }
        };
        Ok((txn, digest, message))
    }
}

fn unfit_for_a_peer(request: &Request) -> Option<&'static str> {
    match request {
        Request::CanCommit { .. } => Some("only a coordinator asks for a vote"),
        Request::Horizon(_) => Some("only a coordinator tells the horizon"),
        Request::Accept { ballot, .. } | Request::Fence { ballot } if !ballot.is_peer() => {
            Some("a peer does not own this ballot")
        }
        Request::Accept {
            value: Value::Commit,
            ..
        } => Some("a peer's round only ever aborts"),
        _ => None,
    }
}

fn refuse(field: &'static str, why: Option<&'static str>) -> Result<(), WireError> {
    why.map_or(Ok(()), |what| Err(WireError::Misplaced { field, what }))
}

fn about(txn: &[u8], digest: &[u8]) -> Result<(TxnId, Digest), WireError> {
    Ok((ids::txn("txn", txn)?, ids::digest("digest", digest)?))
}

fn participant_message(
    txn: TxnId,
    digest: Digest,
    body: v1::participant_message::Body,
) -> v1::ParticipantMessage {
    let (txn, digest) = ids::about_bytes(txn, digest);
    let body = Some(body);
    v1::ParticipantMessage { txn, digest, body }
}
