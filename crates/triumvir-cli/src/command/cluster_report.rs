//! What the coordinators say, as one picture. Each knows its own state; of the whole the leader with
//! the highest term knows most.

use std::collections::BTreeMap;

use comfy_table::Cell;
use serde::Serialize;
use triumvir_client::{Failure, StatusResponse};

use crate::output::Output;
use crate::paint::Tone;
use crate::view;

/// What one coordinator says, or why it says nothing.
#[derive(Clone, Debug)]
pub(super) struct Word {
    pub(super) address: String,
    pub(super) status: Result<StatusResponse, Failure>,
}

/// The state of a cluster.
#[derive(Debug, Serialize)]
pub(super) struct ClusterReport {
    cluster: Option<String>,
    /// The replica that leads, if one of those that answered does.
    leader: Option<u64>,
    pub(super) voters: usize,
    pub(super) reachable: usize,
    pub(super) majority: bool,
    undecided: Option<u64>,
    open: Option<u64>,
    oldest_in_doubt_millis: Option<u64>,
    replicas: Vec<ReplicaView>,
    participants: Vec<ParticipantView>,
}

#[derive(Debug, Serialize)]
struct ReplicaView {
    replica: Option<u64>,
    address: String,
    /// leader, follower, learner, draining, stale-leader, unreachable or, by the word of the others,
    /// removed.
    role: &'static str,
    version: Option<String>,
    /// The process, on its own machine.
    pid: Option<u32>,
    term: Option<u64>,
    applied: Option<u64>,
    /// Log entries that it has not confirmed, or not applied.
    lag: Option<u64>,
    snapshot: Option<u64>,
    error: Option<String>,
    /// Whether it votes; none: it is no member, or nobody says.
    voter: Option<bool>,
}

#[derive(Debug, Serialize)]
struct ParticipantView {
    participant: u32,
    name: String,
    address: String,
    incarnation: u64,
    /// How many of the coordinators that answered have a session with it.
    sessions: usize,
    /// Whether the leader has.
    session: bool,
    in_doubt: u64,
    /// Since the last of its sessions ended; 0 while it has one.
    last_seen_millis: Option<u64>,
    replaced: bool,
    /// An operator has removed it for good.
    removed: bool,
}

impl ClusterReport {
    pub(super) fn new(words: Vec<Word>) -> Self {
        let statuses: Vec<&StatusResponse> = words
            .iter()
            .filter_map(|word| word.status.as_ref().ok())
            .collect();
        let claims = statuses
            .iter()
            .filter(|status| status.leader == Some(status.replica));
        let leader = claims.max_by_key(|status| status.term).copied();
        let best = leader.or_else(|| statuses.iter().max_by_key(|status| status.applied).copied());
        let voters = best.map(|best| best.members.iter().filter(|member| member.voter));
        let voters: Vec<u64> = voters
            .into_iter()
            .flatten()
            .map(|member| member.replica)
            .collect();
        // Without anybody's word on the members, those that were named are taken for them.
        let count = if voters.is_empty() {
            words.len()
        } else {
            voters.len()
        };
        let mut answered: Vec<u64> = statuses.iter().map(|status| status.replica).collect();
        answered.retain(|replica| voters.is_empty() || voters.contains(replica));
        answered.sort_unstable();
        answered.dedup();
        let reachable = answered.len();
        let mut replicas: Vec<_> = words
            .iter()
            .map(|word| ReplicaView::new(word, best, leader))
            .collect();
        replicas.sort_by_key(|view| (view.replica.is_none(), view.replica));
        replicas.dedup_by_key(|view| (view.replica, view.address.clone()));
        Self {
            cluster: best.map(|best| best.cluster.clone()),
            leader: leader.map(|leader| leader.replica),
            voters: count,
            reachable,
            majority: reachable * 2 > count,
            undecided: leader.map(|leader| leader.undecided),
            open: best.map(|best| best.open),
            oldest_in_doubt_millis: best.and_then(|best| best.oldest_in_doubt_millis),
            participants: participants(&statuses, best),
            replicas,
        }
    }

    pub(super) fn text(&self, output: &Output) -> String {
        let mut lines = Vec::new();
        let leader = match self.leader {
            Some(leader) => format!("replica {leader} leads"),
            None => output.paint().tone(Tone::Bad, "nobody leads"),
        };
        let cluster = self.cluster.as_deref().unwrap_or("(unknown)");
        let reachable = format!("{} of {} coordinators answer", self.reachable, self.voters);
        lines.push(format!("cluster {cluster}: {leader}, {reachable}"));
        let oldest = match self.oldest_in_doubt_millis {
            Some(age) => output.paint().tone(Tone::Odd, view::millis(age)),
            None => "none".to_owned(),
        };
        let number = |value: Option<u64>| value.map_or("?".to_owned(), |value| value.to_string());
        if self.cluster.is_some() {
            let (undecided, open) = (number(self.undecided), number(self.open));
            lines.push(format!(
                "undecided {undecided}, open {open}, oldest in doubt {oldest}"
            ));
        }
        lines.extend([String::new(), self.replica_table(output)]);
        if !self.participants.is_empty() {
            lines.extend([String::new(), self.participant_table(output)]);
        }
        let errors = self.replicas.iter().filter_map(|replica| {
            let error = replica.error.as_ref()?;
            Some(format!("{}: {error}", replica.address))
        });
        let errors: Vec<_> = errors.collect();
        if !errors.is_empty() {
            lines.push(String::new());
            lines.extend(errors);
        }
        lines.join("\n")
    }

    fn replica_table(&self, output: &Output) -> String {
        let columns = [
            "replica", "address", "pid", "role", "term", "applied", "lag",
        ];
        let mut table = output.table(columns);
        let number = |value: Option<u64>| value.map_or("-".to_owned(), |value| value.to_string());
        for replica in &self.replicas {
            let role = match replica.role {
                "leader" => Tone::Good.cell(replica.role),
                "unreachable" | "stale-leader" | "removed" => Tone::Bad.cell(replica.role),
                "draining" => Tone::Odd.cell(replica.role),
                role => Cell::new(role),
            };
            table.add_row([
                Cell::new(number(replica.replica)),
                Cell::new(&replica.address),
                Cell::new(number(replica.pid.map(u64::from))),
                role,
                Cell::new(number(replica.term)),
                Cell::new(number(replica.applied)),
                Cell::new(number(replica.lag)),
            ]);
        }
        table.trim_fmt()
    }

    fn participant_table(&self, output: &Output) -> String {
        let columns = [
            "participant",
            "id",
            "address",
            "session",
            "in doubt",
            "last seen",
        ];
        let mut table = output.table(columns);
        for participant in &self.participants {
            let sessions = format!("{}/{}", participant.sessions, self.reachable);
            let session = match (participant.replaced, participant.session) {
                _ if participant.removed => Tone::Faint.cell("removed"),
                (true, _) => Tone::Faint.cell("replaced"),
                (false, true) => Tone::Good.cell(format!("up {sessions}")),
                (false, false) => Tone::Bad.cell(format!("down {sessions}")),
            };
            let in_doubt = match participant.in_doubt {
                0 => Cell::new(0),
                count => Tone::Odd.cell(count),
            };
            let seen = match participant.last_seen_millis {
                None => "never".to_owned(),
                Some(0) => "now".to_owned(),
                Some(age) => format!("{} ago", view::millis(age)),
            };
            table.add_row([
                Cell::new(&participant.name),
                Cell::new(participant.participant),
                Cell::new(&participant.address),
                session,
                in_doubt,
                Cell::new(seen),
            ]);
        }
        table.trim_fmt()
    }
}

impl ReplicaView {
    fn new(word: &Word, best: Option<&StatusResponse>, leader: Option<&StatusResponse>) -> Self {
        let address = word.address.clone();
        let members = || best.into_iter().flat_map(|best| &best.members);
        let status = match &word.status {
            Ok(status) => status,
            Err(failure) => {
                let member = members().find(|member| member.address == word.address);
                return Self {
                    replica: member.map(|member| member.replica),
                    address,
                    role: "unreachable",
                    version: None,
                    pid: None,
                    term: None,
                    applied: None,
                    lag: member.and_then(|member| member.lag),
                    snapshot: None,
                    error: Some(format!("{}: {}", failure.code, failure.detail)),
                    voter: member.map(|member| member.voter),
                };
            }
        };
        let member = members().find(|member| member.replica == status.replica);
        let leads = leader.is_some_and(|leader| leader.replica == status.replica);
        let role = match status {
            status if status.draining => "draining",
            _ if leads => "leader",
            status if status.leader == Some(status.replica) => "stale-leader",
            _ if member.is_some_and(|member| !member.voter) => "learner",
            _ if member.is_none() && members().next().is_some() => "removed",
            _ => "follower",
        };
        let behind = best.map(|best| best.committed.saturating_sub(status.applied));
        Self {
            replica: Some(status.replica),
            address,
            role,
            version: Some(status.version.clone()),
            pid: Some(status.pid),
            term: Some(status.term),
            applied: Some(status.applied),
            lag: member.and_then(|member| member.lag).or(behind),
            snapshot: Some(status.snapshot),
            error: None,
            voter: member.map(|member| member.voter),
        }
    }
}

fn participants(
    statuses: &[&StatusResponse],
    best: Option<&StatusResponse>,
) -> Vec<ParticipantView> {
    let mut sessions: BTreeMap<u32, usize> = BTreeMap::new();
    let mut seen: BTreeMap<u32, u64> = BTreeMap::new();
    for participant in statuses.iter().flat_map(|status| &status.participants) {
        *sessions.entry(participant.participant).or_default() += usize::from(participant.session);
        if let Some(age) = participant.last_seen_millis {
            let least = seen.entry(participant.participant).or_insert(age);
            *least = age.min(*least);
        }
    }
    let participants = best.into_iter().flat_map(|best| &best.participants);
    let view = |participant: &triumvir_wire::v1::ParticipantStatus| ParticipantView {
        participant: participant.participant,
        name: participant.name.clone(),
        address: participant.address.clone(),
        incarnation: participant.incarnation,
        sessions: sessions
            .get(&participant.participant)
            .copied()
            .unwrap_or_default(),
        session: participant.session,
        in_doubt: participant.in_doubt,
        last_seen_millis: seen.get(&participant.participant).copied(),
        replaced: participant.replaced,
        removed: participant.removed,
    };
    let mut views: Vec<_> = participants.map(view).collect();
    let gone = |view: &ParticipantView| view.replaced || view.removed;
    views.sort_by(|left, right| (gone(left), &left.name).cmp(&(gone(right), &right.name)));
    views
}

#[cfg(test)]
mod tests {
    use triumvir_client::Code;
    use triumvir_wire::v1::{Member, ParticipantStatus};

    use super::*;
    use crate::output::Format;

    fn status(replica: u64, leader: Option<u64>, term: u64, applied: u64) -> StatusResponse {
        let member = |replica| Member {
            replica,
            address: format!("127.0.0.1:740{replica}"),
            voter: true,
            lag: (leader == Some(replica)).then_some(0),
            ..Member::default()
        };
        let orders = ParticipantStatus {
            participant: 1,
            name: "orders".to_owned(),
            address: "127.0.0.1:7421".to_owned(),
            session: true,
            in_doubt: 2,
            last_seen_millis: Some(100 * (replica - 1)),
            ..ParticipantStatus::default()
        };
        StatusResponse {
            cluster: "shop".to_owned(),
            pid: 1_234_567,
            replica,
            leader,
            term,
            applied,
            committed: applied,
            oldest_in_doubt_millis: Some(4_200),
            members: (1..=3).map(member).collect(),
            participants: vec![orders],
            ..StatusResponse::default()
        }
    }

    fn word(replica: u64, status: Option<StatusResponse>) -> Word {
        let status = status.ok_or_else(|| Failure::new(Code::Unreachable, "refused"));
        Word {
            address: format!("127.0.0.1:740{replica}"),
            status,
        }
    }

    #[test]
    fn the_leader_of_the_highest_term_leads() {
        let report = ClusterReport::new(vec![
            word(1, Some(status(1, Some(1), 3, 90))),
            word(2, Some(status(2, Some(2), 4, 100))),
            word(3, None),
        ]);
        assert_eq!(
            (report.leader, report.reachable, report.voters),
            (Some(2), 2, 3)
        );
        assert!(report.majority);
        let roles: Vec<_> = report.replicas.iter().map(|replica| replica.role).collect();
        assert_eq!(roles, ["stale-leader", "leader", "unreachable"]);
        assert_eq!(report.replicas[0].lag, Some(10));
        assert_eq!(report.replicas[2].replica, Some(3));
        assert_eq!(report.participants[0].sessions, 2);
        assert_eq!(report.participants[0].last_seen_millis, Some(0));
    }

    #[test]
    fn one_of_three_is_no_majority_even_if_it_is_the_only_one_named() {
        let report = ClusterReport::new(vec![word(1, Some(status(1, None, 3, 90)))]);
        assert_eq!(
            (report.reachable, report.voters, report.majority),
            (1, 3, false)
        );
        let report = ClusterReport::new(vec![word(1, None)]);
        assert_eq!(
            (report.reachable, report.voters, report.majority),
            (0, 1, false)
        );
    }

    #[test]
    fn a_removed_participant_is_shown_as_such_and_last() {
        let mut said = status(1, Some(1), 3, 90);
        said.participants.insert(
            0,
            ParticipantStatus {
                participant: 2,
                name: "billing".to_owned(),
                removed: true,
                ..ParticipantStatus::default()
            },
        );
        let report = ClusterReport::new(vec![word(1, Some(said))]);
        let names: Vec<_> = report.participants.iter().map(|view| &view.name).collect();
        assert_eq!(names, ["orders", "billing"]);
        let text = report.text(&Output::new(Format::Table));
        let line = text.lines().find(|line| line.contains("billing"));
        assert!(line.is_some_and(|line| line.contains("removed")), "{text}");
    }

    #[test]
    fn the_picture_fits_a_terminal_of_80_columns() {
        let report = ClusterReport::new(vec![
            word(1, Some(status(1, Some(1), 3, 1_234_567))),
            word(2, Some(status(2, Some(1), 3, 1_234_567))),
            word(3, None),
        ]);
        let text = report.text(&Output::new(Format::Table));
        for word in [
            "cluster shop",
            "replica 1 leads",
            "unreachable",
            "4.2 s",
            "orders",
            "2/2",
            "now",
        ] {
            assert!(text.contains(word), "{word}: {text}");
        }
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
    }
}
