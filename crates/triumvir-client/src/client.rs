//! The client: one value that is cheap to clone and safe to share.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::{Instant, timeout};
use tonic::transport::Channel;
use triumvir_protocol::TxnId;
use triumvir_wire::v1::cluster_client::ClusterClient;
use triumvir_wire::v1::transactions_client::TransactionsClient;
use triumvir_wire::{Code, Failure, WireError, ids, limits, v1};

use crate::call::{call, timed};
use crate::replicas::{Asked, Replicas};
use crate::{BuildError, ClientBuilder, KvReader, OutcomeReport, Transaction, Watch};

/// A client of one cluster. Clones share their connections.
///
/// Every call ends by its timeout ([`ClientBuilder::timeout`], [`Client::with_timeout`]), whatever the
/// servers and the network do. Must be used inside a tokio runtime with time and I/O enabled.
#[derive(Clone, Debug)]
pub struct Client {
    replicas: Arc<Replicas>,
    timeout: Duration,
}

/// What one replica says of the cluster.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ReplicaStatus {
    /// The replica's address, as it was given.
    pub address: String,
    /// What it says, or why it says nothing.
    pub status: Result<v1::StatusResponse, Failure>,
}

impl Client {
    /// The settings of a client.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::new()
    }

    pub(crate) fn new(replicas: Replicas, timeout: Duration) -> Self {
        Self {
            replicas: Arc::new(replicas),
            timeout,
        }
    }

    /// The same client, with another timeout for each call.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Self {
            timeout,
            ..self.clone()
        }
    }

    /// Begins to describe a transaction. Nothing is sent before it is committed.
    pub fn transaction(&self) -> Transaction {
        Transaction::new(self.clone())
    }

    /// Waits for the outcome of a transaction, at most for the timeout. A report without an outcome
    /// binds nobody.
    ///
    /// # Errors
    ///
    /// The outcome is as unknown as before.
    pub async fn outcome(&self, txn: TxnId) -> Result<OutcomeReport, Failure> {
        self.ask_outcome(txn, false).await
    }

    /// Like [`Client::outcome`], but a transaction without a record is recorded as aborted first, so
    /// that the report is final.
    ///
    /// # Errors
    ///
    /// The outcome is as unknown as before, and perhaps decided by now; asking again is safe.
    pub async fn decide(&self, txn: TxnId) -> Result<OutcomeReport, Failure> {
        self.ask_outcome(txn, true).await
    }

    async fn ask_outcome(&self, txn: TxnId, decide: bool) -> Result<OutcomeReport, Failure> {
        let request = v1::OutcomeRequest {
            txn: ids::txn_bytes(txn),
            decide,
        };
        let silence = Code::OutcomeUnknown;
        let answer = call(&self.replicas, self.deadline(), silence, |channel, time| {
            let request = timed(request.clone(), time);
            async move { transactions(channel).outcome(request).await }
        });
        let response = answer.await.map_err(|missed| missed.into_open_question())?;
        OutcomeReport::from_wire(response).map_err(|error| unreadable(&error))
    }

    /// Aborts a transaction unless it is too late, and says what then stands: it may be committed.
    ///
    /// # Errors
    ///
    /// As [`Client::decide`].
    pub async fn abort(&self, txn: TxnId) -> Result<OutcomeReport, Failure> {
        let request = v1::AbortRequest {
            txn: ids::txn_bytes(txn),
        };
        let silence = Code::OutcomeUnknown;
        let answer = call(&self.replicas, self.deadline(), silence, |channel, time| {
            let request = timed(request.clone(), time);
            async move { transactions(channel).abort(request).await }
        });
        let response = answer.await.map_err(|missed| missed.into_open_question())?;
        OutcomeReport::from_wire(response).map_err(|error| unreadable(&error))
    }

    /// What the cluster knows of one transaction, with its timeline.
    ///
    /// # Errors
    ///
    /// It could not be asked. Nothing is changed by asking.
    pub async fn describe(&self, txn: TxnId) -> Result<v1::TransactionDescription, Failure> {
        let request = v1::DescribeRequest {
            txn: ids::txn_bytes(txn),
        };
        let answer = call(
            &self.replicas,
            self.deadline(),
            Code::NoAnswer,
            |channel, time| {
                let request = timed(request.clone(), time);
                async move { transactions(channel).describe(request).await }
            },
        );
        answer.await.map_err(|missed| missed.into_read_failure())
    }

    /// Transactions under way, oldest first; with `ended` those that are over as well. At most `limit`
    /// (0: the server's default), and only those above `after`, so that the last id of one answer
    /// asks for the next.
    ///
    /// # Errors
    ///
    /// It could not be asked. Nothing is changed by asking.
    pub async fn list(
        &self,
        ended: bool,
        limit: u32,
        after: Option<TxnId>,
    ) -> Result<v1::ListResponse, Failure> {
        let after = after.map(ids::txn_bytes).unwrap_or_default();
        let request = v1::ListRequest {
            ended,
            limit,
            after,
        };
        let answer = call(
            &self.replicas,
            self.deadline(),
            Code::NoAnswer,
            |channel, time| {
                let request = timed(request.clone(), time);
                async move { transactions(channel).list(request).await }
            },
        );
        answer.await.map_err(|missed| missed.into_read_failure())
    }

    /// Every outcome from now on, in a stream that goes on at another replica when one is lost.
    pub fn watch(&self) -> Watch {
        Watch::new(Arc::clone(&self.replicas), self.timeout)
    }

    /// What each replica that this client knows says of the cluster, all asked at once and each once.
    pub async fn status(&self) -> Vec<ReplicaStatus> {
        let ask = |asked: Asked| async move {
            let mut client = ClusterClient::new(asked.channel)
                .max_decoding_message_size(limits::RESPONSE_BYTES_MAX);
            let request = timed(v1::StatusRequest {}, self.timeout);
            let status =
                match timeout(self.timeout, client.status(request)).await {
                    Ok(Ok(response)) => Ok(response.into_inner()),
                    Ok(Err(status)) => Err(Failure::from_status(&status)
                        .with_applied(triumvir_wire::Applied::NotApplied)),
                    Err(_) => Err(Code::NoAnswer.into()),
                };
            ReplicaStatus {
                address: asked.given,
                status,
            }
        };
        join_all(self.replicas.all().into_iter().map(ask)).await
    }

    /// Reads from the key-value participant at `address` (`host:port`).
    ///
    /// # Errors
    ///
    /// The address is none.
    pub fn kv(&self, address: impl Into<String>) -> Result<KvReader, BuildError> {
        let connect_timeout = self.replicas.connect_timeout();
        let replicas = Replicas::new(&[address.into()], connect_timeout)?;
        Ok(KvReader::new(replicas, self.timeout))
    }

    pub(crate) fn replicas(&self) -> &Replicas {
        &self.replicas
    }

    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }
}

pub(crate) fn transactions(channel: Channel) -> TransactionsClient<Channel> {
    TransactionsClient::new(channel).max_decoding_message_size(limits::RESPONSE_BYTES_MAX)
}

/// An answer that is none of ours: what it was to tell is not known.
pub(crate) fn unreadable(error: &WireError) -> Failure {
    Failure::new(
        Code::Internal,
        format!("the answer cannot be read: {error}"),
    )
}
