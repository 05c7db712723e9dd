//! What the tests share: participants in temporary folders, transactions, and waiting for conditions.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::Channel;
use triumvir_participant::{
    Config, DataFolder, KvConfig, KvResource, Network, Resource, RunError, Runtime, Timers,
};
use triumvir_protocol::{Mode, ParticipantId, Payload, Request, Terms, TxnId, Work};
use triumvir_wire::v1;
use triumvir_wire::v1::key_value_client::KeyValueClient;
use triumvir_wire::v1::kv_operation::Kind;

/// Far longer than anything takes; only a test that fails waits for it.
const DEADLINE: Duration = Duration::from_secs(60);

/// The result of `future`, which comes.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future)
        .await
        .expect("it comes in time")
}

/// The settings of participant `name` with short times.
pub(crate) fn config(name: &str, data: &Path, coordinator: SocketAddr) -> Config {
    let millis = Duration::from_millis;
    Config {
        name: name.to_owned(),
        cluster: "test".to_owned(),
        coordinators: vec![coordinator.to_string()],
        data: data.to_owned(),
        timers: Timers {
            inquire: millis(100),
            fence: millis(250),
            fence_rank: millis(100),
            finish: millis(100),
            repeat_max: millis(500),
            ..Timers::default()
        },
        network: Network {
            reconnect_max: millis(200),
            ..Network::default()
        },
        ..Config::default()
    }
}

/// A participant that runs.
pub(crate) struct Node {
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), RunError>>,
}

impl Node {
    /// A key-value participant.
    pub(crate) async fn start(config: Config) -> Self {
        Self::start_kv(config, KvConfig::default()).await
    }

    pub(crate) async fn start_kv(config: Config, kv: KvConfig) -> Self {
        let folder = DataFolder::open(&config).unwrap();
        let resource = KvResource::new(&folder, kv);
        let reads = resource.service();
        let builder = Runtime::builder(config, folder, resource).serve(reads);
        Self::run(builder.build().await.unwrap())
    }

    /// A participant with a resource of the test's own.
    pub(crate) async fn start_with(
        config: Config,
        make: impl FnOnce(&DataFolder) -> Box<dyn Erased>,
    ) -> Self {
        let folder = DataFolder::open(&config).unwrap();
        let resource = make(&folder);
        resource.start(config, folder).await
    }

    pub(crate) fn run<R: Resource>(runtime: Runtime<R>) -> Self {
        let address = runtime.local_addr();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(runtime.run(async {
            // A dropped handle does not stop it.
            if stopped.await.is_err() {
                std::future::pending::<()>().await;
            }
        }));
        Self {
            address,
            stop,
            task,
        }
    }

    /// Stops it in order.
    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        within(self.task).await.unwrap().unwrap();
    }

    /// Waits until it stops by itself, and says why.
    pub(crate) async fn end(self) -> RunError {
        within(self.task).await.unwrap().unwrap_err()
    }

    pub(crate) async fn reads(&self) -> KeyValueClient<Channel> {
        KeyValueClient::connect(format!("http://{}", self.address))
            .await
            .unwrap()
    }

    /// The committed values under `keys`.
    pub(crate) async fn get(&self, keys: &[&str]) -> Vec<Option<i64>> {
        let keys = keys
            .iter()
            .map(|key| Bytes::copy_from_slice(key.as_bytes()))
            .collect();
        let response = self
            .reads()
            .await
            .get(v1::GetRequest { keys })
            .await
            .unwrap();
        response
            .into_inner()
            .values
            .into_iter()
            .map(|result| result.value.map(integer))
            .collect()
    }

    /// The locks that are held: key, and whether exclusively.
    pub(crate) async fn locks(&self) -> Vec<(String, bool)> {
        let response = self.reads().await.locks(v1::LocksRequest {}).await.unwrap();
        let locks = response.into_inner().locks.into_iter();
        locks
            .map(|lock| {
                (
                    String::from_utf8(lock.key.to_vec()).unwrap(),
                    lock.exclusive,
                )
            })
            .collect()
    }

    /// Waits until no lock is held.
    pub(crate) async fn unlocked(&self) {
        let free = async {
            while !self.locks().await.is_empty() {
                tokio::task::yield_now().await;
            }
        };
        within(free).await;
    }
}

/// A resource of any type.
pub(crate) trait Erased {
    fn start(
        self: Box<Self>,
        config: Config,
        folder: DataFolder,
    ) -> std::pin::Pin<Box<dyn Future<Output = Node>>>;
}

impl<R: Resource> Erased for R {
    fn start(
        self: Box<Self>,
        config: Config,
        folder: DataFolder,
    ) -> std::pin::Pin<Box<dyn Future<Output = Node>>> {
        Box::pin(async move {
            Node::run(
                Runtime::builder(config, folder, *self)
                    .build()
                    .await
                    .unwrap(),
            )
        })
    }
}

pub(crate) fn integer(value: v1::KvValue) -> i64 {
    match value.kind {
        Some(v1::kv_value::Kind::Integer(number)) => number,
        other => panic!("{other:?} is no integer"),
    }
}

/// The newest transaction id so far.
pub(crate) fn txn() -> TxnId {
    static LAST: AtomicU64 = AtomicU64::new(1_000);
    TxnId::at_millis(LAST.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn op(key: &str, kind: Kind) -> v1::KvOperation {
    v1::KvOperation {
        key: Bytes::copy_from_slice(key.as_bytes()),
        kind: Some(kind),
    }
}

pub(crate) fn put(key: &str, number: i64) -> v1::KvOperation {
    let kind = Some(v1::kv_value::Kind::Integer(number));
    op(key, Kind::Put(v1::KvValue { kind }))
}

pub(crate) fn add(key: &str, delta: i64) -> v1::KvOperation {
    op(
        key,
        Kind::Add(v1::KvAdd {
            delta,
            min: Some(0),
            max: None,
        }),
    )
}

pub(crate) fn get(key: &str) -> v1::KvOperation {
    op(key, Kind::Get(v1::KvGet {}))
}

pub(crate) fn payload(operations: &[v1::KvOperation]) -> Payload {
    v1::KvOperations {
        version: 1,
        operations: operations.to_vec(),
    }
    .encode_to_vec()
    .into()
}

pub(crate) fn results(results: &Payload) -> Vec<Option<i64>> {
    let results = v1::KvResults::decode(&**results).unwrap();
    assert_eq!(results.version, 1);
    results
        .results
        .into_iter()
        .map(|result| result.value.map(integer))
        .collect()
}

/// A transaction of some parts.
pub(crate) struct Job {
    pub(crate) txn: TxnId,
    pub(crate) terms: Terms,
    parts: Vec<(ParticipantId, Work)>,
}

impl Job {
    pub(crate) fn new(parts: &[(ParticipantId, Payload)]) -> Self {
        let work = |(id, payload): &(ParticipantId, Payload)| (*id, Work::Payload(payload.clone()));
        let parts: Vec<_> = parts.iter().map(work).collect();
        let terms = Terms::of(Mode::ThreePhase, &parts).unwrap();
        Self {
            txn: txn(),
            terms,
            parts,
        }
    }

    pub(crate) fn one(id: ParticipantId, operations: &[v1::KvOperation]) -> Self {
        Self::new(&[(id, payload(operations))])
    }

    pub(crate) fn can_commit(&self, id: ParticipantId) -> Request {
        let work = self
            .parts
            .iter()
            .find(|part| part.0 == id)
            .map(|part| part.1.clone());
        Request::CanCommit {
            terms: self.terms.clone(),
            work,
            age: self.txn,
        }
    }
}

/// A copy of a data folder as a crash at this moment would leave it.
pub(crate) fn crash_image(data: &Path) -> tempfile::TempDir {
    let image = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(data).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), image.path().join(entry.file_name())).unwrap();
    }
    image
}
