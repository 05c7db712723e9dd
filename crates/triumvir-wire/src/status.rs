//! The one place where errors become gRPC errors, and gRPC errors become errors again.
//!
//! Every error that leaves a process says what happened, whether anything was applied, and what to do
//! next. Outcomes are not errors: a committed or aborted transaction is a response.

mod code;
mod failure;
mod oversize;

pub use code::{Applied, Code};
pub use failure::Failure;
pub use oversize::name_oversize;

/// The metadata key that carries a [`Code`].
pub const CODE_METADATA: &str = "triumvir-code";
/// The metadata key that carries an [`Applied`].
pub const APPLIED_METADATA: &str = "triumvir-applied";
/// The metadata key that carries the leader's address, where it is known.
pub const LEADER_METADATA: &str = "triumvir-leader";
