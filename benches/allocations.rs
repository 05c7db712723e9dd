//! How often the core asks for memory, counted and not timed: the same on every machine.

use allocation_counter::measure;
use triumvir_benches::{World, record};
use triumvir_storage::{decode_records, encode_records};

/// Enough that what grows by doubling has little part in it.
const TRANSACTIONS: u64 = 1_000;

/// Proves: a failure-free transaction of two participants, through coordinator, conductor and both
/// participants, asks for memory no more than `allowed` times.
#[test]
fn a_transaction_allocates_no_more_than_before() {
    let allowed = 54.0;
    let mut world = World::new();
    (1..=TRANSACTIONS).for_each(|number| world.commit(number));
    let counted = measure(|| {
        (TRANSACTIONS + 1..=2 * TRANSACTIONS).for_each(|number| world.commit(number));
    });
    let each = counted.count_total as f64 / TRANSACTIONS as f64;
    assert!(each <= allowed, "{each} allocations for each transaction");
}

/// Proves: so does a record on its way through the codec.
#[test]
fn a_record_allocates_no_more_than_before() {
    let (encoding, decoding) = (4.5, 8.5);
    let records: Vec<_> = (0..TRANSACTIONS).map(record).collect();
    let mut encoded = Vec::new();
    let counted = measure(|| encoded = encode_records(&records));
    let each = counted.count_total as f64 / TRANSACTIONS as f64;
    assert!(
        each <= encoding,
        "{each} allocations for each record encoded"
    );
    let counted = measure(|| drop(decode_records(&encoded).expect("just encoded")));
    let each = counted.count_total as f64 / TRANSACTIONS as f64;
    assert!(
        each <= decoding,
        "{each} allocations for each record decoded"
    );
}
