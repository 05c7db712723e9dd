//! The content of the three stores, as the audit reads it.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

/// The three participants of the demo.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(super) enum Store {
    /// Row number to order.
    Orders,
    /// Product to stock.
    Inventory,
    /// Customer to balance in cents.
    Payments,
}

impl Store {
    /// All three.
    pub(super) const ALL: [Self; 3] = [Self::Orders, Self::Inventory, Self::Payments];

    /// The participant's name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Orders => "orders",
            Self::Inventory => "inventory",
            Self::Payments => "payments",
        }
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What stands under a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Entry {
    /// Bytes, shown as text.
    Text(String),
    /// An integer.
    Integer(i64),
}

/// Everything that was read at the end.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Books {
    /// Key to value of `orders`.
    pub(super) orders: BTreeMap<String, String>,
    /// Key to value of `inventory`.
    pub(super) inventory: BTreeMap<String, i64>,
    /// Key to value of `payments`.
    pub(super) payments: BTreeMap<String, i64>,
    /// Entries whose value is of the wrong kind for their store.
    pub(super) strange: Vec<(Store, String)>,
    /// Keys that are locked.
    pub(super) locks: Vec<(Store, String)>,
    /// What the cluster says is in doubt.
    pub(super) in_doubt: Vec<String>,
}

impl Books {
    /// Adds one entry of a store.
    pub(super) fn enter(&mut self, store: Store, key: String, entry: Entry) {
        match (store, entry) {
            (Store::Orders, Entry::Text(text)) => drop(self.orders.insert(key, text)),
            (Store::Inventory, Entry::Integer(stock)) => drop(self.inventory.insert(key, stock)),
            (Store::Payments, Entry::Integer(cents)) => drop(self.payments.insert(key, cents)),
            (store, _) => self.strange.push((store, key)),
        }
    }
}
