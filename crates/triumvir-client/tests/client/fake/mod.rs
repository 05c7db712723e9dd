//! A coordinator that does as a test tells it: what it is asked is kept, what it answers is scripted.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{TcpListenerStream, UnboundedReceiverStream};
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};
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
            script: Arc::new(script),
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

#[derive(Clone)]
struct Service {
    asked: Arc<Mutex<Vec<v1::CommitRequest>>>,
    script: Arc<Script>,
}

type Stream<T> = Pin<Box<dyn tokio_stream::Stream<Item = Result<T, Status>> + Send>>;

impl Service {
    async fn react(&self, request: v1::CommitRequest) -> Result<v1::CommitResponse, Status> {
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
            Reaction::Rubbish => return Ok(v1::CommitResponse::default()),
            Reaction::Never => std::future::pending().await,
        };
        Ok(v1::CommitResponse {
            txn: request.txn,
            outcome: Some(v1::Outcome {
                decision: decision as i32,
                cause,
            }),
            results: vec![part_result()],
        })
    }

    /// A failure is an answer; a foreign status ends the stream, as a proxy's would.
    async fn answer(&self, commit: v1::NumberedCommit) -> Result<v1::CommitAnswers, Status> {
        use v1::numbered_answer::Result as Answered;
        assert!(commit.timeout_millis > 0, "every call has a deadline");
        let result = match self.react(commit.request.unwrap()).await {
            Ok(response) => Answered::Response(response),
            Err(status) if status.metadata().is_empty() => return Err(status),
            Err(status) => Answered::Refusal(Failure::from_status(&status).into()),
        };
        Ok(v1::CommitAnswers {
            answers: vec![v1::NumberedAnswer {
                number: commit.number,
                result: Some(result),
            }],
            leader: String::new(),
        })
    }
}

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
        Ok(Response::new(self.react(request.into_inner()).await?))
    }

    type CommitManyStream = Stream<v1::CommitAnswers>;

    async fn commit_many(
        &self,
        request: Request<Streaming<v1::CommitFrame>>,
    ) -> Result<Response<Self::CommitManyStream>, Status> {
        let (sender, answers) = mpsc::unbounded_channel();
        let (service, mut frames) = (self.clone(), request.into_inner());
        tokio::spawn(async move {
            while let Ok(Some(frame)) = frames.message().await {
                for commit in frame.commits {
                    let (service, sender) = (service.clone(), sender.clone());
                    // The test has ended where nobody listens.
                    let answer = async move { sender.send(service.answer(commit).await) };
                    tokio::spawn(answer);
                }
            }
        });
        let answers = UnboundedReceiverStream::new(answers);
        Ok(Response::new(Box::pin(answers)))
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

    type WatchStream = Stream<v1::WatchEvent>;

    /// One event and a gap for each stream, then the stream ends.
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
            ..v1::WatchEvent::default()
        };
        let gap = v1::WatchEvent {
            gap: true,
            ..v1::WatchEvent::default()
        };
        let events = [Ok(event), Ok(gap)];
        Ok(Response::new(Box::pin(tokio_stream::iter(events))))
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
