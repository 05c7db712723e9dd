//! How a process of a cluster is named by whoever torments it.

use std::fmt;

/// One process of a cluster, whether it runs or not.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Who {
    /// The coordinator replica with this node id; the first one is 1.
    Replica(u64),
    /// The key-value participant with this name.
    Participant(String),
}

impl Who {
    /// The participant `name`.
    pub fn participant(name: impl Into<String>) -> Self {
        Self::Participant(name.into())
    }

    pub(crate) fn is_replica(&self) -> bool {
        matches!(self, Self::Replica(_))
    }

    /// The name of its folder and its log.
    pub(crate) fn file_name(&self) -> String {
        match self {
            Self::Replica(id) => format!("replica-{id}"),
            Self::Participant(name) => format!("participant-{name}"),
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Replica(id) => write!(f, "replica {id}"),
            Self::Participant(name) => write!(f, "participant {name}"),
        }
    }
}
