//! What becomes of the members besides the calls of an operator: a replica that was removed finds out
//! and ends, and a change that a lost leader has left half-way is finished.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use triumvir_replication::Replica;

use crate::shared::Shared;
use crate::{NodeError, bootstrap};

/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Every how many looks the others are asked. Who was removed may never be told by replication.
const ASK_EVERY: u64 = 4;

/// Waits until it is certain that this replica was removed.
pub(crate) async fn removed(shared: &Shared) -> NodeError {
    let own = shared.config.node;
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for look in 0_u64.. {
        looks.tick().await;
        let Some(replica) = shared.replica.get() else {
            continue;
        };
        if replica.is_removed(own) {
            break;
        }
        if replica.leadership().borrow().me_leader {
            if let Err(error) = replica.finish_change().await {
                tracing::debug!(%error, "a change of the members stands half-way");
            }
        } else if look.is_multiple_of(ASK_EVERY) && is_said_removed(shared, replica).await {
            break;
        }
    }
    tracing::error!("this replica was removed from the cluster: it ends");
    NodeError::Removed { node: own }
}

/// Whether another replica knows that this one was removed.
async fn is_said_removed(shared: &Shared, replica: &Replica) -> bool {
    let members = replica.members();
    let members = members.voters.into_iter().chain(members.learners);
    let initial = shared.config.initial_cluster.members().clone();
    let mut addresses: BTreeMap<u64, String> = initial;
    addresses.extend(members.map(|(node, member)| (node, member.address)));
    addresses.remove(&shared.config.node);
    let asked = addresses
        .values()
        .map(|address| bootstrap::identify(shared, address));
    let answers = futures::future::join_all(asked).await;
    let mut answers = answers.into_iter().flatten();
    answers.any(|answer| answer.cluster == shared.config.cluster && answer.removed)
}
