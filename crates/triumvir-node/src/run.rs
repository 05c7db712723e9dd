//! Starting a replica, keeping it up, and ending it. The order matters: the data folder's identity
//! before anything, Identify before Raft, the owner before replication; and at the end the reverse.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::TryStreamExt as _;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tower::util::MapResponseLayer;
use triumvir_replication::{MachineEvent, Replica, ReplicationService, is_pristine};
use triumvir_storage::{Database, Limits, Options, WriteError, Writer};
use triumvir_wire::status::name_oversize;
use triumvir_wire::v1::cluster_server::ClusterServer;
use triumvir_wire::v1::participants_server::ParticipantsServer;
use triumvir_wire::v1::replication_server::ReplicationServer;
use triumvir_wire::v1::transactions_server::TransactionsServer;
use triumvir_wire::{Connection, DESCRIPTORS, limits};

use crate::bootstrap::Admission;
use crate::channels::Channels;
use crate::owner::{self, Input, Owner};
use crate::service::{ClusterService, Late, ParticipantsService, TransactionsService};
use crate::shared::Shared;
use crate::view::View;
use crate::{
    Config, Listeners, NodeError, Shutdown, bootstrap, drain, horizon, http, removal, telemetry,
};

/// Messages that may wait for the owner; senders wait when it is full.
const INBOX_MAX: usize = 8192;
/// Replication's events that may wait for the owner.
const MACHINE_MAX: usize = 64;
/// Outcomes that a watcher may be behind before it misses some.
const WATCH_MAX: usize = 4096;
/// How long calls and connections may take to end once the replica has drained.
const LINGER: Duration = Duration::from_secs(2);
/// How often it is looked at whether replication still runs.
const CHECK_EVERY: Duration = Duration::from_millis(500);

type Replication = Late<ReplicationServer<ReplicationService>>;

/// Runs one replica until it is asked to stop. Ok: it has stopped in order, or at once when it was
/// asked to a second time.
///
/// # Errors
///
/// [`NodeError`]: it could not be started, or had to stop.
pub async fn run(config: Config, shutdown: Shutdown) -> Result<(), NodeError> {
    config.check()?;
    let listeners = Listeners::bind(&config).await?;
    run_on(config, listeners, shutdown).await
}

/// As [`run`], on sockets that are bound already, whatever the configuration says of addresses to
/// listen on.
///
/// # Errors
///
/// As for [`run`].
pub async fn run_on(
    config: Config,
    listeners: Listeners,
    shutdown: Shutdown,
) -> Result<(), NodeError> {
    config.check()?;
    let handle = telemetry::install();
    let (database, disk, had_state) = open(&config).await?;
    let writer = Writer::start(&database, Limits::default());
    let (failed, mut write_failed) = oneshot::channel();
    writer.on_failure(move |error| drop(failed.send(error)));
    let (mut node, machine) = Node::new(config, disk, had_state, shutdown.clone());
    let replication = node.serve(listeners, handle);
    let shared = node.shared.clone();
    // Until Raft runs there is nothing to drain.
    let start = start(shared, &replication, machine, &database, &writer);
    let started = tokio::select! {
        // It is told first, and replication then ends for it: the reason is the disk.
        biased;
        Ok(error) = &mut write_failed => Err(error.into()),
        started = start => started.map(|()| true),
        ended = ended(&mut node.servers) => ended.map(|()| true),
        () = shutdown.draining() => Ok(false),
    };
    let result = match started {
        Ok(true) => node.supervise(write_failed).await,
        Ok(false) => Ok(()),
        Err(error) => Err(error),
    };
    node.end().await;
    drop(database);
    // Blocks for the last commit at most.
    let _ = tokio::task::spawn_blocking(move || writer.shutdown()).await;
    result
}

async fn open(config: &Config) -> Result<(Database, triumvir_protocol::DiskId, bool), NodeError> {
    let config = config.clone();
    let opened = tokio::task::spawn_blocking(move || {
        let database = Database::open(&config.data, &Options::default())?;
        let disk = bootstrap::claim(&database, &config)?;
        let had_state = !is_pristine(&database)?;
        Ok((database, disk, had_state))
    });
    opened.await.map_err(|error| NodeError::Task {
        name: "storage",
        reason: error.to_string(),
    })?
}

/// A replica on its way.
struct Node {
    shared: Arc<Shared>,
    owner: JoinHandle<Result<(), NodeError>>,
    servers: JoinSet<Result<(), NodeError>>,
    /// Given when the servers shall end.
    ending: CancellationToken,
    shutdown: Shutdown,
}

impl Node {
    fn new(
        config: Config,
        disk: triumvir_protocol::DiskId,
        had_state: bool,
        shutdown: Shutdown,
    ) -> (Self, mpsc::Sender<MachineEvent>) {
        let config = Arc::new(config);
        let (inbox, inbox_receiver) = mpsc::channel(INBOX_MAX);
        let (machine, machine_receiver) = mpsc::channel(MACHINE_MAX);
        let (view, view_receiver) = watch::channel(View::default());
        let (learnt, _) = broadcast::channel(WATCH_MAX);
        let channels = owner::Channels {
            machine: machine_receiver,
            inbox: inbox_receiver,
            view,
            learnt: learnt.clone(),
        };
        let owner = Owner::new(config.clone(), channels, shutdown.clone());
        let shared = Arc::new(Shared {
            channels: Channels::new(config.raft.connect_timeout),
            calls: TaskTracker::new(),
            config,
            disk,
            had_state,
            inbox,
            view: view_receiver,
            learnt,
            shutdown: shutdown.clone(),
            replica: OnceLock::new(),
        });
        // Its rounds are bounded by themselves, and it yields between them.
        let owner = tokio::spawn(tokio::task::unconstrained(owner.run()));
        let (servers, ending) = (JoinSet::new(), CancellationToken::new());
        (
            Self {
                shared,
                owner,
                servers,
                ending,
                shutdown,
            },
            machine,
        )
    }

    /// Starts the servers of both ports.
    fn serve(
        &mut self,
        listeners: Listeners,
        metrics: Option<metrics_exporter_prometheus::PrometheusHandle>,
    ) -> Replication {
        let replication = Replication::new();
        let grpc = grpc(
            self.shared.clone(),
            replication.clone(),
            listeners.grpc,
            &self.ending,
        );
        self.servers.spawn(grpc);
        let routes = http::routes(self.shared.clone(), metrics);
        let ending = self.ending.clone();
        self.servers.spawn(async move {
            let end = async move { ending.cancelled().await };
            http::serve(listeners.http, routes, end)
                .await
                .map_err(|error| NodeError::Server {
                    name: "HTTP",
                    source: error.into(),
                })
        });
        replication
    }

    /// Waits until the replica shall end, and drains it, or until something breaks.
    async fn supervise(
        &mut self,
        write_failed: oneshot::Receiver<WriteError>,
    ) -> Result<(), NodeError> {
        let (shutdown, shared) = (self.shutdown.clone(), self.shared.clone());
        let orderly = async {
            shutdown.draining().await;
            tokio::select! {
                () = drain::drain(&shared) => {}
                () = shutdown.stopping() => tracing::warn!("stopping at once"),
            }
        };
        tokio::select! {
            // It is told first, and the others then end for it: the reason is the disk.
            biased;
            Ok(error) = write_failed => Err(error.into()),
            () = orderly => Ok(()),
            ended = ended(&mut self.servers) => ended,
            ended = &mut self.owner => match ended {
                Ok(Ok(())) => Err(task("owner", "replication let go of it")),
                Ok(Err(error)) => Err(error),
                Err(error) => Err(task("owner", &error.to_string())),
            },
            error = stopped(&self.shared) => Err(error),
            error = removal::removed(&self.shared) => Err(error),
        }
    }

    /// Ends everything; none of it takes long.
    async fn end(mut self) {
        self.ending.cancel();
        let at_once = self.shutdown.clone();
        let ended = async { while self.servers.join_next().await.is_some() {} };
        tokio::select! {
            _ = timeout(LINGER, ended) => {}
            () = at_once.stopping() => {}
        }
        self.servers.shutdown().await;
        if let Some(replica) = self.shared.replica.get() {
            let _ = timeout(LINGER, replica.shutdown()).await;
        }
        // Its channel to replication is closed by now; if not, nothing depends on it any more.
        if !self.owner.is_finished() && timeout(LINGER, &mut self.owner).await.is_err() {
            self.owner.abort();
        }
    }
}

/// Starts replication, once it is certain that this replica may vote.
async fn start(
    shared: Arc<Shared>,
    replication: &Replication,
    machine: mpsc::Sender<MachineEvent>,
    database: &Database,
    writer: &Writer,
) -> Result<(), NodeError> {
    let admission = match shared.had_state {
        true => Admission::Member,
        false if shared.config.join => {
            bootstrap::join(&shared).await?;
            Admission::Member
        }
        false => bootstrap::admission(&shared).await?,
    };
    let config = shared.config.replication(shared.disk.0);
    let replica = Replica::start(config, database, writer, machine).await?;
    if let Some(member) = replica.members().member(shared.config.node)
        && member.disk != 0
        && member.disk != shared.disk.0
    {
        replica.shutdown().await;
        return Err(NodeError::WipedDisk {
            node: shared.config.node,
            witness: "this folder's own log".to_owned(),
            known: triumvir_protocol::DiskId(member.disk),
            found: shared.disk,
        });
    }
    replication.set(replica.service());
    let _ = shared.replica.set(replica.clone());
    let _ = shared.inbox.send(Input::Started(replica.clone())).await;
    tokio::spawn(horizon::run(shared.clone()));
    if let Admission::Founder(members) = admission {
        bootstrap::found(&replica, members).await?;
    }
    Ok(())
}

fn task(name: &'static str, reason: &str) -> NodeError {
    NodeError::Task {
        name,
        reason: reason.to_owned(),
    }
}

/// Waits until a server ends, which none does by itself.
async fn ended(servers: &mut JoinSet<Result<(), NodeError>>) -> Result<(), NodeError> {
    match servers.join_next().await {
        Some(Ok(result)) => result.and(Err(task("server", "it ended by itself"))),
        Some(Err(error)) => Err(task("server", &error.to_string())),
        None => std::future::pending().await,
    }
}

/// Waits until replication has stopped by itself.
async fn stopped(shared: &Shared) -> NodeError {
    loop {
        tokio::time::sleep(CHECK_EVERY).await;
        if let Some(reason) = shared
            .replica
            .get()
            .and_then(|replica| replica.status().stopped)
        {
            return NodeError::Stopped(triumvir_replication::Stopped { reason });
        }
    }
}

/// The gRPC server.
fn grpc(
    shared: Arc<Shared>,
    replication: Replication,
    listener: tokio::net::TcpListener,
    ending: &CancellationToken,
) -> Pin<Box<dyn Future<Output = Result<(), NodeError>> + Send>> {
    let broken = |source| NodeError::Server {
        name: "gRPC",
        source,
    };
    let (health, health_service) = tonic_health::server::health_reporter();
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1();
    let transactions = TransactionsServer::new(TransactionsService::new(shared.clone()))
        .max_decoding_message_size(limits::REQUEST_BYTES_MAX * 2)
        .max_encoding_message_size(limits::RESPONSE_BYTES_MAX);
    let participants = ParticipantsServer::new(ParticipantsService::new(shared.clone()))
        .max_decoding_message_size(limits::FRAME_BYTES_MAX)
        .max_encoding_message_size(limits::FRAME_BYTES_MAX);
    let cluster = ClusterServer::new(ClusterService::new(shared.clone()));
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let ending = ending.clone();
    Box::pin(async move {
        let reflection = reflection.map_err(|error| broken(error.into()))?;
        let watched = ending.clone();
        tokio::spawn(async move { watched.run_until_cancelled(report(shared, health)).await });
        Server::builder()
            .http2_keepalive_interval(Some(Duration::from_secs(5)))
            .http2_keepalive_timeout(Some(Duration::from_secs(5)))
            .initial_stream_window_size(4 << 20)
            .initial_connection_window_size(16 << 20)
            .layer(MapResponseLayer::new(name_oversize))
            .add_service(health_service)
            .add_service(reflection)
            .add_service(transactions)
            .add_service(participants)
            .add_service(cluster)
            .add_service(replication)
            .serve_with_incoming_shutdown(incoming.map_ok(Connection::http2), async move {
                ending.cancelled().await
            })
            .await
            .map_err(|error| broken(error.into()))
    })
}

/// Keeps the standard health service in step with readiness.
async fn report(shared: Arc<Shared>, health: tonic_health::server::HealthReporter) {
    use tonic_health::ServingStatus;
    loop {
        let status = match http::unready(&shared) {
            None => ServingStatus::Serving,
            Some(_) => ServingStatus::NotServing,
        };
        health.set_service_status("", status).await;
        health
            .set_service_status("triumvir.v1.Transactions", status)
            .await;
        tokio::time::sleep(CHECK_EVERY).await;
    }
}
