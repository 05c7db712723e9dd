//! Bad requests of programs, sent to every replica in turn, whether it leads or not.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use tonic::Request;
use tonic::transport::{Channel, Endpoint};
use triumvir_client::{CommitError, Part, TxnId, add, draw_txn, payload, put};
use triumvir_testkit::Who;
use triumvir_tests::{PARTICIPANTS, System, orders, refused, replicas};
use triumvir_wire::v1::cluster_client::ClusterClient;
use triumvir_wire::v1::key_value_client::KeyValueClient;
use triumvir_wire::v1::participants_client::ParticipantsClient;
use triumvir_wire::v1::transactions_client::TransactionsClient;
use triumvir_wire::{Applied, Code, ids, limits, v1};

use super::{ANCIENT, FAR_AHEAD, horizon_moves};

/// The deadline of one call.
const CALL: Duration = Duration::from_secs(60);

/// A part whose payload has so many bytes, none of which mean anything.
fn part(participant: &str, bytes: usize) -> v1::Part {
    let payload = Bytes::from(vec![0xff; bytes]);
    v1::Part {
        participant: participant.to_owned(),
        work: Some(v1::Work {
            kind: Some(v1::work::Kind::Payload(payload)),
        }),
    }
}

/// A request to commit under this id.
fn commit(txn: TxnId, parts: Vec<v1::Part>) -> v1::CommitRequest {
    v1::CommitRequest {
        txn: ids::txn_bytes(txn),
        parts,
        ..v1::CommitRequest::default()
    }
}

/// What is wrong, and what is said of it. `used` is the id of a transaction that has committed.
fn cases(used: TxnId) -> Vec<(v1::CommitRequest, Code, Applied)> {
    let [orders, stock] = PARTICIPANTS;
    let fresh = |parts| commit(draw_txn(), parts);
    let small = || vec![part(orders, 1)];
    let many = (0..=limits::PARTICIPANTS_MAX).map(|n| part(&n.to_string(), 1));
    let large = (0..5).map(|n| part(&n.to_string(), limits::PAYLOAD_BYTES_MAX));
    let mut no_work = part(orders, 1);
    no_work.work = None;
    let mut strange_mode = fresh(small());
    strange_mode.mode = 77;
    let mut short_id = fresh(small());
    short_id.txn.truncate(5);
    let strange_id = commit(TxnId::from_u128(7), small());
    let unknown = vec![part(stock, 1), part("nobody", 1)];
    let twice = vec![part(orders, 1), part(stock, 1), part(orders, 1)];
    let payload = limits::PAYLOAD_BYTES_MAX + 1;
    let certain = [
        (fresh(unknown), Code::UnknownParticipant),
        (fresh(twice), Code::ParticipantTwice),
        (fresh(vec![]), Code::NoParticipants),
        (fresh(many.collect()), Code::TooManyParticipants),
        (fresh(vec![part(orders, payload)]), Code::PayloadTooLarge),
        (fresh(large.collect()), Code::RequestTooLarge),
        (fresh(vec![no_work]), Code::Malformed),
        (fresh(vec![part("", 1)]), Code::Malformed),
        (strange_mode, Code::Malformed),
        (short_id, Code::Malformed),
        (strange_id, Code::Malformed),
        (commit(FAR_AHEAD, small()), Code::IdAhead),
        (commit(used, small()), Code::IdInUse),
    ];
    let certain = certain.map(|(request, code)| (request, code, Applied::NotApplied));
    let open = (commit(ANCIENT, small()), Code::IdExpired, Applied::Unknown);
    certain.into_iter().chain([open]).collect()
}

/// A connection to one replica.
fn channel(system: &System, who: &Who) -> anyhow::Result<Channel> {
    let address = system.cluster.seat(who)?.address();
    Ok(Endpoint::from_shared(format!("http://{address}"))?.connect_lazy())
}

/// A request with the deadline of this test.
fn timed<M>(message: M) -> Request<M> {
    let mut request = Request::new(message);
    request.set_timeout(CALL);
    request
}

/// Proves: whichever replica is asked, a bad request has the same code, and the right word on whether
/// anything was applied.
#[tokio::test(flavor = "multi_thread")]
async fn every_replica_refuses_a_bad_request_alike() -> anyhow::Result<()> {
    let mut system = System::start().await?;
    horizon_moves(&mut system).await?;
    let used = draw_txn();
    let first = system
        .client
        .transaction()
        .id(used)
        .at("orders", put("k", 1));
    first.commit().await?;
    for who in replicas() {
        let mut client = TransactionsClient::new(channel(&system, &who)?);
        for (at, (request, code, applied)) in cases(used).into_iter().enumerate() {
            let answer = client.commit(timed(request)).await;
            refused(answer, code, applied).with_context(|| format!("case {at} at {who}"))?;
        }
        let txn = Bytes::from_static(b"short");
        let (outcome, decide) = (v1::OutcomeRequest { txn, decide: true }, Code::Malformed);
        let none = Applied::NotApplied;
        refused(client.outcome(timed(outcome)).await, decide, none)?;
        let abort = timed(v1::AbortRequest::default());
        refused(client.abort(abort).await, Code::Malformed, none)?;
        let describe = timed(v1::DescribeRequest::default());
        refused(client.describe(describe).await, Code::Malformed, none)?;
    }
    system.commits().await
}

/// Proves: what is larger than any request may be is not taken in, by nobody, and is refused with a code;
/// nothing is applied, and who was asked lives.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_beyond_all_bounds_is_not_read() -> anyhow::Result<()> {
    let system = System::start().await?;
    let (code, none) = (Code::RequestTooLarge, Applied::NotApplied);
    for who in replicas() {
        let mut client = TransactionsClient::new(channel(&system, &who)?);
        let request = commit(draw_txn(), vec![part("orders", 40 << 20)]);
        refused(client.commit(timed(request)).await, code, none)?;
        let frame = |number, bytes| v1::CommitFrame {
            commits: vec![v1::NumberedCommit {
                number,
                request: Some(commit(draw_txn(), vec![part("orders", bytes)])),
                timeout_millis: 0,
            }],
        };
        let frames = futures::stream::iter([frame(1, 1), frame(2, 40 << 20), frame(3, 1)]);
        let answers = client.commit_many(timed(frames)).await?;
        let mut answers = answers.into_inner();
        let first = answers.message().await?.context("no answer")?.answers;
        ensure!(first.len() == 1 && first[0].number == 1, "{first:?}");
        refused(answers.message().await, code, none)?;
        let name = "x".repeat(40 << 20);
        let register = v1::RegisterRequest {
            name: name.clone(),
            ..v1::RegisterRequest::default()
        };
        let mut client = ParticipantsClient::new(channel(&system, &who)?);
        refused(client.register(timed(register)).await, code, none)?;
        let join = v1::JoinRequest {
            cluster: name,
            ..v1::JoinRequest::default()
        };
        let mut client = ClusterClient::new(channel(&system, &who)?);
        refused(client.join(timed(join)).await, code, none)?;
    }
    let mut client = KeyValueClient::new(channel(&system, &orders())?);
    let get = v1::GetRequest {
        keys: vec![Bytes::from(vec![0; 40 << 20])],
    };
    refused(client.get(timed(get)).await, code, none)?;
    system.commits().await
}

/// Proves: operations that a participant cannot carry out are its NO, with a stable word: nothing is
/// applied anywhere, and the other participant, which could, is free again.
#[tokio::test(flavor = "multi_thread")]
async fn operations_that_mean_nothing_are_voted_down() -> anyhow::Result<()> {
    let system = System::start().await?;
    let [orders, stock] = PARTICIPANTS;
    let set = |value: i64| {
        let put = put("edge", value);
        system.client.transaction().at(stock, put).commit()
    };
    // Version 2 of the operations, and operations that are none.
    let versions: [&'static [u8]; 4] = [&[0x08, 0x02], &[0xff; 9], &[0x12, 0x05, 1], &[]];
    let mut cases: Vec<(i64, Part, &str)> = Vec::new();
    for bytes in versions {
        cases.push((0, payload(bytes), "malformed"));
    }
    cases.push((0, Part::from(put("a", "v".repeat(1_100_000))), "too-large"));
    cases.push((0, Part::from(put("k".repeat(5_000), 1)), "too-large"));
    cases.push((i64::MAX, Part::from(add("edge", 1)), "overflow"));
    cases.push((i64::MIN, Part::from(add("edge", -1)), "overflow"));
    cases.push((i64::MAX, Part::from(add("edge", i64::MAX)), "overflow"));
    cases.push((5, Part::from(add("edge", -6).min(0)), "minimum"));
    cases.push((5, Part::from(add("edge", 6).max(10)), "maximum"));
    for (value, part, word) in cases {
        set(value).await?;
        let described = format!("{part:?}").chars().take(80).collect::<String>();
        let order = system.client.transaction().at(orders, put("other", 1));
        match order.at(stock, part).commit().await {
            Err(CommitError::Aborted { cause, .. }) if cause.word() == word => {
                ensure!(cause.participant() == Some(stock), "{described}: {cause}");
                ensure!(!cause.is_retryable(), "{described}: {cause}");
            }
            other => bail!("{described}: {other:?}"),
        }
        let left = system.value(stock, "edge").await?;
        ensure!(left == Some(value.into()), "{described} left {left:?}");
    }
    ensure!(system.value(orders, "other").await?.is_none());
    system.commits().await
}
