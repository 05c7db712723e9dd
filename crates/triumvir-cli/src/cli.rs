//! The command line: what can be written, and its help. No command does anything here.

use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use humantime_serde::re::humantime;

use crate::output::Format;
use crate::settings::Settings;
use crate::{bench, command, demo, exit, spec};

/// Where the coordinators of a cluster on this machine listen, unless they are told otherwise.
pub(crate) const COORDINATORS: &str = "127.0.0.1:7401,127.0.0.1:7402,127.0.0.1:7403";

const EXAMPLES: &str = "\
Examples:
  triumvir demo                                  see it work, and survive
  triumvir commit --at orders put:42=book --at stock add:book=-1,min=0
  triumvir outcome 0198c1f0-7a55-7d2e-9c11-3f5b0a4e6c21
  triumvir cluster status
  triumvir completions bash > ~/.local/share/bash-completion/completions/triumvir";

/// Commits one transaction across several services, all or nothing, and survives the loss of any of
/// its coordinators.
#[derive(Debug, Parser)]
#[command(
    name = "triumvir",
    version,
    arg_required_else_help = true,
    after_help = format!("{EXAMPLES}\n\n{}", exit::TABLE),
)]
pub(crate) struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub(crate) globals: Globals,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Globals {
    /// How results are written; errors go to stderr in the same form
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        env = "TRIUMVIR_OUTPUT",
        hide_env_values = true
    )]
    pub(crate) output: Format,
    /// Coordinator replicas, HOST:PORT with commas between them; some of them are enough
    #[arg(
        long,
        global = true,
        value_name = "LIST",
        default_value = COORDINATORS,
        env = "TRIUMVIR_COORDINATORS",
        hide_env_values = true
    )]
    pub(crate) coordinators: String,
    /// How long to wait for the cluster, such as 500ms or 1m
    #[arg(
        long,
        global = true,
        value_name = "TIME",
        default_value = "10s",
        value_parser = time,
        env = "TRIUMVIR_TIMEOUT",
        hide_env_values = true
    )]
    pub(crate) timeout: Duration,
}

impl Globals {
    /// The coordinators one by one.
    pub(crate) fn coordinators(&self) -> Vec<String> {
        let parts = self.coordinators.split(',').map(str::trim);
        parts
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect()
    }
}

fn time(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(time) if !time.is_zero() => Ok(time),
        Ok(_) => Err("a time above zero is needed".to_owned()),
        Err(_) => Err("a time with its unit is needed, such as 500ms, 2s or 1m".to_owned()),
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// See it work: a cluster on this machine, real purchases, processes killed, an audit
    #[command(after_help = demo::HELP)]
    Demo(demo::Args),
    /// Run a coordinator replica
    #[command(after_help = command::server::HELP)]
    Server(Settings<command::server::Server>),
    /// Run a participant, or give one up
    #[command(subcommand)]
    Participant(ParticipantCommand),
    /// Commit a transaction over key-value participants
    #[command(after_help = format!("{}\n\n{}", spec::HELP, command::commit::HELP))]
    Commit(command::commit::Args),
    /// Abort a transaction, unless it is too late
    #[command(after_help = command::lookup::ABORT_HELP)]
    Abort(command::lookup::TxnArgs),
    /// Ask how a transaction ended
    #[command(after_help = command::lookup::OUTCOME_HELP)]
    Outcome(command::lookup::OutcomeArgs),
    /// Show what the cluster knows of a transaction, with its timeline
    Describe(command::lookup::TxnArgs),
    /// List transactions under way
    #[command(after_help = command::list::LIST_HELP)]
    List(command::list::ListArgs),
    /// Follow the outcomes of all transactions as they happen
    #[command(after_help = command::list::WATCH_HELP)]
    Watch,
    /// Read from a key-value participant
    #[command(subcommand)]
    Kv(command::kv::KvCommand),
    /// Look at the cluster, and change its members
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// Measure throughput and latency
    #[command(after_help = bench::HELP)]
    Bench(bench::Args),
    /// Print a script that completes this command line
    #[command(after_help = command::completions::HELP)]
    Completions(command::completions::Args),
}

/// What to do with a participant.
#[derive(Debug, Subcommand)]
pub(crate) enum ParticipantCommand {
    /// Run a participant that keeps keys and values
    #[command(after_help = command::participant::HELP)]
    Kv(Settings<command::participant::Kv>),
    /// Give a participant up that never comes back
    #[command(after_help = command::removal::HELP)]
    Remove(command::removal::Args),
}

/// What to look at, or to change.
#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Ask every coordinator for its state
    #[command(after_help = command::cluster::HELP)]
    Status,
    /// Add a replica as a learner, and print the command that starts it
    #[command(after_help = command::members::ADD_HELP)]
    Add(command::members::AddArgs),
    /// Make a learner that has caught up a voter
    #[command(after_help = command::members::PROMOTE_HELP)]
    Promote(command::members::PromoteArgs),
    /// Remove a replica for good
    #[command(after_help = command::members::REMOVE_HELP)]
    Remove(command::members::RemoveArgs),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_default_coordinators_are_three() {
        let cli = Cli::try_parse_from(["triumvir", "cluster", "status"]).unwrap();
        assert_eq!(cli.globals.coordinators().len(), 3);
    }
}
