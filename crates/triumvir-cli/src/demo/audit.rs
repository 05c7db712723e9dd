//! The audit: the three stores against each other, against the initial stock, and against what the
//! clients were told. Pure: everything it looks at was read before.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::books::{Books, Store};
use super::ledger::{Ledger, Told};
use super::orders::Order;

/// How many findings of one check are kept word for word.
const FINDINGS_MAX: usize = 10;

/// What an audit compares.
#[derive(Clone, Copy, Debug)]
pub(super) struct Evidence<'a> {
    /// All orders of the file, whether they were asked for or not.
    pub(super) orders: &'a [Order],
    /// What the clients were told.
    pub(super) ledger: &'a Ledger,
    /// Product to stock, before the first order.
    pub(super) initial: &'a BTreeMap<i64, i64>,
    /// What the stores hold now.
    pub(super) books: &'a Books,
}

/// One thing that must hold.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Check {
    /// What must hold.
    pub(super) claim: &'static str,
    /// How many things were compared.
    pub(super) examined: usize,
    /// How many of them are wrong.
    pub(super) wrong: usize,
    /// The stores in which something is wrong.
    pub(super) stores: BTreeSet<Store>,
    /// The first of them.
    pub(super) findings: Vec<String>,
}

impl Check {
    fn new(claim: &'static str) -> Self {
        Self {
            claim,
            examined: 0,
            wrong: 0,
            stores: BTreeSet::new(),
            findings: Vec::new(),
        }
    }

    /// Whether it holds.
    pub(super) fn holds(&self) -> bool {
        self.wrong == 0
    }

    fn examine(&mut self, store: Option<Store>, finding: Option<String>) {
        self.examined += 1;
        let Some(finding) = finding else {
            return;
        };
        self.wrong += 1;
        self.stores.extend(store);
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(match store {
                Some(store) => format!("{store}: {finding}"),
                None => finding,
            });
        }
    }
}

/// Every check, in the order of the report.
pub(super) fn audit(evidence: Evidence<'_>) -> Vec<Check> {
    vec![
        acknowledged_are_everywhere(evidence),
        none_in_only_some(evidence),
        stock_adds_up(evidence),
        balances_add_up(evidence),
        nothing_in_doubt(evidence.books),
        no_lock_left(evidence.books),
    ]
}

/// What orders take from the stock and add to the balances.
#[derive(Default)]
struct Effect {
    sold: BTreeMap<String, i64>,
    charged: BTreeMap<String, i64>,
}

impl Effect {
    fn of<'a>(orders: impl Iterator<Item = &'a Order>) -> Self {
        let mut effect = Self::default();
        for order in orders {
            *effect.sold.entry(order.product().to_string()).or_insert(0) += order.quantity;
            *effect.charged.entry(order.customer.clone()).or_insert(0) += order.cents;
        }
        effect
    }
}

impl Evidence<'_> {
    fn acknowledged(&self) -> impl Iterator<Item = &Order> {
        self.orders
            .iter()
            .filter(|order| self.ledger.is_committed(order.row))
    }

    /// Product to what is missing from its initial stock, over every product known anywhere.
    fn taken(&self) -> BTreeMap<String, i64> {
        let mut taken: BTreeMap<_, _> = self
            .initial
            .iter()
            .map(|(product, stock)| (product.to_string(), *stock))
            .collect();
        for (product, stock) in &self.books.inventory {
            *taken.entry(product.clone()).or_insert(0) -= stock;
        }
        taken
    }

    fn stored(&self, order: &Order) -> Option<&String> {
        self.books.orders.get(&order.row.to_string())
    }
}

fn acknowledged_are_everywhere(evidence: Evidence<'_>) -> Check {
    let mut check = Check::new("every acknowledged order is in all three stores");
    for order in evidence.acknowledged() {
        let (row, wanted) = (order.row, order.value());
        let finding = match evidence.stored(order) {
            None => Some(format!("order {row} was acknowledged and is not there")),
            Some(found) if *found != wanted => {
                Some(format!("order {row} is {found}, not {wanted}"))
            }
            Some(_) => None,
        };
        check.examine(Some(Store::Orders), finding);
    }
    let told = Effect::of(evidence.acknowledged());
    let taken = evidence.taken();
    for (product, sold) in &told.sold {
        let taken = taken.get(product).copied().unwrap_or(0);
        let finding = (taken < *sold)
            .then(|| format!("of product {product} {taken} were taken, {sold} acknowledged"));
        check.examine(Some(Store::Inventory), finding);
    }
    for (customer, charged) in &told.charged {
        let balance = evidence.books.payments.get(customer).copied().unwrap_or(0);
        let finding = (balance < *charged)
            .then(|| format!("customer {customer} owes {balance}, {charged} acknowledged"));
        check.examine(Some(Store::Payments), finding);
    }
    check
}

/// The orders that are stored must explain stock and balances, whatever anyone was told; and none may
/// be stored that its client was told is refused, or that nobody asked for.
fn none_in_only_some(evidence: Evidence<'_>) -> Check {
    let mut check = Check::new("no order is in only some of the stores");
    let stored = Effect::of(
        evidence
            .orders
            .iter()
            .filter(|order| evidence.stored(order).is_some()),
    );
    compare(
        &mut check,
        Store::Inventory,
        &stored.sold,
        &evidence.taken(),
        |product, sold, taken| {
            format!("of product {product} {taken} were taken, the stored orders say {sold}")
        },
    );
    let charged = &stored.charged;
    compare(
        &mut check,
        Store::Payments,
        charged,
        &evidence.books.payments,
        |customer, charged, balance| {
            format!("customer {customer} owes {balance}, the stored orders say {charged}")
        },
    );
    let rows: BTreeMap<_, _> = evidence
        .orders
        .iter()
        .map(|order| (order.row.to_string(), order.row))
        .collect();
    for key in evidence.books.orders.keys() {
        let told = rows.get(key).map(|row| evidence.ledger.told(*row));
        let finding = match told {
            None => Some(format!("{key} is no order of the file")),
            Some(None) => Some(format!("order {key} is there and was never asked for")),
            Some(Some(Told::Refused)) => Some(format!("order {key} is there and was refused")),
            Some(Some(Told::Committed | Told::Unknown)) => None,
        };
        check.examine(Some(Store::Orders), finding);
    }
    for (store, key) in &evidence.books.strange {
        let finding = format!("{key} holds a value of the wrong kind");
        check.examine(Some(*store), Some(finding));
    }
    check
}

fn stock_adds_up(evidence: Evidence<'_>) -> Check {
    let mut check = Check::new("stock + sold = initial stock, for every product");
    let sold = Effect::of(evidence.acknowledged()).sold;
    compare(
        &mut check,
        Store::Inventory,
        &sold,
        &evidence.taken(),
        |product, sold, taken| {
            let initial = product
                .parse()
                .ok()
                .and_then(|number: i64| evidence.initial.get(&number));
            let initial = initial.copied().unwrap_or(0);
            let stock = initial - taken;
            format!("product {product}: {stock} in stock + {sold} sold is not {initial}")
        },
    );
    check
}

fn balances_add_up(evidence: Evidence<'_>) -> Check {
    let mut check = Check::new("balance = sum of committed amounts, for every customer");
    let charged = Effect::of(evidence.acknowledged()).charged;
    compare(
        &mut check,
        Store::Payments,
        &charged,
        &evidence.books.payments,
        |customer, charged, balance| {
            format!("customer {customer}: balance {balance}, committed {charged}")
        },
    );
    check
}

fn nothing_in_doubt(books: &Books) -> Check {
    let mut check = Check::new("nothing is in doubt");
    for what in &books.in_doubt {
        check.examine(None, Some(what.clone()));
    }
    check.examined = check.examined.max(1);
    check
}

fn no_lock_left(books: &Books) -> Check {
    let mut check = Check::new("no lock is left");
    for (store, key) in &books.locks {
        check.examine(Some(*store), Some(format!("{key} is locked")));
    }
    check.examined = check.examined.max(Store::ALL.len());
    check
}

/// Compares two sums per key; a key that one side lacks counts as 0 there.
fn compare(
    check: &mut Check,
    store: Store,
    expected: &BTreeMap<String, i64>,
    found: &BTreeMap<String, i64>,
    say: impl Fn(&str, i64, i64) -> String,
) {
    let keys: BTreeSet<_> = expected.keys().chain(found.keys()).collect();
    for key in keys {
        let expected = expected.get(key).copied().unwrap_or(0);
        let found = found.get(key).copied().unwrap_or(0);
        check.examine(
            Some(store),
            (expected != found).then(|| say(key, expected, found)),
        );
    }
}

#[cfg(test)]
#[path = "audit_tests.rs"]
mod tests;
