//! The operator's call about a participant that never comes back.

use triumvir_wire::v1::cluster_client::ClusterClient;
use triumvir_wire::v1::remove_participant_request::Who;
use triumvir_wire::{Applied, Code, Failure, v1};

use crate::Client;
use crate::call::{Missed, call, timed};

/// A participant, as an operator names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Whom {
    /// The one that has this name now.
    Name(String),
    /// The one with this id, whether or not it has its name still.
    Id(u32),
}

impl Client {
    /// What waits for a participant, and would be ended without it if it were removed.
    ///
    /// # Errors
    ///
    /// It could not be asked, or there is no such participant. Nothing is changed by asking.
    pub async fn removal(&self, whom: Whom) -> Result<v1::RemoveParticipantResponse, Failure> {
        let answer = self.ask_removal(whom, false).await;
        answer.map_err(Missed::into_read_failure)
    }

    /// Removes the participant `id` for good: nobody waits for it any more, its name is free, and its
    /// data folder is refused for ever. Asking again is safe, and answers the same.
    ///
    /// If it comes back after all, what it had prepared may end otherwise there than the cluster has
    /// recorded; this call is for a participant that never comes back.
    ///
    /// # Errors
    ///
    /// There is no such participant; or it is not known whether it was removed, as the failure says.
    pub async fn remove_participant(
        &self,
        id: u32,
    ) -> Result<v1::RemoveParticipantResponse, Failure> {
        let answer = self.ask_removal(Whom::Id(id), true).await;
        answer.map_err(|missed| match missed.doubt {
            true => missed.last.with_applied(Applied::Unknown),
            false => missed.last,
        })
    }

    async fn ask_removal(
        &self,
        whom: Whom,
        force: bool,
    ) -> Result<v1::RemoveParticipantResponse, Missed> {
        let who = Some(match whom {
            Whom::Name(name) => Who::Name(name),
            Whom::Id(id) => Who::Participant(id),
        });
        let request = v1::RemoveParticipantRequest { who, force };
        // A deadline that passes leaves open whether it was removed.
        let silence = match force {
            true => Code::Transport,
            false => Code::NoAnswer,
        };
        call(
            self.replicas(),
            self.deadline(),
            silence,
            |channel, time| {
                let request = timed(request.clone(), time);
                async move {
                    ClusterClient::new(channel)
                        .remove_participant(request)
                        .await
                }
            },
        )
        .await
    }
}
