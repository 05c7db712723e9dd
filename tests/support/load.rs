//! Clients that are at work while something is done to the cluster, and the proof that nothing of
//! theirs was lost or done twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context as _, ensure};
use futures::TryStreamExt as _;
use tokio::task::JoinSet;
use triumvir_client::{Client, add, put};
use triumvir_testkit::Cluster;

use crate::{PARTICIPANTS, System};

/// Clients that commit all the time.
const CLIENTS: u64 = 8;
/// So many transactions are committed between two steps of a test.
const PROGRESS: u64 = 20;

/// Clients that commit one transaction after the other, each on keys of its own.
#[derive(Debug)]
pub struct Load {
    clients: JoinSet<anyhow::Result<()>>,
    committed: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
}

impl Load {
    /// Starts the clients.
    pub fn start(client: &Client) -> Self {
        let (committed, over) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS {
            let (client, committed, over) = (client.clone(), committed.clone(), over.clone());
            clients.spawn(async move {
                let mut count = 0;
                while !over.load(Ordering::Relaxed) {
                    count += 1;
                    let order = client
                        .transaction()
                        .at(
                            PARTICIPANTS[0],
                            put(format!("order-{number}-{count}"), "one book"),
                        )
                        .at(PARTICIPANTS[1], add(format!("sold-{number}"), 1));
                    order
                        .commit()
                        .await
                        .with_context(|| format!("order {count} of {number}"))?;
                    committed.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            });
        }
        Self {
            clients,
            committed,
            over,
        }
    }

    /// Waits until some more transactions are committed.
    pub async fn wait_progress(&self, system: &mut System) -> anyhow::Result<()> {
        let target = self.committed.load(Ordering::Relaxed) + PROGRESS;
        let probe = async |_: &mut Cluster| match self.committed.load(Ordering::Relaxed) {
            count if count >= target => Ok(()),
            count => Err(format!("{count} of {target}")),
        };
        Ok(system
            .cluster
            .wait_until("transactions to be committed", probe)
            .await?)
    }

    /// Ends the load, and checks that every client was told *committed* each time, and that the stores
    /// have exactly what was told.
    pub async fn end(mut self, system: &System) -> anyhow::Result<()> {
        self.over.store(true, Ordering::Relaxed);
        while let Some(ended) = self.clients.join_next().await {
            ended??;
        }
        let committed = self.committed.load(Ordering::Relaxed);
        let mut sum = 0;
        for client in 0..CLIENTS {
            let key = format!("sold-{client}");
            let value = system.value(PARTICIPANTS[1], &key).await?;
            sum += value.and_then(|value| value.as_integer()).unwrap_or(0);
        }
        let orders = system.reader(PARTICIPANTS[0])?.scan("order-");
        let orders = orders
            .try_fold(0_u64, async |count, _| Ok(count + 1))
            .await?;
        ensure!(
            u64::try_from(sum)? == committed && orders == committed,
            "{sum} sold, {orders} ordered, {committed} told"
        );
        Ok(())
    }
}
