//! Failpoints are in a binary only if they are asked for.

use anyhow::ensure;

use super::Findings;
use crate::process::{FEATURES, cargo_command};

/// The library without which there are none.
const LIBRARY: &str = "fail ";

pub(super) fn check(findings: &mut Findings) -> anyhow::Result<()> {
    if uses_library(&[])? {
        findings.add(
            "triumvir-cli",
            "has failpoints without being asked for them",
        );
    }
    ensure!(
        uses_library(&FEATURES)?,
        "where failpoints are asked for, {LIBRARY}is not found: this check sees nothing"
    );
    Ok(())
}

fn uses_library(features: &[&str]) -> anyhow::Result<bool> {
    let mut tree = cargo_command();
    tree.args(["tree", "--package", "triumvir-cli", "--edges", "normal"]);
    tree.args(["--prefix", "none", "--locked"]).args(features);
    let output = tree.output()?;
    ensure!(output.status.success(), "{tree:?} failed");
    let listed = String::from_utf8(output.stdout)?;
    Ok(listed.lines().any(|line| line.starts_with(LIBRARY)))
}
