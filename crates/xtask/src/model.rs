//! The model checker over the shipped core: every broken rule, and the runs under the rules in force.

use std::process::Command;

use crate::process::{self, cargo_command, root};

#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// Then the runs that take longer, ten minutes each at most.
    #[arg(long)]
    long: bool,
    /// Instead, walk through the executions of a run in a browser.
    #[arg(long, value_name = "RUN", num_args = 0..=1, default_missing_value = "fence rounds")]
    explore: Option<String>,
}

/// Optimised, with the broken rules, in a target folder of its own.
fn cargo(subcommand: &str) -> Command {
    let mut command = cargo_command();
    command.args([subcommand, "--release", "--locked"]);
    command.args(["--package", "triumvir-model", "--features", "mutants"]);
    command
        .arg("--target-dir")
        .arg(root().join("target/mutants"));
    command
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    if let Some(name) = &args.explore {
        return process::run(cargo("run").args(["--", "explore", name]));
    }
    process::run(&mut cargo("test"))?;
    process::run(cargo("run").args(["--", "short"]))?;
    if args.long {
        process::run(cargo("run").args(["--", "long"]))?;
    }
    Ok(())
}
