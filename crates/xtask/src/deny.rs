//! cargo-deny over deny.toml. Installed below the target folder if the machine has none.

use std::process::Command;

use crate::process::{self, cargo, has_cargo_subcommand, root};

fn check(program: &mut Command) -> anyhow::Result<()> {
    // Advisories need a network and are left to whoever has one.
    program.args([
        "--all-features",
        "--locked",
        "check",
        "bans",
        "licenses",
        "sources",
    ]);
    process::run(program.current_dir(root()))
}

pub(crate) fn run() -> anyhow::Result<()> {
    if has_cargo_subcommand("deny") {
        let mut program = process::cargo_command();
        return check(program.arg("deny"));
    }
    let tools = root().join("target/tools");
    let installed = tools.join("bin/cargo-deny");
    if !installed.exists() {
        eprintln!("cargo-deny is not installed: building it once, below target/tools");
        let folder = tools.display().to_string();
        cargo([
            "install",
            "cargo-deny",
            "--locked",
            "--debug",
            "--root",
            &folder,
        ])?;
    }
    check(&mut Command::new(installed))
}
