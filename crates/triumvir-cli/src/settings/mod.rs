//! The configuration of the long-running processes: flags over environment over file over defaults.
//!
//! A process names its settings in a table of [`Key`]s. From it come the flags, the environment
//! variables and the help; the types and the defaults are those of the process's own `Config`. Nothing
//! here knows what a setting means.

mod dump;
mod explain;
mod flags;
mod key;
mod layers;
mod source;
mod stray;

pub(crate) use flags::Settings;
pub(crate) use key::{Key, Kind, Process};
pub(crate) use layers::{Effective, Layers};
pub(crate) use stray::refuse_stray;

#[cfg(test)]
pub(crate) mod tests;
