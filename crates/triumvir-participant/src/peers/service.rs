//! The peer service: exchanges that other participants open.

use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::{Request, Response, Status, Streaming};
use triumvir_protocol::{Digest, Message, ParticipantId, Request as ProtocolRequest, TxnId};
use triumvir_wire::limits::{FRAME_BYTES_MAX, PEER_VERSION};
use triumvir_wire::v1::peers_server::{Peers, PeersServer};
use triumvir_wire::{Code, Failure, ids, v1};

use super::PeerCommand;
use crate::frames;
use crate::member::{Input, Member};

/// Serves `triumvir.v1.Peers`.
#[derive(Clone, Debug)]
pub(crate) struct PeerService {
    id: ParticipantId,
    member: Arc<Member>,
    hub: mpsc::Sender<PeerCommand>,
}

impl PeerService {
    pub(crate) fn server(
        id: ParticipantId,
        member: Arc<Member>,
        hub: mpsc::Sender<PeerCommand>,
    ) -> PeersServer<Self> {
        PeersServer::new(Self { id, member, hub })
            .max_decoding_message_size(FRAME_BYTES_MAX)
            .max_encoding_message_size(FRAME_BYTES_MAX)
    }

    fn check(&self, hello: Option<v1::PeerHello>) -> Result<ParticipantId, Failure> {
        let hello = hello.ok_or_else(|| Failure::new(Code::Malformed, "no hello"))?;
        if hello.cluster != self.member.config.cluster {
            let detail = format!(
                "this is {:?}, not {:?}",
                self.member.config.cluster, hello.cluster
            );
            return Err(Failure::new(Code::WrongCluster, detail));
        }
        if hello.version != PEER_VERSION {
            let detail = format!(
                "peers speak version {PEER_VERSION} here, not {}",
                hello.version
            );
            return Err(Failure::new(Code::UnsupportedVersion, detail));
        }
        Ok(ids::participant("participant", hello.participant)?)
    }
}

#[tonic::async_trait]
impl Peers for PeerService {
    type ExchangeStream =
        Pin<Box<dyn futures::Stream<Item = Result<v1::PeerFrame, Status>> + Send>>;

    async fn exchange(
        &self,
        request: Request<Streaming<v1::PeerFrame>>,
    ) -> Result<Response<Self::ExchangeStream>, Status> {
        let mut incoming = request.into_inner();
        let config = &self.member.config;
        let first = timeout(config.network.connect_timeout, incoming.message())
            .await
            .map_err(|_| Failure::new(Code::Malformed, "no hello in time"))??
            .unwrap_or_default();
        let peer = self.check(first.hello)?;
        let (queue, outgoing) = mpsc::channel(config.limits.peer_queue_max);
        let stopped = |_| Status::from(Failure::from(Code::Stopped));
        let closed = queue.clone();
        self.hub
            .send(PeerCommand::Opened(peer, queue))
            .await
            .map_err(stopped)?;
        let hello = v1::PeerHello {
            version: PEER_VERSION,
            cluster: config.cluster.clone(),
            participant: self.id.0,
        };
        let (member, hub) = (self.member.clone(), self.hub.clone());
        tokio::spawn(async move {
            let mut frame = Some(first.messages);
            while let Some(messages) = frame {
                if take(&member, peer, messages).await.is_err() {
                    break;
                }
                frame = tokio::select! {
                    next = incoming.message() => next.ok().flatten().map(|next| next.messages),
                    () = closed.closed() => None,
                };
            }
            // The hub is gone only when the process is about to stop.
            let _ = hub.send(PeerCommand::Ended(peer, closed)).await;
        });
        let frames = futures::StreamExt::map(frames::peer_frames(hello, outgoing), Ok);
        Ok(Response::new(Box::pin(frames)))
    }
}

/// The owner of the branches is gone: the process is about to stop.
pub(super) struct Stopping;

/// Hands a frame's messages to the owner of the branches, waiting for room.
pub(super) async fn take(
    member: &Member,
    from: ParticipantId,
    messages: Vec<v1::PeerMessage>,
) -> Result<(), Stopping> {
    if messages.is_empty() {
        return Ok(());
    }
    let mut messages: Vec<(TxnId, Digest, Message)> = frames::received("peer", messages);
    messages.retain(|(txn, _, message)| {
        let own = owns(from, message);
        if !own {
            tracing::warn!(%txn, peer = %from, "left out a ballot that is not the peer's own");
        }
        own
    });
    let input = Input::Peer { from, messages };
    member.inbox.send(input).await.map_err(|_| Stopping)
}

/// Whether a ballot that `from` asks for is its own: two proposers must never share one.
fn owns(from: ParticipantId, message: &Message) -> bool {
    match message {
        Message::Request(
            ProtocolRequest::Fence { ballot } | ProtocolRequest::Accept { ballot, .. },
        ) => ballot.owner == from.0,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use triumvir_protocol::Ballot;

    #[test]
    fn a_peer_cannot_use_the_ballot_of_another() {
        let [one, two] = [1, 2].map(ParticipantId);
        let fence = |owner| {
            Message::Request(ProtocolRequest::Fence {
                ballot: Ballot::peer(3, owner),
            })
        };
        assert!(owns(one, &fence(one)));
        assert!(!owns(one, &fence(two)));
        assert!(owns(one, &Message::Request(ProtocolRequest::Poll)));
    }
}
