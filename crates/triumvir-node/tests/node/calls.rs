//! What clients are answered while nothing fails.

use std::time::Duration;

use triumvir_wire::status::LEADER_METADATA;
use triumvir_wire::{Applied, Code, v1};

use crate::cluster::{
    Cluster, cause, commit, commit_request, decision, eventually, fresh, outcome,
};
use crate::participant::{Fake, Vote, register, registration};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_at_any_replica_and_says_the_same_again() {
    let cluster = Cluster::start(|_| {}).await;
    let (a, b) = (
        Fake::start(&cluster, "a").await,
        Fake::start(&cluster, "b").await,
    );
    for node in &cluster.nodes {
        let mut request = commit_request(&["b", "a"], "work");
        request.mode = v1::Mode::TwoPhase.into();
        for mode in [v1::Mode::TwoPhase, v1::Mode::ThreePhase] {
            request.mode = mode.into();
            request.txn = fresh();
            let first = commit(node, &request).await.unwrap();
            assert_eq!(decision(first.outcome.as_ref()), v1::Decision::Commit);
            assert_eq!(first.txn, request.txn);
            let names: Vec<_> = first
                .results
                .iter()
                .map(|r| r.participant.as_str())
                .collect();
            assert_eq!(names, ["b", "a"], "in the order of the request");
            assert_eq!(
                a.ended(&request.txn).await,
                triumvir_protocol::Value::Commit
            );
            assert_eq!(
                b.ended(&request.txn).await,
                triumvir_protocol::Value::Commit
            );
            let again = commit(node, &request).await.unwrap();
            assert_eq!(again, first);
        }
        let mut other = commit_request(&["b", "a"], "other work");
        other.txn = request.txn;
        let refused = commit(node, &other).await.unwrap_err();
        assert_eq!(
            (refused.code, refused.applied),
            (Code::IdInUse, Applied::NotApplied)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_without_an_id_gets_one() {
    let cluster = Cluster::start(|_| {}).await;
    let a = Fake::start(&cluster, "a").await;
    let mut request = commit_request(&["a"], "work");
    request.txn.clear();
    let node = &cluster.nodes[cluster.follower().await];
    let answer = commit(node, &request).await.unwrap();
    assert_eq!(a.ended(&answer.txn).await, triumvir_protocol::Value::Commit);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_no_aborts_and_says_who_and_why() {
    let cluster = Cluster::start(|_| {}).await;
    let (a, b) = (
        Fake::start(&cluster, "a").await,
        Fake::start(&cluster, "b").await,
    );
    b.set_vote(Vote::No);
    let request = commit_request(&["a", "b"], "work");
    let answer = commit(&cluster.nodes[cluster.follower().await], &request)
        .await
        .unwrap();
    assert_eq!(decision(answer.outcome.as_ref()), v1::Decision::Abort);
    let cause = answer.outcome.unwrap().cause.unwrap();
    assert_eq!(cause.kind(), v1::abort_cause::Kind::No);
    assert_eq!(
        (cause.participant.as_str(), cause.no.unwrap().code.as_str()),
        ("b", "minimum")
    );
    assert_eq!(a.ended(&request.txn).await, triumvir_protocol::Value::Abort);
}

/// A NO closes one content and not the id: until there is a record, the outcome of the id is open.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_that_was_refused_may_commit_with_other_content() {
    let cluster = Cluster::start(|_| {}).await;
    let a = Fake::start(&cluster, "a").await;
    a.set_vote(Vote::No);
    let node = &cluster.nodes[cluster.leader().await];
    let request = commit_request(&["a"], "work");
    let answer = commit(node, &request).await.unwrap();
    assert_eq!(decision(answer.outcome.as_ref()), v1::Decision::Abort);
    eventually("the refused content is let go of", || async {
        let list = node.transactions().list(v1::ListRequest::default()).await;
        list.ok()?
            .into_inner()
            .transactions
            .is_empty()
            .then_some(())
    })
    .await;
    let asked = outcome(node, &request.txn, false).await.unwrap();
    assert_eq!((asked.state(), asked.outcome), (v1::State::NoRecord, None));
    a.set_vote(Vote::Yes);
    let mut other = commit_request(&["a"], "other work");
    other.txn = request.txn;
    let answer = commit(node, &other).await.unwrap();
    assert_eq!(decision(answer.outcome.as_ref()), v1::Decision::Commit);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_answers_says_who_leads() {
    let cluster = Cluster::start(|_| {}).await;
    let _a = Fake::start(&cluster, "a").await;
    let leader = cluster.leader().await;
    for (place, node) in cluster.nodes.iter().enumerate() {
        let request = commit_request(&["a"], "work");
        let answer = node.transactions().commit(request).await.unwrap();
        let named = answer.metadata().get(LEADER_METADATA);
        let named = named.map(|leader| leader.to_str().unwrap());
        let other = (place != leader).then(|| cluster.nodes[leader].address());
        assert_eq!(named, other);
    }
}

/// The name stands for another participant now: the same request is another content.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repetition_after_a_replacement_is_not_called_unapplied() {
    let cluster = Cluster::start(|_| {}).await;
    let _a = Fake::start(&cluster, "a").await;
    let request = commit_request(&["a"], "work");
    commit(&cluster.nodes[0], &request).await.unwrap();
    let replacement = v1::RegisterRequest {
        replace: true,
        ..registration("a", 7)
    };
    let node = &cluster.nodes[cluster.leader().await];
    register(node.channel(), replacement).await.unwrap();
    for node in &cluster.nodes {
        let refused = commit(node, &request).await.unwrap_err();
        assert_eq!(
            (refused.code, refused.applied),
            (Code::IdInUse, Applied::Unknown)
        );
    }
}

/// The resend timers are far away: only the new session brings what was missed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_comes_back_is_told_at_once_what_it_missed() {
    let cluster = Cluster::start(|config| {
        config.resend = Duration::from_secs(600);
        config.resend_max = Duration::from_secs(600);
    })
    .await;
    let mut a = Fake::start(&cluster, "a").await;
    a.set_vote(Vote::Silent);
    let request = commit_request(&["a"], "work");
    let node = &cluster.nodes[cluster.leader().await];
    let back = async {
        a.has_seen("can-commit").await;
        a.set_vote(Vote::Yes);
        a.reconnect(&cluster).await;
    };
    let (answer, ()) = tokio::join!(commit(node, &request), back);
    assert_eq!(
        decision(answer.unwrap().outcome.as_ref()),
        v1::Decision::Commit
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_read_commits_by_the_record_alone() {
    let cluster = Cluster::start(|_| {}).await;
    let a = Fake::start(&cluster, "a").await;
    a.set_vote(Vote::Read);
    let request = commit_request(&["a"], "look");
    let answer = commit(&cluster.nodes[0], &request).await.unwrap();
    assert_eq!(decision(answer.outcome.as_ref()), v1::Decision::Commit);
    assert_eq!(answer.results.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_vote_aborts_in_time() {
    let cluster =
        Cluster::start(|config| config.vote_timeout = std::time::Duration::from_millis(300)).await;
    let (a, b) = (
        Fake::start(&cluster, "a").await,
        Fake::start(&cluster, "b").await,
    );
    b.set_vote(Vote::Silent);
    let request = commit_request(&["a", "b"], "work");
    let answer = commit(&cluster.nodes[0], &request).await.unwrap();
    assert_eq!(
        cause(answer.outcome.as_ref()),
        v1::abort_cause::Kind::VoteTimeout
    );
    assert_eq!(answer.outcome.unwrap().cause.unwrap().participant, "b");
    assert_eq!(a.ended(&request.txn).await, triumvir_protocol::Value::Abort);
    let asked = outcome(&cluster.nodes[0], &request.txn, false)
        .await
        .unwrap();
    assert_eq!(decision(asked.outcome.as_ref()), v1::Decision::Abort);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_record_binds_nobody_until_someone_decides() {
    let cluster = Cluster::start(|_| {}).await;
    let _a = Fake::start(&cluster, "a").await;
    let node = &cluster.nodes[cluster.follower().await];
    let request = commit_request(&["a"], "work");
    let asked = outcome(node, &request.txn, false).await.unwrap();
    assert_eq!((asked.state(), asked.outcome), (v1::State::NoRecord, None));
    let decided = outcome(node, &request.txn, true).await.unwrap();
    assert_eq!(
        cause(decided.outcome.as_ref()),
        v1::abort_cause::Kind::Decided
    );
    let late = commit(node, &request).await.unwrap();
    assert_eq!(cause(late.outcome.as_ref()), v1::abort_cause::Kind::Decided);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_is_answered_with_what_stands() {
    let cluster = Cluster::start(|_| {}).await;
    let a = Fake::start(&cluster, "a").await;
    let node = &cluster.nodes[cluster.follower().await];
    let abort = async |txn: &bytes::Bytes| {
        let request = v1::AbortRequest { txn: txn.clone() };
        node.transactions()
            .abort(request)
            .await
            .unwrap()
            .into_inner()
    };

    let committed = commit_request(&["a"], "work");
    commit(node, &committed).await.unwrap();
    let too_late = abort(&committed.txn).await;
    assert_eq!(decision(too_late.outcome.as_ref()), v1::Decision::Commit);

    a.set_vote(Vote::Silent);
    let waiting = commit_request(&["a"], "work");
    let (answer, aborted) = tokio::join!(commit(node, &waiting), abort(&waiting.txn));
    assert_eq!(
        cause(aborted.outcome.as_ref()),
        v1::abort_cause::Kind::Requested
    );
    assert_eq!(
        cause(answer.unwrap().outcome.as_ref()),
        v1::abort_cause::Kind::Requested
    );
}
