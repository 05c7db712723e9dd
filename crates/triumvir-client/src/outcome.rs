//! How a transaction ended, as far as the cluster says.

use triumvir_protocol::{TxnId, Value};
use triumvir_wire::v1::State;
use triumvir_wire::{Applied, WireError, ids, message, v1};

use crate::AbortCause;

/// How a transaction ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Applied at every participant, or sure to be.
    Committed,
    /// Nothing of it is or will be applied.
    Aborted(AbortCause),
}

impl Outcome {
    pub(crate) fn from_wire(wire: v1::Outcome) -> Result<Self, WireError> {
        Ok(
            match message::decision("outcome.decision", wire.decision)? {
                Value::Commit => Self::Committed,
                Value::Abort => Self::Aborted(AbortCause::from_wire(wire.cause)),
            },
        )
    }
}

/// What the cluster says of a transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct OutcomeReport {
    /// The transaction.
    pub txn: TxnId,
    /// Where it stands. [`State::NoRecord`] binds nobody: the transaction may still be committed.
    pub state: State,
    /// How it ended, once it has.
    pub outcome: Option<Outcome>,
}

impl OutcomeReport {
    /// What the report says of the data.
    pub fn applied(&self) -> Applied {
        match self.outcome {
            Some(Outcome::Committed) => Applied::Applied,
            Some(Outcome::Aborted(_)) => Applied::NotApplied,
            None => Applied::Unknown,
        }
    }

    pub(crate) fn from_wire(wire: v1::OutcomeResponse) -> Result<Self, WireError> {
        let state = match State::try_from(wire.state) {
            Ok(State::Unspecified) | Err(_) => {
                return Err(WireError::Unknown {
                    field: "state",
                    value: wire.state,
                });
            }
            Ok(state) => state,
        };
        let outcome = wire.outcome.map(Outcome::from_wire).transpose()?;
        Ok(Self {
            txn: ids::txn("txn", &wire.txn)?,
            state,
            outcome,
        })
    }
}
