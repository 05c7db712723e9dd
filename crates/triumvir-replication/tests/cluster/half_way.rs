//! A change of voters whose leader is cut off when its first step is in the logs of a few: what the
//! next change makes of it, and what the lost leader says. Nobody finishes anything here now and then.

use triumvir_replication::{MembershipError, Replica};

use crate::node::{Cluster, eventually, within};
use crate::{absent, propose};

/// Adds a learner at whoever of `some` leads, and gives that one. Asking again adds nothing.
async fn add(cluster: &Cluster, some: &[u64]) -> Replica {
    for id in some.iter().cycle() {
        let replica = &cluster.node(*id).replica;
        match replica.add_learner(6, absent()).await {
            Ok(()) => return replica.clone(),
            Err(
                MembershipError::NotLeader { .. }
                | MembershipError::NoQuorum
                | MembershipError::Unknown,
            ) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    }
    unreachable!("somebody is asked")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_change_finishes_a_removal_and_its_leader_does_not_know() {
    let mut cluster = Cluster::start(5, |_| {}).await;
    propose(&cluster, "a").await;
    let leader = cluster.leader().await;
    let others: Vec<u64> = cluster.ids().filter(|id| *id != leader).collect();
    let [removed, heir, far @ ..] = others.as_slice() else {
        panic!("{others:?}");
    };
    // The two that are far have half of the old voters' majority, and of the new ones' too.
    for one in far {
        for other in [leader, *removed, *heir] {
            cluster.cut(*one, other);
        }
    }
    let begun = {
        let (replica, removed) = (cluster.node(leader).replica.clone(), *removed);
        tokio::spawn(async move { replica.remove(removed, true).await })
    };
    eventually(|| cluster.node(*heir).replica.members().changing).await;
    // Of those who can vote now, the heir alone has the first step.
    cluster.stop(*removed).await;
    cluster.cut(leader, *heir);
    for one in far {
        cluster.mend(*one, *heir).await;
    }
    let voters = [&[*heir], far].concat();
    let replica = within(add(&cluster, &voters)).await;
    let members = replica.members();
    assert!(!members.changing);
    assert!(members.learners.keys().eq([&6]), "{members:?}");
    assert!(replica.is_removed(*removed), "{members:?}");

    cluster.heal().await;
    let said = within(begun).await.unwrap();
    assert!(matches!(said, Err(MembershipError::Unknown)), "{said:?}");
    let late = cluster.node(leader).replica.clone();
    eventually(|| late.is_removed(*removed)).await;
    cluster.shutdown().await;
}
