//! The clients: they take one order after the other, in the order of the file, many at a time.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use triumvir_client::{Applied, Client, TxnId};

use super::ledger::{Ledger, Told};
use super::meter::Meter;
use super::orders::Order;
use super::purchase::{Ended, purchase, restock, settle};

/// Products whose stock is set by one transaction.
const RESTOCK_PRODUCTS: usize = 200;
/// How long a transaction whose outcome stayed unknown is asked about.
const DECIDE_PATIENCE: Duration = Duration::from_secs(60);
/// Between two questions.
const DECIDE_PAUSE: Duration = Duration::from_millis(200);

/// What came of a replay.
#[derive(Debug, Default)]
pub(super) struct Replayed {
    /// What the clients were told.
    pub(super) ledger: Ledger,
    /// Orders whose outcome nobody could tell, with their transactions.
    pub(super) unknown: Vec<(u32, TxnId)>,
}

/// Sets the initial stock.
///
/// # Errors
///
/// A transaction did not commit.
pub(super) async fn stock(client: &Client, stock: &[(i64, i64)]) -> anyhow::Result<()> {
    let meter = Meter::new();
    for some in stock.chunks(RESTOCK_PRODUCTS) {
        let ended = settle(&restock(client, some), &meter)
            .await
            .context("setting the stock")?;
        anyhow::ensure!(
            ended == Ended::Committed,
            "setting the stock ended as {ended:?}"
        );
    }
    Ok(())
}

/// Replays every order with `clients` of them under way at any time.
///
/// # Errors
///
/// The cluster refused an order for a reason that is not the order's.
pub(super) async fn replay(
    client: &Client,
    orders: &[Order],
    clients: usize,
    meter: &Meter,
) -> anyhow::Result<Replayed> {
    let replayed = Mutex::new(Replayed::default());
    stream::iter(orders)
        .map(Ok)
        .try_for_each_concurrent(clients, async |order: &Order| {
            meter.began();
            let began = Instant::now();
            let ended = settle(&purchase(client, order), meter)
                .await
                .with_context(|| format!("order {}", order.row))?;
            if ended == Ended::Committed {
                meter.acknowledged(began.elapsed());
            }
            note(&replayed, order.row, ended);
            meter.settled();
            anyhow::Ok(())
        })
        .await?;
    Ok(replayed
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner))
}

fn note(replayed: &Mutex<Replayed>, row: u32, ended: Ended) {
    let mut replayed = replayed.lock().unwrap_or_else(PoisonError::into_inner);
    let told = match ended {
        Ended::Committed => Told::Committed,
        Ended::Refused(_) => Told::Refused,
        Ended::Unknown(txn) => {
            replayed.unknown.push((row, txn));
            Told::Unknown
        }
    };
    replayed.ledger.note(row, told);
}

/// Has every transaction decided whose outcome stayed unknown, so that the ledger has an outcome for
/// each order.
///
/// # Errors
///
/// One could not be decided in time.
pub(super) async fn resolve(client: &Client, replayed: &mut Replayed) -> anyhow::Result<()> {
    for (row, txn) in std::mem::take(&mut replayed.unknown) {
        let deadline = Instant::now() + DECIDE_PATIENCE;
        let told = loop {
            let report = client.decide(txn).await;
            match report.as_ref().map(triumvir_client::OutcomeReport::applied) {
                Ok(Applied::Applied) => break Told::Committed,
                Ok(Applied::NotApplied) => break Told::Refused,
                Ok(Applied::Unknown) | Err(_) => {}
            }
            anyhow::ensure!(
                Instant::now() < deadline,
                "order {row}: the outcome of transaction {txn} is still unknown: {report:?}"
            );
            tokio::time::sleep(DECIDE_PAUSE).await;
        };
        replayed.ledger.note(row, told);
    }
    Ok(())
}
