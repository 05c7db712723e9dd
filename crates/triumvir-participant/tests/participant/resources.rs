//! Resources that fail: what is decided is carried out all the same, and what is not durable is never
//! said.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use triumvir_participant::{
    BranchId, Payload, Prepared, Recovered, Refusal, Resource, ResourceError, RunError,
    StorageError, TxnId, Write,
};
use triumvir_protocol::{Answer, Request};

use crate::coordinator::Fake;
use crate::support::*;

/// Votes YES on everything and fails as it is told.
struct Failing {
    /// How many calls of commit are to fail.
    commits: Arc<AtomicUsize>,
    /// Whether its write fails.
    write: bool,
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
            results: Payload::from([]),
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
        Ok(None)
    }
}

#[tokio::test]
async fn a_commit_that_fails_is_repeated_until_it_succeeds() {
    let (fake, data) = (Fake::start().await, tempfile::tempdir().unwrap());
    let commits = Arc::new(AtomicUsize::new(2));
    let resource = Failing {
        commits: commits.clone(),
        write: false,
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
        commits: Arc::default(),
        write: true,
    };
    let config = config("failing", data.path(), fake.address);
    let node = Node::start_with(config, |_| Box::new(resource)).await;
    let id = fake.session("failing").await;
    let job = Job::new(&[(id, Payload::from([]))]);
    fake.say(id, job.txn, job.terms.digest, job.can_commit(id));
    assert!(matches!(node.end().await, RunError::Storage(_)));
    assert!(fake.is_silent(job.txn));
}
