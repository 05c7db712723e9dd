//! What becomes of transactions when replicas end.

use std::time::Duration;

use tonic::Request;
use triumvir_protocol::Value;
use triumvir_wire::{Applied, Code, v1};

use crate::cluster::{
    Cluster, Node, cause, commit, commit_request, decision, eventually, failure, outcome,
};
use crate::participant::{Fake, Vote};

/// The caller's own connection is to a follower: it never learns that the leader is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forwarded_commit_survives_the_leader() {
    let mut cluster = Cluster::start(|_| {}).await;
    let (a, b) = (
        Fake::start(&cluster, "a").await,
        Fake::start(&cluster, "b").await,
    );
    b.set_vote(Vote::Silent);
    let (leader, follower) = (cluster.leader().await, cluster.follower().await);
    let request = commit_request(&["a", "b"], "work");
    let mut client = cluster.nodes[follower].transactions();
    let waiting = {
        let request = request.clone();
        tokio::spawn(async move { client.commit(request).await })
    };
    b.has_seen("can-commit").await;
    cluster.nodes[leader].stop().await;
    b.set_vote(Vote::Yes);
    let answer = waiting.await.unwrap().unwrap().into_inner();
    assert_eq!(decision(answer.outcome.as_ref()), v1::Decision::Commit);
    assert_eq!(
        answer.results.len(),
        2,
        "those prepared under the old leader say it again"
    );
    assert_eq!(a.ended(&request.txn).await, Value::Commit);
    assert_eq!(b.ended(&request.txn).await, Value::Commit);
}

/// Recorded, not acknowledged: the outcome is unknown, and the next leader takes it on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_leader_adopts_what_is_recorded() {
    let mut cluster = Cluster::start(|_| {}).await;
    let a = Fake::start(&cluster, "a").await;
    a.set_acks(false);
    let leader = cluster.leader().await;
    let request = commit_request(&["a"], "work");
    let mut timed = Request::new(request.clone());
    timed.set_timeout(Duration::from_secs(2));
    let status = cluster.nodes[leader]
        .transactions()
        .commit(timed)
        .await
        .unwrap_err();
    assert_eq!(failure(&status).applied, Applied::Unknown);
    a.has_seen("pre-commit").await;
    cluster.nodes[leader].stop().await;
    a.set_acks(true);
    // Nobody asks: the next leader goes on by itself.
    assert_eq!(a.ended(&request.txn).await, Value::Commit);
    let node = &cluster.nodes[cluster.leader().await];
    let answer = commit(node, &request).await.unwrap();
    assert_eq!(decision(answer.outcome.as_ref()), v1::Decision::Commit);
    assert_eq!(answer.results.len(), 1);

    cluster.nodes[leader].restart(None).await;
    eventually("it is over at the replica that came back", || async {
        let asked = outcome(&cluster.nodes[leader], &request.txn, false)
            .await
            .ok()?;
        (asked.state() == v1::State::Ended).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_drains_finishes_and_hands_on() {
    let mut cluster = Cluster::start(|_| {}).await;
    let a = Fake::start(&cluster, "a").await;
    a.set_vote(Vote::Silent);
    let leader = cluster.leader().await;
    let request = commit_request(&["a"], "work");
    let mut client = cluster.nodes[leader].transactions();
    let waiting = {
        let request = request.clone();
        tokio::spawn(async move { client.commit(request).await })
    };
    a.has_seen("can-commit").await;

    cluster.nodes[leader].shutdown.drain();
    let node = &cluster.nodes[leader];
    eventually("it drains", || async {
        node.status().await?.draining.then_some(())
    })
    .await;
    let refused = commit(node, &commit_request(&["a"], "more"))
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code, refused.applied),
        (Code::Draining, Applied::NotApplied)
    );

    a.set_vote(Vote::Yes);
    let answer = waiting.await.unwrap().unwrap().into_inner();
    assert_eq!(decision(answer.outcome.as_ref()), v1::Decision::Commit);
    cluster.nodes[leader].ended().await.unwrap();

    let next = cluster.leader().await;
    assert_ne!(next, leader);
    let answer = commit(&cluster.nodes[next], &commit_request(&["a"], "more"))
        .await
        .unwrap();
    assert_eq!(decision(answer.outcome.as_ref()), v1::Decision::Commit);
}

/// The transaction is the leader's, the caller's connection is to the replica that ends. The votes take
/// longer than a server that ends waits for its connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_drains_answers_what_it_has_forwarded() {
    let mut cluster = Cluster::start(|config| config.vote_timeout = Duration::from_secs(4)).await;
    let a = Fake::start(&cluster, "a").await;
    a.set_vote(Vote::Silent);
    let follower = cluster.follower().await;
    let mut client = cluster.nodes[follower].transactions();
    let waiting = tokio::spawn(async move { client.commit(commit_request(&["a"], "work")).await });
    a.has_seen("can-commit").await;
    cluster.nodes[follower].shutdown.drain();
    let answer = waiting.await.unwrap().unwrap().into_inner();
    assert_eq!(
        cause(answer.outcome.as_ref()),
        v1::abort_cause::Kind::VoteTimeout
    );
    cluster.nodes[follower].ended().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_majority_nothing_is_answered_and_nothing_is_lost() {
    let mut cluster = Cluster::start(|_| {}).await;
    let a = Fake::start(&cluster, "a").await;
    let leader = cluster.leader().await;
    let others: Vec<_> = (0..3).filter(|place| *place != leader).collect();
    for place in &others {
        cluster.nodes[*place].stop().await;
    }
    let request = commit_request(&["a"], "work");
    let mut timed = Request::new(request.clone());
    timed.set_timeout(Duration::from_secs(2));
    let status = cluster.nodes[leader]
        .transactions()
        .commit(timed)
        .await
        .unwrap_err();
    let failure = failure(&status);
    let unknown = failure.applied == Applied::Unknown;
    assert!(unknown || failure.code == Code::NoLeader, "{failure}");
    for place in &others {
        cluster.nodes[*place].restart(None).await;
    }
    let answer = commit(&cluster.nodes[others[0]], &request).await.unwrap();
    assert_eq!(decision(answer.outcome.as_ref()), v1::Decision::Commit);
    assert_eq!(a.ended(&request.txn).await, Value::Commit);
}

/// Every caller repeats its own id until it is told; nobody is told two things, and the
/// participants agree with what was told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_agree_while_leaders_come_and_go() {
    let mut cluster = Cluster::start(|_| {}).await;
    let (a, b) = (
        Fake::start(&cluster, "a").await,
        Fake::start(&cluster, "b").await,
    );
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..24 {
        let mut clients_of = cluster
            .nodes
            .iter()
            .map(Node::transactions)
            .collect::<Vec<_>>();
        clients.spawn(async move {
            let mut told = Vec::new();
            for round in 0..8 {
                let request = commit_request(&["a", "b"], &format!("work {number} {round}"));
                let answer = eventually("it is answered", || {
                    let client = &mut clients_of[(number + round) % 3];
                    let (mut client, request) = (client.clone(), request.clone());
                    async move { client.commit(request).await.ok() }
                });
                told.push(answer.await.into_inner());
            }
            clients_of.clear();
            told
        });
    }
    for _ in 0..2 {
        let leader = cluster.leader().await;
        cluster.nodes[leader].stop().await;
        cluster.leader().await;
        cluster.nodes[leader].restart(None).await;
    }
    for answer in clients.join_all().await.into_iter().flatten() {
        assert_eq!(decision(answer.outcome.as_ref()), v1::Decision::Commit);
        assert_eq!(a.ended(&answer.txn).await, Value::Commit);
        assert_eq!(b.ended(&answer.txn).await, Value::Commit);
    }
}

/// The log that it missed is gone: it catches up by a snapshot of the state.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_was_down_for_long_takes_a_snapshot() {
    let mut cluster = Cluster::start(|config| {
        config.raft.snapshot_every_entries = 20;
        config.raft.kept_entries = 2;
    })
    .await;
    let _a = Fake::start(&cluster, "a").await;
    let (leader, follower) = (cluster.leader().await, cluster.follower().await);
    cluster.nodes[follower].stop().await;
    let down_at = cluster.nodes[leader].status().await.unwrap().applied;
    let first = commit_request(&["a"], "work");
    commit(&cluster.nodes[leader], &first).await.unwrap();
    eventually("a snapshot covers what it missed", || async {
        commit(&cluster.nodes[leader], &commit_request(&["a"], "work"))
            .await
            .ok()?;
        (cluster.nodes[leader].status().await?.snapshot > down_at + 20).then_some(())
    })
    .await;
    cluster.nodes[follower].restart(None).await;
    eventually("it has what the others have", || async {
        let (own, all) = (
            cluster.nodes[follower].status().await?,
            cluster.nodes[leader].status().await?,
        );
        (own.ended == all.ended && own.participants.len() == 1).then_some(())
    })
    .await;
    let asked = outcome(&cluster.nodes[follower], &first.txn, false)
        .await
        .unwrap();
    assert_eq!(asked.state(), v1::State::Ended);
}
