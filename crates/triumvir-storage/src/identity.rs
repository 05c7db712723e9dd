//! Whom a data folder belongs to. A folder that is mounted at the wrong process must be refused
//! before anything is read from it: a Raft vote or a prepared branch under a wrong name breaks
//! agreement. What a role is allowed to do is not decided here.

use std::fmt;

use redb::{TableDefinition, TableError};

use crate::database::Database;
use crate::error::StorageError;

const IDENTITY: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("identity");

const CLUSTER: &str = "cluster";
const ROLE: &str = "role";
const NAME: &str = "name";
const DISK: &str = "disk";

const ROLE_REPLICA: &[u8] = b"replica";
const ROLE_PARTICIPANT: &[u8] = b"participant";

/// The process that a folder belongs to, within its cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// A coordinator replica.
    Replica {
        /// Its Raft node id.
        node: u64,
    },
    /// A participant.
    Participant {
        /// Its registered name.
        name: String,
    },
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Replica { node } => write!(f, "replica {node}"),
            Self::Participant { name } => write!(f, "participant {name:?}"),
        }
    }
}

/// What is written in a folder about its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The cluster's name.
    pub cluster: String,
    /// The process within the cluster.
    pub owner: Owner,
    /// The id of this folder's contents, chosen at random when it was first claimed. A folder that
    /// was wiped comes back with another one, which is how a wiped disk is told from the old one.
    pub disk: u128,
}

/// A folder could not be claimed.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The folder belongs to another cluster.
    #[error("the data folder belongs to cluster {found:?}, not {wanted:?}")]
    OtherCluster {
        /// The cluster in the folder.
        found: String,
        /// The cluster that was asked for.
        wanted: String,
    },
    /// The folder belongs to another process of this cluster.
    #[error("the data folder belongs to {found}, not {wanted}")]
    OtherOwner {
        /// The owner in the folder.
        found: Owner,
        /// The owner that was asked for.
        wanted: Owner,
    },
    /// The folder has never been claimed.
    #[error("the data folder belongs to nobody yet")]
    Unclaimed,
    /// Reading or writing the folder failed.
    #[error("cannot read or write the identity of the data folder")]
    Storage(#[from] StorageError),
}

impl Identity {
    /// What is written in `database`, or nothing when it was never claimed.
    ///
    /// # Errors
    ///
    /// When the table cannot be read or holds something else than an identity.
    pub fn read(database: &Database) -> Result<Option<Self>, StorageError> {
        let table = match database.read()?.open_table(IDENTITY) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let field = |key: &str| -> Result<Vec<u8>, StorageError> {
            let value = table.get(key)?.ok_or_else(|| corrupted(key))?;
            Ok(value.value().to_vec())
        };
        let name = field(NAME)?;
        let owner = match &*field(ROLE)? {
            ROLE_REPLICA => {
                let node = name.try_into().map_err(|_| corrupted(NAME))?;
                Owner::Replica {
                    node: u64::from_be_bytes(node),
                }
            }
            ROLE_PARTICIPANT => Owner::Participant {
                name: text(NAME, name)?,
            },
            _ => return Err(corrupted(ROLE)),
        };
        let disk = field(DISK)?.try_into().map_err(|_| corrupted(DISK))?;
        let cluster = text(CLUSTER, field(CLUSTER)?)?;
        Ok(Some(Self {
            cluster,
            owner,
            disk: u128::from_be_bytes(disk),
        }))
    }

    /// Takes the folder for `owner` of `cluster`, or confirms that it already belongs to it.
    ///
    /// `disk` is a fresh random value, used only when the folder is claimed for the first time; the
    /// returned identity holds the one in force. Durable on return. To be called before any
    /// [`Writer`](crate::Writer) is started on `database`.
    ///
    /// # Errors
    ///
    /// [`IdentityError::OtherCluster`] and [`IdentityError::OtherOwner`] when it belongs to another.
    pub fn claim(
        database: &Database,
        cluster: &str,
        owner: &Owner,
        disk: u128,
    ) -> Result<Self, IdentityError> {
        match Self::check(database, cluster, owner) {
            Err(IdentityError::Unclaimed) => {}
            checked => return checked,
        }
        let identity = Self {
            cluster: cluster.to_owned(),
            owner: owner.clone(),
            disk,
        };
        identity.write(database)?;
        Ok(identity)
    }

    /// Confirms that the folder belongs to `owner` of `cluster`.
    ///
    /// # Errors
    ///
    /// As for [`Identity::claim`], and [`IdentityError::Unclaimed`].
    pub fn check(database: &Database, cluster: &str, owner: &Owner) -> Result<Self, IdentityError> {
        let found = Self::read(database)?.ok_or(IdentityError::Unclaimed)?;
        if found.cluster != cluster {
            let wanted = cluster.to_owned();
            return Err(IdentityError::OtherCluster {
                found: found.cluster,
                wanted,
            });
        }
        if found.owner != *owner {
            let wanted = owner.clone();
            return Err(IdentityError::OtherOwner {
                found: found.owner,
                wanted,
            });
        }
        Ok(found)
    }

    fn write(&self, database: &Database) -> Result<(), StorageError> {
        let txn = database.begin_write()?;
        {
            let mut table = txn.open_table(IDENTITY)?;
            table.insert(CLUSTER, self.cluster.as_bytes())?;
            table.insert(DISK, &self.disk.to_be_bytes()[..])?;
            match &self.owner {
                Owner::Replica { node } => {
                    table.insert(ROLE, ROLE_REPLICA)?;
                    table.insert(NAME, &node.to_be_bytes()[..])?;
                }
                Owner::Participant { name } => {
                    table.insert(ROLE, ROLE_PARTICIPANT)?;
                    table.insert(NAME, name.as_bytes())?;
                }
            }
        }
        #[cfg(feature = "failpoints")]
        crate::failpoint::reach("storage::before-claim")?;
        txn.commit()?;
        Ok(())
    }
}

fn text(key: &str, value: Vec<u8>) -> Result<String, StorageError> {
    String::from_utf8(value).map_err(|_| corrupted(key))
}

fn corrupted(key: &str) -> StorageError {
    StorageError::Corrupted(format!("identity field {key:?} is missing or malformed"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::Options;

    #[test]
    fn a_claimed_folder_refuses_every_other_owner() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Database::open(folder.path(), &Options::default()).unwrap();
        let one = Owner::Replica { node: 1 };

        let database = open();
        assert!(matches!(
            Identity::check(&database, "alpha", &one),
            Err(IdentityError::Unclaimed)
        ));
        let claimed = Identity::claim(&database, "alpha", &one, 7).unwrap();
        assert_eq!(claimed.disk, 7);
        drop(database);

        let database = open();
        // The disk id of the first claim stays.
        assert_eq!(
            Identity::claim(&database, "alpha", &one, 8).unwrap(),
            claimed
        );
        assert!(matches!(
            Identity::claim(&database, "beta", &one, 8),
            Err(IdentityError::OtherCluster { .. })
        ));
        for other in [
            Owner::Replica { node: 2 },
            Owner::Participant {
                name: "1".to_owned(),
            },
        ] {
            assert!(matches!(
                Identity::claim(&database, "alpha", &other, 8),
                Err(IdentityError::OtherOwner { .. })
            ));
        }
    }

    #[test]
    fn a_participant_is_kept_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path(), &Options::default()).unwrap();
        let owner = Owner::Participant {
            name: "orders".to_owned(),
        };
        let claimed = Identity::claim(&database, "alpha", &owner, u128::MAX).unwrap();
        assert_eq!(Identity::read(&database).unwrap(), Some(claimed));
    }
}
