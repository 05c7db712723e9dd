//! The closed loop: each client has one transaction under way and begins the next when it is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::task::JoinSet;
use triumvir_client::{Client, Mode, Transaction, put};

use super::moments::Moments;
use super::tally::Tally;

/// So many keys that clients practically never meet, without hot keys.
pub(super) const KEYS: u64 = 100_000_000;

/// What every client does.
#[derive(Clone, Debug)]
pub(super) struct Work {
    /// Names; each transaction puts one key at each of them.
    pub(super) participants: Vec<String>,
    /// How outcomes are decided.
    pub(super) mode: Mode,
    /// Keys are drawn uniformly from 0 to this.
    pub(super) keys: u64,
    /// What is put.
    pub(super) payload: Bytes,
    /// From this and its number, each client draws its keys.
    pub(super) seed: u64,
}

impl Work {
    /// The next transaction of a client.
    fn transaction(&self, client: &Client, rng: &mut StdRng) -> Transaction {
        let transaction = client.transaction().mode(self.mode).retry_conflicts();
        self.participants
            .iter()
            .fold(transaction, |transaction, name| {
                let key = rng.random_range(0..self.keys);
                transaction.at(name, put(format!("bench/{key:09}"), self.payload.clone()))
            })
    }
}

const WARMING: u8 = 0;
const MEASURING: u8 = 1;
const OVER: u8 = 2;

/// Clients at work. Dropping it stops them at once.
pub(super) struct Load {
    stage: Arc<AtomicU8>,
    clients: JoinSet<Tally>,
}

impl Load {
    /// Starts `count` clients, who note when each commit is acknowledged if there are `moments`.
    /// Nothing is counted yet.
    pub(super) fn start(
        client: &Client,
        work: &Arc<Work>,
        count: u32,
        moments: Option<&Arc<Moments>>,
    ) -> Self {
        let stage = Arc::new(AtomicU8::new(WARMING));
        let mut clients = JoinSet::new();
        for number in 0..count {
            let (client, work, stage) = (client.clone(), work.clone(), stage.clone());
            let moments = moments.cloned();
            clients.spawn(
                async move { run(&client, &work, &stage, number, moments.as_deref()).await },
            );
        }
        Self { stage, clients }
    }

    /// From now on what ends is counted, whenever it began.
    pub(super) fn measure(&self) {
        self.stage.store(MEASURING, Ordering::Relaxed);
    }

    /// From now on nothing is counted and nothing new begins.
    pub(super) fn stop(&self) {
        self.stage.store(OVER, Ordering::Relaxed);
    }

    /// Waits until what is under way is over, and adds up what was counted.
    pub(super) async fn finish(mut self) -> Tally {
        self.stop();
        let mut all = Tally::new();
        while let Some(tally) = self.clients.join_next().await {
            all.add(&tally.expect("clients do not panic"));
        }
        all
    }
}

async fn run(
    client: &Client,
    work: &Work,
    stage: &AtomicU8,
    number: u32,
    moments: Option<&Moments>,
) -> Tally {
    let mut rng = StdRng::seed_from_u64(work.seed.wrapping_add(u64::from(number)));
    let mut tally = Tally::new();
    while stage.load(Ordering::Relaxed) != OVER {
        let transaction = work.transaction(client, &mut rng);
        let began = Instant::now();
        let ended = transaction.commit().await;
        if let (Some(moments), Ok(_)) = (moments, &ended) {
            moments.note();
        }
        if stage.load(Ordering::Relaxed) != MEASURING {
            continue;
        }
        match ended {
            Ok(committed) => tally.commit(began.elapsed(), committed.attempts),
            Err(error) => tally.error(&error),
        }
    }
    tally
}
