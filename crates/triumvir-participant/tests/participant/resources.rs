//! Resources that fail: what is decided is carried out all the same, and what is not durable is never
//! said.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use triumvir_participant::{
    BranchId, Payload, Prepared, Recovered, Refusal, Resource, ResourceError, RunError,
    StorageError, TxnId, Write,
};
use triumvir_protocol::{Answer, NoReason, Request};

use crate::coordinator::Fake;
use crate::support::*;

/// Votes YES on everything and fails as it is told.
#[derive(Default)]
struct Failing {
    /// How many calls of commit are to fail.
    commits: Arc<AtomicUsize>,
    /// Whether its write fails.
    write: bool,
    /// How many bytes it returns.
    results: usize,
    /// How many branches it was told to undo.
    aborts: Arc<AtomicUsize>,
}

impl Resource for Failing {
    async fn recover(&self, live: Vec<Recovered>) -> Result<Option<Write>, ResourceError> {
        assert!(live.is_empty());
        Ok(None)
    }

    async fn prepare(&self, _: BranchId, _: Payload) -> Result<Prepared, Refusal> {
        let fails = self.write;
        let write = Write::new(0, move |_| match fails {
            true => Err(StorageError::Corrupted("the resource's table".to_owned())),
            false => Ok(()),
        });
        Ok(Prepared::Yes {
            results: vec![0; self.results].into(),
            write: Some(write),
        })
    }

    async fn commit(&self, _: TxnId) -> Result<Option<Write>, ResourceError> {
        let before = self
            .commits
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            });
        match before {
            Ok(_) => Err(ResourceError::new("not now")),
            Err(_) => Ok(None),
        }
    }

    async fn abort(&self, _: TxnId) -> Result<Option<Write>, ResourceError> {
        self.aborts.fetch_add(1, Ordering::SeqCst);
        Ok(None)
    }
}

#[tokio::test]
async fn a_commit_that_fails_is_repeated_until_it_succeeds() {
    let (fake, data) = (Fake::start().await, tempfile::tempdir().unwrap());
    let commits = Arc::new(AtomicUsize::new(2));
    let resource = Failing {
        commits: commits.clone(),
        ..Failing::default()
    };
    let config = config("failing", data.path(), fake.address);
    let node = Node::start_with(config, |_| Box::new(resource)).await;
    let id = fake.session("failing").await;
    let job = Job::new(&[(id, Payload::from([]))]);
    fake.say(id, job.txn, job.terms.digest, job.can_commit(id));
    assert!(matches!(fake.answer(id, job.txn).await, Answer::Yes { .. }));
    fake.say(id, job.txn, job.terms.digest, Request::DoCommit);
    assert!(matches!(
        fake.answer(id, job.txn).await,
        Answer::Committed { .. }
    ));
    assert_eq!(commits.load(Ordering::SeqCst), 0);
    node.stop().await;
}

#[tokio::test]
async fn a_force_that_fails_stops_the_process_before_anything_is_said() {
    let (fake, data) = (Fake::start().await, tempfile::tempdir().unwrap());
    let resource = Failing {
        write: true,
        ..Failing::default()
    };
    let config = config("failing", data.path(), fake.address);
    let node = Node::start_with(config, |_| Box::new(resource)).await;
    let id = fake.session("failing").await;
    let job = Job::new(&[(id, Payload::from([]))]);
    fake.say(id, job.txn, job.terms.digest, job.can_commit(id));
    assert!(matches!(node.end().await, RunError::Storage(_)));
    assert!(fake.is_silent(job.txn));
}

#[tokio::test]
async fn results_that_no_message_could_carry_are_refused_and_undone() {
    let (fake, data) = (Fake::start().await, tempfile::tempdir().unwrap());
    let aborts = Arc::new(AtomicUsize::new(0));
    let resource = Failing {
        results: triumvir_wire::limits::PAYLOAD_BYTES_MAX + 1,
        aborts: aborts.clone(),
        // Nothing of it must be written.
        write: true,
        ..Failing::default()
    };
    let config = config("failing", data.path(), fake.address);
    let node = Node::start_with(config, |_| Box::new(resource)).await;
    let id = fake.session("failing").await;
    let job = Job::new(&[(id, Payload::from([]))]);
    fake.say(id, job.txn, job.terms.digest, job.can_commit(id));
    let answer = fake.answer(id, job.txn).await;
    let Answer::No {
        reason: NoReason::Resource {
            code, retryable, ..
        },
    } = answer
    else {
        panic!("{answer:?}")
    };
    assert_eq!((&*code, retryable), ("results-too-large", false));
    let undone = async {
        while aborts.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
    };
    within(undone).await;
    node.stop().await;
    assert_eq!(aborts.load(Ordering::SeqCst), 1);
}
