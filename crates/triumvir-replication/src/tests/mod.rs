//! Tests of the storage half that need openraft's own types: its conformance suite, and crashes.
//! Whole replicas are tested from outside, in `tests/`.

mod crash;
mod suite;
