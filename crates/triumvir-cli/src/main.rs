//! `triumvir`: the command line. Arguments come in here, an exit status goes out; everything between
//! is a subcommand over the crates of the project, and no decision about a transaction is taken here.

mod bench;
mod cli;
mod command;
mod demo;
mod exit;
mod exporter;
mod failure;
mod logging;
mod output;
mod paint;
mod process;
mod settings;
mod silence;
mod spec;
mod usage;
mod view;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};

use crate::cli::{Cli, ClusterCommand, Command, ParticipantCommand};
use crate::failure::Failure;
use crate::output::Output;
use crate::process::Work;

/// Many small values of many threads: a third of all time was the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let parsed = Cli::command().try_get_matches().and_then(|matches| {
        usage::refuse_useless(&matches)?;
        Cli::from_arg_matches(&matches)
    });
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => return usage::end(error),
    };
    let output = Output::new(cli.globals.output);
    process::abort_on_panic();
    // Failpoints are what the environment names now, until the process ends.
    #[cfg(feature = "failpoints")]
    let _failpoints = fail::FailScenario::setup();
    let work = match cli.command {
        Command::Server(_) | Command::Participant(ParticipantCommand::Kv(_)) => Work::Batches,
        _ => Work::Command,
    };
    let ran = process::runtime(work).map_err(anyhow::Error::from);
    let ended = ran.and_then(|runtime| runtime.block_on(run(cli, &output)));
    ended.unwrap_or_else(|error| {
        let failure = Failure::of(&error);
        output.failure(&failure);
        failure.exit.into()
    })
}

async fn run(cli: Cli, output: &Output) -> anyhow::Result<ExitCode> {
    let globals = &cli.globals;
    match cli.command {
        Command::Server(settings) => {
            usage::refuse_stray()?;
            command::server::run(&settings, output).await
        }
        Command::Participant(ParticipantCommand::Kv(settings)) => {
            usage::refuse_stray()?;
            command::participant::run(&settings, output).await
        }
        Command::Participant(ParticipantCommand::Remove(args)) => {
            command::removal::run(&args, globals, output).await
        }
        Command::Commit(args) => command::commit::run(args, globals, output).await,
        Command::Abort(args) => command::lookup::abort(&args, globals, output).await,
        Command::Outcome(args) => command::lookup::outcome(&args, globals, output).await,
        Command::Describe(args) => command::lookup::describe(&args, globals, output).await,
        Command::List(args) => command::list::list(&args, globals, output).await,
        Command::Watch => command::list::watch(globals, output).await,
        Command::Kv(kv) => command::kv::run(&kv, globals, output).await,
        Command::Cluster(ClusterCommand::Status) => command::cluster::status(globals, output).await,
        Command::Cluster(ClusterCommand::Add(args)) => {
            command::members::add(&args, globals, output).await
        }
        Command::Cluster(ClusterCommand::Promote(args)) => {
            command::members::promote(&args, globals, output).await
        }
        Command::Cluster(ClusterCommand::Remove(args)) => {
            command::members::remove(&args, globals, output).await
        }
        Command::Demo(args) => demo::run(&args, output).await,
        Command::Bench(args) => bench::run(&args, globals, output).await,
        Command::Completions(args) => command::completions::run(&args, output),
    }
}
