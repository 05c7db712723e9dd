//! How old a transaction is. Ages come in from outside; nothing here reads a clock.

use triumvir_protocol::TxnId;

/// The id of a transaction's first attempt. A client that retries under a new id keeps the age, so
/// that a transaction that was refused over and over becomes the oldest. Smaller is older.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Age(pub TxnId);

/// The total order of wait-die: by age, then by the id itself, so that two attempts of one
/// transaction that are alive at once are ordered too. Smaller is older. It is the same at every
/// participant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Seniority {
    pub(crate) age: Age,
    pub(crate) txn: TxnId,
}
