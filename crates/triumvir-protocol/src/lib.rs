//! The sans-io core of Triumvir: three-phase commit whose decision is a consensus value.
//!
//! Everything that decides lives here, in three machines of one shape. [`Coordinator`] is the
//! replicated state: every replica applies the same [`Record`]s to it. [`Conductor`] is the volatile
//! half that only the leader runs: votes, refusals, retries. [`Participant`] is a durable acceptor for
//! its branches. The rules and why each is there: docs/protocol.md.
//!
//! Nothing here does I/O. There is no async, channel, clock, randomness, serialisation, metric or log
//! line; state is `Clone + Debug + Eq + Hash` over ordered collections, and timers come in as events.
//! The production processes, the simulator and the model checker run this same code.

mod ballot;
mod conductor;
mod coordinator;
mod id;
mod message;
mod participant;
mod record;
mod rules;
mod terms;

pub mod invariants;

pub use ballot::{Accepted, Ballot, Outcome, Value};
pub use conductor::{
    AbortCause, Caller, Conductor, ConductorOutputs, ConductorTimer, Limits, Milestone, Phase,
    Reply, Submission,
};
pub use coordinator::{
    Coordinator, Effect, Ended, Open, Registration, RegistrationRefused, Standing,
};
pub use id::{DiskId, Epoch, Horizon, Incarnation, ParticipantId, ReplicaId, TxnId};
pub use message::{Answer, Inquiry, NoReason, Request};
pub use participant::{
    Action, Alarm, Branch, BranchState, Force, Message, Participant, ParticipantOutputs,
    ParticipantTimer, PrepareResult, Source, Target,
};
pub use record::{AbortReason, Record, RecordError, Register};
pub use rules::Rules;
pub use terms::{Digest, Mode, Payload, Terms, TermsError, Work};
