//! What the process tests share: a cluster of three replicas and two participants, and a way to hold
//! a transaction still at a chosen step.
//!
//! No failpoint is needed to stop between two steps: with both followers paused the leader can gather
//! votes and propose, and nothing can be recorded; with a participant paused it can vote and not
//! acknowledge. What follows is then certain, not lucky.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::task::JoinHandle;
use triumvir_client::{
    Client, CommitError, Committed, Mode, OutcomeReport, TxnId, Value, add, draw_txn, put,
};
use triumvir_testkit::{Cluster, ClusterConfig, Who};
use triumvir_wire::v1::State;

/// The participants of every test.
pub const PARTICIPANTS: [&str; 2] = ["orders", "stock"];

/// How long a call may take in all; the tests wait for conditions, this only ends a broken run.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// The binary under test: `TRIUMVIR_BIN`, which `cargo xtask test` sets.
///
/// # Panics
///
/// It is not set.
pub fn binary() -> PathBuf {
    std::env::var_os("TRIUMVIR_BIN")
        .expect("TRIUMVIR_BIN names no binary: run these tests with `cargo xtask test`")
        .into()
}

/// A running cluster and a client of it.
pub struct System {
    /// The processes.
    pub cluster: Cluster,
    /// A client that knows all replicas.
    pub client: Client,
}

/// A transaction that is prepared everywhere, and proposed and not recorded.
pub struct Held {
    /// The transaction.
    pub txn: TxnId,
    /// Its mode.
    pub mode: Mode,
    /// The only one that knows of the proposal.
    pub leader: Who,
    /// Paused.
    pub followers: Vec<Who>,
    /// The leader's answer, one day.
    pub answer: JoinHandle<Result<Committed, CommitError>>,
}

impl System {
    /// Three replicas and the [`PARTICIPANTS`], ready.
    pub async fn start() -> anyhow::Result<Self> {
        let mut config = ClusterConfig::new(binary()).with_participants(PARTICIPANTS);
        config.deadline = CALL_TIMEOUT;
        let cluster = Cluster::start(config).await?;
        let addresses = cluster
            .coordinators()
            .into_iter()
            .map(|address| address.to_string());
        let client = Client::builder()
            .coordinators(addresses)
            .timeout(CALL_TIMEOUT)
            .build()?;
        Ok(Self { cluster, client })
    }

    /// Who leads, and who follows.
    pub async fn roles(&mut self) -> anyhow::Result<(Who, Vec<Who>)> {
        let leader = Who::Replica(self.cluster.wait_leader().await?);
        let followers = self
            .cluster
            .replicas()
            .map(|seat| seat.who().clone())
            .filter(|who| *who != leader);
        Ok((leader.clone(), followers.collect()))
    }

    /// Pauses both followers, asks to commit an order at both participants, and waits until the
    /// leader has every vote and has proposed the record, which nobody can replicate.
    pub async fn hold_at_proposal(&mut self, mode: Mode) -> anyhow::Result<Held> {
        let (leader, followers) = self.roles().await?;
        // Through the leader alone: a paused follower would keep the call until it is found silent.
        let address = self.cluster.seat(&leader)?.address().to_string();
        let client = Client::builder()
            .coordinators([address])
            .timeout(CALL_TIMEOUT)
            .build()?;
        // Opens the connection, so that the leader's lease is not spent on it.
        client.list(false, 1, None).await?;
        for follower in &followers {
            self.cluster.pause(follower)?;
        }
        let txn = draw_txn();
        let answer = tokio::spawn(order(&client, txn, mode).commit());
        self.wait_state_by(client, txn, State::Proposed).await?;
        Ok(Held {
            txn,
            mode,
            leader,
            followers,
            answer,
        })
    }

    /// Lets the followers of a held transaction go on.
    pub fn release(&mut self, held: &Held) -> anyhow::Result<()> {
        for follower in &held.followers {
            self.cluster.resume(follower)?;
        }
        Ok(())
    }

    /// What a client does whose server is gone: it asks once more with the same id and content.
    pub async fn repeat(&self, held: Held) -> Result<Committed, CommitError> {
        held.answer.abort();
        order(&self.client, held.txn, held.mode).commit().await
    }

    /// Waits until the cluster says that `txn` is in `state`.
    pub async fn wait_state(&mut self, txn: TxnId, state: State) -> anyhow::Result<()> {
        self.wait_state_by(self.client.clone(), txn, state).await
    }

    async fn wait_state_by(
        &mut self,
        client: Client,
        txn: TxnId,
        state: State,
    ) -> anyhow::Result<()> {
        let waited_for = format!("{txn} to be {state:?}");
        let probe = async move |_: &mut Cluster| {
            let seen = client
                .describe(txn)
                .await
                .map_err(|failure| failure.to_string())?;
            if seen.state() == state {
                Ok(())
            } else {
                Err(format!("{:?}", seen.state()))
            }
        };
        Ok(self.cluster.wait_until(&waited_for, probe).await?)
    }

    /// Waits until no participant holds a lock: every branch has its outcome.
    pub async fn wait_unlocked(&mut self) -> anyhow::Result<()> {
        for name in PARTICIPANTS {
            let reader = self.reader(name)?;
            let probe = async move |_: &mut Cluster| match reader.locks().await {
                Ok(locks) if locks.is_empty() => Ok(()),
                Ok(locks) => Err(format!("{} locks are held", locks.len())),
                Err(failure) => Err(failure.to_string()),
            };
            self.cluster
                .wait_until(&format!("{name} to hold no lock"), probe)
                .await?;
        }
        Ok(())
    }

    /// Whether the order of `txn` is in the stores. Both must say the same.
    pub async fn is_applied(&self, txn: TxnId) -> anyhow::Result<bool> {
        let [orders, stock] = PARTICIPANTS;
        let order = self.value(orders, &txn.to_string()).await?.is_some();
        let taken = self.value(stock, "book").await? == Some(Value::from(1));
        ensure!(
            order == taken,
            "{txn} is split: order {order}, stock {taken}"
        );
        Ok(order)
    }

    /// A committed value, read from the participant's store.
    pub async fn value(&self, participant: &str, key: &str) -> anyhow::Result<Option<Value>> {
        let mut values = self.reader(participant)?.get([key]).await?;
        values.pop().context("one key, one answer")
    }

    /// What the cluster says of `txn`, once it can say.
    pub async fn outcome(&self, txn: TxnId) -> anyhow::Result<OutcomeReport> {
        Ok(self.client.outcome(txn).await?)
    }

    fn reader(&self, participant: &str) -> anyhow::Result<triumvir_client::KvReader> {
        let address = self.cluster.seat(&Who::participant(participant))?.address();
        Ok(self.client.kv(address.to_string())?)
    }
}

/// The one transaction of these tests, so that it can be repeated with the same content.
fn order(client: &Client, txn: TxnId, mode: Mode) -> triumvir_client::Transaction {
    client
        .transaction()
        .id(txn)
        .mode(mode)
        .at(PARTICIPANTS[0], put(txn.to_string(), "one book"))
        .at(PARTICIPANTS[1], add("book", 1))
}
