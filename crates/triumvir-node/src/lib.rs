//! The coordinator process.
