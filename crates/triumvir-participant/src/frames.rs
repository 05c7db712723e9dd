//! Frames form by themselves: whatever has gathered in a queue when the transport can take more goes
//! out as one frame. What the messages mean is not known here.

use tokio::sync::mpsc;
use triumvir_protocol::{Digest, Message, TxnId};
use triumvir_wire::limits::{FRAME_BYTES_TARGET, FRAME_MESSAGES_MAX};
use triumvir_wire::{WireError, v1};

/// One message on its way out.
pub(crate) type Envelope = (TxnId, Digest, Message);

/// The sending end of a stream: a queue, read in frames.
pub(crate) struct Gather<M> {
    queue: mpsc::Receiver<Envelope>,
    /// A message that did not fit into the last frame.
    left: Option<M>,
}

impl<M> Gather<M>
where
    M: prost::Message + TryFrom<Envelope, Error = WireError>,
{
    pub(crate) fn new(queue: mpsc::Receiver<Envelope>) -> Self {
        Self { queue, left: None }
    }

    /// Waits for the first message and takes what is there with it. `None` once the queue is closed.
    pub(crate) async fn next(&mut self) -> Option<Vec<M>> {
        let mut messages = Vec::new();
        let mut bytes = 0;
        while messages.is_empty() {
            let first = match self.left.take() {
                Some(message) => Some(message),
                None => convert(self.queue.recv().await?),
            };
            messages.extend(first);
        }
        bytes += messages[0].encoded_len();
        while messages.len() < FRAME_MESSAGES_MAX {
            let Ok(envelope) = self.queue.try_recv() else {
                break;
            };
            let Some(message) = convert::<M>(envelope) else {
                continue;
            };
            bytes += message.encoded_len();
            if bytes > FRAME_BYTES_TARGET {
                self.left = Some(message);
                break;
            }
            messages.push(message);
        }
        metrics::counter!("triumvir_participant_frames_total").increment(1);
        Some(messages)
    }
}

fn convert<M: TryFrom<Envelope, Error = WireError>>(envelope: Envelope) -> Option<M> {
    let txn = envelope.0;
    M::try_from(envelope)
        .inspect_err(|error| tracing::error!(%txn, %error, "a message has no place in this stream"))
        .ok()
}

/// The messages of a received frame. One that cannot be one of ours is left out: it may be lost like
/// any other.
pub(crate) fn received<W, T>(from: &str, messages: Vec<W>) -> Vec<T>
where
    T: TryFrom<W, Error = WireError>,
{
    let convert = |message| {
        T::try_from(message)
            .inspect_err(|error| {
                metrics::counter!("triumvir_participant_malformed_messages_total").increment(1);
                tracing::warn!(from, %error, "left out a malformed message");
            })
            .ok()
    };
    messages.into_iter().filter_map(convert).collect()
}

/// The first frame of a participant to a coordinator, and those after it.
pub(crate) fn participant_frames(
    hello: v1::ParticipantHello,
    queue: mpsc::Receiver<Envelope>,
) -> impl futures::Stream<Item = v1::ParticipantFrame> + Send + 'static {
    let gather = Gather::<v1::ParticipantMessage>::new(queue);
    futures::stream::unfold((Some(hello), gather), |(hello, mut gather)| async move {
        let frame = match hello {
            Some(hello) => v1::ParticipantFrame {
                hello: Some(hello),
                messages: Vec::new(),
            },
            None => v1::ParticipantFrame {
                hello: None,
                messages: gather.next().await?,
            },
        };
        Some((frame, (None, gather)))
    })
}

/// The first frame of a participant to a peer, and those after it.
pub(crate) fn peer_frames(
    hello: v1::PeerHello,
    queue: mpsc::Receiver<Envelope>,
) -> impl futures::Stream<Item = v1::PeerFrame> + Send + 'static {
    let gather = Gather::<v1::PeerMessage>::new(queue);
    futures::stream::unfold((Some(hello), gather), |(hello, mut gather)| async move {
        let frame = match hello {
            Some(hello) => v1::PeerFrame {
                hello: Some(hello),
                messages: Vec::new(),
            },
            None => v1::PeerFrame {
                hello: None,
                messages: gather.next().await?,
            },
        };
        Some((frame, (None, gather)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use triumvir_protocol::Answer;

    fn answer(results: usize) -> Envelope {
        let answer = Answer::Yes {
            results: vec![0; results].into(),
        };
        (
            TxnId::at_millis(1),
            Digest([0; 32]),
            Message::Answer(answer),
        )
    }

    #[tokio::test]
    async fn what_has_gathered_is_one_frame_within_the_limits() {
        let (tx, rx) = mpsc::channel(FRAME_MESSAGES_MAX + 10);
        let mut gather = Gather::<v1::ParticipantMessage>::new(rx);
        for _ in 0..FRAME_MESSAGES_MAX + 1 {
            tx.try_send(answer(0)).unwrap();
        }
        assert_eq!(gather.next().await.unwrap().len(), FRAME_MESSAGES_MAX);
        assert_eq!(gather.next().await.unwrap().len(), 1);
        for _ in 0..3 {
            tx.try_send(answer(FRAME_BYTES_TARGET / 2 - 100)).unwrap();
        }
        assert_eq!(gather.next().await.unwrap().len(), 2);
        drop(tx);
        assert_eq!(gather.next().await.unwrap().len(), 1);
        assert!(gather.next().await.is_none());
    }
}
