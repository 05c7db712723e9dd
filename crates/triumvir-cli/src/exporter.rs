//! The HTTP port of a participant's process: its metrics, and whether it lives. A replica has its own
//! (`triumvir-node`); a service that links the runtime brings its own exporter.

use std::future::pending;
use std::net::SocketAddr;

use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::exit::Exit;
use crate::failure::Failure;

/// Serves `/metrics` and `/livez` on `address` while the process runs.
///
/// # Errors
///
/// The address cannot be listened on, or metrics are exported elsewhere.
pub(crate) async fn serve(address: SocketAddr) -> Result<(), Failure> {
    let recorder = triumvir_node::install_recorder()
        .ok_or_else(|| Failure::new(Exit::Internal, "metrics are exported already"))?;
    let listener = TcpListener::bind(address).await.map_err(|error| {
        Failure::new(
            Exit::Internal,
            format!("cannot listen on {address}: {error}"),
        )
        .next("stop what listens there, or choose another by --http-listen")
    })?;
    let metrics = async move || {
        recorder.run_upkeep();
        (
            [("content-type", "text/plain; version=0.0.4")],
            recorder.render(),
        )
    };
    let routes = Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(async || "alive\n"));
    tokio::spawn(async move {
        if let Err(error) = triumvir_node::serve_http(listener, routes, pending()).await {
            tracing::error!(%error, "the HTTP port has closed");
        }
    });
    Ok(())
}
