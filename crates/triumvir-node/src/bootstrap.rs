//! Before a replica may vote: whose data folder this is, and whether the cluster remembers another
//! one. A folder that holds nothing may be new, or may be all that is left of a lost one; only the
//! other members can tell.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tonic::Request;
use triumvir_protocol::DiskId;
use triumvir_replication::{InitializeError, Member, Replica};
use triumvir_storage::{Database, Identity, Owner};
use triumvir_wire::v1::cluster_client::ClusterClient;
use triumvir_wire::{Code, Failure, ids, v1};

use crate::shared::Shared;
use crate::{Config, NodeError};

/// How long a member may take to identify itself.
const ANSWER_TIME: Duration = Duration::from_secs(2);
/// How long to wait before the members are asked again.
const ASK_EVERY: Duration = Duration::from_millis(200);
/// How often the log says what is being waited for.
const SAY_EVERY: Duration = Duration::from_secs(5);

/// Claims the data folder for this replica, or confirms that it belongs to it.
pub(crate) fn claim(database: &Database, config: &Config) -> Result<DiskId, NodeError> {
    let owner = Owner::Replica { node: config.node };
    let fresh = rand::random();
    Ok(DiskId(
        Identity::claim(database, &config.cluster, &owner, fresh)?.disk,
    ))
}

/// What a replica with a pristine folder may do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// The cluster knows it with this folder.
    Member,
    /// There is no cluster yet, and this replica is the one to form it, of these members.
    Founder(BTreeMap<u64, Member>),
}

/// Waits until it is certain what a replica with a pristine folder may do.
///
/// # Errors
///
/// [`NodeError::WipedDisk`] and [`NodeError::OtherCluster`]: it must not run at all.
pub(crate) async fn admission(shared: &Shared) -> Result<Admission, NodeError> {
    let mut said: Option<Instant> = None;
    loop {
        let answers = ask_all(shared).await;
        match judge(&shared.config, shared.disk, &answers)? {
            Verdict::Admitted(admission) => return Ok(admission),
            Verdict::Wait(why) => {
                if said.is_none_or(|at| at.elapsed() >= SAY_EVERY) {
                    said = Some(Instant::now());
                    tracing::info!(why, "waiting before this replica may take part");
                }
            }
        }
        sleep(ASK_EVERY).await;
    }
}

/// Has the cluster take a new member in: from now on its id belongs to this folder.
///
/// # Errors
///
/// [`NodeError::NotTakenIn`]: asking again can only give the same answer.
pub(crate) async fn join(shared: &Shared) -> Result<(), NodeError> {
    let mut said: Option<Instant> = None;
    let others = || {
        let members = shared.config.initial_cluster.members().iter();
        members.filter(|(node, _)| **node != shared.config.node)
    };
    loop {
        for (_, address) in others() {
            let failure = match ask_to_join(shared, address).await {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            if !failure.is_retryable() {
                let witness = address.clone();
                return Err(NodeError::NotTakenIn { witness, failure });
            }
            if said.is_none_or(|at| at.elapsed() >= SAY_EVERY) {
                said = Some(Instant::now());
                tracing::info!(address, %failure, "waiting to be taken in");
            }
        }
        sleep(ASK_EVERY).await;
    }
}

async fn ask_to_join(shared: &Shared, address: &str) -> Result<(), Failure> {
    let unreachable = |error: &dyn std::fmt::Display| {
        Failure::new(Code::Unreachable, format!("{address}: {error}"))
    };
    let channel = shared.channels.to(address);
    let channel = channel.map_err(|error| unreachable(&error))?;
    let mut request = Request::new(v1::JoinRequest {
        cluster: shared.config.cluster.clone(),
        replica: shared.config.node,
        disk: ids::disk_bytes(shared.disk),
    });
    request.set_timeout(ANSWER_TIME);
    let mut client = ClusterClient::new(channel);
    match timeout(ANSWER_TIME, client.join(request)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(status)) => Err(Failure::from_status(&status)),
        Err(_) => Err(unreachable(&"no answer in time")),
    }
}

/// Ids for a person.
fn list<'a>(nodes: impl IntoIterator<Item = &'a u64>) -> String {
    let nodes: Vec<_> = nodes.into_iter().map(ToString::to_string).collect();
    nodes.join(", ")
}

/// Forms the cluster. Another start of this replica may have done so already.
pub(crate) async fn found(
    replica: &Replica,
    members: BTreeMap<u64, Member>,
) -> Result<(), NodeError> {
    tracing::info!(members = list(members.keys()), "forming the cluster");
    match replica.initialize(members).await {
        Ok(()) | Err(InitializeError::NotPristine) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

type Answers = BTreeMap<u64, Option<v1::IdentifyResponse>>;

enum Verdict {
    Admitted(Admission),
    Wait(String),
}

/// Asks every other initial member who it is and what it knows of this one.
async fn ask_all(shared: &Shared) -> Answers {
    let members = shared.config.initial_cluster.members();
    let others = members
        .iter()
        .filter(|(node, _)| **node != shared.config.node);
    let asked = others.map(|(node, address)| async { (*node, identify(shared, address).await) });
    futures::future::join_all(asked).await.into_iter().collect()
}

/// Asks the replica at `address` who it is.
pub(crate) async fn identify(shared: &Shared, address: &str) -> Option<v1::IdentifyResponse> {
    let channel = shared.channels.to(address).ok()?;
    let mut request = Request::new(v1::IdentifyRequest {
        cluster: shared.config.cluster.clone(),
        replica: shared.config.node,
        disk: ids::disk_bytes(shared.disk),
    });
    request.set_timeout(ANSWER_TIME);
    let mut client = ClusterClient::new(channel);
    let answer = timeout(ANSWER_TIME, client.identify(request)).await.ok()?;
    answer.ok().map(tonic::Response::into_inner)
}

/// What the members' answers let this replica do.
fn judge(config: &Config, own: DiskId, answers: &Answers) -> Result<Verdict, NodeError> {
    let mut disks = BTreeMap::from([(config.node, own)]);
    let (mut missing, mut stranger, mut member) = (Vec::new(), None, false);
    for (node, answer) in answers {
        let heard = answer
            .as_ref()
            .map(|answer| hear(config, own, *node, answer))
            .transpose()?;
        match heard.flatten() {
            Some(Heard {
                disk,
                knows_us,
                initialized,
            }) => {
                disks.insert(*node, disk);
                member |= knows_us;
                stranger = stranger.or((initialized && !knows_us).then_some(*node));
            }
            None => missing.push(*node),
        }
    }
    Ok(if member {
        Verdict::Admitted(Admission::Member)
    } else if let Some(node) = stranger {
        let why = format!(
            "node {node} belongs to a cluster that does not know this folder; a replica \
             that was added to it is started with --join"
        );
        Verdict::Wait(why)
    } else if !missing.is_empty() {
        Verdict::Wait(format!(
            "no answer from {}; all members must answer once",
            list(&missing)
        ))
    } else if config.initial_cluster.members().keys().next() == Some(&config.node) {
        Verdict::Admitted(Admission::Founder(founders(config, disks)))
    } else {
        Verdict::Wait("the member with the lowest id has not formed the cluster yet".to_owned())
    })
}

/// What one member has said.
struct Heard {
    disk: DiskId,
    knows_us: bool,
    initialized: bool,
}

/// None: it is not the member that it should be.
fn hear(
    config: &Config,
    own: DiskId,
    node: u64,
    answer: &v1::IdentifyResponse,
) -> Result<Option<Heard>, NodeError> {
    let address = config.initial_cluster.members()[&node].clone();
    if answer.cluster != config.cluster {
        let (found, wanted) = (answer.cluster.clone(), config.cluster.clone());
        return Err(NodeError::OtherCluster {
            address,
            found,
            wanted,
        });
    }
    if answer.removed {
        return Err(NodeError::Removed { node: config.node });
    }
    let disk = ids::disk("disk", &answer.disk);
    let known = ids::optional_disk("known_disk", &answer.known_disk);
    let (Ok(disk), Ok(known), true) = (disk, known, answer.replica == node) else {
        tracing::warn!(
            node,
            address,
            found = answer.replica,
            "another node is at its address"
        );
        return Ok(None);
    };
    match known {
        Some(known) if known != own => Err(NodeError::WipedDisk {
            node,
            witness: address,
            known,
            found: own,
        }),
        known => {
            let (knows_us, initialized) = (known.is_some(), answer.initialized);
            Ok(Some(Heard {
                disk,
                knows_us,
                initialized,
            }))
        }
    }
}

fn founders(config: &Config, disks: BTreeMap<u64, DiskId>) -> BTreeMap<u64, Member> {
    let address = |node: u64| match node == config.node {
        true => config.advertised(),
        false => config.initial_cluster.members()[&node].clone(),
    };
    let member = |(node, disk): (u64, DiskId)| {
        (
            node,
            Member {
                address: address(node),
                disk: disk.0,
            },
        )
    };
    disks.into_iter().map(member).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: DiskId = DiskId(7);

    fn config(node: u64) -> Config {
        let initial_cluster = "1=a:1,2=b:2,3=c:3".parse().unwrap();
        Config {
            node,
            initial_cluster,
            ..Config::default()
        }
    }

    fn answer(node: u64, initialized: bool, known: Option<DiskId>) -> Option<v1::IdentifyResponse> {
        Some(v1::IdentifyResponse {
            cluster: Config::default().cluster,
            replica: node,
            disk: ids::number_bytes(node.into()),
            initialized,
            known_disk: known.map(ids::disk_bytes).unwrap_or_default(),
            clock_millis: 0,
            removed: false,
        })
    }

    fn verdict(
        node: u64,
        answers: [Option<v1::IdentifyResponse>; 2],
    ) -> Result<Verdict, NodeError> {
        let others = [1, 2, 3].into_iter().filter(|other| *other != node);
        judge(&config(node), OWN, &others.zip(answers).collect())
    }

    #[test]
    fn the_lowest_member_founds_when_all_answer_and_none_has_state() {
        let Ok(Verdict::Admitted(Admission::Founder(members))) =
            verdict(1, [answer(2, false, None), answer(3, false, None)])
        else {
            panic!("not the founder");
        };
        assert_eq!(
            members[&1],
            Member {
                address: "a:1".to_owned(),
                disk: 7
            }
        );
        assert_eq!(
            members[&3],
            Member {
                address: "c:3".to_owned(),
                disk: 3
            }
        );
        for wait in [
            verdict(1, [answer(2, false, None), None]),
            verdict(1, [answer(2, false, None), answer(3, true, None)]),
            verdict(1, [answer(2, false, None), answer(2, false, None)]),
            verdict(2, [answer(1, false, None), answer(3, false, None)]),
        ] {
            assert!(matches!(wait, Ok(Verdict::Wait(_))));
        }
    }

    #[test]
    fn one_member_that_remembers_is_enough() {
        let admitted = verdict(1, [None, answer(3, true, Some(OWN))]);
        assert!(matches!(admitted, Ok(Verdict::Admitted(Admission::Member))));
        let wiped = verdict(1, [None, answer(3, true, Some(DiskId(8)))]);
        assert!(matches!(wiped, Err(NodeError::WipedDisk { node: 3, .. })));
    }

    #[test]
    fn an_address_of_another_cluster_is_refused() {
        let mut other = answer(2, true, None).unwrap();
        other.cluster = "other".to_owned();
        let refused = verdict(1, [Some(other), None]);
        assert!(matches!(refused, Err(NodeError::OtherCluster { .. })));
    }
}
