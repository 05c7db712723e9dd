//! What this process keeps on disk: one redb file in a data folder, the write-ahead log beside it, and
//! the one thread that forces writes.
//!
//! Every durable byte of a process passes through its [`Writer`], so that batches form by
//! themselves while an fsync runs and so that order on disk is the order of submission. The tables
//! here hold bytes; what the bytes mean is known to the crates that put them in.
//!
//! Nothing here may know Raft's rules, decide anything about a transaction, read a clock (except to
//! measure an fsync) or make a random number (but the salt of a new log's checksums).

mod batch;
mod codec;
mod database;
mod error;
#[cfg(feature = "failpoints")]
mod failpoint;
mod fault;
mod identity;
mod journal;
mod kv;
#[cfg(feature = "power-loss")]
pub mod power_loss;
mod raft_log;
mod raft_snapshot;
mod write_ahead;
mod writer;

pub use batch::WriteBatch;
pub use codec::{
    CodecError, decode_branch, decode_coordinator, decode_records, encode_branch,
    encode_coordinator, encode_records,
};
pub use database::{Database, Options, WeakDatabase};
pub use error::{OpenError, StorageError, WriteError};
pub use fault::Fault;
pub use identity::{Identity, IdentityError, Owner};
pub use journal::{Coordinators, Journal, JournalEntry, PeerAddress};
pub use kv::KvTables;
pub use raft_log::{LoadedLog, RaftLog};
pub use raft_snapshot::{RaftSnapshots, SNAPSHOT_CHUNK_BYTES};
pub use redb::{ReadTransaction, WriteTransaction};
pub use writer::{Haste, Limits, Writer};
