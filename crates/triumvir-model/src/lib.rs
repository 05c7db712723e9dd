//! The machines of triumvir-protocol under a model checker: every interleaving of messages, timers,
//! crashes, proposals and clients within stated bounds. No rule of the protocol is described here a
//! second time; what is here is the world around the real machines.

mod action;
mod bounds;
mod bury;
mod heal;
mod memo;
mod model;
mod network;
mod node;
mod past;
mod properties;
mod prune;
mod recovery;
mod run;
pub mod runs;
mod seat;
mod shared;
mod state;
mod step;
mod text;

pub use action::{Action, Ask, Vote};
pub use bounds::{Bounds, Content, Inquiries};
pub use model::World;
pub use run::{Found, Limits, allowance, run};
pub use state::State;
