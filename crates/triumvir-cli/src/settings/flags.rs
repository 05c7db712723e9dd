//! From a table of keys to flags and environment variables, and from a command line to layers.

use std::marker::PhantomData;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use super::source::{Layer, Source};
use super::{Key, Kind, Process};
use crate::failure::Failure;

/// What the command line and the environment say about the settings of a process.
#[derive(Clone, Debug)]
pub(crate) struct Settings<P> {
    /// The configuration file, if one is named.
    pub(crate) file: Option<PathBuf>,
    /// Whether the settings are printed instead of used.
    pub(crate) dump: bool,
    given: Vec<Given>,
    process: PhantomData<P>,
}

/// A setting that is given.
#[derive(Clone, Debug)]
struct Given {
    key: &'static Key,
    source: Source,
    text: String,
}

impl<P: Process> Settings<P> {
    /// The layer of the environment and that of the command line.
    ///
    /// # Errors
    ///
    /// A text that cannot be read; the message names its source.
    pub(crate) fn layers(&self) -> Result<[Layer; 2], Failure> {
        let mut environment = Layer::new(Source::Environment);
        let mut flags = Layer::new(Source::Flag);
        for Given { key, source, text } in &self.given {
            let value = key.read(text).map_err(|expected| {
                let place = place(key, *source);
                Failure::usage(format!("{place}: `{text}` is not {expected}"))
            })?;
            let layer = if *source == Source::Flag {
                &mut flags
            } else {
                &mut environment
            };
            layer.set(key.path, value);
        }
        Ok([environment, flags])
    }
}

/// The flag or the variable, for a person.
pub(crate) fn place(key: &Key, source: Source) -> String {
    match source {
        Source::Environment => format!("environment variable {}", key.variable()),
        Source::Flag => format!("flag --{}", key.flag()),
        Source::Default | Source::Derived => format!("{source} of {}", key.path),
    }
}

/// The global flag that lists the coordinators is a setting as well, where a process has it.
const GLOBAL: &str = "coordinators";

impl<P: Process> Args for Settings<P> {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .env("TRIUMVIR_CONFIG")
            .hide_env_values(true)
            .value_parser(clap::value_parser!(PathBuf))
            .help("Configuration file (TOML); its keys are listed by --dump-config");
        let dump = Arg::new("dump_config")
            .long("dump-config")
            .action(ArgAction::SetTrue)
            .help("Print the settings in force, with the source of each, as TOML; then exit");
        let command = command.arg(config).arg(dump);
        let defaults = [
            serde_json::to_value(P::Config::default()),
            serde_json::to_value(P::Extra::default()),
        ];
        let own = P::KEYS.iter().filter(|key| key.path != GLOBAL);
        own.fold(command, |command, key| {
            let pointer = format!("/{}", key.path.replace('.', "/"));
            let mut trees = defaults.iter().flatten();
            command.arg(argument(key, trees.find_map(|tree| tree.pointer(&pointer))))
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn argument(key: &'static Key, default: Option<&serde_json::Value>) -> Arg {
    let mut argument = Arg::new(key.path)
        .long(key.flag())
        .value_name(key.value)
        .env(key.variable())
        .hide_env_values(true)
        .help(help(key, default));
    if let Some(alias) = key.alias {
        argument = argument.visible_alias(alias);
    }
    if key.kind == Kind::Switch {
        argument = argument
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true");
    }
    if let Some((section, _)) = key.path.split_once('.') {
        argument = argument.help_heading(format!("Options of [{section}]"));
    }
    argument
}

/// What the table says, and the default unless the table says that it is another.
fn help(key: &Key, default: Option<&serde_json::Value>) -> String {
    let default = match default {
        _ if key.help.ends_with(']') => None,
        Some(serde_json::Value::String(text)) if !text.is_empty() => Some(text.clone()),
        Some(default @ (serde_json::Value::Number(_) | serde_json::Value::Bool(_))) => {
            Some(default.to_string())
        }
        _ => None,
    };
    match default {
        Some(default) => format!("{} [default: {default}]", key.help),
        None => key.help.to_owned(),
    }
}

impl<P: Process> FromArgMatches for Settings<P> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = P::KEYS.iter().filter_map(|key| {
            let source = match matches.value_source(key.path)? {
                ValueSource::CommandLine => Source::Flag,
                ValueSource::EnvVariable => Source::Environment,
                _ => return None,
            };
            let text = matches.get_one::<String>(key.path)?.clone();
            // An empty variable is how orchestrators write "not set".
            let unset = source == Source::Environment && text.is_empty();
            (!unset).then_some(Given { key, source, text })
        });
        Ok(Self {
            file: matches.get_one::<PathBuf>("config").cloned(),
            dump: matches.get_flag("dump_config"),
            given: given.collect(),
            process: PhantomData,
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
