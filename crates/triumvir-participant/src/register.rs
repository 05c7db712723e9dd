//! Registration: how a data folder gets its id and a start its incarnation.
//!
//! The mark of a registration is durable before it is sent and used again until its answer is
//! durable, so that a start that was cut off in between is known again and not taken for an old copy
//! of the folder.

use tokio::sync::oneshot;
use triumvir_protocol::{Incarnation, ParticipantId};
use triumvir_storage::{Journal, WriteError, Writer};
use triumvir_wire::limits::SESSION_VERSION;
use triumvir_wire::v1::participants_client::ParticipantsClient;
use triumvir_wire::{Code, Failure, ids, v1};

use crate::dial;
use crate::error::RunError;
use crate::member::Member;

/// What the cluster said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Registration {
    pub(crate) id: ParticipantId,
    pub(crate) incarnation: Incarnation,
}

/// Registers this start, at whichever replica answers, for as long as it takes. Durable on return.
pub(crate) async fn register(
    member: &Member,
    writer: &Writer,
    stored: Option<(ParticipantId, Incarnation)>,
    nonce: Option<u128>,
) -> Result<Registration, RunError> {
    let nonce = match nonce {
        Some(nonce) => nonce,
        None => {
            let nonce = rand::random();
            force(writer, move |write| Journal::put_nonce(write, nonce)).await?;
            nonce
        }
    };
    let config = &member.config;
    let request = v1::RegisterRequest {
        version: SESSION_VERSION,
        cluster: config.cluster.clone(),
        name: config.name.clone(),
        disk: ids::disk_bytes(member.disk),
        nonce: ids::number_bytes(nonce),
        previous: stored.map_or(0, |(_, incarnation)| incarnation.0),
        address: member.advertise.clone(),
        replace: config.replace_lost_disk,
    };
    let response = ask_all(member, &request).await?;
    let id = ids::participant("participant", response.participant)
        .map_err(|error| RunError::Refused(error.into()))?;
    let incarnation = Incarnation(response.incarnation);
    if let Some((stored, _)) = stored
        && stored != id
    {
        return Err(RunError::OtherId { stored, given: id });
    }
    if let Some(mut directory) = response.directory {
        if let Some(replicas) = directory.replicas.take() {
            member.replicas.refresh(replicas);
        }
        member.directory.refresh(directory);
    }
    force(writer, move |write| {
        Journal::put_registration(write, id, incarnation)
    })
    .await?;
    tracing::info!(name = config.name, %id, %incarnation, "registered");
    Ok(Registration { id, incarnation })
}

/// Asks one replica after the other until one takes or refuses the registration.
async fn ask_all(
    member: &Member,
    request: &v1::RegisterRequest,
) -> Result<v1::RegisterResponse, RunError> {
    let network = &member.config.network;
    let mut pauses = dial::pauses(network.reconnect_min, network.reconnect_max);
    loop {
        let mut last = None;
        for address in member.replicas.wanted() {
            match ask(member, &address, request.clone()).await {
                Ok(response) => return Ok(response),
                Err(failure) if is_final(failure.code) => return Err(RunError::Refused(failure)),
                Err(failure) => last = Some((address, failure)),
            }
        }
        if let Some((address, failure)) = last {
            tracing::warn!(coordinator = address, %failure, "not registered yet");
        }
        tokio::time::sleep(pauses.next().unwrap_or(network.reconnect_max)).await;
    }
}

async fn ask(
    member: &Member,
    address: &str,
    request: v1::RegisterRequest,
) -> Result<v1::RegisterResponse, Failure> {
    let network = &member.config.network;
    let channel = dial::connect(address, network)
        .await
        .map_err(|error| Failure::new(Code::Unreachable, error.to_string()))?;
    let mut request = tonic::Request::new(request);
    request.set_timeout(network.connect_timeout);
    match ParticipantsClient::new(channel).register(request).await {
        Ok(response) => Ok(response.into_inner()),
        Err(status) => Err(Failure::from_status(&status)),
    }
}

/// Whether asking again can only give the same answer.
fn is_final(code: Code) -> bool {
    matches!(
        code,
        Code::WrongCluster
            | Code::UnsupportedVersion
            | Code::Superseded
            | Code::OtherDisk
            | Code::OldCopy
            | Code::DiskReplaced
            | Code::ParticipantRemoved
            | Code::Malformed
    )
}

/// One forced write, awaited.
async fn force(
    writer: &Writer,
    write: impl FnOnce(
        &mut triumvir_storage::WriteBatch<'_>,
    ) -> Result<(), triumvir_storage::StorageError>
    + Send
    + 'static,
) -> Result<(), WriteError> {
    let (done, forced) = oneshot::channel();
    writer.submit(64, write, move |result| {
        // Nobody waits any more when the process is about to stop.
        let _ = done.send(result);
    });
    forced.await.unwrap_or(Err(WriteError::Closed))
}
