//! The runtime: puts the parts together at the start, and takes them apart at the end. What they do is
//! in their own rooms.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::RoutesBuilder;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;
use triumvir_protocol::{Incarnation, Participant, ParticipantId, Rules};
use triumvir_storage::{Limits, Writer};

use crate::Write;
use crate::config::Config;
use crate::directory::Directory;
use crate::driver::Driver;
use crate::error::{RunError, StartError};
use crate::folder::DataFolder;
use crate::member::{Input, Member};
use crate::outbox::Outbox;
use crate::peers::{self, Hub, PeerCommand, PeerService};
use crate::register::{Registration, register};
use crate::replicas::Replicas;
use crate::resource::Resource;
use crate::{server, session};

/// How long connections may take to close at the end.
const CLOSE_MAX: Duration = Duration::from_secs(1);

/// Puts a participant together: [`Runtime::builder`].
#[derive(Debug)]
pub struct Builder<R> {
    config: Config,
    folder: DataFolder,
    resource: R,
    routes: RoutesBuilder,
    names: Vec<&'static str>,
}

/// A participant that is ready to run: its resource has taken back every live branch, and its port is
/// open. Nothing is answered before [`run`](Self::run).
#[derive(Debug)]
pub struct Runtime<R> {
    member: Arc<Member>,
    resource: Arc<R>,
    folder: DataFolder,
    writer: Writer,
    listener: TcpListener,
    local: SocketAddr,
    services: server::Services,
    inbox: mpsc::Receiver<Input>,
    commands: mpsc::Receiver<PeerCommand>,
    hub: mpsc::Sender<PeerCommand>,
}

impl<R: Resource> Builder<R> {
    /// Serves one more gRPC service on the participant's port, beside the peer service, health and
    /// reflection.
    #[must_use]
    pub fn serve<S>(mut self, service: S) -> Self
    where
        S: tonic::codegen::Service<
                tonic::codegen::http::Request<tonic::body::Body>,
                Response = tonic::codegen::http::Response<tonic::body::Body>,
                Error = std::convert::Infallible,
            > + tonic::server::NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        self.names.push(S::NAME);
        self.routes.add_service(service);
        self
    }

    /// Lets the resource recover and opens the port.
    ///
    /// # Errors
    ///
    /// See [`StartError`].
    pub async fn build(self) -> Result<Runtime<R>, StartError> {
        let Self {
            config,
            folder,
            resource,
            routes,
            names,
        } = self;
        let live = folder.live();
        let count = live.len();
        let tidy = resource
            .recover(live)
            .await
            .map_err(|source| StartError::Recover {
                live: count,
                source,
            })?;
        if count > 0 {
            tracing::info!(
                live = count,
                "the resource has taken back its live branches"
            );
        }
        let listen = config.listen;
        let wrong = |source| StartError::Listen { listen, source };
        let listener = TcpListener::bind(listen).await.map_err(wrong)?;
        let local = listener.local_addr().map_err(wrong)?;
        let advertise = config
            .advertise
            .clone()
            .unwrap_or_else(|| local.to_string());
        let services = server::Services::new(routes, names).await?;
        let writer = Writer::start(&folder.database, Limits::default());
        if let Some(write) = tidy {
            submit(&writer, write);
        }
        let (hub, commands) = mpsc::channel(peers::COMMANDS_MAX);
        let (sender, inbox) = mpsc::channel(config.limits.inbox_frames_max);
        let directory = Directory::new(
            config.peer_addresses.clone(),
            folder.journal.directory.clone(),
            writer.clone(),
        );
        let member = Arc::new(Member {
            disk: folder.disk,
            advertise,
            directory: Arc::new(directory),
            replicas: Replicas::new(
                config.coordinators.clone(),
                folder.journal.coordinators.clone(),
                writer.clone(),
            ),
            outbox: Arc::new(Outbox::new(hub.clone())),
            inbox: sender,
            config,
        });
        let resource = Arc::new(resource);
        Ok(Runtime {
            member,
            resource,
            folder,
            writer,
            listener,
            local,
            services,
            inbox,
            commands,
            hub,
        })
    }
}

impl<R: Resource> Runtime<R> {
    /// Begins with a participant of `config` on its opened folder.
    pub fn builder(config: Config, folder: DataFolder, resource: R) -> Builder<R> {
        Builder {
            config,
            folder,
            resource,
            routes: RoutesBuilder::default(),
            names: Vec::new(),
        }
    }

    /// The address that is listened on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Takes part in transactions until `shutdown` resolves, or until it must not go on.
    ///
    /// A folder that never registered waits for the cluster. One that has its id serves its peers at
    /// once and ends branches in doubt together with them, even if no coordinator is left; it takes
    /// new work, and says anything about transactions that its journal does not know, once it has
    /// registered this start.
    ///
    /// On return everything that was submitted is on disk and the folder is released. Branches that
    /// are not ended stand in it for the next start.
    ///
    /// # Errors
    ///
    /// See [`RunError`]. Another start does not help before the cause is gone, except after a crash of
    /// the disk's doing.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), RunError> {
        let writer = self.writer.clone();
        let (failure, failed) = oneshot::channel();
        writer.on_failure(|error| {
            // Nobody listens any more when the process is about to stop.
            let _ = failure.send(error);
        });
        let mut running = Running::default();
        let ended = tokio::select! {
            // It is told first, and the others then end for it: the reason is the disk.
            biased;
            Ok(error) = failed => Err(error.into()),
            () = shutdown => Ok(()),
            error = self.take_part(&mut running) => Err(error),
        };
        tracing::info!("stopping");
        running.end().await;
        if let Err(error) = tokio::task::spawn_blocking(move || writer.shutdown()).await {
            tracing::error!(%error, "the journal could not be closed");
        }
        ended
    }

    /// Starts everything, and returns when something has ended that must not.
    async fn take_part(self, running: &mut Running) -> RunError {
        let stored = self.folder.journal.registration;
        let nonce = self.folder.journal.nonce;
        let (member, writer) = (self.member.clone(), self.writer.clone());
        let health = self.services.health();
        let mut known = None;
        let (id, incarnation) = match stored {
            Some(stored) => stored,
            None => match register(&member, &writer, None, nonce).await {
                Ok(registration) => {
                    known = Some(registration);
                    (registration.id, registration.incarnation)
                }
                Err(error) => return error,
            },
        };
        self.spawn(id, incarnation, running);
        running.tasks.spawn(async move {
            let registered: Result<Registration, RunError> = match known {
                Some(registration) => Ok(registration),
                None => register(&member, &writer, stored, nonce).await,
            };
            match registered {
                Ok(registration) => {
                    // The owner of the branches is gone only when the process is about to stop.
                    let _ = member.inbox.send(Input::Registered).await;
                    health.set_service_status("", ServingStatus::Serving).await;
                    session::keep_all(member, registration).await
                }
                Err(error) => error,
            }
        });
        match running.tasks.join_next().await {
            Some(Ok(error)) => error,
            Some(Err(error)) => RunError::Panicked(error.to_string()),
            None => RunError::Panicked("no task is left".to_owned()),
        }
    }

    /// Starts what needs the id: the owner of the branches, the peers' hub and the server.
    fn spawn(self, id: ParticipantId, incarnation: Incarnation, running: &mut Running) {
        let Self {
            member,
            resource,
            folder,
            writer,
            listener,
            local,
            services,
            inbox,
            commands,
            hub,
        } = self;
        let journal = folder.journal;
        let participant = Participant::restore(
            Rules::default(),
            id,
            incarnation,
            journal.horizon,
            journal.branches,
        );
        let outbox = member.outbox.clone();
        let driver = Driver::new(participant, resource, &member.config, writer, outbox, inbox);
        let Running {
            stop,
            tasks,
            server: tracker,
        } = running;
        let token = stop.clone();
        tasks.spawn(async move {
            driver.run(token).await;
            RunError::Panicked("the owner of the branches has stopped".to_owned())
        });
        let peer_hub = Hub::new(id, member.clone(), commands);
        tasks.spawn(async move {
            peer_hub.run().await;
            RunError::Panicked("the hub of the peers has stopped".to_owned())
        });
        tracing::info!(name = member.config.name, %id, listen = %local, "serving");
        let peers = PeerService::server(id, member, hub);
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let token = stop.clone();
        // Not one of `tasks`, so that its connections may close when those are gone.
        let server = tracker.spawn(server::serve(services, peers, incoming, token, CLOSE_MAX));
        tasks.spawn(async move { server.await.unwrap_or_else(|_| RunError::Serve(None)) });
    }
}

/// What has been started.
#[derive(Default)]
struct Running {
    stop: CancellationToken,
    tasks: JoinSet<RunError>,
    server: TaskTracker,
}

impl Running {
    /// Ends all of it; on return nothing of it is left but connections that take too long to close.
    async fn end(mut self) {
        self.stop.cancel();
        self.tasks.shutdown().await;
        self.server.close();
        self.server.wait().await;
    }
}

/// Makes a resource's own write durable, with no record beside it.
fn submit(writer: &Writer, write: Write) {
    let size = write.size_bytes();
    let (apply, durable) = write.into_parts();
    writer.submit(size, apply, |forced| {
        if let (Ok(()), Some(durable)) = (forced, durable) {
            durable();
        }
    });
}
