//! Versions and sizes that both ends of a connection must agree on. Limits of one process alone
//! belong to its configuration.

/// The version of the session between participants and coordinators, and of registration.
pub const SESSION_VERSION: u32 = 1;
/// The version of the exchange between participants.
pub const PEER_VERSION: u32 = 1;
/// The version of key-value operations and their results.
pub const KV_VERSION: u32 = 1;

/// The most participants of one transaction.
pub const PARTICIPANTS_MAX: usize = 64;
/// The largest part of one participant, and the largest results of one: 2 MiB each.
pub const PAYLOAD_BYTES_MAX: usize = 2 << 20;
/// The largest commit request: 8 MiB.
pub const REQUEST_BYTES_MAX: usize = 8 << 20;
/// The largest answer to a client: the largest results of the most participants, and room for the
/// rest.
pub const RESPONSE_BYTES_MAX: usize = PARTICIPANTS_MAX * PAYLOAD_BYTES_MAX + (1 << 20);

/// A frame is sent when the next message would bring its messages over this: 1 MiB. One message may
/// exceed it alone.
pub const FRAME_BYTES_TARGET: usize = 1 << 20;
/// The most messages of one frame.
pub const FRAME_MESSAGES_MAX: usize = 4096;
/// The largest frame that is accepted, with room for one message of the largest size and a directory:
/// 8 MiB.
pub const FRAME_BYTES_MAX: usize = 8 << 20;

/// The longest stable word of a NO, in bytes. A longer one is cut when it is sent.
pub const NO_CODE_BYTES_MAX: usize = 128;
/// The longest explanation of a NO, in bytes. A longer one is cut when it is sent.
pub const NO_DETAIL_BYTES_MAX: usize = 4 << 10;
