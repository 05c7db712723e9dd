//! Transactions of the demo, and the loop that brings each to its end whatever dies meanwhile.

use std::time::{Duration, Instant};

use triumvir_client::{AbortCause, Client, CommitError, Failure, Operation, Transaction, TxnId};
use triumvir_client::{add, draw_txn, put};

use super::books::Store;
use super::meter::Meter;
use super::orders::Order;

/// How long one call may take before the same is sent again under the same id.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an order is tried before its outcome is left to the end of the replay.
const PATIENCE: Duration = Duration::from_secs(120);
/// The pause after a first conflict; it doubles with every further one.
const PAUSE: Duration = Duration::from_millis(2);
/// The longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// How an order ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Ended {
    /// Acknowledged.
    Committed,
    /// Refused for good by a participant, with its word.
    Refused(String),
    /// Not known when patience ran out. The transaction must be decided under this id.
    Unknown(TxnId),
}

/// Why a transaction of the demo could not be brought to an end.
#[derive(Debug, thiserror::Error)]
pub(super) enum PurchaseError {
    /// The cluster refuses what it should take, or could not be reached at all. Nothing was applied.
    #[error("{0}")]
    Refused(#[source] Failure),
    /// Aborted by somebody who is not part of the demo.
    #[error("transaction {txn} was aborted: {cause}")]
    Aborted {
        /// Which.
        txn: TxnId,
        /// Why.
        cause: AbortCause,
    },
}

/// One purchase: all three stores or none.
pub(super) fn purchase(client: &Client, order: &Order) -> Transaction {
    let product = order.product().to_string();
    client
        .transaction()
        .at(
            Store::Orders.name(),
            put(order.row.to_string(), order.value()),
        )
        .at(
            Store::Inventory.name(),
            add(product, -order.quantity).min(0),
        )
        .at(Store::Payments.name(), add(&order.customer, order.cents))
}

/// Sets the stock of some products.
pub(super) fn restock(client: &Client, stock: &[(i64, i64)]) -> Transaction {
    let set = |(product, pieces): &(i64, i64)| put(product.to_string(), *pieces);
    let operations: Vec<Operation> = stock.iter().map(set).collect();
    client.transaction().at(Store::Inventory.name(), operations)
}

/// Commits `transaction`, again and again: after a conflict under a new id that keeps the age of the
/// first attempt, after an unknown outcome under the same id, which applies nothing twice.
///
/// # Errors
///
/// See [`PurchaseError`]; nothing was applied.
pub(super) async fn settle(
    transaction: &Transaction,
    meter: &Meter,
) -> Result<Ended, PurchaseError> {
    let deadline = Instant::now() + PATIENCE;
    let first = draw_txn();
    let (mut txn, mut in_doubt, mut pause) = (first, false, PAUSE);
    loop {
        let attempt = transaction.clone();
        let attempt = if in_doubt {
            attempt.id(txn)
        } else {
            attempt.fresh_id(txn)
        };
        let attempt = attempt.first_attempt(first).timeout(CALL_TIMEOUT);
        let is_late = |now: Instant| now >= deadline;
        match attempt.commit().await {
            Ok(_) => return Ok(Ended::Committed),
            Err(CommitError::Aborted { cause, .. }) if cause.is_retryable() => {
                meter.detour(|detours| match cause {
                    AbortCause::No { .. } => detours.conflicts += 1,
                    _ => detours.aborts += 1,
                });
                (txn, in_doubt) = (draw_txn(), false);
                tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
            Err(CommitError::Aborted {
                cause: cause @ AbortCause::No { .. },
                ..
            }) => {
                return Ok(Ended::Refused(cause.word().to_owned()));
            }
            Err(CommitError::Aborted { cause, .. }) => {
                return Err(PurchaseError::Aborted { txn, cause });
            }
            Err(CommitError::Unknown { .. }) => {
                meter.detour(|detours| detours.repeats += 1);
                in_doubt = true;
                if is_late(Instant::now()) {
                    return Ok(Ended::Unknown(txn));
                }
            }
            // A repetition that was refused says nothing of the attempt before it.
            Err(CommitError::Refused(failure)) => {
                if is_late(Instant::now()) || !failure.is_retryable() {
                    let unknown = in_doubt.then_some(Ended::Unknown(txn));
                    return unknown.ok_or(PurchaseError::Refused(failure));
                }
            }
        }
    }
}
