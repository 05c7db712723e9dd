//! The participant's port: the peer service, the resource's own services, health and reflection.

use std::time::Duration;

use futures::TryStreamExt as _;
use tokio_util::sync::CancellationToken;
use tonic::server::NamedService;
use tonic::service::RoutesBuilder;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};
use triumvir_wire::Connection;
use triumvir_wire::v1::peers_server::PeersServer;

use crate::coded::Coded;
use crate::error::{RunError, StartError};
use crate::peers::PeerService;

const KEEPALIVE: Duration = Duration::from_secs(10);

/// What is served beside the peer service.
pub(crate) struct Services {
    routes: RoutesBuilder,
    names: Vec<&'static str>,
    health: HealthReporter,
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Services")
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

impl Services {
    /// Adds health and reflection to `routes`.
    pub(crate) async fn new(
        mut routes: RoutesBuilder,
        names: Vec<&'static str>,
    ) -> Result<Self, StartError> {
        let health = HealthReporter::new();
        // As a whole it is ready once it has registered.
        health
            .set_service_status("", ServingStatus::NotServing)
            .await;
        routes.add_service(HealthServer::new(HealthService::from_health_reporter(
            health.clone(),
        )));
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(triumvir_wire::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1()?;
        routes.add_service(reflection);
        Ok(Self {
            routes,
            names,
            health,
        })
    }

    pub(crate) fn health(&self) -> HealthReporter {
        self.health.clone()
    }
}

/// Serves until `stop`, then gives connections `close_max` to end.
pub(crate) async fn serve(
    services: Services,
    peers: PeersServer<PeerService>,
    incoming: TcpIncoming,
    stop: CancellationToken,
    close_max: Duration,
) -> RunError {
    let Services {
        mut routes,
        mut names,
        health,
    } = services;
    routes.add_service(Coded::new(peers));
    names.push(<PeersServer<PeerService> as NamedService>::NAME);
    for name in names {
        health
            .set_service_status(name, ServingStatus::Serving)
            .await;
    }
    let serve = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .add_routes(routes.routes())
        .serve_with_incoming_shutdown(incoming.map_ok(Connection::http2), stop.cancelled());
    let closed = async {
        stop.cancelled().await;
        tokio::time::sleep(close_max).await;
    };
    tokio::select! {
        served = serve => RunError::Serve(served.err()),
        () = closed => RunError::Serve(None),
    }
}
