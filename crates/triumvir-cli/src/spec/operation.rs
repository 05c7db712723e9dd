//! The operations that can be written.

use super::Literal;

/// One operation on one key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Operation {
    /// Sets the key.
    Put {
        /// The key.
        key: Vec<u8>,
        /// Its new value.
        value: Literal,
    },
    /// Removes the key.
    Delete {
        /// The key.
        key: Vec<u8>,
    },
    /// Answers with the value.
    Get {
        /// The key.
        key: Vec<u8>,
    },
    /// Adds to an integer and answers with the sum.
    Add {
        /// The key.
        key: Vec<u8>,
        /// What is added.
        delta: i64,
        /// The smallest sum that is allowed.
        min: Option<i64>,
        /// The largest sum that is allowed.
        max: Option<i64>,
    },
    /// Aborts the transaction unless the key has this value; `None`: unless it is absent.
    Expect {
        /// The key.
        key: Vec<u8>,
        /// The value.
        value: Option<Literal>,
    },
}

impl Operation {
    /// Its verb.
    pub(crate) fn verb(&self) -> &'static str {
        match self {
            Self::Put { .. } => "put",
            Self::Delete { .. } => "delete",
            Self::Get { .. } => "get",
            Self::Add { .. } => "add",
            Self::Expect { .. } => "expect",
        }
    }

    /// Its key.
    pub(crate) fn key(&self) -> &[u8] {
        match self {
            Self::Put { key, .. }
            | Self::Delete { key }
            | Self::Get { key }
            | Self::Add { key, .. }
            | Self::Expect { key, .. } => key,
        }
    }
}

/// The operations of a transaction at one participant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Part {
    /// The participant's name.
    pub(crate) participant: String,
    /// In this order.
    pub(crate) operations: Vec<Operation>,
}

impl Part {
    /// One part for each participant, in the order in which they are first named, so that operations
    /// and results can be told apart by participant.
    pub(crate) fn join(parts: impl IntoIterator<Item = Self>) -> Vec<Self> {
        let mut joined: Vec<Self> = Vec::new();
        for part in parts {
            match joined
                .iter_mut()
                .find(|known| known.participant == part.participant)
            {
                Some(known) => known.operations.extend(part.operations),
                None => joined.push(part),
            }
        }
        joined
    }
}
