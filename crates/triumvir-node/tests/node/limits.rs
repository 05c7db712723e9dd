//! What is refused before anything is done.

use std::time::Duration;

use bytes::Bytes;
use triumvir_wire::{Applied, Code, v1};
use uuid::{NoContext, Timestamp, Uuid};

use crate::cluster::{Cluster, commit, commit_request, decision, eventually, failure};
use crate::participant::{Fake, Vote};

fn id_of_second(seconds: u64) -> Bytes {
    let at = Timestamp::from_unix(NoContext, seconds, 0);
    Bytes::copy_from_slice(Uuid::new_v7(at).as_bytes())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_refusal_has_its_code_and_does_nothing() {
    let cluster = Cluster::start(|config| config.payload_max_bytes = 1000).await;
    let _a = Fake::start(&cluster, "a").await;
    let node = &cluster.nodes[cluster.follower().await];
    let (seconds, _) = Uuid::now_v7().get_timestamp().unwrap().to_unix();
    let mut ahead = commit_request(&["a"], "work");
    ahead.txn = id_of_second(seconds + 3600);
    let mut malformed = commit_request(&["a"], "work");
    malformed.txn = Bytes::from_static(b"short");
    for (request, code) in [
        (
            commit_request(&["nobody"], "work"),
            Code::UnknownParticipant,
        ),
        (commit_request(&[], "work"), Code::NoParticipants),
        (commit_request(&["a", "a"], "work"), Code::ParticipantTwice),
        (
            commit_request(&["a"; 65], "work"),
            Code::TooManyParticipants,
        ),
        (
            commit_request(&["a"], &"x".repeat(1001)),
            Code::PayloadTooLarge,
        ),
        (ahead, Code::IdAhead),
        (malformed, Code::Malformed),
    ] {
        let refused = commit(node, &request).await.unwrap_err();
        assert_eq!(
            (refused.code, refused.applied),
            (code, Applied::NotApplied),
            "{refused}"
        );
        assert!(refused.leader.is_some(), "it says who leads");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_more_than_may_be_in_flight_is_refused() {
    let cluster = Cluster::start(|config| config.inflight_max = 1).await;
    let a = Fake::start(&cluster, "a").await;
    a.set_vote(Vote::Silent);
    let node = &cluster.nodes[cluster.leader().await];
    let waiting = commit_request(&["a"], "work");
    let more = async {
        a.has_seen("can-commit").await;
        let refused = commit(node, &commit_request(&["a"], "more"))
            .await
            .unwrap_err();
        a.set_vote(Vote::Yes);
        refused
    };
    let (answer, refused) = tokio::join!(commit(node, &waiting), more);
    assert_eq!(
        (refused.code, refused.applied),
        (Code::Busy, Applied::NotApplied)
    );
    assert_eq!(
        decision(answer.unwrap().outcome.as_ref()),
        v1::Decision::Commit
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_content_under_an_id_that_is_being_voted_on_is_contested() {
    let cluster = Cluster::start(|_| {}).await;
    let a = Fake::start(&cluster, "a").await;
    a.set_vote(Vote::Silent);
    let node = &cluster.nodes[cluster.leader().await];
    let first = commit_request(&["a"], "work");
    let other = v1::CommitRequest {
        txn: first.txn.clone(),
        ..commit_request(&["a"], "other")
    };
    let more = async {
        a.has_seen("can-commit").await;
        let refused = commit(node, &other).await.unwrap_err();
        a.set_vote(Vote::Yes);
        refused
    };
    let (answer, refused) = tokio::join!(commit(node, &first), more);
    assert_eq!(
        (refused.code, refused.applied),
        (Code::IdContested, Applied::NotApplied)
    );
    assert!(answer.is_ok());
}

/// More callers than may wait ask for one transaction that is under way: no answer may say that it
/// was not applied.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_under_way_is_never_refused_as_not_applied() {
    let cluster = Cluster::start(|config| config.inflight_max = 1).await;
    let a = Fake::start(&cluster, "a").await;
    a.set_vote(Vote::Silent);
    let node = &cluster.nodes[cluster.leader().await];
    let request = commit_request(&["a"], "work");
    let calls = (0..8).map(|_| async {
        let mut timed = tonic::Request::new(request.clone());
        timed.set_timeout(Duration::from_secs(2));
        node.transactions().commit(timed).await.unwrap_err()
    });
    for status in futures::future::join_all(calls).await {
        assert_eq!(failure(&status).applied, Applied::Unknown, "{status}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_older_than_the_retention_is_over() {
    let cluster = Cluster::start(|config| config.retention = Duration::from_millis(500)).await;
    let a = Fake::start(&cluster, "a").await;
    let node = &cluster.nodes[cluster.follower().await];
    let request = commit_request(&["a"], "work");
    commit(node, &request).await.unwrap();
    eventually("the horizon passes it", || async {
        let refused = commit(node, &request).await.err()?;
        (refused.code == Code::IdExpired).then_some(())
    })
    .await;
    let status = node.status().await.unwrap();
    assert!(status.horizon > request.txn);
    drop(a);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_outcomes_are_kept_than_may_be() {
    let cluster = Cluster::start(|config| config.outcomes_max = 5).await;
    let _a = Fake::start(&cluster, "a").await;
    let node = &cluster.nodes[cluster.leader().await];
    for _ in 0..20 {
        commit(node, &commit_request(&["a"], "work")).await.unwrap();
    }
    eventually("the oldest outcomes go", || async {
        (node.status().await?.ended <= 5).then_some(())
    })
    .await;
}
