//! Environment variables with our prefix that nobody reads: a misspelt setting must not be ignored.

use clap::Command;

use crate::failure::Failure;

const PREFIX: &str = "TRIUMVIR_";

/// Refuses the first variable that no command reads.
///
/// # Errors
///
/// The variable, and the nearest thing that exists.
pub(crate) fn refuse_stray(
    command: &Command,
    names: impl IntoIterator<Item = String>,
) -> Result<(), Failure> {
    let mut known = Vec::new();
    collect(command, &mut known);
    let stray = names
        .into_iter()
        .find(|name| name.starts_with(PREFIX) && !is_service_link(name) && !known.contains(name));
    match stray {
        None => Ok(()),
        Some(name) => {
            let wanted = name.trim_start_matches(PREFIX);
            let words: Vec<_> = wanted.split('_').collect();
            let share =
                |known: &&String| known.split('_').filter(|word| words.contains(word)).count();
            let near: Vec<_> = known
                .iter()
                .filter(|known| share(known) > 0)
                .map(String::as_str)
                .collect();
            let failure = Failure::usage(format!("unknown environment variable {name}"));
            Err(if near.is_empty() {
                failure.next("remove it; the variables are named in --help")
            } else {
                failure.next(format!("remove it, or did you mean: {}", near.join(", ")))
            })
        }
    }
}

fn collect(command: &Command, known: &mut Vec<String>) {
    let names = command
        .get_arguments()
        .filter_map(|argument| argument.get_env());
    for name in names.filter_map(|name| name.to_str()) {
        if !known.iter().any(|known| known == name) {
            known.push(name.to_owned());
        }
    }
    for command in command.get_subcommands() {
        collect(command, known);
    }
}

/// What Kubernetes puts into every container of a namespace in which a service is called `triumvir…`.
fn is_service_link(name: &str) -> bool {
    ["_SERVICE_HOST", "_SERVICE_PORT"]
        .iter()
        .any(|word| name.contains(word))
        || name.ends_with("_PORT")
        || ["_TCP", "_UDP"].iter().any(|word| name.contains(word)) && name.contains("_PORT_")
}

#[cfg(test)]
mod tests {
    use clap::Arg;

    use super::*;

    fn check(names: &[&str]) -> Result<(), Failure> {
        let inner = Command::new("kv").arg(Arg::new("n").env("TRIUMVIR_NAME"));
        let command = Command::new("t")
            .arg(Arg::new("l").env("TRIUMVIR_LOG"))
            .subcommand(inner);
        refuse_stray(&command, names.iter().map(ToString::to_string))
    }

    #[test]
    fn variables_of_every_command_are_known() {
        assert_eq!(check(&["TRIUMVIR_LOG", "TRIUMVIR_NAME", "HOME"]), Ok(()));
    }

    #[test]
    fn a_misspelt_one_is_refused_with_its_name() {
        let failure = check(&["TRIUMVIR_LOG_LEVEL"]).unwrap_err();
        assert!(failure.message.contains("TRIUMVIR_LOG_LEVEL"));
        assert!(failure.next.unwrap().contains("TRIUMVIR_LOG"));
    }

    #[test]
    fn service_links_are_nobodys_mistake() {
        let links = [
            "TRIUMVIR_SERVICE_HOST",
            "TRIUMVIR_SERVICE_PORT_GRPC",
            "TRIUMVIR_PORT",
            "TRIUMVIR_0_PORT_7401_TCP_ADDR",
        ];
        assert_eq!(check(&links), Ok(()));
    }
}
