//! Services that somebody else serves on a participant's port: what they answer is theirs.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use bytes::Bytes;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::codegen::http::{Request, Response};
use tonic::server::NamedService;
use tonic::transport::Endpoint;
use tower::ServiceExt as _;
use triumvir_participant::{DataFolder, KvConfig, KvResource, Runtime};
use triumvir_wire::{Applied, Code, Failure, v1};

use crate::coordinator::Fake;
use crate::support::*;

/// What it says once it has done a part of what it was asked for.
const HALF: &str = "the second half is past the end";

/// A service that applies half of every call, and says so as gRPC says it of a bad position.
#[derive(Clone)]
struct Half;

impl Service<Request<Body>> for Half {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        ready(Ok(Status::out_of_range(HALF).into_http()))
    }
}

impl NamedService for Half {
    const NAME: &'static str = "test.Half";
}

/// Only our own services' refusals are given our word that nothing was applied.
#[tokio::test]
async fn what_a_foreign_service_refuses_is_not_said_to_be_not_applied() {
    let (fake, data) = (Fake::start().await, tempfile::tempdir().unwrap());
    let config = config("orders", data.path(), fake.address);
    let folder = DataFolder::open(&config).unwrap();
    let store = KvResource::new(&folder, KvConfig::default());
    let reads = store.service();
    let builder = Runtime::builder(config, folder, store)
        .serve(reads)
        .serve(Half);
    let node = Node::run(builder.build().await.unwrap());
    fake.session("orders").await;

    let address = format!("http://{}", node.address);
    let channel = Endpoint::from_shared(address).unwrap().connect_lazy();
    let call = Request::post("/test.Half/Call")
        .body(Body::empty())
        .unwrap();
    let response = within(channel.oneshot(call)).await.unwrap();
    let status = Status::from_header_map(response.headers()).unwrap();
    assert_eq!(status.code(), tonic::Code::OutOfRange);
    assert_eq!(status.message(), HALF);
    let failure = Failure::from_status(&status);
    assert_eq!(failure.applied, Applied::Unknown, "{status:?}");

    let keys = vec![Bytes::from(vec![0; 8 << 20])];
    let mut reads = node.reads().await;
    let refused = within(reads.get(v1::GetRequest { keys })).await;
    let failure = Failure::from_status(&refused.unwrap_err());
    assert_eq!(failure.code, Code::RequestTooLarge);
    assert_eq!(failure.applied, Applied::NotApplied);
    node.stop().await;
}
