//! Reads from a key-value participant. They wait for keys whose transaction is not decided, so that a
//! client reads what it was told is committed.

use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt as _};
use tokio::time::{Instant, timeout_at};
use tonic::transport::Channel;
use triumvir_protocol::TxnId;
use triumvir_wire::v1::key_value_client::KeyValueClient;
use triumvir_wire::{Applied, Code, Failure, ids, limits, v1};

use crate::call::{call, timed};
use crate::replicas::Replicas;
use crate::{Value, results};

/// Reads committed data from one key-value participant. Made by [`Client::kv`](crate::Client::kv).
#[derive(Debug)]
pub struct KvReader {
    replicas: Replicas,
    timeout: Duration,
}

/// A key with its value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The key.
    pub key: Bytes,
    /// What stands under it.
    pub value: Value,
}

/// A lock that is held.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyLock {
    /// The key.
    pub key: Bytes,
    /// The transaction that holds it.
    pub txn: TxnId,
    /// Whether it excludes readers too.
    pub exclusive: bool,
    /// How many wait for it.
    pub waiters: u64,
}

impl KvReader {
    pub(crate) fn new(replicas: Replicas, timeout: Duration) -> Self {
        Self { replicas, timeout }
    }

    /// One value for each key, in order; `None` where there is none.
    ///
    /// # Errors
    ///
    /// The participant could not be asked, or a key stayed in doubt until the timeout
    /// ([`Code::KeyInDoubt`]).
    pub async fn get<K: AsRef<[u8]>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Option<Value>>, Failure> {
        let keys = keys
            .into_iter()
            .map(|key| Bytes::copy_from_slice(key.as_ref()))
            .collect();
        let request = v1::GetRequest { keys };
        let asked = request.keys.len();
        let answer = call(
            &self.replicas,
            self.deadline(),
            Code::NoAnswer,
            |channel, time| {
                let request = timed(request.clone(), time);
                async move { key_values(channel).get(request).await }
            },
        );
        let response = answer.await.map_err(|missed| missed.into_read_failure())?;
        if response.values.len() != asked {
            return Err(unreadable(
                "it has another number of values than was asked for",
            ));
        }
        response
            .values
            .into_iter()
            .map(|value| results::value(value).map_err(unreadable))
            .collect()
    }

    /// Committed entries whose key begins with `prefix`, in key order. The timeout is for the whole
    /// stream, which ends after the first error.
    pub fn scan(&self, prefix: impl AsRef<[u8]>) -> BoxStream<'static, Result<Entry, Failure>> {
        let deadline = self.deadline();
        let request = v1::ScanRequest {
            prefix: Bytes::copy_from_slice(prefix.as_ref()),
        };
        let request = timed(request, self.timeout);
        let channel = self.replicas.current().channel;
        let begin = async move { key_values(channel).scan(request).await };
        let pieces = stream::once(async move {
            let stream = match timeout_at(deadline, begin).await {
                Ok(answer) => answer.map_err(failure)?.into_inner(),
                Err(_) => return Err(Code::NoAnswer.into()),
            };
            Ok(stream::unfold(Some(stream), move |stream| async move {
                let mut stream = stream?;
                let piece = match timeout_at(deadline, stream.message()).await {
                    Ok(piece) => piece.map_err(failure).transpose()?,
                    Err(_) => Err(Code::NoAnswer.into()),
                };
                let rest = piece.is_ok().then_some(stream);
                Some((piece, rest))
            }))
        });
        pieces.flat_map(opened).flat_map(entries).boxed()
    }

    /// The locks that are held now.
    ///
    /// # Errors
    ///
    /// The participant could not be asked.
    pub async fn locks(&self) -> Result<Vec<KeyLock>, Failure> {
        let answer = call(
            &self.replicas,
            self.deadline(),
            Code::NoAnswer,
            |channel, time| {
                let request = timed(v1::LocksRequest {}, time);
                async move { key_values(channel).locks(request).await }
            },
        );
        let response = answer.await.map_err(|missed| missed.into_read_failure())?;
        let read = |lock: v1::KvLock| {
            let txn =
                ids::txn("lock.txn", &lock.txn).map_err(|error| unreadable(error.to_string()))?;
            let v1::KvLock {
                key,
                exclusive,
                waiters,
                ..
            } = lock;
            Ok(KeyLock {
                key,
                txn,
                exclusive,
                waiters,
            })
        };
        response.locks.into_iter().map(read).collect()
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }
}

fn opened<S>(opened: Result<S, Failure>) -> BoxStream<'static, Result<v1::ScanResponse, Failure>>
where
    S: futures::Stream<Item = Result<v1::ScanResponse, Failure>> + Send + 'static,
{
    match opened {
        Ok(pieces) => pieces.boxed(),
        Err(failure) => stream::iter([Err(failure)]).boxed(),
    }
}

fn entries(
    piece: Result<v1::ScanResponse, Failure>,
) -> stream::Iter<std::vec::IntoIter<Result<Entry, Failure>>> {
    let read = |entry: v1::KvEntry| match entry.value.and_then(Value::from_wire) {
        Some(value) => Ok(Entry {
            key: entry.key,
            value,
        }),
        None => Err(unreadable(
            "an entry has no value, or one of an unknown kind",
        )),
    };
    stream::iter(match piece {
        Ok(piece) => piece.entries.into_iter().map(read).collect::<Vec<_>>(),
        Err(failure) => vec![Err(failure)],
    })
}

fn key_values(channel: Channel) -> KeyValueClient<Channel> {
    KeyValueClient::new(channel).max_decoding_message_size(limits::RESPONSE_BYTES_MAX)
}

fn failure(status: tonic::Status) -> Failure {
    Failure::from_status(&status).with_applied(Applied::NotApplied)
}

fn unreadable(what: impl std::fmt::Display) -> Failure {
    Failure::new(Code::Internal, format!("the answer cannot be read: {what}"))
        .with_applied(Applied::NotApplied)
}
