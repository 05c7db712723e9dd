//! A replica with its folder, its server and the owner of its state, and a cluster of them.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use triumvir_replication::{Config, MachineEvent, Member, Replica};
use triumvir_storage::{Database, Limits, Options, Writer};

use crate::link::Link;

/// Long enough for any machine; only a test that hangs ever waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

/// An address at which nobody answers.
const NOWHERE: &str = "127.0.0.1:1";

/// Fails the test when `wait` never ends.
pub(crate) async fn within<T>(wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, wait)
        .await
        .expect("the condition never held")
}

/// Waits for a condition that has no notification.
pub(crate) async fn eventually(holds: impl Fn() -> bool) {
    within(async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// The disk id of a node's first disk.
pub(crate) fn disk(id: u64) -> u128 {
    0xD15C_0000 + u128::from(id)
}

type Tune = fn(&mut Config);

pub(crate) struct Node {
    pub(crate) id: u64,
    pub(crate) address: String,
    pub(crate) replica: Replica,
    folder: TempDir,
    tune: Tune,
    writer: Writer,
    state: watch::Receiver<Vec<String>>,
    refused: Arc<AtomicU64>,
    stop_server: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

impl Node {
    pub(crate) async fn start(id: u64, tune: Tune) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), id, disk(id), tune).await
    }

    async fn start_in(folder: TempDir, id: u64, disk: u128, tune: Tune) -> Self {
        let database = Database::open(folder.path(), &Options::default()).unwrap();
        let writer = Writer::start(&database, Limits::default());
        let (events, inbox) = mpsc::channel(64);
        let (sender, state) = watch::channel(Vec::new());
        tokio::spawn(own(inbox, sender));
        let mut config = Config::new("test", id, disk);
        tune(&mut config);
        let replica = Replica::start(config, &database, &writer, events)
            .await
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (stop_server, stopped) = oneshot::channel::<()>();
        let refused = Arc::new(AtomicU64::new(0));
        let service = Counting {
            inner: replica.service(),
            refused: refused.clone(),
        };
        let server = tokio::spawn(async move {
            let serve = Server::builder()
                .add_service(service)
                .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
            // As when a process dies: connections are dropped, not drained.
            tokio::select! {
                served = serve => served.unwrap(),
                _ = stopped => {}
            }
        });
        // The writer's thread and this test hold the database; the replica does not.
        drop(database);
        Self {
            id,
            address,
            replica,
            folder,
            tune,
            writer,
            state,
            refused,
            stop_server,
            server,
        }
    }

    pub(crate) fn state(&self) -> Vec<String> {
        self.state.borrow().clone()
    }

    /// Waits until `count` proposals are applied here.
    pub(crate) async fn applied(&self, count: usize) {
        let mut state = self.state.clone();
        within(state.wait_for(|state| state.len() >= count))
            .await
            .unwrap();
    }

    /// How many requests this replica has refused.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::SeqCst)
    }

    pub(crate) async fn stop(self) -> TempDir {
        let _ = self.stop_server.send(());
        self.server.await.unwrap();
        self.replica.shutdown().await;
        let writer = self.writer.clone();
        tokio::task::spawn_blocking(move || writer.shutdown())
            .await
            .unwrap();
        self.folder
    }
}

/// Owns a state that is the list of everything applied.
async fn own(mut inbox: mpsc::Receiver<MachineEvent>, state: watch::Sender<Vec<String>>) {
    while let Some(event) = inbox.recv().await {
        match event {
            MachineEvent::Apply { entries, done } => {
                let texts = entries.into_iter().map(|entry| text(&entry.data));
                state.send_modify(|state| state.extend(texts));
                let _ = done.send(());
            }
            MachineEvent::Snapshot { reply } => {
                let _ = reply.send(Bytes::from(state.borrow().join(" ")));
            }
            MachineEvent::Install {
                state: installed,
                done,
                ..
            } => {
                let texts = text(&installed).split(' ').map(str::to_owned).collect();
                state.send_replace(texts);
                let _ = done.send(());
            }
        }
    }
}

fn text(data: &[u8]) -> String {
    String::from_utf8(data.to_vec()).unwrap()
}

/// Counts the answers of a service that are refusals.
#[derive(Clone)]
struct Counting<S> {
    inner: S,
    refused: Arc<AtomicU64>,
}

impl<S: tonic::server::NamedService> tonic::server::NamedService for Counting<S> {
    const NAME: &'static str = S::NAME;
}

impl<S, B> tonic::codegen::Service<tonic::codegen::http::Request<B>> for Counting<S>
where
    S: tonic::codegen::Service<
            tonic::codegen::http::Request<B>,
            Response = tonic::codegen::http::Response<tonic::body::Body>,
        >,
    S::Future: Send + 'static,
    S::Error: Send,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = futures::future::BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(
        &mut self,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: tonic::codegen::http::Request<B>) -> Self::Future {
        let refused = self.refused.clone();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await?;
            let failed_precondition = (tonic::Code::FailedPrecondition as i32).to_string();
            if answer
                .headers()
                .get("grpc-status")
                .is_some_and(|code| code.as_bytes() == failed_precondition.as_bytes())
            {
                refused.fetch_add(1, Ordering::SeqCst);
            }
            Ok(answer)
        })
    }
}

pub(crate) struct Cluster {
    nodes: BTreeMap<u64, Node>,
    stopped: BTreeMap<u64, (TempDir, Tune)>,
    /// Nodes that run on a disk that nobody knows.
    strangers: Vec<u64>,
    /// The network, from and to.
    links: BTreeMap<(u64, u64), Link>,
}

impl Cluster {
    /// Starts and forms a cluster of `size` replicas.
    pub(crate) async fn start(size: u64, tune: Tune) -> Self {
        let (nodes, stopped, links) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut cluster = Self {
            nodes,
            stopped,
            strangers: Vec::new(),
            links,
        };
        for id in 1..=size {
            cluster.add(Node::start(id, tune).await).await;
        }
        let members = cluster.nodes().map(|node| {
            assert_eq!(node.replica.node(), node.id);
            (
                node.id,
                Member {
                    address: node.address.clone(),
                    disk: disk(node.id),
                },
            )
        });
        let members: BTreeMap<_, _> = members.collect();
        for node in cluster.nodes() {
            assert!(node.replica.is_pristine().await.unwrap());
        }
        cluster.node(1).replica.initialize(members).await.unwrap();
        cluster
    }

    pub(crate) fn node(&self, id: u64) -> &Node {
        &self.nodes[&id]
    }

    pub(crate) fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = u64> {
        self.nodes.keys().copied()
    }

    pub(crate) fn other_than(&self, id: u64) -> u64 {
        self.ids().find(|other| *other != id).unwrap()
    }

    /// Waits until somebody that runs leads and everybody that runs, but strangers, knows.
    pub(crate) async fn leader(&self) -> u64 {
        within(async {
            loop {
                let members = self
                    .nodes()
                    .filter(|node| !self.strangers.contains(&node.id));
                let mut known = members.map(|node| {
                    let leadership = *node.replica.leadership().borrow();
                    leadership
                        .leader
                        .filter(|leader| *leader != node.id || leadership.me_leader)
                });
                let first = known.next().unwrap();
                if let Some(leader) = first
                    && self.nodes.contains_key(&leader)
                    && known.all(|other| other == first)
                {
                    return leader;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
    }

    pub(crate) async fn stop(&mut self, id: u64) {
        let node = self.nodes.remove(&id).unwrap();
        let tune = node.tune;
        self.stopped.insert(id, (node.stop().await, tune));
    }

    /// Starts a stopped node on its disk. It listens at another port, so the others are told.
    pub(crate) async fn restart(&mut self, id: u64) {
        let (folder, tune) = self.stopped.remove(&id).unwrap();
        self.add(Node::start_in(folder, id, disk(id), tune).await)
            .await;
    }

    /// Starts a stopped node on an empty disk.
    pub(crate) async fn wipe(&mut self, id: u64) {
        let (folder, tune) = self.stopped.remove(&id).unwrap();
        drop(folder);
        let fresh = tempfile::tempdir().unwrap();
        self.strangers.push(id);
        self.add(Node::start_in(fresh, id, disk(id) << 32, tune).await)
            .await;
    }

    /// Connects a running node with all others.
    pub(crate) async fn add(&mut self, node: Node) {
        self.nodes.insert(node.id, node);
        self.heal().await;
    }

    /// Cuts both directions between two nodes.
    pub(crate) fn cut(&mut self, one: u64, other: u64) {
        for (from, to) in [(one, other), (other, one)] {
            self.nodes[&from].replica.override_address(to, NOWHERE);
            self.links.remove(&(from, to));
        }
    }

    /// Lets everybody reach everybody.
    pub(crate) async fn heal(&mut self) {
        let ids: Vec<u64> = self.ids().collect();
        self.connect(&ids).await;
    }

    /// Lets two nodes reach each other that were cut.
    pub(crate) async fn mend(&mut self, one: u64, other: u64) {
        self.connect(&[one, other]).await;
    }

    /// Lets these reach each other.
    async fn connect(&mut self, ids: &[u64]) {
        let pairs = ids
            .iter()
            .flat_map(|from| ids.iter().map(move |to| (*from, *to)));
        for (from, to) in pairs {
            let target = &self.nodes[&to].address;
            let open = self
                .links
                .get(&(from, to))
                .is_some_and(|link| link.target == *target);
            if from == to || open {
                continue;
            }
            let link = Link::open(target).await;
            self.links.insert((from, to), link);
        }
        for ((from, to), link) in &self.links {
            if let Some(node) = self.nodes.get(from) {
                node.replica.override_address(*to, link.address.clone());
            }
        }
    }

    pub(crate) async fn shutdown(self) {
        for node in self.nodes.into_values() {
            node.stop().await;
        }
    }
}
