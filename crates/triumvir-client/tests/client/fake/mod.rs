//! A coordinator that does as a test tells it: what it is asked is kept, what it answers is scripted.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};
use triumvir_client::{Code, Failure};
use triumvir_wire::v1;
use triumvir_wire::v1::transactions_server::{Transactions, TransactionsServer};

/// How the fake reacts to a commit.
pub(crate) enum Reaction {
    Commit,
    Abort(v1::AbortCause),
    Fail(Failure),
    /// A status without our metadata, as a proxy would send it.
    Foreign(tonic::Code),
    /// An answer that is none.
    Rubbish,
    Never,
}

type Script = dyn Fn(usize, &v1::CommitRequest) -> Reaction + Send + Sync;

/// A running fake. It stops with the test's runtime.
pub(crate) struct Fake {
    pub(crate) address: String,
    asked: Arc<Mutex<Vec<v1::CommitRequest>>>,
}

impl Fake {
    /// Starts one that answers the n-th commit (from 0) by the script.
    pub(crate) async fn start(
        script: impl Fn(usize, &v1::CommitRequest) -> Reaction + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let service = Service {
            asked: Arc::clone(&asked),
            script: Box::new(script),
        };
        let server = Server::builder().add_service(TransactionsServer::new(service));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        Self {
            address: address.to_string(),
            asked,
        }
    }

    /// The commits that it was asked for.
    pub(crate) fn asked(&self) -> Vec<v1::CommitRequest> {
        self.asked.lock().unwrap().clone()
    }
}

/// A NO of a resource.
pub(crate) fn no(participant: &str, code: &str, retryable: bool) -> v1::AbortCause {
    v1::AbortCause {
        kind: v1::abort_cause::Kind::No as i32,
        participant: participant.to_owned(),
        no: Some(v1::NoVote {
            kind: v1::no_vote::Kind::Resource as i32,
            code: code.to_owned(),
            detail: "as the script says".to_owned(),
            retryable,
        }),
        text: String::new(),
    }
}

/// The failure of a follower that names the leader.
pub(crate) fn not_leading(leader: &str) -> Reaction {
    Reaction::Fail(Failure::from(Code::NoLeader).with_leader(Some(leader)))
}

struct Service {
    asked: Arc<Mutex<Vec<v1::CommitRequest>>>,
    script: Box<Script>,
}

type Events = Pin<Box<dyn tokio_stream::Stream<Item = Result<v1::WatchEvent, Status>> + Send>>;

#[tonic::async_trait]
impl Transactions for Service {
    async fn commit(
        &self,
        request: Request<v1::CommitRequest>,
    ) -> Result<Response<v1::CommitResponse>, Status> {
        assert!(
            request.metadata().contains_key("grpc-timeout"),
            "every call has a deadline"
        );
        let request = request.into_inner();
        let at = {
            let mut asked = self.asked.lock().unwrap();
            asked.push(request.clone());
            asked.len() - 1
        };
        let (decision, cause) = match (self.script)(at, &request) {
            Reaction::Commit => (v1::Decision::Commit, None),
            Reaction::Abort(cause) => (v1::Decision::Abort, Some(cause)),
            Reaction::Fail(failure) => return Err(failure.into()),
            Reaction::Foreign(code) => return Err(Status::new(code, "from a proxy")),
            Reaction::Rubbish => return Ok(Response::new(v1::CommitResponse::default())),
            Reaction::Never => std::future::pending().await,
        };
        Ok(Response::new(v1::CommitResponse {
            txn: request.txn,
            outcome: Some(v1::Outcome {
                decision: decision as i32,
                cause,
            }),
            results: vec![part_result()],
        }))
    }

    async fn outcome(
        &self,
        request: Request<v1::OutcomeRequest>,
    ) -> Result<Response<v1::OutcomeResponse>, Status> {
        let v1::OutcomeRequest { txn, decide } = request.into_inner();
        let decided = v1::Outcome {
            decision: v1::Decision::Abort as i32,
            cause: None,
        };
        let state = if decide {
            v1::State::Ended
        } else {
            v1::State::NoRecord
        };
        let outcome = decide.then_some(decided);
        Ok(Response::new(v1::OutcomeResponse {
            txn,
            state: state as i32,
            outcome,
        }))
    }

    async fn describe(
        &self,
        _: Request<v1::DescribeRequest>,
    ) -> Result<Response<v1::TransactionDescription>, Status> {
        std::future::pending().await
    }

    async fn list(
        &self,
        _: Request<v1::ListRequest>,
    ) -> Result<Response<v1::ListResponse>, Status> {
        Ok(Response::new(v1::ListResponse::default()))
    }

    async fn abort(
        &self,
        _: Request<v1::AbortRequest>,
    ) -> Result<Response<v1::OutcomeResponse>, Status> {
        Err(Status::aborted("not in the script"))
    }

    type WatchStream = Events;

    /// One event for each stream, then the stream ends.
    async fn watch(
        &self,
        _: Request<v1::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let event = v1::WatchEvent {
            txn: Bytes::from_static(&[7; 16]),
            outcome: Some(v1::Outcome {
                decision: v1::Decision::Commit as i32,
                cause: None,
            }),
            at_micros: 1,
            missed: 0,
        };
        Ok(Response::new(Box::pin(tokio_stream::iter([Ok(event)]))))
    }
}

/// What a key-value participant answers to an add and a put.
fn part_result() -> v1::PartResult {
    use prost::Message as _;
    let sum = v1::KvValue {
        kind: Some(v1::kv_value::Kind::Integer(3)),
    };
    let results = vec![
        v1::KvResult { value: Some(sum) },
        v1::KvResult { value: None },
    ];
    let results = v1::KvResults {
        version: 1,
        results,
    }
    .encode_to_vec()
    .into();
    v1::PartResult {
        participant: "inventory".to_owned(),
        results,
    }
}
