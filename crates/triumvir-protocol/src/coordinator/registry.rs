//! The registry of participants: names, data folders and incarnations. An entry is never deleted, so
//! that no id is given twice and no folder that was given up is taken in again.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Coordinator, Effect};
use crate::record::Register;
use crate::{DiskId, Incarnation, ParticipantId};

/// A registered participant.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Registration {
    /// Its stable name.
    pub name: Arc<str>,
    /// Its data folder.
    pub disk: DiskId,
    /// How often it has started.
    pub incarnation: Incarnation,
    /// The last start's mark.
    pub nonce: u128,
    /// Where peers reach it.
    pub address: Arc<str>,
    /// Its disk was declared lost, and its name went to a new id.
    pub replaced: bool,
    /// An operator decided that it never comes back: nobody waits for it, and its name is free.
    pub removed: bool,
}

impl Registration {
    /// Whether it has its name: neither replaced nor removed.
    pub fn is_current(&self) -> bool {
        !self.replaced && !self.removed
    }
}

/// Why a participant was not registered. Nothing was changed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum RegistrationRefused {
    /// The name belongs to another data folder.
    #[error("the name belongs to {id} with the data folder {disk}")]
    OtherDisk {
        /// The id that has the name.
        id: ParticipantId,
        /// Its data folder.
        disk: DiskId,
    },
    /// The data folder is older than what the cluster has seen of it.
    #[error("the data folder says {stored}, the cluster has seen {known}: it is an old copy")]
    OldCopy {
        /// What the cluster knows.
        known: Incarnation,
        /// What the folder says.
        stored: Incarnation,
    },
    /// The data folder was declared lost.
    #[error("the data folder {disk} was declared lost; its name belongs to {id}")]
    Replaced {
        /// The id that has the name now.
        id: ParticipantId,
        /// The folder that was declared lost.
        disk: DiskId,
    },
    /// The data folder belongs to a participant that an operator has removed.
    #[error("the data folder {disk} belongs to {id}, which was removed from the cluster for good")]
    Removed {
        /// The id that was removed.
        id: ParticipantId,
        /// Its data folder.
        disk: DiskId,
    },
}

impl Coordinator {
    pub(super) fn apply_register(
        &mut self,
        register: Register,
    ) -> Result<(ParticipantId, Incarnation), RegistrationRefused> {
        let Register {
            name,
            disk,
            previous,
            nonce,
            address,
            replace,
        } = register;
        let known = self.names.get(&name).copied();
        if let Some(id) = known
            && self.registry[&id].disk == disk
        {
            let known = self
                .registry
                .get_mut(&id)
                .expect("every name has its entry");
            if known.nonce == nonce {
                return Ok((id, known.incarnation));
            }
            if known.incarnation != previous {
                let known = known.incarnation;
                return Err(RegistrationRefused::OldCopy {
                    known,
                    stored: previous,
                });
            }
            known.incarnation.0 += 1;
            known.nonce = nonce;
            known.address = address;
            return Ok((id, known.incarnation));
        }
        if let Some((&id, old)) = self.registry.iter().find(|(_, old)| old.disk == disk) {
            return Err(if old.removed {
                RegistrationRefused::Removed { id, disk }
            } else {
                let id = known.unwrap_or(id);
                RegistrationRefused::Replaced { id, disk }
            });
        }
        if let Some(id) = known {
            let old = self
                .registry
                .get_mut(&id)
                .expect("every name has its entry");
            if !replace {
                return Err(RegistrationRefused::OtherDisk { id, disk: old.disk });
            }
            old.replaced = true;
        }
        let id = ParticipantId(self.registry.last_key_value().map_or(1, |(id, _)| id.0 + 1));
        let incarnation = Incarnation(1);
        self.names.insert(name.clone(), id);
        let new = Registration {
            name,
            disk,
            incarnation,
            nonce,
            address,
            replaced: false,
            removed: false,
        };
        self.registry.insert(id, new);
        Ok((id, incarnation))
    }

    /// An operator's decision. Open records stay as they are: what they still wait for is for the
    /// conductor to see.
    pub(super) fn apply_remove(&mut self, participant: ParticipantId) -> Effect {
        let Some(entry) = self.registry.get_mut(&participant) else {
            return Effect::Nothing;
        };
        if entry.removed {
            return Effect::Nothing;
        }
        entry.removed = true;
        if self.names.get(&entry.name) == Some(&participant) {
            self.names.remove(&entry.name);
        }
        Effect::Removed(participant)
    }

    /// Those of `listed` that an operator has removed.
    pub fn removed_among(&self, listed: &[ParticipantId]) -> BTreeSet<ParticipantId> {
        let removed = |id: &&ParticipantId| self.registry.get(id).is_some_and(|e| e.removed);
        listed.iter().filter(removed).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Record, Rules, TxnId};

    const P1: ParticipantId = ParticipantId(1);
    const P2: ParticipantId = ParticipantId(2);

    fn register(name: &str, disk: u128, replace: bool) -> Record {
        Record::Register(Register {
            name: name.into(),
            disk: DiskId(disk),
            previous: Incarnation(0),
            nonce: disk,
            address: "127.0.0.1:1".into(),
            replace,
        })
    }

    fn registered(state: &mut Coordinator, record: Record) -> Result<u32, RegistrationRefused> {
        match state.apply(1, record) {
            Effect::Registered { result, .. } => result.map(|(id, _)| id.0),
            other => panic!("{other:?}"),
        }
    }

    fn remove(state: &mut Coordinator, participant: ParticipantId) -> Effect {
        state.apply(2, Record::Remove { participant })
    }

    #[test]
    fn a_removed_participant_gives_its_name_up_and_its_folder_never_comes_back() {
        let mut state = Coordinator::new(Rules::default());
        assert_eq!(registered(&mut state, register("stock", 7, false)), Ok(1));
        assert_eq!(remove(&mut state, P1), Effect::Removed(P1));
        assert_eq!(state.participant("stock"), None);
        assert_eq!(
            state
                .removed_among(&[P1, P2])
                .into_iter()
                .collect::<Vec<_>>(),
            [P1]
        );
        let refused = Err(RegistrationRefused::Removed {
            id: P1,
            disk: DiskId(7),
        });
        for name in ["stock", "another"] {
            for replace in [false, true] {
                assert_eq!(registered(&mut state, register(name, 7, replace)), refused);
            }
        }
        assert_eq!(registered(&mut state, register("stock", 8, false)), Ok(2));
        assert_eq!(state.participant("stock"), Some(P2));
        // The folder stays refused when the name has another holder.
        assert_eq!(registered(&mut state, register("stock", 7, true)), refused);
    }

    #[test]
    fn only_what_is_registered_and_not_yet_removed_is_removed() {
        let mut state = Coordinator::new(Rules::default());
        assert_eq!(remove(&mut state, P1), Effect::Nothing);
        assert_eq!(registered(&mut state, register("stock", 7, false)), Ok(1));
        assert_eq!(remove(&mut state, P1), Effect::Removed(P1));
        let before = state.clone();
        assert_eq!(remove(&mut state, P1), Effect::Nothing);
        assert_eq!(state, before);
        assert!(Record::Remove { participant: P1 }.check().is_ok());
        let nobody = ParticipantId(0);
        assert!(
            Record::Remove {
                participant: nobody
            }
            .check()
            .is_err()
        );
    }

    #[test]
    fn a_replaced_participant_is_removed_without_touching_the_holder_of_its_name() {
        let mut state = Coordinator::new(Rules::default());
        assert_eq!(registered(&mut state, register("stock", 7, false)), Ok(1));
        assert_eq!(registered(&mut state, register("stock", 8, true)), Ok(2));
        assert_eq!(remove(&mut state, P1), Effect::Removed(P1));
        assert_eq!(state.participant("stock"), Some(P2));
        let restored = Coordinator::restore(
            Rules::default(),
            state.open().clone(),
            state.ended().clone(),
            state.horizon(),
            (state.epoch(), state.leader()),
            state.participants().clone(),
        );
        assert_eq!(restored, state);
        assert_eq!(remove(&mut state, P2), Effect::Removed(P2));
        assert_eq!(state.participant("stock"), None);
    }

    #[test]
    fn a_removal_ends_no_record_by_itself() {
        let mut state = Coordinator::new(Rules::default());
        assert_eq!(registered(&mut state, register("stock", 7, false)), Ok(1));
        let txn = TxnId::from_u128(9);
        let terms = crate::Terms::from_parts(crate::Mode::ThreePhase, crate::Digest([1; 32]), [P1]);
        let terms = terms.expect("a list");
        let voters = [P1].into();
        state.apply(3, Record::PreCommit { txn, terms, voters });
        assert_eq!(remove(&mut state, P1), Effect::Removed(P1));
        assert_eq!(state.open().len(), 1);
    }
}
