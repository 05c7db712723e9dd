//! `triumvir cluster status`: every coordinator is asked; what they say is put side by side.

use std::process::ExitCode;

use triumvir_client::{Client, Code, ReplicaStatus};

use super::cluster_report::{ClusterReport, Word};
use crate::cli::Globals;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;

pub(crate) const HELP: &str = "\
Asks every coordinator that is named, and every member that they name. LAG is
in log entries. Exit status: 0 a majority answered, 6 it did not.

Examples:
  triumvir cluster status
  triumvir cluster status --coordinators node1:7401 --timeout 2s --output json";

/// Shows the state.
///
/// # Errors
///
/// No majority of the coordinators can be reached.
pub(crate) async fn status(globals: &Globals, output: &Output) -> anyhow::Result<ExitCode> {
    let client = super::client(globals)?;
    let mut words = ask(&client).await;
    let others = not_asked(&words);
    if !others.is_empty() {
        let builder = Client::builder().coordinators(others);
        let client = builder
            .timeout(globals.timeout)
            .build()
            .map_err(Failure::from)?;
        words.extend(ask(&client).await);
    }
    let report = ClusterReport::new(words);
    output.show(&report, || report.text(output))?;
    if report.majority {
        return Ok(Exit::Ok.into());
    }
    let message = format!(
        "{} of {} coordinators answered, which is no majority: nothing can be committed",
        report.reachable, report.voters
    );
    let failure = Failure::coded(Exit::Unreachable, Code::NoLeader, message);
    Err(failure
        .next("start those that are down, or see that they can be reached from here")
        .into())
}

async fn ask(client: &Client) -> Vec<Word> {
    let word = |ReplicaStatus {
                    address, status, ..
                }| {
        // As members are called, so that the two can be compared.
        let address = address.trim_start_matches("http://").to_owned();
        Word { address, status }
    };
    client.status().await.into_iter().map(word).collect()
}

/// The addresses of members that nobody was asked at.
fn not_asked(words: &[Word]) -> Vec<String> {
    let statuses = || words.iter().filter_map(|word| word.status.as_ref().ok());
    let mut addresses: Vec<String> = Vec::new();
    for member in statuses().flat_map(|status| &status.members) {
        let answered = statuses().any(|status| status.replica == member.replica);
        let asked = words.iter().any(|word| word.address == member.address);
        if !answered && !asked && !addresses.contains(&member.address) {
            addresses.push(member.address.clone());
        }
    }
    addresses
}

#[cfg(test)]
mod tests {
    use triumvir_client::StatusResponse;
    use triumvir_wire::v1::Member;

    use super::*;

    #[test]
    fn members_that_were_not_named_are_asked_too() {
        let member = |replica, address: &str| Member {
            replica,
            address: address.to_owned(),
            ..Member::default()
        };
        let members = vec![member(1, "a:1"), member(2, "a:2"), member(3, "a:3")];
        let status = StatusResponse {
            replica: 1,
            members,
            ..StatusResponse::default()
        };
        let words = [
            Word {
                address: "localhost:1".to_owned(),
                status: Ok(status),
            },
            Word {
                address: "a:3".to_owned(),
                status: Err(Code::Unreachable.into()),
            },
        ];
        assert_eq!(not_asked(&words), ["a:2"]);
    }
}
