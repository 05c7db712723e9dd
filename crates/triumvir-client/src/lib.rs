//! What an application links: transactions over several participants, their outcomes, and reads.
//!
//! A [`Client`] knows some replicas of the cluster, finds the leader by itself, and repeats what is
//! safe to repeat until the caller's deadline. Every error says whether the transaction was applied;
//! *unknown* is an answer of its own, given only after repeating has not resolved it.
//!
//! ```no_run
//! use triumvir_client::{Client, add, get, put};
//!
//! # async fn buy() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::builder()
//!     .coordinators(["10.0.0.1:7000", "10.0.0.2:7000", "10.0.0.3:7000"])
//!     .build()?;
//! let committed = client
//!     .transaction()
//!     .at("orders", put("order/17", "two chairs"))
//!     .at("inventory", add("chair", -2).min(0))
//!     .at("inventory", get("table"))
//!     .retry_conflicts()
//!     .commit()
//!     .await?;
//! let chairs_left = &committed.results.at("inventory")?[0];
//! # let _ = chairs_left;
//! # Ok(())
//! # }
//! ```
//!
//! Nothing here decides about a transaction, and nothing here keeps state on a disk: whoever must
//! know an outcome after a crash of its own stores the id before it commits, see
//! [`Transaction::id`].

mod builder;
mod call;
mod cause;
mod client;
mod commit;
mod error;
mod kv;
mod members;
mod operation;
mod outcome;
mod pipe;
mod removal;
mod replicas;
mod results;
mod transaction;
mod value;
mod watch;

pub use builder::{BuildError, ClientBuilder};
pub use cause::AbortCause;
pub use client::{Client, ReplicaStatus};
pub use error::CommitError;
pub use kv::{Entry, KeyLock, KvReader};
pub use operation::{
    Add, Operation, Part, add, delete, done, expect, expect_absent, get, payload, put,
};
pub use outcome::{Outcome, OutcomeReport};
pub use removal::Whom;
pub use results::{Committed, Results, ResultsError};
pub use transaction::{Transaction, draw_txn};
pub use value::Value;
pub use watch::{Watch, Watched};

pub use triumvir_protocol::{Mode, NoReason, TxnId};
pub use triumvir_wire::v1::{
    ListResponse, RemoveParticipantResponse, State, StatusResponse, TransactionDescription,
};
pub use triumvir_wire::{Applied, Code, Failure};
