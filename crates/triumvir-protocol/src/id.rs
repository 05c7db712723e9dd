//! Identifiers. Plain values that come in from outside: nothing here draws randomness or reads a
//! clock.

use std::fmt;

/// A transaction: a UUIDv7 made by the client (or by the server for a client that sends none). It is
/// the idempotency key of the transaction, and its order is the order of time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TxnId(u128);

impl TxnId {
    /// Wraps the 128 bits of a UUID, most significant byte first.
    pub const fn from_u128(bits: u128) -> Self {
        Self(bits)
    }

    /// The 128 bits of the UUID.
    pub const fn as_u128(self) -> u128 {
        self.0
    }

    /// The smallest id whose clock reading is `millis` (milliseconds since the Unix epoch): a bound
    /// for [`Horizon`].
    pub const fn at_millis(millis: u64) -> Self {
        Self((millis as u128) << 80)
    }

    /// The clock reading inside the id: milliseconds since the Unix epoch.
    pub const fn millis(self) -> u64 {
        (self.0 >> 80) as u64
    }

    /// The id just below this one, or the smallest id.
    pub const fn before(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl fmt::Display for TxnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let h = format!("{:032x}", self.0);
        write!(
            f,
            "{}-{}-{}-{}-{}",
            &h[..8],
            &h[8..12],
            &h[12..16],
            &h[16..20],
            &h[20..]
        )
    }
}

impl fmt::Debug for TxnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty), $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

number!(
    /// A participant, as registered with the cluster. It belongs to the participant's disk: one that
    /// lost its disk comes back under a new id. Never 0, which is the coordinator's place in a
    /// [`Ballot`](crate::Ballot).
    ParticipantId(u32),
    "p"
);
number!(
    /// A coordinator replica.
    ReplicaId(u64),
    "n"
);
number!(
    /// The log index of a leader's activation record. A higher epoch is a later activation.
    Epoch(u64),
    "e"
);
number!(
    /// How often a participant has registered: it grows by one with every start of its process.
    Incarnation(u64),
    "i"
);

/// The identity of a data folder, drawn once when the folder is made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DiskId(pub u128);

impl fmt::Debug for DiskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for DiskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A replicated bound on transaction ids: everything at or below it is over and may be forgotten.
/// Only an applied horizon is ever told to anyone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Horizon(pub TxnId);

impl Horizon {
    /// Whether `txn` is over: at or below the bound.
    pub fn covers(self, txn: TxnId) -> bool {
        txn <= self.0
    }
}

impl fmt::Debug for Horizon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "w{}", self.0)
    }
}
