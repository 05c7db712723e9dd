//! The one transaction of these tests, an order for a book: its own key at `orders`, and one counter
//! at `stock`. It can be repeated with the same content.

use anyhow::{Context as _, bail};
use tokio::task::JoinHandle;
use triumvir_client::{
    Client, CommitError, Committed, Mode, Transaction, TxnId, add, draw_txn, put,
};
use triumvir_testkit::Who;

use crate::{DEADLINE, FIRST, PARTICIPANTS, Setup, System};

/// The key at `stock`.
pub(crate) const BOOK: &str = "book";

/// A transaction that a client wants committed.
#[derive(Debug)]
pub struct Pending {
    /// Its id.
    pub txn: TxnId,
    /// Its mode.
    pub mode: Mode,
    /// What the client will be told.
    pub answer: JoinHandle<Result<Committed, CommitError>>,
}

/// A client of one replica.
#[derive(Debug)]
pub struct Buyer {
    client: Client,
}

impl Buyer {
    /// Asks to commit an order in three phases.
    pub fn begin(&self) -> Pending {
        begin(&self.client, Mode::ThreePhase)
    }
}

impl System {
    /// Asks to commit an order in three phases. The client knows all replicas, and repeats the same
    /// until it is told the outcome.
    pub fn begin(&self) -> Pending {
        begin(&self.client, Mode::ThreePhase)
    }

    /// The same as `pending`, once more, by a client that knows one replica alone.
    pub fn again_at(&self, replica: &Who, pending: &Pending) -> anyhow::Result<Pending> {
        let client = self.client_of(replica)?;
        let Pending { txn, mode, .. } = *pending;
        let answer = tokio::spawn(order(&client, txn, mode).commit());
        Ok(Pending { txn, mode, answer })
    }

    /// A client that knows one replica alone, so that nobody brings the content of its transaction to
    /// another leader. Its connection is open, so that no lease or timer is spent on that.
    pub async fn connect(&self, replica: &Who) -> anyhow::Result<Buyer> {
        let client = self.client_of(replica)?;
        client.list(false, 1, None).await?;
        Ok(Buyer { client })
    }

    /// Starts a cluster as `setup` says, and asks the first replica, which leads, to commit an order.
    /// It has stopped itself when this returns: all have voted, and nothing is proposed.
    pub async fn start_with_all_votes(setup: Setup, mode: Mode) -> anyhow::Result<(Self, Pending)> {
        let setup = setup.failpoints(FIRST, "leader::after-all-votes=1*return(stop)");
        let mut system = Self::start_with(setup).await?;
        let pending = begin(&system.connect(&FIRST).await?.client, mode);
        system.cluster.wait_stopped(&FIRST).await?;
        Ok((system, pending))
    }

    /// Waits for what the client is told, which must be that the order is committed, and asks again.
    pub async fn told_committed(&self, mut pending: Pending) -> anyhow::Result<Pending> {
        (&mut pending.answer).await??;
        Ok(self.repeat(pending))
    }

    /// Waits for what the client is told, which must be that the order is aborted, and asks again.
    pub async fn told_aborted(&self, mut pending: Pending) -> anyhow::Result<Pending> {
        match (&mut pending.answer).await? {
            Err(CommitError::Aborted { .. }) => Ok(self.repeat(pending)),
            other => bail!("the client was told {other:?}"),
        }
    }

    /// What a client does whose server is gone: it asks once more with the same id and content.
    #[must_use]
    pub fn repeat(&self, pending: Pending) -> Pending {
        pending.answer.abort();
        let answer = tokio::spawn(order(&self.client, pending.txn, pending.mode).commit());
        Pending { answer, ..pending }
    }

    /// A client that knows one replica alone.
    pub(crate) fn client_of(&self, replica: &Who) -> anyhow::Result<Client> {
        let address = self.cluster.seat(replica)?.address().to_string();
        let client = Client::builder()
            .coordinators([address])
            .timeout(DEADLINE)
            .build();
        client.with_context(|| format!("a client of {replica}"))
    }
}

fn begin(client: &Client, mode: Mode) -> Pending {
    let txn = draw_txn();
    let answer = tokio::spawn(order(client, txn, mode).commit());
    Pending { txn, mode, answer }
}

/// The order, ready to be committed.
pub(crate) fn order(client: &Client, txn: TxnId, mode: Mode) -> Transaction {
    client
        .transaction()
        .id(txn)
        .mode(mode)
        .at(PARTICIPANTS[0], put(txn.to_string(), "one book"))
        .at(PARTICIPANTS[1], add(BOOK, 1))
}
