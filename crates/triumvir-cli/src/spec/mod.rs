//! What a person asks of key-value participants, as written on the command line or in a file, and
//! how keys and values are shown. Nothing here talks to a cluster.

mod arguments;
mod file;
mod literal;
mod operation;
mod syntax;

pub(crate) use arguments::Parts;
pub(crate) use file::{Document, FileMode};
pub(crate) use literal::{Literal, key_json, key_text, unescape};
pub(crate) use operation::{Operation, Part};
pub(crate) use syntax::{HELP, parse_operation};
