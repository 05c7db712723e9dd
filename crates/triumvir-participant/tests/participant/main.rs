//! The participant's runtime from outside: real sessions, exchanges and data folders, with a fake
//! coordinator that says exactly what a test wants it to say.

mod coordinator;
mod foreign;
mod identity;
mod locks;
mod peers;
mod resources;
mod restart;
mod sessions;
mod support;
