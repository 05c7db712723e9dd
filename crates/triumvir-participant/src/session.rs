//! The sessions with the coordinators: one stream to every replica, opened again whenever it is lost.
//! What is said in them is decided by the owner of the branches.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::Streaming;
use triumvir_protocol::{Epoch, ReplicaId};
use triumvir_wire::limits::{FRAME_BYTES_MAX, SESSION_VERSION};
use triumvir_wire::v1::participants_client::ParticipantsClient;
use triumvir_wire::{Code, Failure, ids, v1};

use crate::error::RunError;
use crate::member::{Input, Member};
use crate::outbox::Left;
use crate::register::Registration;
use crate::{dial, frames};

/// Keeps a session with every replica that the operator or the cluster names; returns only when this
/// process must stop.
pub(crate) async fn keep_all(member: Arc<Member>, registration: Registration) -> RunError {
    let mut sessions = JoinSet::new();
    let mut kept: BTreeMap<String, DropGuard> = BTreeMap::new();
    let mut changes = member.replicas.changes();
    loop {
        changes.borrow_and_update();
        let wanted = member.replicas.wanted();
        // What is dropped here ends its session.
        kept.retain(|address, _| wanted.contains(address));
        for address in wanted {
            kept.entry(address).or_insert_with_key(|address| {
                let left = CancellationToken::new();
                let (member, address) = (member.clone(), address.clone());
                sessions.spawn(keep(member, registration, address, left.clone()));
                left.drop_guard()
            });
        }
        tokio::select! {
            Some(ended) = sessions.join_next() => match ended {
                Ok(Some(error)) => return error,
                Ok(None) => {}
                Err(error) => return RunError::Panicked(error.to_string()),
            },
            _ = changes.changed() => {}
        }
    }
}

/// Keeps the session with the replica at `address` until it is `left`: then there is no error.
async fn keep(
    member: Arc<Member>,
    registration: Registration,
    address: String,
    left: CancellationToken,
) -> Option<RunError> {
    let network = &member.config.network;
    let fresh = || dial::pauses(network.reconnect_min, network.reconnect_max);
    let mut pauses = fresh();
    let mut reported = false;
    loop {
        let mut was_up = false;
        let end = run(&member, registration, &address, &left, &mut was_up).await;
        if left.is_cancelled() {
            tracing::info!(coordinator = address, "no session is kept with it any more");
            return None;
        }
        match &end {
            End::Refused(failure) if failure.code == Code::Superseded => {
                return Some(RunError::Superseded(failure.clone()));
            }
            End::Refused(failure) if end.is_final() => {
                return Some(RunError::Refused(failure.clone()));
            }
            end if was_up => tracing::warn!(coordinator = address, %end, "session down"),
            end if !reported => tracing::warn!(coordinator = address, %end, "no session yet"),
            end => tracing::debug!(coordinator = address, %end, "no session yet"),
        }
        reported = !was_up;
        // Two addresses of one replica must not take its session from each other all the time.
        if was_up && !matches!(end, End::Replaced) {
            pauses = fresh();
        }
        let pause = tokio::time::sleep(pauses.next().unwrap_or(network.reconnect_max));
        left.run_until_cancelled(pause).await;
    }
}

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("cannot connect: {0}")]
    Connect(#[source] tonic::transport::Error),
    #[error("no answer in time")]
    Timeout,
    #[error("{0}")]
    Refused(Failure),
    #[error("the replica closed it")]
    Closed,
    #[error("the replica said no hello that is understood here")]
    Hello,
    #[error("it is no member any more, or is reached elsewhere")]
    Left,
    #[error("it was dropped here")]
    Dropped,
    #[error("a session with the same replica was opened at another address")]
    Replaced,
    #[error("this process is about to stop")]
    Stopping,
}

impl From<tonic::Status> for End {
    fn from(status: tonic::Status) -> Self {
        Self::Refused(Failure::from_status(&status))
    }
}

impl From<tokio::time::error::Elapsed> for End {
    fn from(_: tokio::time::error::Elapsed) -> Self {
        Self::Timeout
    }
}

impl End {
    /// Whether no other session will go better.
    fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Refused(Failure {
                code: Code::Superseded
                    | Code::WrongCluster
                    | Code::UnsupportedVersion
                    | Code::DiskReplaced
                    | Code::ParticipantRemoved,
                ..
            })
        )
    }
}

/// One session, from its connection to its end.
async fn run(
    member: &Member,
    registration: Registration,
    address: &str,
    left: &CancellationToken,
    was_up: &mut bool,
) -> End {
    let (queue, outgoing) = mpsc::channel(member.config.limits.session_queue_max);
    if left.is_cancelled() {
        return End::Left;
    }
    let (replica, first, mut incoming) = match open(member, registration, address, outgoing).await {
        Ok(opened) => opened,
        Err(end) => return end,
    };
    let ended = member.outbox.open(replica, queue);
    *was_up = true;
    member.replicas.found(address, replica);
    tracing::info!(coordinator = address, %replica, "session up");
    let end = tokio::select! {
        () = ended.cancelled() => End::Dropped,
        () = left.cancelled() => End::Left,
        end = receive(member, replica, address, first, &mut incoming) => end,
    };
    match member.outbox.close(replica, &ended) {
        Left::Replacement if !end.is_final() => return End::Replaced,
        Left::Replacement | Left::Others => {}
        Left::Nothing => {
            // The owner of the branches is gone only when the process is about to stop.
            let _ = member.inbox.send(Input::Disconnected).await;
        }
    }
    end
}

async fn open(
    member: &Member,
    registration: Registration,
    address: &str,
    outgoing: mpsc::Receiver<frames::Envelope>,
) -> Result<
    (
        ReplicaId,
        v1::CoordinatorFrame,
        Streaming<v1::CoordinatorFrame>,
    ),
    End,
> {
    let network = &member.config.network;
    let channel = dial::connect(address, network)
        .await
        .map_err(End::Connect)?;
    let mut client = ParticipantsClient::new(channel)
        .max_decoding_message_size(FRAME_BYTES_MAX)
        .max_encoding_message_size(FRAME_BYTES_MAX);
    let hello = v1::ParticipantHello {
        version: SESSION_VERSION,
        cluster: member.config.cluster.clone(),
        participant: registration.id.0,
        incarnation: registration.incarnation.0,
        disk: ids::disk_bytes(member.disk),
    };
    let frames = frames::participant_frames(hello, outgoing);
    let session = timeout(network.connect_timeout, client.session(frames)).await??;
    let mut incoming = session.into_inner();
    let first = timeout(network.connect_timeout, incoming.message())
        .await??
        .ok_or(End::Closed)?;
    let replica = match &first.hello {
        Some(hello) if hello.version == SESSION_VERSION => ReplicaId(hello.replica),
        _ => return Err(End::Hello),
    };
    Ok((replica, first, incoming))
}

async fn receive(
    member: &Member,
    replica: ReplicaId,
    address: &str,
    first: v1::CoordinatorFrame,
    incoming: &mut Streaming<v1::CoordinatorFrame>,
) -> End {
    if member.inbox.send(Input::Connected).await.is_err() {
        return End::Stopping;
    }
    let mut frame = first;
    loop {
        if let Err(end) = take(member, replica, address, frame).await {
            return end;
        }
        frame = match incoming.message().await {
            Ok(Some(frame)) => frame,
            Ok(None) => return End::Closed,
            Err(status) => return status.into(),
        };
    }
}

/// Hands a frame to the owner of the branches, waiting for room.
async fn take(
    member: &Member,
    replica: ReplicaId,
    address: &str,
    frame: v1::CoordinatorFrame,
) -> Result<(), End> {
    if let Some(mut directory) = frame.directory {
        if let Some(replicas) = directory.replicas.take() {
            member.replicas.refresh(replicas);
        }
        member.directory.refresh(directory);
    }
    let horizon = match ids::horizon("horizon", &frame.horizon) {
        Ok(horizon) => Some(horizon),
        Err(_) if frame.horizon.is_empty() => None,
        Err(error) => return Err(End::Refused(error.into())),
    };
    let requests = frames::received(address, frame.messages);
    let epoch = Epoch(frame.epoch);
    let input = Input::Coordinator {
        replica,
        epoch,
        horizon,
        requests,
    };
    member.inbox.send(input).await.map_err(|_| End::Stopping)
}
