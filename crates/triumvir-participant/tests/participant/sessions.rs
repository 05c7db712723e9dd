//! Votes and outcomes through a session, and what the read service shows meanwhile.

use std::time::Duration;

use triumvir_participant::KvConfig;
use triumvir_protocol::{Answer, Ballot, Horizon, Message, NoReason, Request, TxnId, Value};
use triumvir_wire::v1::kv_operation::Kind;
use triumvir_wire::{Code, Failure, v1};

use crate::coordinator::Fake;
use crate::support::*;

#[tokio::test]
async fn a_transaction_walks_through_its_three_phases() {
    let (fake, data) = (Fake::start().await, tempfile::tempdir().unwrap());
    let node = Node::start(config("orders", data.path(), fake.address)).await;
    let id = fake.session("orders").await;

    let job = Job::one(id, &[put("order/1", 7), add("stock", 5), get("stock")]);
    let say = |request| fake.say(id, job.txn, job.terms.digest, request);
    say(job.can_commit(id));
    let Answer::Yes { results: found } = fake.answer(id, job.txn).await else {
        panic!()
    };
    assert_eq!(results(&found), [None, Some(5), Some(5)]);
    assert_eq!(
        node.locks().await,
        [("order/1".to_owned(), true), ("stock".to_owned(), true)]
    );

    // Asked again: the same vote again.
    say(job.can_commit(id));
    assert!(matches!(fake.answer(id, job.txn).await, Answer::Yes { results } if results == found));

    let ballot = Ballot::ZERO;
    say(Request::Accept {
        ballot,
        value: Value::Commit,
    });
    assert_eq!(fake.answer(id, job.txn).await, Answer::Ack { ballot });
    say(Request::DoCommit);
    let committed = loop {
        match fake.answer(id, job.txn).await {
            Answer::Decided => {}
            other => break other,
        }
    };
    assert_eq!(committed, Answer::Committed { results: None });
    assert_eq!(
        node.get(&["order/1", "stock", "none"]).await,
        [Some(7), Some(5), None]
    );
    assert_eq!(node.locks().await, []);
    node.stop().await;
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_with_its_reason() {
    let (fake, data) = (Fake::start().await, tempfile::tempdir().unwrap());
    let node = Node::start(config("stock", data.path(), fake.address)).await;
    let id = fake.session("stock").await;
    let unknown = v1::KvOperation {
        key: "k".into(),
        kind: None,
    };
    let expect = Kind::Expect(v1::KvExpect {
        value: Some(v1::KvValue { kind: None }),
    });
    let jobs = [
        (Job::new(&[(id, [0xff; 20].as_slice().into())]), "malformed"),
        (Job::one(id, &[unknown]), "malformed"),
        (Job::one(id, &[op("k", expect)]), "malformed"),
        (Job::one(id, &[add("k", -1)]), "minimum"),
        (Job::one(id, &vec![get("k"); 1025]), "too-large"),
    ];
    for (job, expected) in jobs {
        fake.say(id, job.txn, job.terms.digest, job.can_commit(id));
        let answer = fake.answer(id, job.txn).await;
        let Answer::No {
            reason:
                NoReason::Resource {
                    code,
                    detail,
                    retryable,
                },
        } = answer
        else {
            panic!("{answer:?}")
        };
        assert_eq!((&*code, retryable), (expected, false), "{detail}");
        // The tombstone stands, whatever comes later.
        fake.say(id, job.txn, job.terms.digest, job.can_commit(id));
        assert!(matches!(fake.answer(id, job.txn).await, Answer::No { .. }));
    }
    assert_eq!(node.locks().await, []);
    node.stop().await;
}

#[tokio::test]
async fn a_read_waits_for_a_key_in_doubt_until_its_deadline() {
    let (fake, data) = (Fake::start().await, tempfile::tempdir().unwrap());
    let kv = KvConfig {
        read_wait: Duration::from_millis(10),
        ..KvConfig::default()
    };
    let node = Node::start_kv(config("orders", data.path(), fake.address), kv).await;
    let id = fake.session("orders").await;
    let job = Job::one(id, &[put("a", 1)]);
    fake.say(id, job.txn, job.terms.digest, job.can_commit(id));
    fake.answer(id, job.txn).await;

    let mut reads = node.reads().await;
    let get = || v1::GetRequest {
        keys: vec!["b".into(), "a".into()],
    };
    let failure = Failure::from_status(&reads.get(get()).await.unwrap_err());
    assert_eq!(failure.code, Code::KeyInDoubt);
    assert!(failure.detail.contains(&job.txn.to_string()), "{failure}");
    let scan = reads.scan(v1::ScanRequest { prefix: "a".into() }).await;
    assert_eq!(
        Failure::from_status(&scan.unwrap_err()).code,
        Code::KeyInDoubt
    );
    // Other keys are not concerned.
    assert_eq!(node.get(&["b"]).await, [None]);

    // These wait longer, and see the outcome.
    let waiting = tokio::spawn(async move {
        let mut get = tonic::Request::new(get());
        get.set_timeout(Duration::from_secs(50));
        let values = reads.get(get).await.unwrap().into_inner().values;
        let mut scan = tonic::Request::new(v1::ScanRequest { prefix: "".into() });
        scan.set_timeout(Duration::from_secs(50));
        let mut scan = reads.scan(scan).await.unwrap().into_inner();
        let entries = scan.message().await.unwrap().unwrap().entries;
        (values, entries)
    });
    fake.say(id, job.txn, job.terms.digest, Request::DoCommit);
    let (values, entries) = within(waiting).await.unwrap();
    let numbers: Vec<_> = values
        .into_iter()
        .map(|value| value.value.map(integer))
        .collect();
    assert_eq!(numbers, [None, Some(1)]);
    let [entry] = entries.try_into().unwrap();
    assert_eq!(
        (&*entry.key, entry.value.map(integer)),
        (b"a".as_slice(), Some(1))
    );
    node.stop().await;
}

#[tokio::test]
async fn a_read_voter_keeps_its_locks_until_the_outcome_and_its_vote_until_the_horizon() {
    let (fake, data) = (Fake::start().await, tempfile::tempdir().unwrap());
    let node = Node::start(config("orders", data.path(), fake.address)).await;
    let id = fake.session("orders").await;
    let job = Job::one(id, &[get("a")]);
    let say = |request| fake.say(id, job.txn, job.terms.digest, request);
    say(job.can_commit(id));
    assert!(matches!(
        fake.answer(id, job.txn).await,
        Answer::Read { .. }
    ));
    assert_eq!(node.locks().await, [("a".to_owned(), false)]);
    say(Request::Abort);
    node.unlocked().await;
    // The vote stands still.
    say(job.can_commit(id));
    assert!(matches!(
        fake.answer(id, job.txn).await,
        Answer::Read { .. }
    ));

    let horizon = Horizon(job.txn);
    fake.tell_horizon(id, horizon);
    say(job.can_commit(id));
    assert_eq!(
        fake.answer(id, job.txn).await,
        Answer::Forgotten { horizon }
    );
    node.stop().await;
}

#[tokio::test]
async fn a_branch_in_doubt_asks_the_coordinators() {
    let (fake, data) = (Fake::start().await, tempfile::tempdir().unwrap());
    let node = Node::start(config("orders", data.path(), fake.address)).await;
    let id = fake.session("orders").await;
    // A peer that is nowhere: nothing can be finished without the coordinator.
    let nowhere = triumvir_protocol::ParticipantId(99);
    let job = Job::new(&[(id, payload(&[put("a", 1)])), (nowhere, payload(&[]))]);
    fake.say(id, job.txn, job.terms.digest, job.can_commit(id));
    assert!(matches!(fake.answer(id, job.txn).await, Answer::Yes { .. }));
    for _ in 0..2 {
        let inquiry = loop {
            if let Message::Inquiry(inquiry) = fake.hear(id, job.txn).await {
                break inquiry;
            }
        };
        assert_eq!(inquiry.terms, job.terms);
    }
    fake.say(id, job.txn, job.terms.digest, Request::Abort);
    assert_eq!(fake.answer(id, job.txn).await, Answer::Aborted);
    assert_eq!(node.get(&["a"]).await, [None]);
    node.stop().await;
}

#[tokio::test]
async fn a_lost_session_is_opened_again() {
    let data = tempfile::tempdir().unwrap();
    let first = Fake::start().await;
    let second = Fake::start().await;
    // It does not know the registration: sessions with it fail and are tried again. Which of the two is
    // asked first to register is decided by their ports.
    second.lose_leader();
    let mut config = config("orders", data.path(), first.address);
    config.coordinators.push(second.address.to_string());
    let node = Node::start(config).await;
    let id = first.session("orders").await;
    let job = Job::one(id, &[put("a", 1)]);
    first.say(id, job.txn, job.terms.digest, job.can_commit(id));
    assert!(matches!(
        first.answer(id, job.txn).await,
        Answer::Yes { .. }
    ));
    first.drop_sessions();
    assert_eq!(first.session("orders").await, id);
    first.say(id, job.txn, job.terms.digest, Request::DoCommit);
    assert!(matches!(
        first.answer(id, job.txn).await,
        Answer::Committed { .. }
    ));
    assert!(second.is_silent(TxnId::default()));
    node.stop().await;
}

#[tokio::test]
async fn a_branch_in_doubt_asks_a_coordinator_as_soon_as_it_is_back() {
    let (fake, data) = (Fake::start().await, tempfile::tempdir().unwrap());
    let mut config = config("orders", data.path(), fake.address);
    // Nobody would wait for its own time.
    config.timers.inquire = Duration::from_secs(3600);
    config.timers.fence = config.timers.inquire;
    let node = Node::start(config).await;
    let id = fake.session("orders").await;
    let job = Job::one(id, &[put("a", 1)]);
    fake.say(id, job.txn, job.terms.digest, job.can_commit(id));
    assert!(matches!(fake.answer(id, job.txn).await, Answer::Yes { .. }));
    assert!(fake.is_silent(job.txn));
    fake.drop_sessions();
    assert!(matches!(
        fake.hear(id, job.txn).await,
        Message::Inquiry(inquiry) if inquiry.terms == job.terms
    ));
    node.stop().await;
}
