//! Three replicas in one process, over real gRPC on loopback and real files: elections, failover,
//! restarts, snapshots and transfers. Every wait is for a condition.

mod half_way;
mod link;
mod node;
mod refusal;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use node::{Cluster, Node, eventually, within};
use triumvir_replication::{
    InitializeError, Member, MembershipError, Outcome, ReadError, TransferError,
};

/// A member whose process never runs.
fn absent() -> Member {
    Member {
        address: "127.0.0.1:1".to_owned(),
        disk: 0,
    }
}

/// Proposes until it is applied, at whoever leads, and gives the index.
async fn propose(cluster: &Cluster, data: &'static str) -> u64 {
    within(async {
        loop {
            let leader = cluster.leader().await;
            let proposal = cluster
                .node(leader)
                .replica
                .propose(Bytes::from(data))
                .await;
            match proposal.await {
                Outcome::Applied { index } => return index,
                Outcome::NotLeader { .. } | Outcome::Unknown { .. } => {
                    tokio::task::yield_now().await;
                }
                Outcome::Stopped => panic!("a running replica has stopped"),
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn elects_replicates_fails_over_and_restarts() {
    // Nobody is to be missed for being slow: only the one that is stopped is replaced.
    let mut cluster = Cluster::start(3, |config| {
        config.election_timeout_min = Duration::from_secs(2);
        config.election_timeout_max = Duration::from_secs(3);
    })
    .await;
    // The first leader may still be replaced before anything is applied.
    propose(&cluster, "settled").await;
    let first = cluster.leader().await;
    let node = cluster.node(first);
    assert!(matches!(
        node.replica.initialize(BTreeMap::new()).await,
        Err(InitializeError::NotPristine)
    ));

    // Many in flight from one task keep their order.
    let mut proposals = Vec::new();
    for number in 0..200_u32 {
        proposals.push(node.replica.propose(Bytes::from(number.to_string())).await);
    }
    let mut last = None;
    for proposal in proposals {
        let index = match within(proposal).await {
            Outcome::Applied { index } => index,
            other => panic!("after {last:?}: {other:?}"),
        };
        assert!(last < Some(index));
        last = Some(index);
    }
    let read = within(node.replica.read_barrier()).await.unwrap();
    assert!(Some(read) >= last);
    let follower = cluster.other_than(first);
    assert!(matches!(
        cluster.node(follower).replica.read_barrier().await,
        Err(ReadError::NotLeader { leader }) if leader == Some(first)
    ));
    for node in cluster.nodes() {
        node.applied(201).await;
    }

    let mut leadership = cluster.node(first).replica.leadership();
    cluster.stop(first).await;
    // One that has stopped does not go on looking like a leader.
    within(async { while leadership.changed().await.is_ok() {} }).await;
    assert!(!leadership.borrow().me_leader);
    propose(&cluster, "after failover").await;
    let second = cluster.leader().await;
    assert_ne!(second, first);

    cluster.restart(first).await;
    propose(&cluster, "after restart").await;
    for node in cluster.nodes() {
        eventually(|| {
            node.state()
                .last()
                .is_some_and(|last| last == "after restart")
        })
        .await;
    }
    let expected = cluster.node(second).state();
    for node in cluster.nodes() {
        assert_eq!(node.state(), expected);
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_cluster_comes_back_from_disk() {
    let mut cluster = Cluster::start(3, |_| {}).await;
    for data in ["a", "b", "c"] {
        propose(&cluster, data).await;
    }
    let members = cluster.node(1).replica.members();
    assert_eq!(
        members.voters.keys().copied().collect::<Vec<_>>(),
        [1, 2, 3]
    );
    assert_eq!(members.voters[&2].disk, node::disk(2));
    for id in 1..=3 {
        cluster.stop(id).await;
    }
    for id in 1..=3 {
        cluster.restart(id).await;
        // Known without any peer.
        assert_eq!(cluster.node(id).replica.members().voters.len(), 3);
        assert!(!cluster.node(id).replica.is_pristine().await.unwrap());
    }
    propose(&cluster, "d").await;
    for node in cluster.nodes() {
        node.applied(4).await;
        assert_eq!(node.state(), ["a", "b", "c", "d"]);
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_missed_purged_entries_catches_up_by_snapshot() {
    let mut cluster = Cluster::start(3, |config| config.kept_entries = 0).await;
    propose(&cluster, "before").await;
    let leader = cluster.leader().await;
    let late = cluster.other_than(leader);
    cluster.stop(late).await;
    let replica = cluster.node(cluster.leader().await).replica.clone();
    within(replica.add_learner(4, absent())).await.unwrap();
    within(replica.remove(4, false)).await.unwrap();

    let mut index = 0;
    for _ in 0..50 {
        index = propose(&cluster, "meanwhile").await;
    }
    for node in cluster.nodes() {
        node.applied(51).await;
        node.replica.trigger_snapshot().await.unwrap();
        eventually(|| node.replica.status().purged_index >= Some(index)).await;
    }

    cluster.restart(late).await;
    propose(&cluster, "after").await;
    let node = cluster.node(late);
    node.applied(52).await;
    assert!(node.replica.status().snapshot_index >= Some(index));
    assert!(
        node.replica.is_removed(4),
        "a snapshot says who was a member"
    );
    let leader = cluster.leader().await;
    assert_eq!(node.state(), cluster.node(leader).state());

    // And from its own snapshot and log after one more restart.
    cluster.stop(late).await;
    cluster.restart(late).await;
    let node = cluster.node(late);
    node.applied(52).await;
    assert!(node.replica.is_removed(4), "and so it does on disk");
    assert_eq!(node.state(), cluster.node(cluster.leader().await).state());
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_is_handed_over() {
    let cluster = Cluster::start(3, |_| {}).await;
    propose(&cluster, "a").await;
    let leader = cluster.leader().await;
    let target = cluster.other_than(leader);
    let refused = cluster.node(target).replica.transfer_leadership(None).await;
    assert!(
        matches!(refused, Err(TransferError::NotLeader { .. })),
        "{refused:?}"
    );
    let refused = cluster
        .node(leader)
        .replica
        .transfer_leadership(Some(9))
        .await;
    assert!(
        matches!(refused, Err(TransferError::NoTarget)),
        "{refused:?}"
    );

    let taken = within(
        cluster
            .node(leader)
            .replica
            .transfer_leadership(Some(target)),
    )
    .await;
    assert_eq!(taken.unwrap(), target);
    propose(&cluster, "b").await;
    let leader = cluster.leader().await;
    let taken = within(cluster.node(leader).replica.transfer_leadership(None))
        .await
        .unwrap();
    assert_ne!(taken, leader);
    propose(&cluster, "c").await;
    for node in cluster.nodes() {
        node.applied(3).await;
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deposed_leader_claims_nothing() {
    let mut cluster = Cluster::start(3, |_| {}).await;
    propose(&cluster, "kept").await;
    let deposed = cluster.leader().await;
    for id in (1..=3).filter(|id| *id != deposed) {
        cluster.cut(deposed, id);
    }
    let old = cluster.node(deposed);
    // Appended here and nowhere else.
    let lost = old.replica.propose(Bytes::from("lost")).await;
    assert!(matches!(
        within(old.replica.read_barrier()).await,
        Err(ReadError::NoQuorum)
    ));

    // The others go on.
    let survivor = cluster.node(cluster.other_than(deposed));
    let mut leadership = survivor.replica.leadership();
    within(leadership.wait_for(|now| now.leader.is_some_and(|leader| leader != deposed)))
        .await
        .unwrap();
    let index = within(async {
        loop {
            let leader = survivor.replica.leadership().borrow().leader;
            let Some(leader) = leader.filter(|leader| *leader != deposed) else {
                tokio::task::yield_now().await;
                continue;
            };
            let proposal = cluster
                .node(leader)
                .replica
                .propose(Bytes::from("new"))
                .await;
            if let Outcome::Applied { index } = proposal.await {
                return index;
            }
        }
    })
    .await;

    cluster.heal().await;
    let old = cluster.node(deposed);
    let outcome = within(lost).await;
    assert!(
        matches!(outcome, Outcome::Unknown { .. } | Outcome::NotLeader { .. }),
        "{outcome:?}"
    );
    eventually(|| old.replica.status().applied_index >= Some(index)).await;
    let refused = within(old.replica.propose(Bytes::from("late")).await).await;
    assert!(
        matches!(
            refused,
            Outcome::NotLeader {
                leader: Some(_),
                ..
            }
        ),
        "{refused:?}"
    );
    for node in cluster.nodes() {
        node.applied(2).await;
        assert_eq!(node.state(), ["kept", "new"]);
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_are_added_promoted_and_removed() {
    let mut cluster = Cluster::start(3, |_| {}).await;
    propose(&cluster, "a").await;
    let leader = cluster.leader().await;
    let newcomer = Node::start(4, |_| {}).await;
    let member = Member {
        address: newcomer.address.clone(),
        disk: node::disk(4),
    };
    cluster.add(newcomer).await;
    let replica = cluster.node(leader).replica.clone();
    within(replica.add_learner(4, member.clone()))
        .await
        .unwrap();
    cluster.node(4).applied(1).await;
    assert!(replica.members().learners.contains_key(&4));
    within(replica.add_learner(4, member.clone()))
        .await
        .unwrap();
    let caught_up = || {
        let peers = replica.status().peers;
        peers
            .get(&4)
            .is_some_and(|peer| peer.lag_entries == 0 && peer.ack_millis.is_some())
    };
    eventually(caught_up).await;
    within(replica.promote(4)).await.unwrap();
    let removed = cluster.ids().find(|id| *id != leader && *id != 4).unwrap();
    let leads = within(replica.remove(leader, false)).await.unwrap_err();
    assert!(matches!(leads, MembershipError::Leads { .. }), "{leads:?}");
    within(replica.remove(removed, false)).await.unwrap();
    within(replica.remove(removed, false)).await.unwrap();
    assert!(replica.is_removed(removed));
    let again = within(replica.add_learner(removed, member.clone())).await;
    assert!(
        matches!(again, Err(MembershipError::IdUsed { free: 5, .. })),
        "{again:?}"
    );
    let twice = within(replica.add_learner(5, member)).await;
    assert!(
        matches!(twice, Err(MembershipError::AddressTaken { holder: 4, .. })),
        "{twice:?}"
    );
    let members = replica.members();
    assert!(!members.changing);
    let expected: BTreeSet<u64> = (1..=4).filter(|id| *id != removed).collect();
    assert_eq!(
        members.voters.keys().copied().collect::<BTreeSet<_>>(),
        expected
    );
    assert!(members.learners.is_empty());
    cluster.stop(removed).await;
    propose(&cluster, "b").await;
    cluster.node(4).applied(2).await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_would_lose_the_majority_is_refused() {
    let mut cluster = Cluster::start(3, |_| {}).await;
    propose(&cluster, "a").await;
    let leader = cluster.leader().await;
    let (down, up) = {
        let mut others = cluster.ids().filter(|id| *id != leader);
        (others.next().unwrap(), others.next().unwrap())
    };
    let replica = cluster.node(leader).replica.clone();
    within(replica.add_learner(4, absent())).await.unwrap();
    let early = within(replica.promote(4)).await;
    assert!(
        matches!(early, Err(MembershipError::Behind { .. })),
        "{early:?}"
    );
    within(replica.admit(4, 9)).await.unwrap();
    within(replica.admit(4, 9)).await.unwrap();
    let other = within(replica.admit(4, 10)).await;
    assert!(
        matches!(other, Err(MembershipError::OtherDisk { known: 9, .. })),
        "{other:?}"
    );
    cluster.stop(down).await;
    let silent = || {
        let peers = replica.status().peers;
        peers
            .get(&down)
            .is_some_and(|peer| peer.ack_millis.is_none_or(|age| age > 5_000))
    };
    eventually(silent).await;
    let refused = within(replica.remove(up, false)).await;
    assert!(
        matches!(
            refused,
            Err(MembershipError::Majority {
                voters: 2,
                answering: 1,
                ..
            })
        ),
        "{refused:?}"
    );
    // By force it is begun, and ends only when the majority of those that remain is back.
    let forced = {
        let replica = replica.clone();
        tokio::spawn(async move { replica.remove(up, true).await })
    };
    eventually(|| replica.members().changing).await;
    let meanwhile = within(replica.promote(4)).await;
    assert!(
        matches!(meanwhile, Err(MembershipError::Changing)),
        "{meanwhile:?}"
    );
    cluster.restart(down).await;
    within(forced).await.unwrap().unwrap();
    assert!(replica.is_removed(up));
    propose(&cluster, "b").await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wiped_disk_is_not_spoken_to() {
    let mut cluster = Cluster::start(3, |_| {}).await;
    propose(&cluster, "a").await;
    let leader = cluster.leader().await;
    let wiped = cluster.other_than(leader);
    cluster.stop(wiped).await;
    cluster.wipe(wiped).await;
    assert!(cluster.node(wiped).replica.is_pristine().await.unwrap());
    propose(&cluster, "b").await;
    // The leader talks to the disk it knows, and this is another one: it stays out.
    let leader = cluster.node(cluster.leader().await);
    eventually(|| cluster.node(wiped).refused() > 0).await;
    assert!(leader.replica.status().leadership.me_leader);
    assert!(cluster.node(wiped).replica.is_pristine().await.unwrap());
    cluster.shutdown().await;
}
