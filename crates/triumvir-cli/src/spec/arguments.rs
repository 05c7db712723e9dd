//! `--at PARTICIPANT OPERATION…`, as often as there are participants.

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use super::{Part, parse_operation};

/// What stands behind every `--at`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parts(pub(crate) Vec<Part>);

impl Args for Parts {
    fn augment_args(command: Command) -> Command {
        let at = Arg::new("at")
            .long("at")
            .value_names(["PARTICIPANT", "OPERATION"])
            .num_args(2..)
            .action(ArgAction::Append)
            .help("What to do at one participant, in this order; for several, repeat --at");
        command.arg(at)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Parts {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut parts = Vec::new();
        for mut words in matches
            .get_occurrences::<String>("at")
            .into_iter()
            .flatten()
        {
            let participant = words.next().cloned().unwrap_or_default();
            let operations = words
                .map(|word| parse_operation(word))
                .collect::<Result<_, _>>();
            let operations = operations.map_err(|reason| {
                let message = format!("--at {participant}: {reason}\n");
                clap::Error::raw(ErrorKind::ValueValidation, message)
            })?;
            parts.push(Part {
                participant,
                operations,
            });
        }
        Ok(Self(Part::join(parts)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Operation;

    fn parse(line: &str) -> Result<Parts, clap::Error> {
        let command = Parts::augment_args(Command::new("commit"));
        let matches = command.try_get_matches_from(line.split(' '))?;
        Parts::from_arg_matches(&matches)
    }

    #[test]
    fn every_at_begins_a_part_and_one_participant_has_one() {
        let Parts(parts) =
            parse("commit --at a put:1=x get:2 --at b get:3 --at a delete:4").unwrap();
        assert_eq!(parts.len(), 2);
        assert_eq!(
            (parts[0].participant.as_str(), parts[0].operations.len()),
            ("a", 3)
        );
        assert_eq!(
            parts[0].operations[2],
            Operation::Delete { key: b"4".to_vec() }
        );
        assert_eq!(
            (parts[1].participant.as_str(), parts[1].operations.len()),
            ("b", 1)
        );
    }

    #[test]
    fn a_participant_without_operations_and_a_bad_operation_are_refused() {
        assert!(parse("commit --at a").is_err());
        let error = parse("commit --at a add:x=y").unwrap_err().to_string();
        assert!(error.contains("--at a") && error.contains("`y`"), "{error}");
    }
}
