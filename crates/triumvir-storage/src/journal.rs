//! The tables of a participant's journal: branches, horizon, registration and where the other
//! participants are. When something has to be written is not known here; each write takes place
//! within a transaction of the [`Writer`](crate::Writer).

use std::collections::BTreeMap;

use redb::{ReadableTable, Table, TableDefinition, TableError, WriteTransaction};
use triumvir_protocol::{Branch, Horizon, Incarnation, ParticipantId, TxnId};

use crate::codec::decode_branch;
use crate::database::Database;
use crate::error::StorageError;

const BRANCHES: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("journal_branches");
const MARKS: TableDefinition<'_, &str, u128> = TableDefinition::new("journal_marks");
const DIRECTORY: TableDefinition<'_, u32, (&str, &str, u64)> =
    TableDefinition::new("journal_directory");
const COORDINATORS: TableDefinition<'_, u64, (&str, u64)> =
    TableDefinition::new("journal_coordinators");

const HORIZON: &str = "horizon";
const PARTICIPANT: &str = "participant";
const INCARNATION: &str = "incarnation";
const NONCE: &str = "nonce";

/// One record of the journal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum JournalEntry {
    /// The branch stands like this: [`encode_branch`](crate::encode_branch).
    Branch(TxnId, Vec<u8>),
    /// The branch is forgotten.
    Forget(TxnId),
    /// Everything at or below it is over.
    Horizon(Horizon),
}

impl JournalEntry {
    /// About how much it adds to a write, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        match self {
            Self::Branch(_, bytes) => bytes.len() + 64,
            Self::Forget(_) | Self::Horizon(_) => 64,
        }
    }
}

/// Where a participant is reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerAddress {
    /// Its registered name.
    pub name: String,
    /// Its address, as it was registered.
    pub address: String,
    /// The start that registered the address: a higher one is newer.
    pub incarnation: Incarnation,
}

/// Who the coordinators are, as the cluster last said.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Coordinators {
    /// The log index at which they became so: a higher one is newer.
    pub version: u64,
    /// Their addresses by replica id.
    pub members: BTreeMap<u64, String>,
}

/// The journal's tables.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Journal {
    /// Everything at or below it is over.
    pub horizon: Horizon,
    /// Every branch that is not forgotten.
    pub branches: BTreeMap<TxnId, Branch>,
    /// The id and the incarnation of the last registration that was answered.
    pub registration: Option<(ParticipantId, Incarnation)>,
    /// The mark of a registration whose answer was not stored yet.
    pub nonce: Option<u128>,
    /// Where the other participants were last known to be.
    pub directory: BTreeMap<ParticipantId, PeerAddress>,
    /// Who the coordinators were last known to be.
    pub coordinators: Option<Coordinators>,
}

impl Journal {
    /// Reads the whole journal.
    ///
    /// # Errors
    ///
    /// [`StorageError::Corrupted`] when a branch cannot be decoded, and when reading fails.
    pub fn load(database: &Database) -> Result<Self, StorageError> {
        let mut journal = Self::default();
        let read = database.read()?;
        if let Some(table) = existing(read.open_table(MARKS))? {
            let mark = |name: &str| -> Result<Option<u128>, StorageError> {
                Ok(table.get(name)?.map(|value| value.value()))
            };
            journal.horizon = Horizon(TxnId::from_u128(mark(HORIZON)?.unwrap_or_default()));
            journal.nonce = mark(NONCE)?;
            if let (Some(id), Some(incarnation)) = (mark(PARTICIPANT)?, mark(INCARNATION)?) {
                let id = id.try_into().map_err(|_| corrupted(PARTICIPANT))?;
                let incarnation = incarnation.try_into().map_err(|_| corrupted(INCARNATION))?;
                journal.registration = Some((ParticipantId(id), Incarnation(incarnation)));
            }
        }
        if let Some(table) = existing(read.open_table(BRANCHES))? {
            for entry in table.iter()? {
                let (txn, bytes) = entry?;
                let txn = TxnId::from_u128(txn.value());
                let branch = decode_branch(bytes.value()).map_err(|error| {
                    StorageError::Corrupted(format!("the branch of {txn}: {error}"))
                })?;
                journal.branches.insert(txn, branch);
            }
        }
        if let Some(table) = existing(read.open_table(DIRECTORY))? {
            for entry in table.iter()? {
                let (id, place) = entry?;
                let (name, address, incarnation) = place.value();
                let place = PeerAddress {
                    name: name.to_owned(),
                    address: address.to_owned(),
                    incarnation: Incarnation(incarnation),
                };
                journal.directory.insert(ParticipantId(id.value()), place);
            }
        }
        if let Some(table) = existing(read.open_table(COORDINATORS))? {
            for entry in table.iter()? {
                let (replica, place) = entry?;
                let (address, version) = place.value();
                let known = journal.coordinators.get_or_insert_default();
                known.version = version;
                known.members.insert(replica.value(), address.to_owned());
            }
        }
        Ok(journal)
    }

    /// Writes `entries` in order.
    ///
    /// # Errors
    ///
    /// Of the database.
    pub fn append(
        write: &WriteTransaction,
        entries: impl IntoIterator<Item = JournalEntry>,
    ) -> Result<(), StorageError> {
        let mut branches: Table<'_, u128, &[u8]> = write.open_table(BRANCHES)?;
        for entry in entries {
            match entry {
                JournalEntry::Branch(txn, bytes) => {
                    branches.insert(txn.as_u128(), &*bytes)?;
                }
                JournalEntry::Forget(txn) => {
                    branches.remove(txn.as_u128())?;
                }
                JournalEntry::Horizon(Horizon(txn)) => {
                    write.open_table(MARKS)?.insert(HORIZON, txn.as_u128())?;
                }
            }
        }
        Ok(())
    }

    /// Notes the mark under which a registration is about to be asked for.
    ///
    /// # Errors
    ///
    /// Of the database.
    pub fn put_nonce(write: &WriteTransaction, nonce: u128) -> Result<(), StorageError> {
        write.open_table(MARKS)?.insert(NONCE, nonce)?;
        Ok(())
    }

    /// Notes a registration's answer; its mark is used up.
    ///
    /// # Errors
    ///
    /// Of the database.
    pub fn put_registration(
        write: &WriteTransaction,
        id: ParticipantId,
        incarnation: Incarnation,
    ) -> Result<(), StorageError> {
        let mut marks = write.open_table(MARKS)?;
        marks.insert(PARTICIPANT, u128::from(id.0))?;
        marks.insert(INCARNATION, u128::from(incarnation.0))?;
        marks.remove(NONCE)?;
        Ok(())
    }

    /// Notes where a participant is reached.
    ///
    /// # Errors
    ///
    /// Of the database.
    pub fn put_peer(
        write: &WriteTransaction,
        id: ParticipantId,
        peer: &PeerAddress,
    ) -> Result<(), StorageError> {
        let mut table = write.open_table(DIRECTORY)?;
        let place = (&*peer.name, &*peer.address, peer.incarnation.0);
        table.insert(id.0, place)?;
        Ok(())
    }

    /// Stores who the coordinators are, in the place of what was stored before.
    ///
    /// # Errors
    ///
    /// Of the database.
    pub fn put_coordinators(
        write: &WriteTransaction,
        coordinators: &Coordinators,
    ) -> Result<(), StorageError> {
        let mut table = write.open_table(COORDINATORS)?;
        table.retain(|replica, _| coordinators.members.contains_key(&replica))?;
        for (replica, address) in &coordinators.members {
            table.insert(replica, (&**address, coordinators.version))?;
        }
        Ok(())
    }
}

/// The table, or nothing while nobody has written to it.
fn existing<T>(opened: Result<T, TableError>) -> Result<Option<T>, StorageError> {
    match opened {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn corrupted(mark: &str) -> StorageError {
    StorageError::Corrupted(format!("journal mark {mark:?} is out of range"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::encode_branch;
    use crate::database::Options;
    use triumvir_protocol::{BranchState, Digest, NoReason, Payload};

    #[test]
    fn what_was_written_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path(), &Options::default()).unwrap();
        assert_eq!(Journal::load(&database).unwrap(), Journal::default());

        let branch = Branch {
            digest: Digest([7; 32]),
            state: BranchState::Refused(NoReason::Overtaken),
            results: Payload::from([]),
        };
        let [one, two] = [1, 2].map(TxnId::from_u128);
        let bytes = encode_branch(&branch);
        let peer = PeerAddress {
            name: "orders".to_owned(),
            address: "http://a:1".to_owned(),
            incarnation: Incarnation(7),
        };
        let write = database.begin_write().unwrap();
        Journal::put_nonce(&write, 5).unwrap();
        let entries = [
            JournalEntry::Branch(one, bytes.clone()),
            JournalEntry::Branch(two, bytes),
            JournalEntry::Horizon(Horizon(one)),
            JournalEntry::Forget(one),
        ];
        Journal::append(&write, entries).unwrap();
        Journal::put_peer(&write, ParticipantId(3), &peer).unwrap();
        write.commit().unwrap();

        let loaded = Journal::load(&database).unwrap();
        assert_eq!(loaded.nonce, Some(5));
        assert_eq!(loaded.registration, None);
        assert_eq!(loaded.horizon, Horizon(one));
        assert_eq!(loaded.branches, BTreeMap::from([(two, branch)]));
        assert_eq!(loaded.directory, BTreeMap::from([(ParticipantId(3), peer)]));
        assert_eq!(loaded.coordinators, None);

        let write = database.begin_write().unwrap();
        let known = |version, members: &[u64]| {
            let members = members.iter().map(|id| (*id, format!("node{id}:1")));
            let members = members.collect();
            Coordinators { version, members }
        };
        Journal::put_coordinators(&write, &known(4, &[1, 2, 3])).unwrap();
        Journal::put_coordinators(&write, &known(9, &[2, 3, 4])).unwrap();
        Journal::put_registration(&write, ParticipantId(9), Incarnation(4)).unwrap();
        write.commit().unwrap();
        let loaded = Journal::load(&database).unwrap();
        assert_eq!(
            loaded.registration,
            Some((ParticipantId(9), Incarnation(4)))
        );
        assert_eq!(loaded.nonce, None);
        assert_eq!(loaded.coordinators, Some(known(9, &[2, 3, 4])));
    }
}
