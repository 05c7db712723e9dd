//! The protocol core under test as whole systems: real machines in a modelled world. No I/O but the
//! transcripts under `testdata/`, no clock, and no randomness without a seed.

mod explore;
mod forgotten;
mod golden;
#[cfg(feature = "mutants")]
mod mutants;
mod world;
