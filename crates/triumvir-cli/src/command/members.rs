//! `triumvir cluster add|promote|remove`: the members are changed by their leader, which is found from
//! any coordinator.

use std::process::ExitCode;

use serde::Serialize;
use triumvir_wire::v1;

use crate::cli::Globals;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;

pub(crate) const ADD_HELP: &str = "\
The new replica is a learner: it gets everything and does not vote. Start it
with the command that is printed, on an empty data folder, and make it a voter
with `triumvir cluster promote` when it has caught up. The address is how
replicas, participants and clients reach it. An id that was ever used is refused.
Adding a member again prints its command again.

Examples:
  triumvir cluster add 4=node4:7401
  triumvir cluster add 4=127.0.0.1:7404 --output json";

pub(crate) const PROMOTE_HELP: &str = "\
Refused while the learner does not answer or lags behind: see its LAG in
`triumvir cluster status`.

Example:
  triumvir cluster promote 4";

pub(crate) const REMOVE_HELP: &str = "\
The replica is removed for good: its process ends, and its id can not be used
again. If it leads, it hands its leadership on first. Refused if no majority of
the voters that remain answers. To replace a replica whose disk is lost, remove
it, add a new id, and promote that.

Examples:
  triumvir cluster remove 3
  triumvir cluster remove 3 --coordinators node1:7401,node2:7401";

/// What to add.
#[derive(Debug, clap::Args)]
pub(crate) struct AddArgs {
    /// The new replica's id, one that was never used, and its address
    #[arg(value_name = "ID=HOST:PORT", value_parser = newcomer)]
    replica: (u64, String),
}

/// Whom to promote.
#[derive(Debug, clap::Args)]
pub(crate) struct PromoteArgs {
    /// The learner's id
    #[arg(value_name = "ID", value_parser = clap::value_parser!(u64).range(1..))]
    replica: u64,
}

/// Whom to remove.
#[derive(Debug, clap::Args)]
pub(crate) struct RemoveArgs {
    /// The member's id
    #[arg(value_name = "ID", value_parser = clap::value_parser!(u64).range(1..))]
    replica: u64,
    /// Also if no majority of the voters that remain answers: nothing commits then until one does
    #[arg(long)]
    force: bool,
}

/// The members after a change.
#[derive(Debug, Serialize)]
struct Report {
    cluster: String,
    /// Who was added, promoted or removed.
    replica: u64,
    /// added, promoted or removed.
    change: &'static str,
    /// Of one that was added: the command that starts it.
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
    members: Vec<MemberView>,
}

#[derive(Debug, Serialize)]
struct MemberView {
    replica: u64,
    address: String,
    voter: bool,
    /// Log entries that the leader does not know it to have.
    lag: Option<u64>,
}

/// Adds a learner and prints how it is started.
///
/// # Errors
///
/// It was not added, or that is not known.
pub(crate) async fn add(
    args: &AddArgs,
    globals: &Globals,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    let (replica, address) = &args.replica;
    let client = super::client(globals)?;
    let added = client.add_member(*replica, address).await;
    let response = added.map_err(Failure::from)?;
    let command = start_command(*replica, &response);
    let report = Report::new(*replica, "added", response, Some(command));
    output.show(&report, || report.text())?;
    Ok(Exit::Ok.into())
}

/// Makes a learner a voter.
///
/// # Errors
///
/// It is none now, or that is not known.
pub(crate) async fn promote(
    args: &PromoteArgs,
    globals: &Globals,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    let client = super::client(globals)?;
    let promoted = client.promote_member(args.replica).await;
    let response = promoted.map_err(Failure::from)?;
    let report = Report::new(args.replica, "promoted", response, None);
    output.show(&report, || report.text())?;
    Ok(Exit::Ok.into())
}

/// Removes a member.
///
/// # Errors
///
/// It is one still, or that is not known.
pub(crate) async fn remove(
    args: &RemoveArgs,
    globals: &Globals,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    let client = super::client(globals)?;
    let removed = client.remove_member(args.replica, args.force).await;
    let response = removed.map_err(Failure::from)?;
    let report = Report::new(args.replica, "removed", response, None);
    output.show(&report, || report.text())?;
    Ok(Exit::Ok.into())
}

impl Report {
    fn new(
        replica: u64,
        change: &'static str,
        response: v1::MembersResponse,
        command: Option<String>,
    ) -> Self {
        let member = |member: v1::Member| MemberView {
            replica: member.replica,
            address: member.address,
            voter: member.voter,
            lag: member.lag,
        };
        Self {
            cluster: response.cluster,
            replica,
            change,
            command,
            members: response.members.into_iter().map(member).collect(),
        }
    }

    fn text(&self) -> String {
        let list = |voter: bool| {
            let some = self.members.iter().filter(|member| member.voter == voter);
            let some: Vec<_> = some.map(|member| member.replica.to_string()).collect();
            match some.is_empty() {
                true => "none".to_owned(),
                false => some.join(", "),
            }
        };
        let (voters, learners) = (list(true), list(false));
        let mut lines = vec![
            format!("replica {} is {}", self.replica, self.change),
            format!("voters {voters}; learners {learners}"),
        ];
        if let Some(command) = &self.command {
            lines.push("\nstart it on its own machine, on an empty data folder, with".to_owned());
            lines.push(format!("  {command}"));
            let promote = format!("triumvir cluster promote {}", self.replica);
            lines.push(format!("and when it has caught up\n  {promote}"));
        }
        lines.join("\n")
    }
}

/// The command line by which a new member starts, whole as a shell takes it.
fn start_command(replica: u64, response: &v1::MembersResponse) -> String {
    let member = |member: &v1::Member| format!("{}={}", member.replica, member.address);
    let mut members: Vec<_> = response.members.iter().collect();
    members.sort_by_key(|member| member.replica);
    let members: Vec<_> = members.into_iter().map(member).collect();
    let (cluster, members) = (quoted(&response.cluster), quoted(&members.join(",")));
    format!(
        "triumvir server --node {replica} --join --cluster {cluster} --initial-cluster {members}"
    )
}

/// `text` as one word of a shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.,:=/".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

fn newcomer(text: &str) -> Result<(u64, String), String> {
    let parsed: triumvir_node::InitialCluster = text.parse().map_err(|error| format!("{error}"))?;
    let mut members = parsed.members().iter();
    match (members.next(), members.next()) {
        (Some((replica, address)), None) => Ok((*replica, address.clone())),
        _ => Err("exactly one replica is needed, ID=HOST:PORT".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(replica: u64, voter: bool) -> v1::Member {
        v1::Member {
            replica,
            address: format!("node{replica}:7401"),
            voter,
            ..v1::Member::default()
        }
    }

    #[test]
    fn the_command_names_every_member_and_can_be_run() {
        let response = v1::MembersResponse {
            cluster: "our shop".to_owned(),
            members: vec![member(1, true), member(3, true), member(2, false)],
        };
        let command = start_command(2, &response);
        let expected = "triumvir server --node 2 --join --cluster 'our shop' --initial-cluster \
                        1=node1:7401,2=node2:7401,3=node3:7401";
        assert_eq!(command, expected);
        let text = Report::new(2, "added", response, Some(command)).text();
        assert!(text.contains("voters 1, 3; learners 2"), "{text}");
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn one_newcomer_is_read_and_nothing_else() {
        assert_eq!(newcomer("4=[::1]:7401"), Ok((4, "[::1]:7401".to_owned())));
        for wrong in ["", "4", "4=node4", "0=node4:1", "4=a:1,5=b:1"] {
            assert!(newcomer(wrong).is_err(), "{wrong}");
        }
    }
}
