//! The wire: protobuf and gRPC generated from `proto/triumvir/v1`, checked conversions between it and
//! the types of `triumvir-protocol`, and the one table of errors that callers see.
//!
//! Nothing here decides anything, and nothing here does I/O, but for [`Connection`], which passes on what
//! both kinds of server read and write. Input that a conversion accepts satisfies
//! every precondition that the core's types state; input that does not is refused here, before it can
//! reach a machine.

mod connection;
mod error;
pub mod ids;
pub mod limits;
pub mod message;
pub mod status;

pub use connection::Connection;
pub use error::WireError;
pub use status::{Applied, Code, Failure};

/// The generated messages, clients and servers.
pub mod v1 {
    #![allow(missing_docs, unreachable_pub, clippy::all, clippy::too_many_lines)]
    tonic::include_proto!("triumvir.v1");
}

/// The compiled descriptors of every service, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
