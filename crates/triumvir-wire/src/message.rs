//! The commit protocol's messages. What one participant's part, a request, an answer and an inquiry
//! look like on the wire, and the three envelopes that carry them with their transaction and digest.
//!
//! Who may say what is checked here as well: a coordinator never polls and owns the ballots that it
//! sends; a peer never asks for a vote and only ever proposes abort, at a peer's ballot. That the
//! ballot is the sending peer's own is for the session to see.

mod answer;
mod envelope;
mod request;
mod terms;

pub use request::{inquiry, request};
pub use terms::{
    accepted, ballot, decision, decision_wire, mode, mode_wire, payload, payload_bytes, terms, work,
};
