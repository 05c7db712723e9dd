//! The sans-io key-value resource: operations, strict two-phase locks, wait-die.
//!
//! A participant that keeps its own data runs an [`Engine`]. It takes the [`Operations`] of a
//! branch, locks the keys that they name, runs them against the committed state behind [`Storage`],
//! and says what has to be made durable before the vote: an [`Intent`], which holds the changes and
//! the locks. It never writes storage; the caller stores the [`Changes`] that a commit returns.
//!
//! Production and simulation run this same code, so nothing here does I/O: no async, clock,
//! randomness, log line or serde; state is `Clone + Debug + Eq + Hash` over ordered collections.
//! The durable formats ([`Intent::encode`], [`Value::encode`]) are protobuf messages with a
//! version, described in `codec.rs`. How operations and results travel is the caller's concern; how
//! large operations may be is not, see [`Operations::new`].
//!
//! How conflicts are settled, and why nothing deadlocks or starves: [`Engine`].

mod age;
mod changes;
mod codec;
mod engine;
mod evaluate;
mod intent;
mod key;
mod limits;
mod locks;
mod operation;
mod readers;
mod refusal;
mod results;
mod storage;
mod text;
mod value;

pub use age::Age;
pub use changes::Changes;
pub use codec::CodecError;
pub use engine::{Engine, Event, Prepared, ReadStep, RecoverError, Step, Vote};
pub use intent::Intent;
pub use key::Key;
pub use limits::{
    KEY_BYTES_MAX, OPERATIONS_BYTES_MAX, OPERATIONS_MAX, RESULTS_BYTES_MAX, VALUE_BYTES_MAX,
};
pub use locks::{LockMode, LockSet, LockView};
pub use operation::{Operation, Operations};
pub use refusal::{Refusal, RefusalCode, RefusalNotice, UnknownCode};
pub use results::{OperationResult, Results};
pub use storage::Storage;
pub use value::Value;
