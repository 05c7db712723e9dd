//! The audit on stores in memory: a sound world passes, and each way of breaking it is seen by the
//! check that claims to see it, in the store that was broken.

use std::collections::BTreeMap;

use super::*;
use crate::demo::books::Entry;

struct World {
    orders: Vec<Order>,
    ledger: Ledger,
    initial: BTreeMap<i64, i64>,
    books: Books,
}

/// Three orders: two committed, the third refused.
fn sound() -> World {
    let order = |row, customer: &str, quantity, cents| Order {
        row,
        customer: customer.to_owned(),
        date: "1997-01-01".to_owned(),
        quantity,
        cents,
    };
    let orders = vec![
        order(1, "a", 2, 200),
        order(2, "b", 1, 100),
        order(3, "a", 1, 0),
    ];
    let mut ledger = Ledger::default();
    ledger.note(1, Told::Committed);
    ledger.note(2, Told::Committed);
    ledger.note(3, Told::Refused);
    let mut books = Books::default();
    books.enter(Store::Orders, "1".into(), Entry::Text(orders[0].value()));
    books.enter(Store::Orders, "2".into(), Entry::Text(orders[1].value()));
    books.enter(Store::Inventory, "100".into(), Entry::Integer(7));
    books.enter(Store::Inventory, "0".into(), Entry::Integer(5));
    books.enter(Store::Payments, "a".into(), Entry::Integer(200));
    books.enter(Store::Payments, "b".into(), Entry::Integer(100));
    World {
        orders,
        ledger,
        initial: BTreeMap::from([(100, 10), (0, 5)]),
        books,
    }
}

impl World {
    fn audit(&self) -> Vec<Check> {
        audit(Evidence {
            orders: &self.orders,
            ledger: &self.ledger,
            initial: &self.initial,
            books: &self.books,
        })
    }

    /// The numbers of the checks that fail, from 0, with the stores that they name.
    fn failed(&self) -> Vec<(usize, Vec<Store>)> {
        let checks = self.audit().into_iter().enumerate();
        checks
            .filter(|(_, check)| !check.holds())
            .map(|(at, check)| (at, check.stores.into_iter().collect()))
            .collect()
    }
}

#[test]
fn a_sound_world_passes_every_check() {
    let world = sound();
    assert_eq!(world.failed(), []);
    assert!(world.audit().iter().all(|check| check.examined > 0));
}

#[test]
fn an_acknowledged_order_that_is_lost_everywhere_is_seen() {
    let mut world = sound();
    world.books.orders.remove("2");
    world.books.inventory.insert("100".into(), 8);
    world.books.payments.insert("b".into(), 0);
    let all = Store::ALL.to_vec();
    let expected = [
        (0, all),
        (2, vec![Store::Inventory]),
        (3, vec![Store::Payments]),
    ];
    assert_eq!(world.failed(), expected);
}

#[test]
fn an_order_that_is_missing_in_one_store_is_in_only_some() {
    let mut world = sound();
    world.books.orders.remove("2");
    let only_some = vec![Store::Inventory, Store::Payments];
    assert_eq!(world.failed(), [(0, vec![Store::Orders]), (1, only_some)]);
}

#[test]
fn an_order_with_another_content_is_seen() {
    let mut world = sound();
    world
        .books
        .orders
        .insert("2".into(), "b,1997-01-01,1,999".into());
    assert_eq!(world.failed(), [(0, vec![Store::Orders])]);
}

#[test]
fn stock_that_was_taken_without_an_order_is_seen() {
    let mut world = sound();
    world.books.inventory.insert("100".into(), 6);
    let inventory = vec![Store::Inventory];
    assert_eq!(world.failed(), [(1, inventory.clone()), (2, inventory)]);
    let finding = &world.audit()[2].findings[0];
    assert_eq!(
        finding,
        "inventory: product 100: 6 in stock + 3 sold is not 10"
    );
}

#[test]
fn a_charge_without_an_order_is_seen() {
    let mut world = sound();
    world.books.payments.insert("c".into(), 1);
    let payments = vec![Store::Payments];
    assert_eq!(world.failed(), [(1, payments.clone()), (3, payments)]);
}

#[test]
fn a_refused_order_that_is_stored_is_seen() {
    let mut world = sound();
    let value = world.orders[2].value();
    world.books.orders.insert("3".into(), value);
    assert_eq!(world.failed(), [(1, vec![Store::Orders, Store::Inventory])]);
}

#[test]
fn foreign_keys_and_values_of_the_wrong_kind_are_seen() {
    let mut world = sound();
    world.books.orders.insert("9".into(), "x".into());
    world
        .books
        .enter(Store::Payments, "z".into(), Entry::Text("rich".into()));
    world.books.inventory.insert("gold".into(), 1);
    let all = Store::ALL.to_vec();
    assert_eq!(world.failed(), [(1, all), (2, vec![Store::Inventory])]);
}

#[test]
fn an_order_that_committed_though_its_client_never_knew_must_be_whole() {
    let mut world = sound();
    world.ledger = Ledger::default();
    world.ledger.note(1, Told::Committed);
    world.ledger.note(2, Told::Unknown);
    world.ledger.note(3, Told::Refused);
    let sums = [(2, vec![Store::Inventory]), (3, vec![Store::Payments])];
    assert_eq!(
        world.failed(),
        sums,
        "unresolved outcomes must not reach the audit"
    );
}

#[test]
fn doubt_and_locks_are_seen() {
    let mut world = sound();
    world
        .books
        .in_doubt
        .push("payments has 1 branch in doubt".into());
    world.books.locks.push((Store::Orders, "1".into()));
    assert_eq!(world.failed(), [(4, vec![]), (5, vec![Store::Orders])]);
    assert_eq!(world.audit()[5].findings, ["orders: 1 is locked"]);
}
