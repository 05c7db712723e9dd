//! The model checker over the shipped core: every short run, and every broken rule.

use crate::process::{self, cargo_command, root};

/// Optimised, with the broken rules, in a target folder of its own.
pub(crate) fn run() -> anyhow::Result<()> {
    let mut tests = cargo_command();
    tests.args([
        "test",
        "--release",
        "--locked",
        "--package",
        "triumvir-model",
    ]);
    tests
        .args(["--features", "mutants", "--target-dir"])
        .arg(root().join("target/mutants"));
    process::run(&mut tests)
}
