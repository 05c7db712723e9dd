//! The HTTP port: metrics, and the two questions of an orchestrator.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::Listener;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::{TcpListener, TcpStream};
use triumvir_wire::Connection;

use crate::shared::Shared;

/// How many log entries a replica that is ready may lack.
const LAG_READY_MAX: u64 = 1000;

#[derive(Clone)]
struct Http {
    shared: Arc<Shared>,
    metrics: Option<PrometheusHandle>,
}

/// Takes connections, and keeps none that is silent.
struct Attended(TcpListener);

impl Listener for Attended {
    type Io = Connection<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        (Connection::http1(stream), address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// Serves `routes` until `end`, and ends every connection on which nothing was heard for ninety seconds.
///
/// # Errors
///
/// The listener is of no use any more.
pub async fn serve(
    listener: TcpListener,
    routes: Router,
    end: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    axum::serve(Attended(listener), routes)
        .with_graceful_shutdown(end)
        .await
}

/// The routes of one replica.
pub(crate) fn routes(shared: Arc<Shared>, metrics: Option<PrometheusHandle>) -> Router {
    Router::new()
        .route("/metrics", get(render))
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(ready))
        .with_state(Http { shared, metrics })
}

async fn render(State(http): State<Http>) -> Response {
    match http.metrics {
        Some(handle) => {
            handle.run_upkeep();
            (
                [("content-type", "text/plain; version=0.0.4")],
                handle.render(),
            )
                .into_response()
        }
        None => (
            StatusCode::SERVICE_UNAVAILABLE,
            "another recorder has the metrics\n",
        )
            .into_response(),
    }
}

async fn ready(State(http): State<Http>) -> Response {
    match unready(&http.shared) {
        None => "ready\n".into_response(),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

/// Why this replica is not of use yet, or no longer.
pub(crate) fn unready(shared: &Shared) -> Option<&'static str> {
    if shared.shutdown.is_draining() {
        return Some("the replica is about to stop");
    }
    let Some(replica) = shared.replica.get() else {
        return Some("replication does not run yet: the members have not been heard");
    };
    let status = replica.status();
    let view = shared.view.borrow();
    if status.stopped.is_some() {
        return Some("replication has stopped");
    }
    if status.leadership.leader.is_none() {
        return Some("no leader is known");
    }
    if status.leadership.me_leader && view.leading.is_none() {
        return Some("this replica is about to lead");
    }
    let committed = status.committed_index.unwrap_or(0);
    if status.applied_index.unwrap_or(0) + LAG_READY_MAX < committed {
        return Some("the log is not applied yet");
    }
    None
}
