//! The embedded key-value resource: the engine of `triumvir-kv` behind the same trait that any other
//! resource implements, its tables in the participant's own database. Locking and what operations mean
//! are decided in the engine.

mod payload;
mod reads;
mod state;
mod store;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::server::NamedService;
use triumvir_kv::{Age, Changes, Intent, Vote};
use triumvir_protocol::{Payload, TxnId};
use triumvir_storage::{Database, KvTables};
use triumvir_wire::v1::key_value_server::KeyValueServer;

use self::reads::KvReads;
use self::state::{Shared, Verdict};
use crate::Write;
use crate::coded::Coded;
use crate::folder::DataFolder;
use crate::resource::{BranchId, Prepared, Recovered, Refusal, Resource, ResourceError};

/// The settings of the key-value resource.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KvConfig {
    /// How long a branch may wait for locks before it is refused as busy.
    #[serde(with = "humantime_serde")]
    pub lock_wait: Duration,
    /// How long a read waits for keys in doubt if the call has no deadline.
    #[serde(with = "humantime_serde")]
    pub read_wait: Duration,
    /// The most that one scan may return, in bytes of keys and values.
    pub scan_bytes_max: usize,
}

impl Default for KvConfig {
    fn default() -> Self {
        Self {
            lock_wait: Duration::from_secs(1),
            read_wait: Duration::from_secs(10),
            scan_bytes_max: 256 << 20,
        }
    }
}

/// A key-value store that takes part in transactions.
///
/// The payload of a branch is an encoded `triumvir.v1.KvOperations`, its results a `KvResults`.
/// Changes and locks of a branch that has voted are stored in the same commit as its vote and stand
/// again before anything is served after a restart.
#[derive(Debug)]
pub struct KvResource {
    config: KvConfig,
    database: Database,
    shared: Arc<Shared>,
}

impl KvResource {
    /// A resource in `folder`. At most one per folder.
    #[must_use]
    pub fn new(folder: &DataFolder, config: KvConfig) -> Self {
        let database = folder.database().clone();
        let shared = Arc::new(Shared::new(database.downgrade()));
        Self {
            config,
            database,
            shared,
        }
    }

    /// The read service over it, to be given to [`Builder::serve`](crate::Builder::serve). It may
    /// outlive the resource and does not keep the folder open.
    #[must_use]
    pub fn service(
        &self,
    ) -> impl Service<
        http::Request<Body>,
        Response = http::Response<Body>,
        Error = Infallible,
        Future: Send,
    > + NamedService
    + Clone
    + Send
    + Sync
    + use<> {
        let reads = KvReads::new(self.config.clone(), self.shared.clone());
        Coded::new(KeyValueServer::new(reads))
    }

    fn vote(&self, txn: TxnId, prepared: &triumvir_kv::Prepared) -> Prepared {
        let intent = prepared.intent.encode();
        let write = Write::new(intent.len() + 64, move |write| {
            KvTables::put_intent(write, txn, &intent)
        });
        let (results, write) = (payload::results(&prepared.results), Some(write));
        match prepared.vote() {
            Vote::Yes => Prepared::Yes { results, write },
            Vote::Read => Prepared::Read { results, write },
        }
    }
}

impl Resource for KvResource {
    async fn recover(&self, live: Vec<Recovered>) -> Result<Option<Write>, ResourceError> {
        let mut intents = KvTables::intents(&self.database).map_err(ResourceError::new)?;
        let mut state = self.shared.lock();
        for Recovered {
            branch,
            state: stand,
        } in live
        {
            let txn = branch.txn;
            let intent: Intent = intents.remove(&txn).ok_or_else(|| {
                ResourceError::new(format!("{txn} is {stand:?}, but its changes are missing"))
            })?;
            state
                .engine
                .recover(txn, intent)
                .map_err(ResourceError::new)?;
        }
        if intents.is_empty() {
            return Ok(None);
        }
        // Released by the horizon, whose records ride lazily; or aborted without a vote.
        let over: Vec<_> = intents.into_keys().collect();
        Ok(Some(Write::new(over.len() * 32, move |write| {
            over.iter()
                .try_for_each(|txn| KvTables::remove_intent(write, *txn))
        })))
    }

    async fn prepare(&self, branch: BranchId, work: Payload) -> Result<Prepared, Refusal> {
        let BranchId { txn, age } = branch;
        let operations = payload::operations(&work).map_err(|refusal| refused(&refusal))?;
        let mut waiting = match self.shared.prepare(txn, Age(age), operations)? {
            Verdict::Prepared(prepared) => return Ok(self.vote(txn, &prepared)),
            Verdict::Waiting(waiting) => waiting,
        };
        let verdict = match timeout(self.config.lock_wait, &mut waiting).await {
            Ok(verdict) => verdict,
            Err(_) => {
                self.shared.expire(txn);
                // Refused, or run at the last moment.
                waiting.await
            }
        };
        let unheard = |_| Refusal::new("unavailable", "the store is about to stop").retryable();
        verdict
            .map_err(unheard)?
            .map(|prepared| self.vote(txn, &prepared))
    }

    async fn commit(&self, txn: TxnId) -> Result<Option<Write>, ResourceError> {
        let Some((number, changes)) = self.shared.commit(txn) else {
            return Ok(Some(forget(txn)));
        };
        let shared = self.shared.clone();
        let (stored, size) = (changes.clone(), size(&changes));
        let write = Write::new(size, move |write| {
            KvTables::apply(write, &stored)?;
            KvTables::remove_intent(write, txn)
        });
        Ok(Some(
            write.on_durable(move || shared.store.landed(number, &changes)),
        ))
    }

    async fn abort(&self, txn: TxnId) -> Result<Option<Write>, ResourceError> {
        self.shared.end(txn, triumvir_kv::Engine::abort);
        Ok(Some(forget(txn)))
    }

    async fn cancel(&self, txn: TxnId) {
        self.shared.cancel(txn);
    }

    async fn release(&self, txn: TxnId) -> Result<Option<Write>, ResourceError> {
        self.shared.end(txn, triumvir_kv::Engine::release);
        Ok(Some(forget(txn)))
    }
}

fn forget(txn: TxnId) -> Write {
    Write::new(32, move |write| KvTables::remove_intent(write, txn))
}

fn size(changes: &Changes) -> usize {
    let entry = |(key, value): (&triumvir_kv::Key, Option<&triumvir_kv::Value>)| {
        key.as_bytes().len() + value.map_or(0, triumvir_kv::Value::size) + 64
    };
    changes.iter().map(entry).sum()
}

/// A refusal of the engine, as a vote.
fn refused(refusal: &triumvir_kv::Refusal) -> Refusal {
    Refusal {
        code: refusal.code().as_str().to_owned(),
        detail: refusal.to_string(),
        retryable: refusal.is_retryable(),
    }
}
