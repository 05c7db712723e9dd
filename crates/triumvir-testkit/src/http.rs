//! One HTTP GET, for health checks and metrics.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

const TIMEOUT: Duration = Duration::from_secs(5);
const BODY_BYTES_MAX: usize = 16 << 20;

/// An answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The body as text.
    pub body: String,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The request could not be made or sent, or its answer could not be read.
    #[error("GET {uri} failed")]
    Failed {
        /// What was asked for.
        uri: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No whole answer came in time.
    #[error("GET {uri} took longer than {TIMEOUT:?}")]
    TimedOut {
        /// What was asked for.
        uri: String,
    },
}

/// Asks `address` for `path`, which begins with a slash. Takes five seconds at most.
///
/// # Errors
///
/// Nobody answered, the answer exceeds 16 MiB, or it took too long. A status code that says failure
/// is an answer.
pub async fn get(address: SocketAddr, path: &str) -> Result<Response, HttpError> {
    let uri = format!("http://{address}{path}");
    match tokio::time::timeout(TIMEOUT, request(&uri)).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(source)) => Err(HttpError::Failed { uri, source }),
        Err(_) => Err(HttpError::TimedOut { uri }),
    }
}

async fn request(uri: &str) -> Result<Response, Box<dyn std::error::Error + Send + Sync>> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let response = client.get(uri.parse()?).await?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), BODY_BYTES_MAX);
    let bytes = body.collect().await?.to_bytes();
    Ok(Response {
        status,
        body: String::from_utf8_lossy(&bytes).into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn an_answer_has_its_status_and_its_body() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let read = stream.read(&mut request).await.unwrap();
            let answer = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nwait";
            stream.write_all(answer).await.unwrap();
            request.truncate(read);
            String::from_utf8(request).unwrap()
        });
        let response = get(address, "/readyz").await.unwrap();
        assert_eq!((response.status, response.body.as_str()), (503, "wait"));
        assert!(
            server
                .await
                .unwrap()
                .starts_with("GET /readyz HTTP/1.1\r\n")
        );
    }

    #[tokio::test]
    async fn nobody_listening_is_an_error_that_names_the_address() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let error = get(address, "/livez").await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("GET http://{address}/livez failed")
        );
    }
}
