//! Starts and torments real processes.
