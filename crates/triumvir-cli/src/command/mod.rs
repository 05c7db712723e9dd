//! The subcommands, one file each: from arguments to a call, and from its answer to what is shown.

pub(crate) mod cluster;
pub(crate) mod completions;
pub(crate) mod participant;
pub(crate) mod server;
