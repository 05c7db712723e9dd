//! Breaks one store on purpose, by a transaction that no order explains, so that a test sees the audit
//! fail.

use triumvir_client::{Client, Transaction, add, put};

use super::books::Store;
use super::orders::Order;

/// A transaction that changes `store` alone.
pub(super) fn stray(client: &Client, store: Store, orders: &[Order]) -> Transaction {
    let first = &orders[0];
    let transaction = client.transaction();
    match store {
        Store::Orders => {
            let row = (orders.len() + 1).to_string();
            transaction.at(store.name(), put(row, first.value()))
        }
        Store::Inventory => transaction.at(store.name(), add(first.product().to_string(), -1)),
        Store::Payments => transaction.at(store.name(), add(&first.customer, 1)),
    }
}
