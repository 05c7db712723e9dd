//! Why a transaction was aborted.

use std::fmt;

use triumvir_protocol::NoReason;
use triumvir_wire::v1;

/// Why a transaction was aborted. Nothing of it is or will be applied.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AbortCause {
    /// A participant voted NO.
    No {
        /// Its name.
        participant: String,
        /// Its reason.
        reason: NoReason,
    },
    /// A participant did not vote in time.
    VoteTimeout {
        /// Its name; the first of those missing.
        participant: String,
    },
    /// A client asked for it.
    Requested,
    /// A client asked to decide a transaction of which there was no record.
    Decided,
    /// A participant reported that it is aborted; why is not known to the leader any more.
    Reported {
        /// Its name.
        participant: String,
    },
    /// It was resolved to abort by its participants, or by a new leader with them.
    Fenced,
    /// A participant was removed from the cluster before all had voted.
    Removed {
        /// Its name.
        participant: String,
    },
    /// The cluster does not say, or says something that this version does not know.
    Unexplained {
        /// What it says.
        text: String,
    },
}

impl AbortCause {
    /// Whether the same work may succeed in a new transaction: a lock conflict, a vote that did not
    /// come in time, a change of leader at a bad moment. Not: a refusal of the work as such, or an
    /// abort that somebody asked for.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::No { reason, .. } => reason.is_retryable(),
            Self::VoteTimeout { .. } | Self::Reported { .. } | Self::Fenced => true,
            Self::Requested | Self::Decided | Self::Removed { .. } | Self::Unexplained { .. } => {
                false
            }
        }
    }

    /// The participant that it was about, if it was one.
    pub fn participant(&self) -> Option<&str> {
        match self {
            Self::No { participant, .. }
            | Self::VoteTimeout { participant }
            | Self::Reported { participant }
            | Self::Removed { participant } => Some(participant),
            _ => None,
        }
    }

    /// A stable word: with a NO the resource's own, such as `minimum` or `conflict`.
    pub fn word(&self) -> &str {
        match self {
            Self::No { reason, .. } => reason.code(),
            Self::VoteTimeout { .. } => "vote-timeout",
            Self::Requested => "requested",
            Self::Decided => "decided",
            Self::Reported { .. } => "reported",
            Self::Fenced => "fenced",
            Self::Removed { .. } => "removed",
            Self::Unexplained { .. } => "unexplained",
        }
    }

    pub(crate) fn from_wire(wire: Option<v1::AbortCause>) -> Self {
        use v1::abort_cause::Kind;
        let Some(wire) = wire else {
            return Self::Unexplained {
                text: String::new(),
            };
        };
        let kind = wire.kind();
        let v1::AbortCause {
            participant,
            no,
            text,
            ..
        } = wire;
        match (kind, no.map(NoReason::try_from)) {
            (Kind::No, Some(Ok(reason))) => Self::No {
                participant,
                reason,
            },
            (Kind::VoteTimeout, _) => Self::VoteTimeout { participant },
            (Kind::Requested, _) => Self::Requested,
            (Kind::Decided, _) => Self::Decided,
            (Kind::Reported, _) => Self::Reported { participant },
            (Kind::Fenced, _) => Self::Fenced,
            (Kind::Removed, _) => Self::Removed { participant },
            (Kind::Unspecified | Kind::No, _) => Self::Unexplained { text },
        }
    }
}

impl fmt::Display for AbortCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::No {
                participant,
                reason: NoReason::Resource { code, detail, .. },
            } => {
                write!(f, "{participant} voted no: {detail} ({code})")
            }
            Self::No {
                participant,
                reason,
            } => write!(f, "{participant} voted no: {}", reason.code()),
            Self::VoteTimeout { participant } => write!(f, "{participant} did not vote in time"),
            Self::Requested => f.write_str("a client asked for it"),
            Self::Decided => f.write_str("a client had it decided without a record"),
            Self::Reported { participant } => write!(f, "{participant} reported it aborted"),
            Self::Fenced => f.write_str("its participants resolved it to abort"),
            Self::Removed { participant } => {
                write!(f, "{participant} was removed from the cluster")
            }
            Self::Unexplained { text } if text.is_empty() => f.write_str("no cause was given"),
            Self::Unexplained { text } => f.write_str(text),
        }
    }
}
