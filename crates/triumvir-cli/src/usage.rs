//! Wrong usage: what the argument parser found, and what it cannot find.

use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{ArgMatches, Command, CommandFactory as _};

use crate::cli::Cli;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Format, Output};
use crate::settings;

/// Writes what the parser found, or the help that was asked for.
pub(crate) fn end(mut error: clap::Error) -> ExitCode {
    if error.get(ContextKind::Usage).is_some() {
        let usage = meant(std::env::args()).render_usage();
        error.insert(ContextKind::Usage, ContextValue::StyledStr(usage));
    }
    let variable = variable(&error);
    // The parser chooses the stream and the colours; a closed pipe is not an error.
    let _ = error.print();
    if let Some(variable) = variable {
        let output = Output::new(Format::Table);
        output.note(format!(
            "  the value comes from the environment variable {variable}"
        ));
    }
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Ok.into(),
        _ => Exit::Usage.into(),
    }
}

/// The command that `words` call. The usage that the parser makes of an error shows what is set, even
/// by the environment, as if it were needed.
fn meant(words: impl Iterator<Item = String>) -> Command {
    let mut command = Cli::command();
    command.build();
    for word in words.skip(1) {
        if let Some(sub) = command.find_subcommand(&word) {
            command = sub.clone();
        }
    }
    command
}

/// The environment variable that the refused value came from, if the flag was not written.
fn variable(error: &clap::Error) -> Option<String> {
    let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let flag = argument.split([' ', '=']).next()?;
    let written = |word: &str| word == flag || word.starts_with(&format!("{flag}="));
    if std::env::args().any(|word| written(&word)) {
        return None;
    }
    let name = find(&Cli::command(), flag.trim_start_matches('-'))?;
    std::env::var_os(&name).map(|_| name)
}

fn find(command: &Command, flag: &str) -> Option<String> {
    let own = command
        .get_arguments()
        .find(|argument| argument.get_long() == Some(flag));
    match own.and_then(|argument| argument.get_env()) {
        Some(name) => name.to_str().map(str::to_owned),
        None => command
            .get_subcommands()
            .find_map(|command| find(command, flag)),
    }
}

/// Refuses options of clients on command lines where they would do nothing.
///
/// # Errors
///
/// The option.
pub(crate) fn refuse_useless(matches: &ArgMatches) -> Result<(), clap::Error> {
    let Some((name, sub)) = matches.subcommand() else {
        return Ok(());
    };
    let (inner, sub) = sub.subcommand().unwrap_or(("", sub));
    let useless: &[&str] = match name {
        "server" | "demo" => &["coordinators", "timeout"],
        "participant" if inner != "remove" => &["timeout"],
        "bench" if sub.get_flag("local") => &["coordinators"],
        _ => return Ok(()),
    };
    let given = |name: &&&str| sub.value_source(name) == Some(ValueSource::CommandLine);
    match useless.iter().find(given) {
        None => Ok(()),
        Some(flag) => {
            let message = format!("`{name}` has no use for --{flag}\n");
            Err(clap::Error::raw(ErrorKind::ArgumentConflict, message))
        }
    }
}

/// Refuses environment variables with our prefix that nobody reads.
///
/// # Errors
///
/// The variable.
pub(crate) fn refuse_stray() -> Result<(), Failure> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    settings::refuse_stray(&Cli::command(), names)
}
