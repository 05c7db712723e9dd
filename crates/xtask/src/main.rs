//! Development tasks, run as `cargo xtask <task>`. Each is a file; this one only chooses.

// A task talks to the person who started it.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod compare;
mod deny;
mod dist;
mod model;
mod process;
mod test;
mod tidy;

use clap::Parser;

/// Development tasks of Triumvir.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
enum Task {
    /// Build the binary and run every test: units, process tests, documentation, mutants, model.
    Test(test::Args),
    /// Check what no compiler checks: the dependency table, file sizes, documentation.
    Tidy,
    /// Check bans, licences and sources of all dependencies with cargo-deny.
    Deny,
    /// Check the core exhaustively within stated bounds, and that every broken rule is found.
    Model(model::Args),
    /// Build the binary to deploy, optimised for what a cluster of it does: half an hour, or less.
    Dist,
    /// Measure beside another system on this machine.
    Compare(compare::Args),
    /// Everything that CI runs: format, clippy, tidy, deny, test.
    Ci,
}

fn main() -> anyhow::Result<()> {
    match Task::parse() {
        Task::Test(args) => test::run(&args),
        Task::Tidy => tidy::run(),
        Task::Deny => deny::run(),
        Task::Model(args) => model::run(&args),
        Task::Dist => dist::run(),
        Task::Compare(args) => compare::run(&args),
        Task::Ci => {
            process::cargo(["fmt", "--all", "--check"])?;
            tidy::run()?;
            let mut lint = process::cargo_command();
            lint.args(["clippy", "--workspace", "--all-targets", "--locked"]);
            process::run(lint.args(process::FEATURES).args(["--", "-D", "warnings"]))?;
            deny::run()?;
            test::run(&test::Args::default())
        }
    }
}
