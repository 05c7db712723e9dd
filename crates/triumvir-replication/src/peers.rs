//! Where the other replicas are, and the one channel to each. What is said over a channel is not
//! known here.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tonic::transport::{Channel, Endpoint};
use triumvir_wire::v1;
use triumvir_wire::v1::replication_client::ReplicationClient;

use crate::codec;
use crate::config::{Config, Dial};
use crate::types::{GROUP, Member, Members};

/// The version of the messages between replicas.
pub(crate) const FORMAT: u32 = 1;

/// The most bytes of one message. An append holds about 1 MiB or a single larger entry.
pub(crate) const MESSAGE_BYTES_MAX: usize = 256 << 20;

/// The addresses of the replicas and the channels to them.
pub(crate) struct Peers {
    cluster: String,
    node: u64,
    connect_timeout: Duration,
    dial: Option<Dial>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    overrides: BTreeMap<u64, String>,
    members: BTreeMap<u64, Member>,
    channels: BTreeMap<u64, (String, Channel)>,
}

/// There is no way to reach a peer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error("no address is known for node {0}")]
    NoAddress(u64),
    #[error("the address {address:?} of node {node} is not valid")]
    Address {
        node: u64,
        address: String,
        #[source]
        source: tonic::transport::Error,
    },
}

impl Peers {
    pub(crate) fn new(config: &Config) -> Self {
        let overrides = config.addresses.clone();
        Self {
            cluster: config.cluster.clone(),
            node: config.node,
            connect_timeout: config.connect_timeout,
            dial: config.dial.clone(),
            state: Mutex::new(State {
                overrides,
                ..State::default()
            }),
        }
    }

    /// Puts `address` in the place of the one that the membership holds for `node`.
    pub(crate) fn override_address(&self, node: u64, address: String) {
        self.lock().overrides.insert(node, address);
    }

    /// Takes note of a new membership.
    pub(crate) fn set_members(&self, members: &Members) {
        let mut state = self.lock();
        state.members = members.voters.clone();
        state.members.extend(members.learners.clone());
        let State {
            members, channels, ..
        } = &mut *state;
        channels.retain(|node, _| members.contains_key(node));
    }

    /// Takes note of a member that is about to be talked to.
    pub(crate) fn add_member(&self, node: u64, member: &Member) {
        self.lock().members.insert(node, member.clone());
    }

    /// What every request to `node` starts with.
    pub(crate) fn envelope(&self, node: u64) -> v1::ReplicaEnvelope {
        let disk = self
            .lock()
            .members
            .get(&node)
            .map_or(0, |member| member.disk);
        v1::ReplicaEnvelope {
            format: FORMAT,
            cluster: self.cluster.clone(),
            group: GROUP,
            from_node: self.node,
            to_node: node,
            to_disk: codec::disk(disk),
        }
    }

    /// A client over the kept channel to `node`. Connects when first used, and again after a
    /// failure.
    pub(crate) fn client(&self, node: u64) -> Result<ReplicationClient<Channel>, DialError> {
        let mut state = self.lock();
        let address = state
            .overrides
            .get(&node)
            .or_else(|| state.members.get(&node).map(|member| &member.address))
            .ok_or(DialError::NoAddress(node))?
            .clone();
        let channel = match state.channels.get(&node) {
            Some((at, channel)) if *at == address => channel.clone(),
            _ => {
                let channel = self.open(&address).map_err(|source| {
                    let address = address.clone();
                    DialError::Address {
                        node,
                        address,
                        source,
                    }
                })?;
                state.channels.insert(node, (address, channel.clone()));
                channel
            }
        };
        Ok(ReplicationClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX))
    }

    fn open(&self, address: &str) -> Result<Channel, tonic::transport::Error> {
        if let Some(dial) = &self.dial {
            return dial(address);
        }
        let uri = match address.contains("://") {
            true => address.to_owned(),
            false => format!("http://{address}"),
        };
        Ok(Endpoint::from_shared(uri)?
            .connect_timeout(self.connect_timeout)
            .tcp_nodelay(true)
            .tcp_keepalive(Some(Duration::from_secs(10)))
            .http2_keep_alive_interval(Duration::from_secs(2))
            .keep_alive_timeout(Duration::from_secs(2))
            .keep_alive_while_idle(true)
            .initial_stream_window_size(4 << 20)
            .initial_connection_window_size(16 << 20)
            .connect_lazy())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peers")
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}
