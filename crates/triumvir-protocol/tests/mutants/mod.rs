//! The harness sees failures: with one rule broken, some seed fails.
