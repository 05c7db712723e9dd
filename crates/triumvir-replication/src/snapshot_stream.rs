//! A snapshot on its way from one replica to another, in pieces. What is in it is not known here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt as _};
use openraft::raft::SnapshotResponse;
use tonic::{Status, Streaming};
use triumvir_wire::v1;

use crate::codec;
use crate::network::{CallError, Peer};
use crate::types::{Contents, Snapshot, TypeConfig, Vote};

/// The size of a piece: well below what one message may hold.
const PIECE_BYTES: usize = 1 << 20;

/// Sends `snapshot` and waits until it is installed. Gives up when nothing has moved for `limit`.
pub(crate) async fn send(
    peer: &Peer,
    vote: Vote,
    snapshot: Snapshot,
    limit: Duration,
) -> Result<SnapshotResponse<TypeConfig>, CallError> {
    let mut client = peer.client()?;
    let taken = Arc::new(AtomicU64::new(0));
    let counter = taken.clone();
    // The transport takes the pieces while the answer is awaited.
    let pieces = pieces(peer.envelope(), vote, snapshot).inspect(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
    });
    let mut answer = std::pin::pin!(client.install_snapshot(pieces));
    let mut seen = 0;
    let response = loop {
        if let Ok(response) = tokio::time::timeout(limit, &mut answer).await {
            break response?.into_inner();
        }
        let now = taken.load(Ordering::Relaxed);
        if now == seen {
            return Err(CallError::Timeout);
        }
        seen = now;
    };
    Ok(SnapshotResponse {
        vote: codec::vote_from(response.vote)?,
    })
}

fn pieces(
    envelope: Option<v1::ReplicaEnvelope>,
    vote: Vote,
    snapshot: Snapshot,
) -> impl Stream<Item = v1::SnapshotPiece> + Send + 'static {
    let Snapshot {
        meta,
        snapshot: Contents { state: data, used },
    } = snapshot;
    let head = v1::SnapshotHead {
        vote: Some(codec::vote(&vote)),
        meta: Some(codec::snapshot_meta(&meta, &used)),
        size_bytes: data.len() as u64,
    };
    let first = v1::SnapshotPiece {
        envelope,
        head: Some(head),
        data: Bytes::new(),
    };
    let size = data.len();
    let rest = (0..size)
        .step_by(PIECE_BYTES)
        .map(move |start| v1::SnapshotPiece {
            envelope: None,
            head: None,
            data: data.slice(start..size.min(start + PIECE_BYTES)),
        });
    futures::stream::iter(std::iter::once(first).chain(rest))
}

/// Takes the pieces that follow `first` and puts the snapshot together.
pub(crate) async fn receive(
    first: v1::SnapshotPiece,
    mut rest: Streaming<v1::SnapshotPiece>,
) -> Result<(Vote, Snapshot), Status> {
    let malformed = |error: codec::DecodeError| Status::invalid_argument(error.to_string());
    let head = first
        .head
        .ok_or_else(|| Status::invalid_argument("the head is missing"))?;
    let vote = codec::vote_from(head.vote).map_err(malformed)?;
    let meta = head
        .meta
        .ok_or_else(|| Status::invalid_argument("the meta is missing"))?;
    let (meta, used) = codec::snapshot_meta_from(meta).map_err(malformed)?;
    let mut data = BytesMut::from(&first.data[..]);
    while let Some(piece) = rest.message().await? {
        data.extend_from_slice(&piece.data);
        if data.len() as u64 > head.size_bytes {
            break;
        }
    }
    if data.len() as u64 != head.size_bytes {
        let reason = format!("a snapshot of {} bytes has {}", head.size_bytes, data.len());
        return Err(Status::invalid_argument(reason));
    }
    Ok((
        vote,
        Snapshot {
            meta,
            snapshot: Contents {
                state: data.freeze(),
                used,
            },
        },
    ))
}
