//! What a service links to take part in transactions.
//!
//! A service implements [`Resource`] and gives it to a [`Runtime`], which owns everything else: the
//! journal, the sessions with every coordinator replica, the exchanges with the other participants,
//! the timers, and recovery. [`KvResource`] is a key-value store behind the same trait.
//!
//! ```no_run
//! use triumvir_participant::{Config, DataFolder, KvConfig, KvResource, Runtime};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config {
//!     name: "orders".to_owned(),
//!     coordinators: vec!["127.0.0.1:7101".to_owned()],
//!     data: "orders-data".into(),
//!     ..Config::default()
//! };
//! let folder = DataFolder::open(&config)?;
//! let store = KvResource::new(&folder, KvConfig::default());
//! let reads = store.service();
//! let runtime = Runtime::builder(config, folder, store).serve(reads).build().await?;
//! runtime.run(async { /* until a signal */ }).await?;
//! # Ok(())
//! # }
//! ```
//!
//! Nothing in this crate decides anything about a transaction: that is
//! [`Participant`](triumvir_protocol::Participant)'s part, which is driven here.

mod coded;
mod config;
mod dial;
mod directory;
mod driver;
mod error;
#[cfg(feature = "failpoints")]
mod failpoint;
mod folder;
mod frames;
mod kv;
mod member;
mod outbox;
mod peers;
mod register;
mod replicas;
mod resource;
mod runtime;
mod server;
mod session;
mod write;

pub use config::{Config, ConfigError, Limits, Network, Timers};
pub use error::{RunError, StartError};
pub use folder::DataFolder;
pub use kv::{KvConfig, KvResource};
pub use resource::{
    BranchId, Prepared, Recovered, RecoveredState, Refusal, Resource, ResourceError,
};
pub use runtime::{Builder, Runtime};
pub use triumvir_protocol::{Payload, TxnId};
pub use triumvir_storage::{Database, StorageError, WriteBatch};
pub use write::Write;
