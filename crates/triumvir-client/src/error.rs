//! Why a commit did not end as committed.

use triumvir_protocol::TxnId;
use triumvir_wire::{Applied, Code, Failure};

use crate::AbortCause;

/// Why a commit did not end as committed. [`CommitError::applied`] says what that means for the data.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CommitError {
    /// The transaction was aborted: nothing of it is or will be applied.
    #[error("{}: {} ({cause}); {}; {}", Code::Aborted, Code::Aborted.title(),
        Applied::NotApplied.sentence(), Code::Aborted.next())]
    Aborted {
        /// The transaction; the last attempt.
        txn: TxnId,
        /// Why.
        cause: AbortCause,
        /// Under how many ids it was tried.
        attempts: u32,
    },
    /// It may be committed and it may not; repeating it until the deadline has not resolved it.
    ///
    /// Ask [`Client::outcome`](crate::Client::outcome), or commit again with the same
    /// [`id`](crate::Transaction::id) and content. Never repeat the work under a new id.
    #[error("transaction {txn}: {last}")]
    Unknown {
        /// The transaction.
        txn: TxnId,
        /// The last thing that was heard. Its `applied` is unknown.
        #[source]
        last: Failure,
    },
    /// It was refused, or never reached anybody: nothing of it is or will be applied.
    #[error(transparent)]
    Refused(#[from] Failure),
}

impl CommitError {
    /// Whether the transaction is applied.
    pub fn applied(&self) -> Applied {
        match self {
            Self::Aborted { .. } | Self::Refused(_) => Applied::NotApplied,
            Self::Unknown { .. } => Applied::Unknown,
        }
    }

    /// The stable code, such as `TV0002`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Aborted { .. } => Code::Aborted.as_str(),
            Self::Unknown { last, .. } => last.code.as_str(),
            Self::Refused(failure) => failure.code.as_str(),
        }
    }

    /// Whether the same work may succeed in a new attempt under a new id. Never with an unknown
    /// outcome: that one must be resolved under its own id.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Aborted { cause, .. } => cause.is_retryable(),
            Self::Unknown { .. } => false,
            Self::Refused(failure) => failure.is_retryable(),
        }
    }

    /// An unknown outcome, after `last`. A failure that says *not applied* speaks of a repetition
    /// only, and is reported inside one that does not.
    pub(crate) fn unknown(txn: TxnId, last: Failure) -> Self {
        let last = match last.applied {
            Applied::Unknown if !last.is_retryable() => last,
            _ => Failure::new(
                Code::OutcomeUnknown,
                format!("last heard: {}: {}", last.code, last.detail),
            )
            .with_leader(last.leader),
        };
        Self::Unknown { txn, last }
    }
}
