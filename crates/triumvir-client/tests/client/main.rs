//! What the client does with what servers say, against scripted servers on the loopback. Whether it
//! keeps a deadline is judged by what it returns, never by a clock.

mod conflicts;
mod fake;

use std::time::Duration;

use fake::{Fake, Reaction, not_leading};
use futures::StreamExt as _;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::time::timeout;
use triumvir_client::{
    AbortCause, Applied, Client, Code, CommitError, Failure, Mode, Outcome, ResultsError, State,
    Transaction, Value, Watched, add, draw_txn, get, payload, put,
};
use triumvir_wire::{ids, limits, v1};

/// More than any test takes; a test that reaches it has failed.
const OVERALL: Duration = Duration::from_secs(60);
/// The deadline of calls that are never answered.
const SHORT: Duration = Duration::from_millis(300);
/// The deadline of calls that are answered again and again.
const ENOUGH: Duration = Duration::from_secs(2);

fn client(fakes: &[&Fake]) -> Client {
    let addresses = fakes.iter().map(|fake| fake.address.clone());
    Client::builder()
        .coordinators(addresses)
        .timeout(OVERALL)
        .build()
        .unwrap()
}

fn purchase(client: &Client) -> Transaction {
    client
        .transaction()
        .at("inventory", add("chair", -2).min(0))
        .at("orders", payload("an order"))
        .at("inventory", put("seen", "yes"))
}

async fn commit(transaction: Transaction) -> Result<triumvir_client::Committed, CommitError> {
    timeout(OVERALL, transaction.commit())
        .await
        .expect("every commit ends")
}

#[tokio::test]
async fn parts_of_one_participant_are_joined_and_results_come_back() {
    let fake = Fake::start(|_, _| Reaction::Commit).await;
    let txn = draw_txn();
    let committed = commit(purchase(&client(&[&fake])).id(txn).mode(Mode::TwoPhase))
        .await
        .unwrap();

    assert_eq!((committed.txn, committed.attempts), (txn, 1));
    let results = committed.results.at("inventory").unwrap();
    assert_eq!(results, [Some(Value::Integer(3)), None]);
    let missing = committed.results.at("orders").unwrap_err();
    assert_eq!(
        missing,
        ResultsError::Missing {
            participant: "orders".to_owned()
        }
    );
    assert_eq!(missing.applied(), Applied::Applied);

    let [request] = fake.asked().try_into().unwrap();
    assert_eq!(request.txn, ids::txn_bytes(txn));
    assert_eq!(request.mode(), v1::Mode::TwoPhase);
    let names: Vec<_> = request
        .parts
        .iter()
        .map(|part| part.participant.as_str())
        .collect();
    assert_eq!(names, ["inventory", "orders"]);
    let Some(v1::Work {
        kind: Some(v1::work::Kind::Payload(bytes)),
    }) = &request.parts[0].work
    else {
        panic!("the operations travel as a payload");
    };
    let operations = v1::KvOperations::decode(bytes.clone()).unwrap();
    assert_eq!(operations.version, limits::KV_VERSION);
    let bounded = v1::KvAdd {
        delta: -2,
        min: Some(0),
        max: None,
    };
    assert_eq!(
        operations.operations[0].kind,
        Some(v1::kv_operation::Kind::Add(bounded))
    );
    assert_eq!(&operations.operations[1].key[..], b"seen");
}

#[tokio::test]
async fn follows_the_leader_that_is_named_and_stays_with_it() {
    let leader = Fake::start(|_, _| Reaction::Commit).await;
    let address = leader.address.clone();
    let follower = Fake::start(move |_, _| not_leading(&address)).await;
    let client = client(&[&follower]);
    commit(purchase(&client)).await.unwrap();
    commit(purchase(&client)).await.unwrap();
    assert_eq!((follower.asked().len(), leader.asked().len()), (1, 2));
    assert_eq!(
        follower.asked()[0],
        leader.asked()[0],
        "the same attempt, not another"
    );
}

#[tokio::test]
async fn an_unknown_outcome_is_resolved_by_repeating_the_same() {
    for unknown in [
        || Reaction::Fail(Code::OutcomeUnknown.into()),
        || Reaction::Fail(Code::Stopped.into()),
        || Reaction::Foreign(tonic::Code::Unavailable),
    ] {
        let fake =
            Fake::start(move |at, _| if at < 2 { unknown() } else { Reaction::Commit }).await;
        let committed = commit(purchase(&client(&[&fake]))).await.unwrap();
        let asked = fake.asked();
        assert_eq!(asked.len(), 3);
        assert!(asked.iter().all(|request| *request == asked[0]));
        assert_eq!(asked[0].txn, ids::txn_bytes(committed.txn));
    }
}

#[tokio::test]
async fn a_refused_repetition_does_not_settle_an_unknown_attempt() {
    for refusal in [Code::IdInUse, Code::IdExpired, Code::UnknownParticipant] {
        let fake = Fake::start(move |at, _| {
            Reaction::Fail(
                if at == 0 {
                    Code::OutcomeUnknown
                } else {
                    refusal
                }
                .into(),
            )
        })
        .await;
        let error = commit(purchase(&client(&[&fake]))).await.unwrap_err();
        assert!(
            matches!(error, CommitError::Unknown { .. }),
            "{refusal}: {error}"
        );
        assert_eq!(error.applied(), Applied::Unknown);
        assert_eq!(fake.asked().len(), 2);
    }
}

#[tokio::test]
async fn not_applied_to_the_end_is_refused_and_not_unknown() {
    let fake = Fake::start(|_, _| Reaction::Fail(Code::Busy.into())).await;
    let error = commit(purchase(&client(&[&fake])).timeout(ENOUGH))
        .await
        .unwrap_err();
    assert_eq!(
        (error.code(), error.applied()),
        ("TV0013", Applied::NotApplied)
    );
    assert!(fake.asked().len() > 1, "it was repeated");
}

#[tokio::test]
async fn a_refusal_does_not_settle_an_id_that_may_have_been_used_before() {
    for refusal in [
        Code::Busy,
        Code::Draining,
        Code::NoLeader,
        Code::TooManyOpen,
    ] {
        let fake = Fake::start(move |_, _| Reaction::Fail(refusal.into())).await;
        let again = purchase(&client(&[&fake])).id(draw_txn()).timeout(SHORT);
        let error = commit(again).await.unwrap_err();
        assert!(
            matches!(error, CommitError::Unknown { .. }),
            "{refusal}: {error}"
        );
        let fresh = purchase(&client(&[&fake]))
            .fresh_id(draw_txn())
            .timeout(ENOUGH);
        let error = commit(fresh).await.unwrap_err();
        assert_eq!(error.applied(), Applied::NotApplied, "{refusal}: {error}");
    }
}

#[tokio::test]
async fn unknown_then_busy_to_the_end_is_unknown() {
    let fake = Fake::start(|at, _| {
        Reaction::Fail(
            if at == 0 {
                Code::OutcomeUnknown
            } else {
                Code::Busy
            }
            .into(),
        )
    })
    .await;
    let error = commit(purchase(&client(&[&fake])).timeout(ENOUGH))
        .await
        .unwrap_err();
    assert_eq!(
        (error.code(), error.applied()),
        ("TV0002", Applied::Unknown)
    );
}

#[tokio::test]
async fn a_server_that_never_answers_leaves_the_outcome_unknown() {
    let fake = Fake::start(|_, _| Reaction::Never).await;
    let txn = draw_txn();
    let error = commit(purchase(&client(&[&fake])).id(txn).timeout(SHORT))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, CommitError::Unknown { txn: named, .. } if *named == txn),
        "{error}"
    );
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn a_listener_that_never_speaks_ends_every_call_too() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let client = Client::builder()
        .coordinators([&address])
        .timeout(SHORT)
        .build()
        .unwrap();
    let error = commit(purchase(&client)).await.unwrap_err();
    assert_eq!(error.applied(), Applied::Unknown);
    let failure = timeout(OVERALL, client.describe(draw_txn()))
        .await
        .unwrap()
        .unwrap_err();
    assert_eq!(failure.applied, Applied::NotApplied);
    let status = timeout(OVERALL, client.status()).await.unwrap();
    assert!(status[0].status.is_err());
    assert_eq!(status[0].address, address, "as it was given");
    let reader = client.kv(address).unwrap();
    assert!(
        timeout(OVERALL, reader.get(["key"]))
            .await
            .unwrap()
            .is_err()
    );
    let scanned: Vec<_> = timeout(OVERALL, reader.scan("").collect()).await.unwrap();
    assert!(matches!(&scanned[..], [Err(_)]));
    drop(silent);
}

#[tokio::test]
async fn a_call_that_reached_nobody_is_certainly_not_applied() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = closed.local_addr().unwrap().to_string();
    drop(closed);
    let client = Client::builder()
        .coordinators([address])
        .timeout(ENOUGH)
        .build()
        .unwrap();
    let error = commit(purchase(&client)).await.unwrap_err();
    assert_eq!(
        (error.code(), error.applied()),
        ("TV0028", Applied::NotApplied),
        "{error}"
    );
}

#[tokio::test]
async fn a_lost_replica_is_left_for_another() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let lost = closed.local_addr().unwrap().to_string();
    drop(closed);
    let fake = Fake::start(|_, _| Reaction::Commit).await;
    let both = [lost, fake.address.clone()];
    let client = Client::builder()
        .coordinators(both)
        .timeout(OVERALL)
        .build()
        .unwrap();
    commit(purchase(&client)).await.unwrap();
    assert_eq!(fake.asked().len(), 1);
}

#[tokio::test]
async fn a_hint_to_a_leader_that_is_gone_does_not_trap_the_client() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = closed.local_addr().unwrap().to_string();
    drop(closed);
    let follower = Fake::start(move |at, _| {
        if at < 4 {
            not_leading(&gone)
        } else {
            Reaction::Commit
        }
    })
    .await;
    commit(purchase(&client(&[&follower]))).await.unwrap();
    assert_eq!(follower.asked().len(), 5);
}

/// Whichever was asked first or last: the error is that of the replica that answers, and names it.
#[tokio::test]
async fn with_one_replica_up_every_call_ends_the_same() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = closed.local_addr().unwrap().to_string();
    drop(closed);
    let hint = gone.clone();
    let follower = Fake::start(move |_, _| not_leading(&hint)).await;
    let client = Client::builder()
        .coordinators([gone, follower.address.clone()])
        .timeout(SHORT)
        .build()
        .unwrap();
    for _ in 0..4 {
        let error = commit(purchase(&client)).await.unwrap_err();
        assert_eq!(
            (error.code(), error.applied()),
            ("TV0001", Applied::NotApplied)
        );
        assert!(error.to_string().contains(&follower.address), "{error}");
    }
}

#[tokio::test]
async fn a_question_about_a_transaction_that_reached_nobody_leaves_it_unknown() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = closed.local_addr().unwrap().to_string();
    drop(closed);
    let builder = Client::builder().coordinators([address]).timeout(SHORT);
    let (client, txn) = (builder.build().unwrap(), draw_txn());
    for failure in [
        client.outcome(txn).await.unwrap_err(),
        client.decide(txn).await.unwrap_err(),
        client.abort(txn).await.unwrap_err(),
    ] {
        assert_eq!(
            (failure.code, failure.applied),
            (Code::Unreachable, Applied::Unknown)
        );
    }
}

#[tokio::test]
async fn a_refusal_is_not_repeated() {
    for code in [
        Code::IdInUse,
        Code::UnknownParticipant,
        Code::Malformed,
        Code::IdAhead,
    ] {
        let refusal = move || Failure::new(code, "as the script says");
        let fake = Fake::start(move |_, _| Reaction::Fail(refusal())).await;
        let error = commit(purchase(&client(&[&fake]))).await.unwrap_err();
        assert_eq!(error, CommitError::Refused(refusal()));
        assert_eq!(fake.asked().len(), 1);
    }
}

/// The replica that refuses the id may have begun it, and another may have committed it since.
#[tokio::test]
async fn an_expired_id_is_unknown_even_if_it_was_drawn_for_this_call() {
    let fake = Fake::start(|_, _| Reaction::Fail(Code::IdExpired.into())).await;
    let client = client(&[&fake]);
    let drawn = purchase(&client);
    for transaction in [drawn.clone(), drawn.id(draw_txn())] {
        let error = commit(transaction).await.unwrap_err();
        assert_eq!(
            (error.code(), error.applied()),
            ("TV0004", Applied::Unknown)
        );
    }
}

#[tokio::test]
async fn an_answer_that_is_none_leaves_the_outcome_unknown() {
    let fake = Fake::start(|_, _| Reaction::Rubbish).await;
    let error = commit(purchase(&client(&[&fake]))).await.unwrap_err();
    assert_eq!(error.applied(), Applied::Unknown);
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_before_it_is_sent() {
    let fake = Fake::start(|_, _| Reaction::Commit).await;
    let client = client(&[&fake]);
    let empty = client.transaction();
    let twice = purchase(&client).at("orders", get("key"));
    let large = client
        .transaction()
        .at("a", payload(vec![0; limits::PAYLOAD_BYTES_MAX + 1]));
    let part = || payload(vec![0; limits::PAYLOAD_BYTES_MAX]);
    let huge = (0..5).fold(client.transaction(), |all, at| {
        all.at(format!("p{at}"), part())
    });
    let many = (0..65).fold(client.transaction(), |all, at| {
        all.at(format!("p{at}"), get("key"))
    });
    let late = purchase(&client).timeout(Duration::ZERO);
    for (transaction, code) in [
        (empty, Code::NoParticipants),
        (twice, Code::ParticipantTwice),
        (large, Code::PayloadTooLarge),
        (huge, Code::RequestTooLarge),
        (many, Code::TooManyParticipants),
        (late, Code::BadDeadline),
    ] {
        let error = commit(transaction).await.unwrap_err();
        assert_eq!(
            (error.code(), error.applied()),
            (code.as_str(), Applied::NotApplied)
        );
    }
    assert!(fake.asked().is_empty());
}

#[tokio::test]
async fn outcomes_without_a_record_bind_nobody_until_they_are_decided() {
    let fake = Fake::start(|_, _| Reaction::Commit).await;
    let client = client(&[&fake]);
    let report = client.outcome(draw_txn()).await.unwrap();
    assert_eq!(
        (report.state, report.applied()),
        (State::NoRecord, Applied::Unknown)
    );
    let report = client.decide(draw_txn()).await.unwrap();
    assert!(matches!(
        report.outcome,
        Some(Outcome::Aborted(AbortCause::Unexplained { .. }))
    ));
    assert_eq!(report.applied(), Applied::NotApplied);
    assert!(
        client
            .list(true, 10, None)
            .await
            .unwrap()
            .transactions
            .is_empty()
    );
}

#[tokio::test]
async fn a_watch_goes_on_after_its_stream_is_lost_and_says_so() {
    let fake = Fake::start(|_, _| Reaction::Commit).await;
    let watch = client(&[&fake]).watch();
    let seen: Vec<_> = timeout(OVERALL, watch.take(4).collect()).await.unwrap();
    assert!(
        matches!(
            &seen[..],
            [
                Ok(Watched::Ended { .. }),
                Ok(Watched::Gap), // Says the replica.
                Ok(Watched::Gap), // Says the client.
                Ok(Watched::Ended { .. })
            ]
        ),
        "{seen:?}"
    );
}
