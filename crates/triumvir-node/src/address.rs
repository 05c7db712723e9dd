//! The sockets that a replica is reached by.

use std::net::SocketAddr;

use tokio::net::TcpListener;

use crate::{Config, NodeError};

/// Sockets that are bound and accept connections as soon as the replica runs.
#[derive(Debug)]
pub struct Listeners {
    /// For gRPC: clients, participants, replicas.
    pub grpc: TcpListener,
    /// For metrics and health.
    pub http: TcpListener,
}

impl Listeners {
    /// Binds the addresses of `config`.
    ///
    /// # Errors
    ///
    /// [`NodeError::Listen`] when an address cannot be bound.
    pub async fn bind(config: &Config) -> Result<Self, NodeError> {
        Ok(Self {
            grpc: bind(config.listen).await?,
            http: bind(config.http_listen).await?,
        })
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, NodeError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| NodeError::Listen { address, source })
}
