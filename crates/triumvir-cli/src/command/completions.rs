//! `triumvir completions`: scripts that complete the command line.

use std::process::ExitCode;

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::exit::Exit;
use crate::output::Output;

pub(crate) const HELP: &str = "\
Examples:
  triumvir completions bash > ~/.local/share/bash-completion/completions/triumvir
  triumvir completions fish > ~/.config/fish/completions/triumvir.fish
  triumvir completions zsh  > ~/.zfunc/_triumvir";

/// Arguments of `triumvir completions`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

/// Prints the script.
///
/// # Errors
///
/// Stdout cannot be written.
pub(crate) fn run(args: &Args, output: &Output) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "triumvir", &mut script);
    output.raw(&String::from_utf8(script)?)?;
    Ok(Exit::Ok.into())
}
