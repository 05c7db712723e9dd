//! Wait-die through the runtime: who waits, who dies, and for how long.

use std::time::Duration;

use triumvir_participant::KvConfig;
use triumvir_protocol::{Answer, NoReason, Request};

use crate::coordinator::Fake;
use crate::support::*;

fn refusal(answer: Answer) -> (String, bool) {
    match answer {
        Answer::No {
            reason: NoReason::Resource {
                code, retryable, ..
            },
        } => (code.to_string(), retryable),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_younger_dies_and_the_older_waits() {
    let (fake, data) = (Fake::start().await, tempfile::tempdir().unwrap());
    let kv = KvConfig {
        lock_wait: Duration::from_secs(50),
        ..KvConfig::default()
    };
    let node = Node::start_kv(config("stock", data.path(), fake.address), kv).await;
    let id = fake.session("stock").await;
    let [oldest, middle, youngest] = [1, 2, 3].map(|delta| Job::one(id, &[add("a", delta)]));
    let say = |job: &Job, request| fake.say(id, job.txn, job.terms.digest, request);

    say(&middle, middle.can_commit(id));
    assert!(matches!(
        fake.answer(id, middle.txn).await,
        Answer::Yes { .. }
    ));
    say(&oldest, oldest.can_commit(id));
    say(&youngest, youngest.can_commit(id));
    assert_eq!(
        refusal(fake.answer(id, youngest.txn).await),
        ("conflict".to_owned(), true)
    );
    assert!(fake.is_silent(oldest.txn));

    say(&middle, Request::DoCommit);
    let Answer::Yes { results: sum } = fake.answer(id, oldest.txn).await else {
        panic!()
    };
    assert_eq!(results(&sum), [Some(3)]);
    say(&oldest, Request::DoCommit);
    assert!(matches!(
        fake.answer(id, oldest.txn).await,
        Answer::Committed { .. }
    ));
    assert_eq!(node.get(&["a"]).await, [Some(3)]);

    // The retry under a new id with the old age is older than what began after its first attempt.
    let [newer, retry] = [4, 5].map(|delta| Job::one(id, &[add("a", delta)]));
    say(&newer, newer.can_commit(id));
    assert!(matches!(
        fake.answer(id, newer.txn).await,
        Answer::Yes { .. }
    ));
    let Request::CanCommit { terms, work, .. } = retry.can_commit(id) else {
        unreachable!()
    };
    say(
        &retry,
        Request::CanCommit {
            terms,
            work,
            age: youngest.txn,
        },
    );
    say(&newer, Request::Abort);
    let Answer::Yes { results: sum } = fake.answer(id, retry.txn).await else {
        panic!()
    };
    assert_eq!(results(&sum), [Some(8)]);
    node.stop().await;
}

#[tokio::test]
async fn a_wait_is_bounded_and_ends_at_once_when_nobody_wants_it() {
    let (fake, data) = (Fake::start().await, tempfile::tempdir().unwrap());
    let kv = KvConfig {
        lock_wait: Duration::from_millis(20),
        ..KvConfig::default()
    };
    let node = Node::start_kv(config("stock", data.path(), fake.address), kv).await;
    let id = fake.session("stock").await;
    let [older, unwanted, holder] = [1, 2, 3].map(|delta| Job::one(id, &[add("a", delta)]));
    let say = |job: &Job, request| fake.say(id, job.txn, job.terms.digest, request);
    say(&holder, holder.can_commit(id));
    assert!(matches!(
        fake.answer(id, holder.txn).await,
        Answer::Yes { .. }
    ));
    say(&older, older.can_commit(id));
    assert_eq!(
        refusal(fake.answer(id, older.txn).await),
        ("busy".to_owned(), true)
    );

    say(&unwanted, unwanted.can_commit(id));
    say(&unwanted, Request::Abort);
    let overtaken = Answer::No {
        reason: NoReason::Overtaken,
    };
    assert_eq!(fake.answer(id, unwanted.txn).await, overtaken);
    say(&holder, Request::Abort);
    assert_eq!(fake.answer(id, holder.txn).await, Answer::Aborted);
    node.unlocked().await;
    node.stop().await;
}
