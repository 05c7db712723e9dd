//! A service that is there before what it serves: the port answers Identify before Raft runs.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::server::NamedService;
use triumvir_wire::{Code, Failure};

/// Refuses calls until the service is set, then passes them on.
#[derive(Debug)]
pub(crate) struct Late<S> {
    service: Arc<OnceLock<S>>,
}

impl<S> Late<S> {
    pub(crate) fn new() -> Self {
        Self {
            service: Arc::default(),
        }
    }

    /// Sets the service, once.
    pub(crate) fn set(&self, service: S) {
        let _ = self.service.set(service);
    }
}

impl<S> Clone for Late<S> {
    fn clone(&self) -> Self {
        Self {
            service: self.service.clone(),
        }
    }
}

impl<S: NamedService> NamedService for Late<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<http::Request<Body>> for Late<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible> + Clone,
    S::Future: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        match self.service.get() {
            // Generated servers are always ready.
            Some(service) => Box::pin(service.clone().call(request)),
            None => {
                let refusal = Failure::new(Code::NoLeader, "replication does not run here yet");
                let status = tonic::Status::from(refusal);
                Box::pin(std::future::ready(Ok(status.into_http())))
            }
        }
    }
}
