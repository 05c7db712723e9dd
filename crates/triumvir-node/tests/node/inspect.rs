//! What people and machines can see from outside.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use triumvir_wire::v1;

use crate::cluster::{Cluster, Node, PATIENCE, commit, commit_request, decision, eventually};
use crate::participant::{Fake, Vote};

async fn http(node: &Node, path: &str) -> String {
    let mut stream = TcpStream::connect(node.http).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_can_be_followed() {
    let cluster = Cluster::start(|_| {}).await;
    let (_a, _b) = (
        Fake::start(&cluster, "a").await,
        Fake::start(&cluster, "b").await,
    );
    let node = &cluster.nodes[cluster.follower().await];
    let leader = &cluster.nodes[cluster.leader().await];
    let mut here = node
        .transactions()
        .watch(v1::WatchRequest {})
        .await
        .unwrap()
        .into_inner();
    let mut there = leader
        .transactions()
        .watch(v1::WatchRequest {})
        .await
        .unwrap()
        .into_inner();
    let request = commit_request(&["a", "b"], "work");
    commit(node, &request).await.unwrap();
    for events in [&mut here, &mut there] {
        let event = events.message().await.unwrap().unwrap();
        assert_eq!(event.txn, request.txn);
        assert_eq!(decision(event.outcome.as_ref()), v1::Decision::Commit);
        assert_eq!(event.missed, 0);
    }
    let described = eventually("it ends", || async {
        let ask = v1::DescribeRequest {
            txn: request.txn.clone(),
        };
        let described = node
            .transactions()
            .describe(ask)
            .await
            .unwrap()
            .into_inner();
        (described.state() == v1::State::Ended).then_some(described)
    })
    .await;
    let branches: Vec<_> = described
        .branches
        .iter()
        .map(|b| (b.participant.as_str(), b.state.as_str()))
        .collect();
    assert_eq!(branches, [("a", "committed"), ("b", "committed")]);
    assert_eq!(described.mode(), v1::Mode::ThreePhase);
    assert!(described.timeline.len() >= 6, "{:?}", described.timeline);
    assert!(described.timeline.is_sorted_by_key(|event| event.at_micros));

    let list = async |ended| {
        let ask = v1::ListRequest {
            ended,
            ..v1::ListRequest::default()
        };
        node.transactions().list(ask).await.unwrap().into_inner()
    };
    assert_eq!(list(false).await.transactions.len(), 0);
    let ended = list(true).await;
    assert_eq!((ended.transactions.len(), ended.more), (1, false));
    assert_eq!(ended.transactions[0].participants, ["a", "b"]);
}

/// An abort by NO is in no log: only the leader learns of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watcher_at_a_follower_sees_what_only_the_leader_learns() {
    let mut cluster = Cluster::start(|_| {}).await;
    let a = Fake::start(&cluster, "a").await;
    a.set_vote(Vote::No);
    let (leader, follower) = (cluster.leader().await, cluster.follower().await);
    let mut client = cluster.nodes[follower].transactions();
    let mut events = client
        .watch(v1::WatchRequest {})
        .await
        .unwrap()
        .into_inner();
    let mut next = async || {
        let event = tokio::time::timeout(PATIENCE, events.message()).await;
        event.expect("something comes").unwrap()
    };
    let refuse = async |node: &Node| {
        let request = commit_request(&["a"], "work");
        commit(node, &request).await.unwrap();
        request.txn
    };
    let refused = refuse(&cluster.nodes[leader]).await;
    let event = next().await.unwrap();
    assert_eq!((event.txn, event.gap), (refused, false));
    assert_eq!(decision(event.outcome.as_ref()), v1::Decision::Abort);

    cluster.nodes[leader].stop().await;
    assert!(
        next().await.unwrap().gap,
        "it says that it goes on elsewhere"
    );
    let refused = refuse(&cluster.nodes[cluster.leader().await]).await;
    let event = next().await.unwrap();
    assert_eq!((event.txn, event.gap), (refused, false));

    cluster.nodes[follower].shutdown.drain();
    assert_eq!(next().await, None, "it ends with the replica");
}

/// A session may have nothing to say for hours.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_participant_is_seen_while_it_has_a_session() {
    let cluster = Cluster::start(|_| {}).await;
    let a = Fake::start(&cluster, "a").await;
    for node in &cluster.nodes {
        let status = node.status().await.unwrap();
        assert_eq!(status.participants[0].last_seen_millis, Some(0));
    }
    drop(a);
    eventually("it is gone, and since when is told", || async {
        let status = cluster.nodes[0].status().await?;
        let own = &status.participants[0];
        (!own.session && own.last_seen_millis > Some(0)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_says_ready_and_shows_metrics() {
    let cluster = Cluster::start(|_| {}).await;
    let _a = Fake::start(&cluster, "a").await;
    let node = &cluster.nodes[cluster.leader().await];
    commit(node, &commit_request(&["a"], "work")).await.unwrap();
    for node in &cluster.nodes {
        assert!(http(node, "/livez").await.starts_with("HTTP/1.1 200"));
        eventually("every replica is ready", || async {
            http(node, "/readyz")
                .await
                .starts_with("HTTP/1.1 200")
                .then_some(())
        })
        .await;
    }
    eventually("the metrics are there", || async {
        let metrics = http(node, "/metrics").await;
        [
            "triumvir_transactions_total{outcome=\"committed\"",
            "triumvir_phase_seconds_bucket{phase=\"prepare\"",
            "triumvir_oldest_in_doubt_seconds",
            "triumvir_participant_session_up{participant=\"a\"}",
            "triumvir_storage_fsync_seconds_bucket",
            "triumvir_raft_lag_entries",
        ]
        .iter()
        .all(|name| metrics.contains(name))
        .then_some(())
    })
    .await;
    node.shutdown.drain();
    eventually("a replica that drains is not ready", || async {
        match TcpStream::connect(node.http).await {
            Ok(_) => http(node, "/readyz")
                .await
                .starts_with("HTTP/1.1 503")
                .then_some(()),
            Err(_) => Some(()),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_and_reflection_are_served() {
    use tonic_health::pb::health_client::HealthClient;
    use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};
    let cluster = Cluster::start(|_| {}).await;
    let node = &cluster.nodes[0];
    eventually("it serves", || async {
        let ask = HealthCheckRequest {
            service: "triumvir.v1.Transactions".to_owned(),
        };
        let answer = HealthClient::new(node.channel())
            .check(ask)
            .await
            .ok()?
            .into_inner();
        (answer.status() == ServingStatus::Serving).then_some(())
    })
    .await;
}
