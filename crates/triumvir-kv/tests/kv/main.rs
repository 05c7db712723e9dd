//! Tests of the engine through its public face: one file per subject, and a simulated world of
//! several participants against a serial model. No files, sockets or clocks; every seed is fixed.

mod codec;
mod limits;
mod operations;
mod reads;
mod recovery;
mod schedules;
mod serial;
mod support;
mod wait_die;
mod world;
