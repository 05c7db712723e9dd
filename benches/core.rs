//! What the core itself costs: one failure-free transaction of two participants through all three
//! machines, and a batch of records through the codec. No I/O.
//!
//! `cargo bench -p triumvir-benches`

// criterion's macros make functions without documentation.
#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use triumvir_benches::{World, record};
use triumvir_storage::{decode_records, encode_records};

fn walk(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("core");
    group.throughput(Throughput::Elements(1));
    let (mut world, mut number) = (World::new(), 0);
    group.bench_function("transaction", |bench| {
        bench.iter(|| {
            number += 1;
            world.commit(number);
        });
    });
    group.finish();
}

fn codec(criterion: &mut Criterion) {
    let batch: Vec<_> = (0..64).map(record).collect();
    let mut group = criterion.benchmark_group("codec");
    group.throughput(Throughput::Elements(64));
    group.bench_function("64 pre-commit records", |bench| {
        bench.iter(|| decode_records(&encode_records(black_box(&batch))).expect("just encoded"));
    });
    group.finish();
}

criterion_group!(benches, walk, codec);
criterion_main!(benches);
