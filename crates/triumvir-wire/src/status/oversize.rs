//! A message that is larger than any may be is refused by gRPC itself, before there is anything of
//! ours: its refusal is given our code here.

use tonic::codegen::http::Response;
use tonic::codegen::http::header::{HeaderMap, HeaderName, HeaderValue};

use super::{APPLIED_METADATA, CODE_METADATA, Code};

/// The header that has a status in it, in place of an answer.
const STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// Gives a response that says no more than that the request's message was too large to be read the
/// code [`Code::RequestTooLarge`]. Any other is left as it is. For Triumvir's own services, and those
/// that are served beside them at a replica: none of them says `OUT_OF_RANGE` for another reason.
/// Nobody else's, who may mean by it something that was half applied.
pub fn name_oversize<B>(mut response: Response<B>) -> Response<B> {
    if is_oversize(response.headers()) {
        let code = Code::RequestTooLarge;
        let headers = response.headers_mut();
        headers.insert(STATUS, HeaderValue::from(code.grpc() as i32));
        headers.insert(CODE_METADATA, HeaderValue::from_static(code.as_str()));
        let applied = code.applied().as_str();
        headers.insert(APPLIED_METADATA, HeaderValue::from_static(applied));
    }
    response
}

fn is_oversize(headers: &HeaderMap) -> bool {
    let Some(status) = headers.get(STATUS) else {
        return false;
    };
    tonic::Code::from_bytes(status.as_bytes()) == tonic::Code::OutOfRange
        && !headers.contains_key(CODE_METADATA)
}

#[cfg(test)]
mod tests {
    use tonic::Status;

    use super::*;
    use crate::{Applied, Failure};

    fn heard(status: Status) -> Failure {
        let response = name_oversize(status.into_http::<()>());
        let status = Status::from_header_map(response.headers());
        Failure::from_status(&status.expect("it has a status"))
    }

    #[test]
    fn what_grpc_does_not_read_has_a_code() {
        let failure = heard(Status::out_of_range("found 2 bytes, the limit is 1"));
        assert_eq!(failure.code, Code::RequestTooLarge);
        assert_eq!(failure.applied, Applied::NotApplied);
        assert_eq!(failure.detail, "found 2 bytes, the limit is 1");
    }

    #[test]
    fn what_has_a_code_keeps_it() {
        let failure = heard(Failure::from(Code::Busy).into());
        assert_eq!(failure.code, Code::Busy);
        let foreign = heard(Status::internal("no more"));
        assert_eq!(foreign.code, Code::Transport);
    }
}
