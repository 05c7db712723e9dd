//! The wire: protobuf and gRPC generated from `proto/triumvir/v1`, and checked conversions between
//! it and the types of `triumvir-protocol`.
//!
//! Nothing here decides anything. Input that a conversion accepts satisfies every precondition that
//! the core's types state; input that does not is refused here, before it can reach a machine.

/// The generated messages, clients and servers.
pub mod v1 {
    #![allow(missing_docs, unreachable_pub, clippy::all)]
    tonic::include_proto!("triumvir.v1");
}

/// The compiled descriptors of every service, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
