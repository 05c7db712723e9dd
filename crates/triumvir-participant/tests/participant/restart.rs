//! What was acknowledged stands after a crash: branches, changes and locks.

use triumvir_protocol::{Answer, Ballot, Request, Value};

use crate::coordinator::Fake;
use crate::support::*;

#[tokio::test]
async fn votes_changes_and_locks_survive_a_crash() {
    let (fake, data) = (Fake::start().await, tempfile::tempdir().unwrap());
    let node = Node::start(config("orders", data.path(), fake.address)).await;
    let id = fake.session("orders").await;
    let yes = Job::one(id, &[put("a", 1), get("b")]);
    let read = Job::one(id, &[get("c")]);
    let told = Job::one(id, &[put("d", 4)]);
    let done = Job::one(id, &[put("e", 5)]);
    let say = |job: &Job, request| fake.say(id, job.txn, job.terms.digest, request);
    for job in [&yes, &read, &told, &done] {
        say(job, job.can_commit(id));
        assert!(!matches!(fake.answer(id, job.txn).await, Answer::No { .. }));
    }
    say(&done, Request::DoCommit);
    assert!(matches!(
        fake.answer(id, done.txn).await,
        Answer::Committed { .. }
    ));
    let (ballot, value) = (Ballot::ZERO, Value::Commit);
    say(&told, Request::Accept { ballot, value });
    assert_eq!(fake.answer(id, told.txn).await, Answer::Ack { ballot });

    // As after kill -9 at this moment: nothing that was said so far may be lost.
    let image = crash_image(data.path());
    node.stop().await;
    fake.gone(id).await;
    let node = Node::start(config("orders", image.path(), fake.address)).await;
    assert_eq!(fake.session("orders").await, id);
    let lock = |key: &str, exclusive| (key.to_owned(), exclusive);
    let locks = node.locks().await;
    assert!(
        locks.starts_with(&[lock("a", true), lock("b", false), lock("c", false)]),
        "{locks:?}"
    );
    assert_eq!(node.get(&["e"]).await, [Some(5)]);

    say(&yes, yes.can_commit(id));
    let Answer::Yes { results: again } = fake.answer(id, yes.txn).await else {
        panic!()
    };
    assert_eq!(results(&again), [None, None]);
    say(&done, done.can_commit(id));
    let answer = fake.answer(id, done.txn).await;
    assert!(
        matches!(answer, Answer::Committed { results: Some(_) }),
        "{answer:?}"
    );
    say(&read, Request::DoCommit);
    for job in [&yes, &told] {
        say(job, Request::DoCommit);
        while !matches!(fake.answer(id, job.txn).await, Answer::Committed { .. }) {}
    }
    node.unlocked().await;
    assert_eq!(node.get(&["a", "d"]).await, [Some(1), Some(4)]);
    node.stop().await;
}

#[tokio::test]
async fn an_abort_and_a_refusal_survive_a_crash() {
    let (fake, data) = (Fake::start().await, tempfile::tempdir().unwrap());
    let node = Node::start(config("orders", data.path(), fake.address)).await;
    let id = fake.session("orders").await;
    let aborted = Job::one(id, &[put("a", 1)]);
    let never = Job::one(id, &[put("a", 2)]);
    let say = |job: &Job, request| fake.say(id, job.txn, job.terms.digest, request);
    say(&aborted, aborted.can_commit(id));
    fake.answer(id, aborted.txn).await;
    say(&aborted, Request::Abort);
    assert_eq!(fake.answer(id, aborted.txn).await, Answer::Aborted);
    say(&never, Request::Abort);
    assert!(matches!(
        fake.answer(id, never.txn).await,
        Answer::No { .. }
    ));

    let image = crash_image(data.path());
    node.stop().await;
    fake.gone(id).await;
    let node = Node::start(config("orders", image.path(), fake.address)).await;
    fake.session("orders").await;
    assert_eq!(node.locks().await, []);
    say(&aborted, aborted.can_commit(id));
    assert_eq!(fake.answer(id, aborted.txn).await, Answer::Aborted);
    say(&never, never.can_commit(id));
    assert!(matches!(
        fake.answer(id, never.txn).await,
        Answer::No { .. }
    ));
    node.stop().await;
}
