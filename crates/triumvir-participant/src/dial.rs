//! Opening channels to coordinators and peers, and the pauses between attempts. What is said over a
//! channel is not known here.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tonic::transport::{Channel, Endpoint, Error};

use crate::config::Network;

/// How much the other end may send ahead in one stream, and in one connection, so that a frame of
/// the largest size does not wait for many round trips.
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;

/// The endpoint of `host:port` or of a whole `http://` address.
pub(crate) fn endpoint(address: &str) -> Result<Endpoint, Error> {
    if address.contains("://") {
        Endpoint::from_shared(address.to_owned())
    } else {
        Endpoint::from_shared(format!("http://{address}"))
    }
}

/// Connects within the time limit.
pub(crate) async fn connect(address: &str, network: &Network) -> Result<Channel, Error> {
    endpoint(address)?
        .connect_timeout(network.connect_timeout)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(network.keepalive)
        .keep_alive_timeout(network.keepalive_timeout)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .connect()
        .await
}

/// Endless pauses that double from `min` to `max`, each with jitter.
pub(crate) fn pauses(min: Duration, max: Duration) -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(min)
        .with_max_delay(max)
        .with_jitter()
        .without_max_times()
        .build()
}
