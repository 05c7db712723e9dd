//! An exchange that this process opens, from its connection until it is idle.

use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::Streaming;
use triumvir_protocol::ParticipantId;
use triumvir_wire::limits::{FRAME_BYTES_MAX, PEER_VERSION};
use triumvir_wire::v1::peers_client::PeersClient;
use triumvir_wire::{Failure, v1};

use super::service;
use crate::dial;
use crate::frames::{self, Envelope};
use crate::member::Member;

/// How many messages are ready to form the next frame.
const FORWARDED_MAX: usize = 1024;

/// Why an exchange ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExchangeError {
    #[error("its address is not known")]
    NoAddress,
    #[error("cannot connect to {address}: {source}")]
    Connect {
        address: String,
        source: tonic::transport::Error,
    },
    #[error("{address} does not answer in time")]
    Timeout { address: String },
    #[error("{0}")]
    Refused(Failure),
    #[error("{address} is not this peer but {found:?}")]
    OtherPeer { address: String, found: Option<u32> },
}

impl From<tonic::Status> for ExchangeError {
    fn from(status: tonic::Status) -> Self {
        Self::Refused(Failure::from_status(&status))
    }
}

/// Sends what is in `queue` to `peer` and takes in what it says, until it has been silent for the
/// idle time or the stream is lost. Nothing is sent before the peer has shown that it is the one.
pub(super) async fn exchange(
    member: &Member,
    own: ParticipantId,
    peer: ParticipantId,
    mut queue: mpsc::Receiver<Envelope>,
) -> Result<(), ExchangeError> {
    let (open, mut incoming) = open(member, own, peer).await?;
    let forward = async {
        while let Some(envelope) = queue.recv().await {
            if open.send(envelope).await.is_err() {
                return;
            }
        }
    };
    let receive = async {
        let idle = member.config.network.peer_idle;
        while let Ok(received) = timeout(idle, incoming.message()).await {
            let Some(frame) = received? else {
                break;
            };
            if service::take(member, peer, frame.messages).await.is_err() {
                break;
            }
        }
        Ok(())
    };
    tokio::select! {
        () = forward => Ok(()),
        end = receive => end,
    }
}

/// Connects and exchanges hellos.
async fn open(
    member: &Member,
    own: ParticipantId,
    peer: ParticipantId,
) -> Result<(mpsc::Sender<Envelope>, Streaming<v1::PeerFrame>), ExchangeError> {
    let network = &member.config.network;
    let address = member
        .directory
        .address(peer)
        .ok_or(ExchangeError::NoAddress)?;
    let channel =
        dial::connect(&address, network)
            .await
            .map_err(|source| ExchangeError::Connect {
                address: address.clone(),
                source,
            })?;
    let mut client = PeersClient::new(channel)
        .max_decoding_message_size(FRAME_BYTES_MAX)
        .max_encoding_message_size(FRAME_BYTES_MAX);
    let hello = v1::PeerHello {
        version: PEER_VERSION,
        cluster: member.config.cluster.clone(),
        participant: own.0,
    };
    let late = |_| ExchangeError::Timeout {
        address: address.clone(),
    };
    let (open, waiting) = mpsc::channel(FORWARDED_MAX);
    let frames = frames::peer_frames(hello, waiting);
    let opened = timeout(network.connect_timeout, client.exchange(frames))
        .await
        .map_err(late)??;
    let mut incoming = opened.into_inner();
    let first = timeout(network.connect_timeout, incoming.message())
        .await
        .map_err(late)??;
    let found = first
        .and_then(|frame| frame.hello)
        .map(|hello| hello.participant);
    if found != Some(peer.0) {
        return Err(ExchangeError::OtherPeer { address, found });
    }
    tracing::info!(
        peer = member.directory.name(peer),
        address,
        "exchange with a peer opened"
    );
    Ok((open, incoming))
}
