//! Every test of the workspace, on a machine that has Rust and a C linker and nothing else.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::Context as _;

use crate::model;
use crate::process::{self, FEATURES, cargo_command, has_cargo_subcommand, root};

/// The variable that hands the binary's path to the process tests.
const BINARY: &str = "TRIUMVIR_BIN";

#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// Run only the tests whose name contains this.
    filter: Option<String>,
}

fn run_all(args: &Args, nextest: bool) -> anyhow::Result<()> {
    let binary = build()?;
    let mut tests = cargo_command();
    tests.env(BINARY, &binary);
    if nextest {
        tests.args([
            "nextest",
            "run",
            "--workspace",
            "--locked",
            "--no-tests=pass",
        ]);
    } else {
        tests.args([
            "test",
            "--workspace",
            "--locked",
            "--lib",
            "--bins",
            "--tests",
            "--examples",
        ]);
    }
    process::run(tests.args(FEATURES).args(&args.filter))?;
    if args.filter.is_some() {
        return Ok(());
    }
    let mut documentation = cargo_command();
    documentation.args(["test", "--workspace", "--locked", "--doc"]);
    process::run(documentation.args(FEATURES))?;
    // The broken rules have a target folder of their own, so that no other build can have them by
    // feature unification.
    let folder = root().join("target/mutants");
    let mut mutants = cargo_command();
    mutants.args(if nextest {
        &["nextest", "run"][..]
    } else {
        &["test"]
    });
    mutants.args([
        "--locked",
        "--package",
        "triumvir-protocol",
        "--features",
        "mutants",
    ]);
    process::run(mutants.arg("--target-dir").arg(folder))?;
    model::run(&model::Args::default())
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let nextest = has_cargo_subcommand("nextest");
    if !nextest {
        eprintln!(
            "cargo-nextest is not installed; using cargo test, which prints less and is slower"
        );
        eprintln!("(cargo install cargo-nextest --locked)");
    }
    run_all(args, nextest)
}

/// Builds everything that is tested in one go, since the same dependencies with the features of a part
/// of the workspace would be others, and says where cargo put the binary, which has failpoints.
fn build() -> anyhow::Result<PathBuf> {
    let mut command = cargo_command();
    command.args(["build", "--workspace", "--locked"]);
    command.args(["--lib", "--bins", "--tests", "--examples"]);
    command
        .args(FEATURES)
        .args(["--message-format", "json-render-diagnostics"])
        .stderr(Stdio::inherit());
    let output = command.output().context("cannot start cargo build")?;
    anyhow::ensure!(output.status.success(), "building failed");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == "triumvir")
        .filter(|message| message["profile"]["test"] == false)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .context("cargo build named no executable")
}
