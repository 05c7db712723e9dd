//! One purchase over two participants. Run it against a cluster with key-value participants `orders`
//! and `inventory`: `cargo run -p triumvir-client --example purchase -- HOST:PORT...`

use std::process::ExitCode;

use triumvir_client::{Applied, Client, CommitError, add, draw_txn, put};

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let client = Client::builder()
        .coordinators(std::env::args().skip(1))
        .build()?;
    // An application that must know the outcome after a crash of its own stores this id first.
    let txn = draw_txn();
    let bought = client
        .transaction()
        .id(txn)
        .at("orders", put(format!("order/{txn}"), "two chairs"))
        .at("inventory", add("chair", -2).min(0))
        .retry_conflicts()
        .commit()
        .await;
    match bought {
        Ok(committed) => {
            let left = committed.results.at("inventory")?;
            anyhow::ensure!(!left.is_empty(), "an add has a result");
            Ok(ExitCode::SUCCESS)
        }
        Err(CommitError::Aborted { cause, .. }) if cause.word() == "minimum" => {
            Ok(ExitCode::from(2)) // Sold out.
        }
        Err(error) if error.applied() == Applied::Unknown => {
            // Never under a new id: ask about this one.
            client.decide(txn).await?;
            Ok(ExitCode::from(3))
        }
        Err(error) => Err(error.into()),
    }
}
