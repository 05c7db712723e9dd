//! A participant's data folder: opened, claimed and read, before anything is served from it.

use triumvir_protocol::{Branch, BranchState, DiskId};
use triumvir_storage::{Database, Identity, Journal, Options, Owner};

use crate::config::Config;
use crate::error::StartError;
use crate::resource::{BranchId, Recovered, RecoveredState};

/// An open data folder that belongs to this participant. No other process can have it open.
#[derive(Debug)]
pub struct DataFolder {
    pub(crate) database: Database,
    pub(crate) disk: DiskId,
    pub(crate) journal: Journal,
}

impl DataFolder {
    /// Opens the folder, creates it if it is not there, and claims it for the participant and the
    /// cluster of `config`.
    ///
    /// # Errors
    ///
    /// The settings cannot be used, the folder cannot be opened, belongs to somebody else, or its
    /// journal cannot be read.
    pub fn open(config: &Config) -> Result<Self, StartError> {
        config.check()?;
        let options = Options {
            cache_bytes: config.limits.cache_bytes,
            ..Options::default()
        };
        let database = Database::open(&config.data, &options)?;
        let owner = Owner::Participant {
            name: config.name.clone(),
        };
        let identity = Identity::claim(&database, &config.cluster, &owner, rand::random())
            .map_err(|source| StartError::Identity {
                path: config.data.clone(),
                source,
            })?;
        let journal = Journal::load(&database).map_err(StartError::Journal)?;
        Ok(Self {
            database,
            disk: DiskId(identity.disk),
            journal,
        })
    }

    /// The folder's database, for a resource that keeps its tables there and writes them through
    /// [`Write`](crate::Write).
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The branches that the resource has to take back.
    pub(crate) fn live(&self) -> Vec<Recovered> {
        let live = |branch: &Branch| match &branch.state {
            BranchState::Prepared { age, .. } => Some((*age, RecoveredState::Prepared)),
            BranchState::PreCommitted { age, .. } => Some((*age, RecoveredState::PreCommitted)),
            BranchState::Read {
                age,
                released: false,
                ..
            } => Some((*age, RecoveredState::Read)),
            _ => None,
        };
        let branches = self.journal.branches.iter();
        let live = branches.filter_map(|(txn, branch)| {
            let (age, state) = live(branch)?;
            Some(Recovered {
                branch: BranchId { txn: *txn, age },
                state,
            })
        });
        live.collect()
    }
}
