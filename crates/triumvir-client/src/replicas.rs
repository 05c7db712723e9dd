//! The servers that a client knows: one channel for each, and which to ask next.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint};
use triumvir_wire::{Code, Failure};

use crate::BuildError;
use crate::pipe::Pipe;

/// The most servers that are remembered, hinted ones included.
const REPLICAS_MAX: usize = 16;
/// A connection that answers no ping for [`PING_EVERY`] and [`PING_WAIT`] together is given up.
const PING_EVERY: Duration = Duration::from_secs(2);
const PING_WAIT: Duration = Duration::from_secs(3);
/// So long, hints to a server that could not be reached are not followed: it may have an address that
/// is good between replicas only.
const AVOID: Duration = Duration::from_secs(5);

/// The servers that a client knows.
#[derive(Debug)]
pub(crate) struct Replicas {
    connect_timeout: Duration,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    replicas: Vec<Replica>,
    /// The one to ask next.
    preferred: usize,
}

#[derive(Debug)]
struct Replica {
    /// As it was given or hinted.
    given: String,
    /// In full, which tells whether two are the same.
    address: String,
    endpoint: Endpoint,
    /// Made at first use, because making one needs a runtime.
    channel: Option<Channel>,
    pipe: Arc<Pipe>,
    avoid_until: Option<Instant>,
}

/// One server, ready to be asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    at: usize,
    /// The address, as it was given or hinted.
    pub(crate) given: String,
    pub(crate) address: String,
    pub(crate) channel: Channel,
    pub(crate) pipe: Arc<Pipe>,
}

impl Replicas {
    pub(crate) fn new(addresses: &[String], connect_timeout: Duration) -> Result<Self, BuildError> {
        let mut replicas: Vec<Replica> = Vec::new();
        for address in addresses {
            let replica = Replica::new(address, connect_timeout)?;
            if replicas
                .iter()
                .all(|known| known.address != replica.address)
            {
                replicas.push(replica);
            }
        }
        let preferred = rand::random_range(0..replicas.len().max(1));
        Ok(Self {
            connect_timeout,
            known: Mutex::new(Known {
                replicas,
                preferred,
            }),
        })
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    /// The server to ask next. Needs a runtime.
    pub(crate) fn current(&self) -> Asked {
        let mut known = self.lock();
        let at = known.preferred;
        known.asked(at)
    }

    /// Every server. Needs a runtime.
    pub(crate) fn all(&self) -> Vec<Asked> {
        let mut known = self.lock();
        (0..known.replicas.len())
            .map(|at| known.asked(at))
            .collect()
    }

    /// Asks the named leader from now on. Whether that is another server than `asked`.
    pub(crate) fn follow(&self, asked: &Asked, leader: &str) -> bool {
        if asked.address == leader || asked.address.strip_prefix("http://") == Some(leader) {
            return false;
        }
        let Ok(replica) = Replica::new(leader, self.connect_timeout) else {
            tracing::debug!(leader, "the hint is no address");
            return false;
        };
        let mut known = self.lock();
        let at = known
            .replicas
            .iter()
            .position(|known| known.address == replica.address);
        let at = match at {
            Some(at) => at,
            None if known.replicas.len() < REPLICAS_MAX => {
                known.replicas.push(replica);
                known.replicas.len() - 1
            }
            None => return false,
        };
        let avoid = known.replicas[at].avoid_until;
        if at == asked.at || avoid.is_some_and(|until| until > Instant::now()) {
            return false;
        }
        known.preferred = at;
        true
    }

    /// Asks another server from now on, unless somebody has turned elsewhere already.
    pub(crate) fn turn_from(&self, asked: &Asked, failure: &Failure) {
        let mut known = self.lock();
        if failure.code == Code::Unreachable {
            known.replicas[asked.at].avoid_until = Some(Instant::now() + AVOID);
        }
        if known.preferred == asked.at {
            known.preferred = (asked.at + 1) % known.replicas.len();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn asked(&mut self, at: usize) -> Asked {
        let replica = &mut self.replicas[at];
        let channel = replica
            .channel
            .get_or_insert_with(|| replica.endpoint.connect_lazy());
        Asked {
            at,
            given: replica.given.clone(),
            address: replica.address.clone(),
            channel: channel.clone(),
            pipe: replica.pipe.clone(),
        }
    }
}

impl Replica {
    fn new(address: &str, connect_timeout: Duration) -> Result<Self, BuildError> {
        let bad = |reason: String| BuildError::Address {
            address: address.to_owned(),
            reason,
        };
        let full = match address.split_once("://") {
            Some(("http", _)) => address.trim_end_matches('/').to_owned(),
            Some((scheme, _)) => return Err(bad(format!("{scheme} is not supported"))),
            None => format!("http://{address}"),
        };
        let endpoint = Endpoint::from_shared(full.clone()).map_err(|error| {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            bad(source.unwrap_or_else(|| error.to_string()))
        })?;
        if endpoint.uri().port_u16().is_none() {
            return Err(bad("it has no port".to_owned()));
        }
        let endpoint = endpoint
            .connect_timeout(connect_timeout)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_WAIT)
            .keep_alive_while_idle(true);
        Ok(Self {
            given: address.to_owned(),
            address: full,
            endpoint,
            channel: None,
            pipe: Arc::default(),
            avoid_until: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_may_leave_the_scheme_out_and_nothing_else() {
        let address = |text| Replica::new(text, AVOID).map(|replica| replica.address);
        assert_eq!(address("10.0.0.1:7000").unwrap(), "http://10.0.0.1:7000");
        assert_eq!(address("http://node:7000/").unwrap(), "http://node:7000");
        for bad in [
            "",
            "node",
            "https://node:7000",
            "no de:1",
            ":7000:",
            "http://",
        ] {
            assert!(
                matches!(address(bad), Err(BuildError::Address { .. })),
                "{bad:?}"
            );
        }
    }
}
