//! A service of this crate as the port serves it: what it refuses has a code, even where gRPC refuses
//! before it is asked. Not for services of others, whose refusals mean what their authors say.

use std::convert::Infallible;
use std::task::{Context, Poll};

use tonic::body::Body;
use tonic::codegen::Service;
use tonic::codegen::http::{Request, Response};
use tonic::server::NamedService;
use tower::util::MapResponse;
use triumvir_wire::status::name_oversize;

type Name = fn(Response<Body>) -> Response<Body>;

/// A service under its own name whose refusal of a message that is too large has a code.
#[derive(Clone, Debug)]
pub(crate) struct Coded<S>(MapResponse<S, Name>);

impl<S> Coded<S> {
    /// `service` says `OUT_OF_RANGE` without a code of ours for no other reason.
    pub(crate) fn new(service: S) -> Self {
        Self(MapResponse::new(service, name_oversize as Name))
    }
}

impl<S> Service<Request<Body>> for Coded<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = <MapResponse<S, Name> as Service<Request<Body>>>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.0.call(request)
    }
}

impl<S: NamedService> NamedService for Coded<S> {
    const NAME: &'static str = S::NAME;
}
