//! The command line.

mod exit;
mod failure;
mod output;
mod paint;

fn main() {}
