//! The key-value read service. A read waits for every key that a prepared branch is about to change,
//! so that a client reads what it was told is committed; how long, is up to the call's deadline.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};
use triumvir_kv::{KEY_BYTES_MAX, Key, LockMode, OPERATIONS_MAX, Value};
use triumvir_protocol::TxnId;
use triumvir_storage::StorageError;
use triumvir_wire::v1::key_value_server::KeyValue;
use triumvir_wire::{Code, Failure, ids, v1};

use super::KvConfig;
use super::payload::wire_value;
use super::state::{Shared, Values};

/// The most entries, and about the most bytes, of one message of a scan.
const CHUNK_ENTRIES_MAX: usize = 1024;
const CHUNK_BYTES: usize = 256 << 10;
/// What is left of a call's deadline for the answer to travel.
const DEADLINE_MARGIN: f64 = 0.1;

/// Serves `triumvir.v1.KeyValue`.
#[derive(Clone, Debug)]
pub(super) struct KvReads {
    config: KvConfig,
    shared: Arc<Shared>,
}

impl KvReads {
    pub(super) fn new(config: KvConfig, shared: Arc<Shared>) -> Self {
        Self { config, shared }
    }

    fn deadline(&self, metadata: &MetadataMap) -> Instant {
        let given = metadata
            .get("grpc-timeout")
            .and_then(|text| duration(text.to_str().ok()?));
        Instant::now()
            + given.map_or(self.config.read_wait, |given| {
                given.mul_f64(1.0 - DEADLINE_MARGIN)
            })
    }

    async fn read(&self, keys: Vec<Key>, deadline: Instant) -> Result<Vec<Option<Value>>, Failure> {
        let asked = keys.clone();
        let values: Values = match self.shared.read(keys) {
            Ok(values) => values,
            Err(mut waiting) => match timeout_at(deadline, &mut waiting.answer).await {
                Ok(Ok(values)) => values,
                Ok(Err(_)) => return Err(Failure::from(Code::Stopped)),
                Err(_) => return Err(self.in_doubt(&asked)),
            },
        };
        values.map_err(|error| storage(&error))
    }

    fn in_doubt(&self, keys: &[Key]) -> Failure {
        let state = self.shared.lock();
        let held = keys
            .iter()
            .find_map(|key| Some((key, state.engine.read_blocked_by(key)?)));
        let detail = match held {
            Some((key, txn)) => format!("key {key} is held by {txn}"),
            None => "the keys were never free at one moment".to_owned(),
        };
        Failure::new(Code::KeyInDoubt, detail)
    }

    /// Waits until every branch has ended that was about to change something under `prefix` when the
    /// call came, and returns the committed entries of that moment. Later branches are not waited
    /// for: nobody was told of them before the call.
    async fn scan(&self, prefix: &[u8], deadline: Instant) -> Result<Vec<(Key, Value)>, Failure> {
        let awaited: HashSet<TxnId> = self.shared.lock().changing(prefix).into_keys().collect();
        let snapshot = loop {
            let held = {
                let state = self.shared.lock();
                let mut changing = state.changing(prefix).into_iter();
                match changing.find(|(txn, _)| awaited.contains(txn)) {
                    Some((_, key)) => key,
                    // Under the lock: no commit is shown meanwhile.
                    None => break self.shared.store.snapshot(prefix),
                }
            };
            self.read(vec![held], deadline).await?;
        };
        let snapshot = snapshot.map_err(|error| storage(&error))?;
        let bytes_max = self.config.scan_bytes_max;
        let found = tokio::task::spawn_blocking(move || snapshot.entries(bytes_max)).await;
        found
            .map_err(|error| Failure::new(Code::Internal, error.to_string()))?
            .map_err(|error| storage(&error))?
            .ok_or_else(|| {
                let detail = format!("the entries exceed {bytes_max} bytes; scan less");
                Failure::new(Code::RequestTooLarge, detail)
            })
    }
}

#[tonic::async_trait]
impl KeyValue for KvReads {
    async fn get(
        &self,
        request: Request<v1::GetRequest>,
    ) -> Result<Response<v1::GetResponse>, Status> {
        let deadline = self.deadline(request.metadata());
        let keys = request.into_inner().keys;
        if keys.len() > OPERATIONS_MAX {
            let detail = format!("{} keys; a call may have {OPERATIONS_MAX}", keys.len());
            return Err(Failure::new(Code::RequestTooLarge, detail).into());
        }
        if let Some(key) = keys.iter().find(|key| key.len() > KEY_BYTES_MAX) {
            let detail = format!("a key of {} bytes exceeds {KEY_BYTES_MAX}", key.len());
            return Err(Failure::new(Code::Malformed, detail).into());
        }
        let keys = keys.iter().map(|key| Key::from(&**key)).collect();
        let values = self.read(keys, deadline).await?;
        let values = values.iter().map(|value| v1::KvResult {
            value: value.as_ref().map(wire_value),
        });
        Ok(Response::new(v1::GetResponse {
            values: values.collect(),
        }))
    }

    type ScanStream = Pin<Box<dyn futures::Stream<Item = Result<v1::ScanResponse, Status>> + Send>>;

    async fn scan(
        &self,
        request: Request<v1::ScanRequest>,
    ) -> Result<Response<Self::ScanStream>, Status> {
        let deadline = self.deadline(request.metadata());
        let entries = KvReads::scan(self, &request.into_inner().prefix, deadline).await?;
        let chunks = chunks(entries).map(Ok);
        Ok(Response::new(Box::pin(futures::stream::iter(chunks))))
    }

    async fn locks(
        &self,
        _: Request<v1::LocksRequest>,
    ) -> Result<Response<v1::LocksResponse>, Status> {
        let state = self.shared.lock();
        let mut locks = Vec::new();
        for view in state.engine.locks() {
            for txn in &view.holders {
                locks.push(v1::KvLock {
                    key: bytes::Bytes::copy_from_slice(view.key.as_bytes()),
                    txn: ids::txn_bytes(*txn),
                    exclusive: view.mode == LockMode::Exclusive,
                    waiters: view.waiters.len() as u64,
                });
            }
        }
        Ok(Response::new(v1::LocksResponse { locks }))
    }
}

/// The messages of a scan, made as they are sent.
fn chunks(entries: Vec<(Key, Value)>) -> impl Iterator<Item = v1::ScanResponse> + Send {
    let mut entries = entries.into_iter().peekable();
    std::iter::from_fn(move || {
        entries.peek()?;
        let mut bytes = 0;
        let mut chunk = Vec::new();
        while chunk.len() < CHUNK_ENTRIES_MAX && bytes < CHUNK_BYTES {
            let Some((key, value)) = entries.next() else {
                break;
            };
            bytes += key.as_bytes().len() + value.size();
            chunk.push(v1::KvEntry {
                key: bytes::Bytes::copy_from_slice(key.as_bytes()),
                value: Some(wire_value(&value)),
            });
        }
        Some(v1::ScanResponse { entries: chunk })
    })
}

fn storage(error: &StorageError) -> Failure {
    match error {
        StorageError::Closed => Failure::from(Code::Stopped),
        other => {
            tracing::error!(error = %other, "the store cannot be read");
            Failure::new(Code::Internal, "the store cannot be read")
        }
    }
}

/// The value of a `grpc-timeout` header: up to eight digits and a unit.
fn duration(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_are_read() {
        assert_eq!(duration("100m"), Some(Duration::from_millis(100)));
        assert_eq!(duration("2S"), Some(Duration::from_secs(2)));
        for wrong in ["", "S", "1x", "123456789S", "1 S", "é"] {
            assert_eq!(duration(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_scan_is_cut_into_messages_of_bounded_size() {
        let entry = |number: i64, size: usize| {
            (
                Key::from(&*number.to_be_bytes().to_vec()),
                Value::from(vec![0; size]),
            )
        };
        assert_eq!(chunks(Vec::new()).count(), 0);
        let small = (0..2500).map(|number| entry(number, 1)).collect();
        let sizes: Vec<_> = chunks(small).map(|chunk| chunk.entries.len()).collect();
        assert_eq!(sizes, [1024, 1024, 452]);
        let large = (0..3).map(|number| entry(number, CHUNK_BYTES)).collect();
        assert_eq!(chunks(large).count(), 3);
    }
}
