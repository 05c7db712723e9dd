//! An operator's decision that a participant never comes back: what it gives up, the record of it, and
//! what every replica does when that is applied. How transactions go on without the participant is
//! the conductor's.

use std::collections::HashMap;

use tokio::sync::oneshot;
use triumvir_protocol::{ParticipantId, Record, TxnId};
use triumvir_wire::Code;

use super::Owner;
use super::input::{Removal, Whom};
use crate::history::BranchWord;
use crate::telemetry;

/// Who waits for a removal to be applied, by participant.
pub(super) type Removing = HashMap<ParticipantId, Vec<oneshot::Sender<Option<Removal>>>>;

impl Owner {
    pub(super) fn on_remove(
        &mut self,
        whom: &Whom,
        force: bool,
        reply: oneshot::Sender<Option<Removal>>,
    ) {
        // Dropping the caller says that this replica does not lead.
        if self.role.epoch().is_none() {
            return;
        }
        let id = match whom {
            Whom::Name(name) => self.coordinator.participant(name),
            Whom::Id(id) => Some(*id),
        };
        let found = id.and_then(|id| self.removal_of(id));
        match found {
            Some(removal) if force && !removal.removed => {
                self.propose_removal(removal.participant, reply);
            }
            found => drop(reply.send(found)),
        }
    }

    fn propose_removal(
        &mut self,
        participant: ParticipantId,
        reply: oneshot::Sender<Option<Removal>>,
    ) {
        let record = Record::Remove { participant };
        if record.check().is_err() {
            let _ = reply.send(None);
            return;
        }
        let waiting = self.removing.entry(participant).or_default();
        waiting.push(reply);
        // A repeated call waits for the record that is on its way.
        if waiting.len() == 1 {
            self.proposals.extend([record]);
        }
    }

    /// What is given up with `participant`; none if there never was such a participant.
    fn removal_of(&self, participant: ParticipantId) -> Option<Removal> {
        let known = self.coordinator.participants().get(&participant)?;
        let (records, oldest) = self.unconfirmed_by(participant);
        Some(Removal {
            participant,
            name: known.name.to_string(),
            records,
            oldest,
            session: self.sessions.is_up(participant),
            removed: known.removed,
        })
    }

    /// The open records that `participant` voted YES on and is not known to have confirmed: how many,
    /// and the oldest.
    fn unconfirmed_by(&self, participant: ParticipantId) -> (usize, Option<TxnId>) {
        let unconfirmed = self.coordinator.open().iter().filter(|(txn, open)| {
            let entry = self.history.get(**txn);
            let word = entry.and_then(|entry| entry.branches.get(&participant));
            open.voters.contains(&participant)
                && word.is_none_or(|word| *word < BranchWord::Committed)
        });
        let mut ids = unconfirmed.map(|(txn, _)| *txn);
        let oldest = ids.next();
        (usize::from(oldest.is_some()) + ids.count(), oldest)
    }

    /// A removal was applied.
    pub(super) fn on_removed(&mut self, participant: ParticipantId) {
        let removal = self.removal_of(participant);
        let known = self.coordinator.participants().get(&participant);
        if let (Some(removal), Some(known)) = (&removal, known) {
            tracing::warn!(
                %participant, name = removal.name, disk = %known.disk, records = removal.records,
                oldest = removal.oldest.map(|txn| txn.to_string()),
                "an operator has removed the participant for good: nobody waits for it any more"
            );
        }
        self.conduct(|conductor, _, out| conductor.on_removed(participant, out));
        self.renew_directory();
        self.let_go_of_removed();
        self.sessions.tell_all();
        // At once, so that whoever is told of the removal finds the name free.
        self.show();
        for reply in self.removing.remove(&participant).unwrap_or_default() {
            let _ = reply.send(removal.clone());
        }
    }

    /// Ends what this replica keeps for participants that are removed.
    pub(super) fn let_go_of_removed(&mut self) {
        let participants = self.coordinator.participants().iter();
        for (participant, known) in participants.filter(|(_, known)| known.removed) {
            let why = "an operator has removed it";
            self.sessions
                .close(*participant, Code::ParticipantRemoved, why);
            if self.coordinator.participant(&known.name).is_none() {
                telemetry::participant_gone(&known.name);
            }
        }
    }

    /// Forgets callers that no longer wait.
    pub(super) fn forget_left_removals(&mut self) {
        self.removing.retain(|_, waiting| {
            waiting.retain(|reply| !reply.is_closed());
            !waiting.is_empty()
        });
    }
}
