//! The operator's call about a participant that never comes back. Input is checked here and finds its
//! way to the leader; the decision is a record.

use tonic::Response;
use triumvir_wire::v1::cluster_client::ClusterClient;
use triumvir_wire::v1::remove_participant_request::Who;
use triumvir_wire::{Applied, Code, Failure, WireError, ids, v1};

use super::forward::{Call, Leader};
use crate::clock;
use crate::owner::{Input, Removal, Whom};
use crate::shared::Shared;

/// Says what waits for a participant, or removes it.
///
/// # Errors
///
/// No such participant, no leader in time; a removal that was not answered may have been recorded.
pub(super) async fn remove_participant(
    shared: &Shared,
    call: Call,
    request: v1::RemoveParticipantRequest,
) -> Result<v1::RemoveParticipantResponse, Failure> {
    let force = request.force;
    let whom = whom(&request)?;
    let (request, whom) = (&request, &whom);
    let local = || async move {
        let whom = whom.clone();
        let removal = shared
            .ask(|reply| Input::Remove { whom, force, reply })
            .await?;
        Some(removal.map(wire).ok_or_else(|| unknown(request)))
    };
    let remote = |leader: Leader| async move {
        let mut client = ClusterClient::new(leader.channel.clone());
        let answer = client.remove_participant(leader.request(request.clone()));
        answer.await.map(Response::into_inner)
    };
    let answered = call.at_leader(shared, local, remote).await;
    answered.map_err(|failure| match failure.code {
        // The record may be on its way.
        Code::NoAnswer if force => failure.with_applied(Applied::Unknown),
        _ => failure,
    })
}

fn whom(request: &v1::RemoveParticipantRequest) -> Result<Whom, Failure> {
    match &request.who {
        None => Err(WireError::Missing { field: "who" }.into()),
        Some(Who::Participant(id)) => Ok(Whom::Id(ids::participant("participant", *id)?)),
        Some(Who::Name(_)) if request.force => Err(Failure::new(
            Code::Malformed,
            "a removal names the participant by its id: its name may belong to another by now",
        )),
        Some(Who::Name(name)) => Ok(Whom::Name(name.clone())),
    }
}

fn unknown(request: &v1::RemoveParticipantRequest) -> Failure {
    let who = match &request.who {
        Some(Who::Participant(id)) => format!("p{id}"),
        Some(Who::Name(name)) => format!("{name:?}"),
        None => String::new(),
    };
    Failure::new(Code::UnknownParticipant, who)
}

fn wire(removal: Removal) -> v1::RemoveParticipantResponse {
    let age = |made: u64| clock::millis().saturating_sub(made);
    v1::RemoveParticipantResponse {
        participant: removal.participant.0,
        name: removal.name,
        records: removal.records as u64,
        oldest_millis: removal.oldest.map(|txn| age(txn.millis())),
        session: removal.session,
        removed: removal.removed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removal_names_its_participant_by_id() {
        let ask = |who, force| {
            whom(&v1::RemoveParticipantRequest { who, force }).map_err(|failure| failure.code)
        };
        let name = || Some(Who::Name("stock".to_owned()));
        assert!(matches!(ask(name(), false), Ok(Whom::Name(_))));
        assert!(matches!(ask(name(), true), Err(Code::Malformed)));
        let id = |id| Some(Who::Participant(id));
        assert!(matches!(ask(id(3), true), Ok(Whom::Id(_))));
        assert!(matches!(ask(id(0), true), Err(Code::Malformed)));
        assert!(matches!(ask(None, false), Err(Code::Malformed)));
    }
}
