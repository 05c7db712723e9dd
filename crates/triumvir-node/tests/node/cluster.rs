//! Replicas for tests: started, stopped, drained and asked.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tonic::transport::Channel;
use tonic::{Request, Status};
use triumvir_node::{Config, InitialCluster, Listeners, NodeError, Shutdown, run_on};
use triumvir_wire::v1::cluster_client::ClusterClient;
use triumvir_wire::v1::transactions_client::TransactionsClient;
use triumvir_wire::{Failure, v1};
use uuid::Uuid;

/// How long a condition may take to come true. Generous: it is met in a fraction of it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Tries until there is something.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut attempt: impl FnMut() -> F,
) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = attempt().await {
            return found;
        }
        assert!(Instant::now() < until, "never came true: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// One replica.
pub(crate) struct Node {
    pub(crate) config: Config,
    pub(crate) http: SocketAddr,
    pub(crate) shutdown: Shutdown,
    running: Option<JoinHandle<Result<(), NodeError>>>,
}

/// Three of them.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    folder: TempDir,
}

pub(crate) async fn listener(address: &str) -> TcpListener {
    TcpListener::bind(address).await.unwrap()
}

impl Node {
    async fn start(config: Config, listeners: Listeners) -> Self {
        let (http, shutdown) = (listeners.http.local_addr().unwrap(), Shutdown::new());
        let running = tokio::spawn(run_on(config.clone(), listeners, shutdown.clone()));
        Self {
            config,
            http,
            shutdown,
            running: Some(running),
        }
    }

    pub(crate) fn address(&self) -> &str {
        &self.config.initial_cluster.members()[&self.config.node]
    }

    pub(crate) fn channel(&self) -> Channel {
        let uri = format!("http://{}", self.address());
        Channel::from_shared(uri).unwrap().connect_lazy()
    }

    pub(crate) fn transactions(&self) -> TransactionsClient<Channel> {
        TransactionsClient::new(self.channel())
    }

    pub(crate) async fn status(&self) -> Option<v1::StatusResponse> {
        let mut request = Request::new(v1::StatusRequest {});
        request.set_timeout(Duration::from_secs(2));
        let answer = ClusterClient::new(self.channel()).status(request).await;
        answer.ok().map(tonic::Response::into_inner)
    }

    /// Waits for the end of the replica.
    pub(crate) async fn ended(&mut self) -> Result<(), NodeError> {
        let running = self.running.take().expect("it was started");
        tokio::time::timeout(PATIENCE, running)
            .await
            .expect("it ends")
            .expect("no panic")
    }

    /// Stops it at once: no draining, no handing on.
    pub(crate) async fn stop(&mut self) {
        self.shutdown.stop();
        self.ended().await.unwrap();
    }

    /// Starts it again, with its folder or with `data`.
    pub(crate) async fn restart(&mut self, data: Option<PathBuf>) {
        let mut config = self.config.clone();
        config.data = data.unwrap_or(config.data);
        let listeners = Listeners {
            grpc: listener(self.address()).await,
            http: listener("127.0.0.1:0").await,
        };
        *self = Self::start(config, listeners).await;
    }
}

impl Cluster {
    /// Three replicas, with settings changed by `set`; waits until one leads.
    pub(crate) async fn start(set: impl Fn(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut sockets = Vec::new();
        for node in 1..=3_u64 {
            let grpc = listener("127.0.0.1:0").await;
            let http = listener("127.0.0.1:0").await;
            sockets.push((
                node,
                grpc.local_addr().unwrap().to_string(),
                Listeners { grpc, http },
            ));
        }
        let members = sockets
            .iter()
            .map(|(node, address, _)| (*node, address.clone()));
        let initial_cluster = InitialCluster::new(members).unwrap();
        let mut nodes = Vec::new();
        for (node, _, listeners) in sockets {
            let mut config = Config {
                cluster: "test".to_owned(),
                node,
                data: folder.path().join(node.to_string()),
                initial_cluster: initial_cluster.clone(),
                vote_timeout: Duration::from_secs(20),
                resend: Duration::from_millis(100),
                resend_max: Duration::from_millis(400),
                call_timeout: Duration::from_secs(30),
                ..Config::default()
            };
            set(&mut config);
            nodes.push(Node::start(config, listeners).await);
        }
        let cluster = Self { nodes, folder };
        cluster.leader().await;
        cluster
    }

    /// A path for another folder.
    pub(crate) fn spare(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The place of the replica that leads, as soon as one does by its own word.
    pub(crate) async fn leader(&self) -> usize {
        eventually("one leads", || async {
            for (place, node) in self.nodes.iter().enumerate() {
                if node.running.is_some()
                    && let Some(status) = node.status().await
                    && status.leader == Some(node.config.node)
                    && status.epoch > 0
                {
                    return Some(place);
                }
            }
            None
        })
        .await
    }

    /// The place of one that runs and does not lead.
    pub(crate) async fn follower(&self) -> usize {
        let leader = self.leader().await;
        let follows = |place: &usize| *place != leader && self.nodes[*place].running.is_some();
        (0..3).find(follows).unwrap()
    }
}

/// A fresh transaction id.
pub(crate) fn fresh() -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(Uuid::now_v7().as_bytes())
}

/// A request to commit, with one payload for all.
pub(crate) fn commit_request(names: &[&str], payload: &str) -> v1::CommitRequest {
    let part = |name: &&str| v1::Part {
        participant: (*name).to_owned(),
        work: Some(v1::Work {
            kind: Some(v1::work::Kind::Payload(payload.as_bytes().to_vec().into())),
        }),
    };
    v1::CommitRequest {
        txn: fresh(),
        first_attempt: bytes::Bytes::new(),
        mode: v1::Mode::ThreePhase.into(),
        parts: names.iter().map(part).collect(),
    }
}

/// Asks `node` to commit.
pub(crate) async fn commit(
    node: &Node,
    request: &v1::CommitRequest,
) -> Result<v1::CommitResponse, Failure> {
    let answer = node.transactions().commit(request.clone()).await;
    answer
        .map(tonic::Response::into_inner)
        .map_err(|status| failure(&status))
}

/// Asks `node` for the outcome.
pub(crate) async fn outcome(
    node: &Node,
    txn: &bytes::Bytes,
    decide: bool,
) -> Result<v1::OutcomeResponse, Failure> {
    let request = v1::OutcomeRequest {
        txn: txn.clone(),
        decide,
    };
    let answer = node.transactions().outcome(request).await;
    answer
        .map(tonic::Response::into_inner)
        .map_err(|status| failure(&status))
}

pub(crate) fn failure(status: &Status) -> Failure {
    Failure::from_status(status)
}

pub(crate) fn decision(outcome: Option<&v1::Outcome>) -> v1::Decision {
    outcome.map(v1::Outcome::decision).unwrap_or_default()
}

pub(crate) fn cause(outcome: Option<&v1::Outcome>) -> v1::abort_cause::Kind {
    outcome
        .and_then(|outcome| outcome.cause.as_ref())
        .map(|cause| cause.kind())
        .unwrap_or_default()
}
