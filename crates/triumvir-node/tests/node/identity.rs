//! Which folders a replica runs on.

use triumvir_node::NodeError;
use triumvir_storage::IdentityError;
use triumvir_wire::v1;

use crate::cluster::{Cluster, commit, commit_request, decision, eventually};
use crate::participant::Fake;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wiped_replica_is_refused_and_its_own_folder_is_not() {
    let mut cluster = Cluster::start(|_| {}).await;
    let place = cluster.follower().await;
    let empty = cluster.spare("empty");
    let own = cluster.nodes[place].config.data.clone();
    cluster.nodes[place].stop().await;
    cluster.nodes[place].restart(Some(empty)).await;
    let refused = cluster.nodes[place].ended().await.unwrap_err();
    assert!(
        matches!(refused, NodeError::WipedDisk { .. }),
        "{refused:?}"
    );
    assert!(refused.to_string().contains("new id"), "{refused}");

    cluster.nodes[place].restart(Some(own)).await;
    eventually("the replica follows again", || async {
        cluster.nodes[place].status().await?.leader.map(drop)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_of_another_is_refused() {
    let mut cluster = Cluster::start(|_| {}).await;
    let data = cluster.nodes[1].config.data.clone();
    for place in [0, 1] {
        cluster.nodes[place].stop().await;
    }
    cluster.nodes[0].restart(Some(data.clone())).await;
    let refused = cluster.nodes[0].ended().await.unwrap_err();
    let node = matches!(
        refused,
        NodeError::Identity(IdentityError::OtherOwner { .. })
    );
    assert!(node, "{refused:?}");

    cluster.nodes[1].config.cluster = "other".to_owned();
    cluster.nodes[1].restart(Some(data)).await;
    let refused = cluster.nodes[1].ended().await.unwrap_err();
    let cluster = matches!(
        refused,
        NodeError::Identity(IdentityError::OtherCluster { .. })
    );
    assert!(cluster, "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_start_again_by_the_same_line() {
    let mut cluster = Cluster::start(|_| {}).await;
    let a = Fake::start(&cluster, "a").await;
    let request = commit_request(&["a"], "work");
    commit(&cluster.nodes[0], &request).await.unwrap();
    eventually("every replica knows that it is over", || async {
        for node in &cluster.nodes {
            (node.status().await?.ended == 1).then_some(())?;
        }
        Some(())
    })
    .await;
    drop(a);
    for node in &mut cluster.nodes {
        node.stop().await;
    }
    for node in &mut cluster.nodes {
        node.restart(None).await;
    }
    let leader = cluster.leader().await;
    let status = cluster.nodes[leader].status().await.unwrap();
    assert_eq!(status.members.len(), 3);
    assert!(status.participants.iter().any(|known| known.name == "a"));
    // Its participant is gone: the log alone answers.
    let again = commit(&cluster.nodes[leader], &request).await.unwrap();
    assert_eq!(decision(again.outcome.as_ref()), v1::Decision::Commit);
}
