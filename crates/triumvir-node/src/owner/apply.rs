//! Replication's events: entries to apply, snapshots to give and to take. The same on every
//! replica; only what a leader does about an effect is different.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;
use triumvir_protocol::{AbortCause, Effect, Incarnation, ParticipantId, Record, Standing, TxnId};
use triumvir_replication::{AppliedEntry, MachineEvent};
use triumvir_storage::{decode_coordinator, decode_records, encode_coordinator};

use super::{Learnt, Owner};
use crate::view::Directory;
use crate::{NodeError, clock};
use triumvir_wire::v1;

impl Owner {
    pub(super) fn on_machine(&mut self, event: MachineEvent) -> Result<(), NodeError> {
        match event {
            MachineEvent::Apply { entries, done } => {
                for entry in entries {
                    self.apply_entry(entry)?;
                }
                let _ = done.send(());
            }
            MachineEvent::Snapshot { reply } => self.snapshot(reply),
            MachineEvent::Install { index, state, done } => {
                let unreadable = |error| NodeError::State {
                    index,
                    reason: format!("{error}"),
                };
                self.coordinator = decode_coordinator(&state, self.rules).map_err(unreadable)?;
                tracing::info!(
                    index,
                    bytes = state.len(),
                    "the state is that of a snapshot"
                );
                if self.role.epoch().is_some() {
                    self.depose("the state was replaced by a snapshot");
                }
                self.renew_directory();
                for (participant, known) in self.coordinator.participants() {
                    self.sessions.supersede(*participant, known.incarnation);
                }
                self.let_go_of_removed();
                self.sessions.tell_all();
                let _ = done.send(());
            }
        }
        Ok(())
    }

    /// Takes a copy now, and writes it out beside this task.
    fn snapshot(&self, reply: oneshot::Sender<Bytes>) {
        let state = self.coordinator.clone();
        tokio::task::spawn_blocking(move || {
            let _ = reply.send(encode_coordinator(&state).into());
        });
    }

    fn apply_entry(&mut self, entry: AppliedEntry) -> Result<(), NodeError> {
        let AppliedEntry { index, data } = entry;
        let unreadable = |error| NodeError::State {
            index,
            reason: format!("{error}"),
        };
        for record in decode_records(&data).map_err(unreadable)? {
            #[cfg(feature = "failpoints")]
            crate::failpoint::applying(&record);
            self.apply_record(index, record);
        }
        Ok(())
    }

    fn apply_record(&mut self, index: u64, record: Record) {
        match self.coordinator.apply(index, record) {
            Effect::Transaction(txn) => {
                if let Standing::Open(open) = self.coordinator.standing(txn)
                    && self.role.epoch().is_some()
                {
                    self.history.learn_recorded(txn, &open.terms);
                }
                self.conduct(|conductor, coordinator, out| {
                    conductor.on_applied(coordinator, txn, out);
                });
                self.tidy_timers(txn);
                self.learn_from_log(txn);
            }
            Effect::Horizon(_) => {
                self.conduct(|conductor, coordinator, out| conductor.on_horizon(coordinator, out));
                self.sessions.tell_all();
            }
            Effect::Activated { epoch, nonce, .. } => self.on_activated(epoch, nonce),
            Effect::Registered { nonce, result } => {
                if let Ok((participant, incarnation)) = result {
                    self.on_registered(participant, incarnation);
                }
                for reply in self.registering.remove(&nonce).unwrap_or_default() {
                    let _ = reply.send(result);
                }
            }
            Effect::Removed(participant) => self.on_removed(participant),
            Effect::Nothing => {}
        }
    }

    fn on_registered(&mut self, participant: ParticipantId, incarnation: Incarnation) {
        self.renew_directory();
        self.sessions.supersede(participant, incarnation);
        self.sessions.tell_all();
        // At once, so that whoever is told of the registration finds it.
        self.show();
    }

    pub(super) fn renew_directory(&mut self) {
        let version = self.directory.version + 1;
        self.directory = Arc::new(Directory::of(
            &self.coordinator,
            version,
            self.replicas.clone(),
        ));
    }

    /// Tells the participants of the members, if they are others than those last told of.
    pub(super) fn heed_members(&mut self) {
        let told = self.replicas.as_ref().map(|told| told.version);
        let replica = self.replica.as_ref();
        let Some((version, members)) = replica.and_then(|own| own.applied_members(told)) else {
            return;
        };
        let members = members.voters.into_iter().chain(members.learners);
        let entries = members.map(|(replica, member)| v1::ReplicaEntry {
            replica,
            address: member.address,
        });
        self.replicas = Some(v1::ReplicaDirectory {
            version,
            entries: entries.collect(),
        });
        self.renew_directory();
        self.sessions.tell_all();
    }

    /// The log may say how `txn` ended, which a follower learns in no other way.
    fn learn_from_log(&mut self, txn: TxnId) {
        if let Standing::Ended(ended) = self.coordinator.standing(txn) {
            let (outcome, cause) = (ended.outcome, ended.reason.map(AbortCause::Recorded));
            self.learn(txn, outcome, cause);
        }
    }

    /// How `txn` ended is known: watchers hear of it, once.
    pub(super) fn learn(
        &mut self,
        txn: TxnId,
        outcome: triumvir_protocol::Outcome,
        cause: Option<AbortCause>,
    ) -> bool {
        let news = self.history.ended(txn, outcome, cause.clone());
        if news && self.channels.learnt.receiver_count() > 0 {
            let at_micros = clock::micros();
            let _ = self.channels.learnt.send(Learnt {
                txn,
                outcome,
                cause,
                at_micros,
            });
        }
        news
    }
}
