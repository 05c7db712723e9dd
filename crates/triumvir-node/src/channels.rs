//! One kept channel to each replica, for calls that are forwarded and for questions between
//! replicas. What is said over them is not known here.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tonic::transport::{Channel, Endpoint};

/// How many channels are kept: far more than replicas; a bound for addresses that come and go.
const CHANNELS_MAX: usize = 64;

/// The channels, by address.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    connect_timeout: Duration,
    kept: Mutex<BTreeMap<String, Channel>>,
}

impl Channels {
    pub(crate) fn new(connect_timeout: Duration) -> Self {
        Self {
            connect_timeout,
            kept: Mutex::default(),
        }
    }

    /// The channel to `address`. It connects when it is first used, and again after a failure.
    pub(crate) fn to(&self, address: &str) -> Result<Channel, tonic::transport::Error> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = kept.get(address) {
            return Ok(channel.clone());
        }
        let channel = Endpoint::from_shared(format!("http://{address}"))?
            .connect_timeout(self.connect_timeout)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(Duration::from_secs(2))
            .keep_alive_timeout(Duration::from_secs(2))
            .keep_alive_while_idle(true)
            .initial_stream_window_size(4 << 20)
            .initial_connection_window_size(16 << 20)
            .connect_lazy();
        if kept.len() >= CHANNELS_MAX {
            kept.clear();
        }
        kept.insert(address.to_owned(), channel.clone());
        Ok(channel)
    }
}
