//! What the process tests share: a cluster of three replicas and two participants, one transaction
//! over both, ways to reach a chosen step of it, and what must be true afterwards.
//!
//! No test here is lucky. A step is reached by a failpoint of the binary (a process kills or stops
//! itself there, or leaves out one message), or by pausing those without whom nothing goes on. Waits
//! are for conditions, under one deadline that only ends a broken run.

mod aftermath;
mod load;
mod members;
mod order;
mod refusal;
mod setup;
mod shell;
mod system;

use std::time::Duration;

pub use aftermath::Ending;
pub use load::Load;
pub use order::{Buyer, Pending};
pub use refusal::refused;
pub use setup::Setup;
pub use shell::{Ran, Told, run};
pub use system::System;
use triumvir_testkit::Who;

/// The participants of every test.
pub const PARTICIPANTS: [&str; 2] = ["orders", "stock"];

/// Leads when a test begins, if the test has given it failpoints.
pub const FIRST: Who = Who::Replica(1);

/// How long a call or a wait may take in all.
pub(crate) const DEADLINE: Duration = Duration::from_secs(90);

/// `orders`, which the transaction lists first.
pub fn orders() -> Who {
    Who::participant(PARTICIPANTS[0])
}

/// `stock`, which the transaction lists second.
pub fn stock() -> Who {
    Who::participant(PARTICIPANTS[1])
}

/// All replicas.
pub fn replicas() -> Vec<Who> {
    (1..=3).map(Who::Replica).collect()
}
