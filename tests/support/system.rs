//! A running cluster and a client of it: starting it, and asking it.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use triumvir_client::{Client, KvReader, OutcomeReport, TxnId, Value};
use triumvir_testkit::{Cluster, Who};
use triumvir_wire::v1::State;

use crate::order::BOOK;
use crate::{DEADLINE, FIRST, PARTICIPANTS, Setup};

/// How often the leadership is moved on before a test gives up having it where it wants it.
const MOVES_MAX: u32 = 20;

/// A running cluster and a client of it.
#[derive(Debug)]
pub struct System {
    /// The processes.
    pub cluster: Cluster,
    /// A client that knows all replicas.
    pub client: Client,
}

impl System {
    /// Three replicas and two participants with default settings, ready.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(Setup::new()).await
    }

    /// The same as `setup` says. With failpoints in the first replica, that one leads.
    pub async fn start_with(setup: Setup) -> anyhow::Result<Self> {
        let wants_first = setup.wants_first();
        let cluster = Cluster::start(setup.config).await?;
        let addresses = cluster.coordinators();
        let addresses = addresses.into_iter().map(|address| address.to_string());
        let client = Client::builder()
            .coordinators(addresses)
            .timeout(DEADLINE)
            .build()?;
        let mut system = Self { cluster, client };
        if wants_first {
            system.move_leadership(&FIRST).await?;
        }
        Ok(system)
    }

    /// Restarts whoever leads, in good order, until `wanted` leads, whose process stays the same.
    async fn move_leadership(&mut self, wanted: &Who) -> anyhow::Result<()> {
        for _ in 0..MOVES_MAX {
            let leader = Who::Replica(self.cluster.wait_leader().await?);
            if leader == *wanted {
                return Ok(());
            }
            self.cluster.terminate(&leader)?;
            self.cluster.wait_exit(&leader).await?;
            self.cluster.restart(&leader)?;
            self.cluster.wait_ready().await?;
        }
        anyhow::bail!("{wanted} does not become leader")
    }

    /// Who leads, and who follows.
    pub async fn roles(&mut self) -> anyhow::Result<(Who, Vec<Who>)> {
        let leader = Who::Replica(self.cluster.wait_leader().await?);
        let seats = self.cluster.replicas().map(|seat| seat.who().clone());
        let followers = seats.filter(|who| *who != leader).collect();
        Ok((leader, followers))
    }

    /// Waits until these replicas know one leader, who is one of them, whatever the others believe.
    pub async fn wait_leader_among(&mut self, some: &[Who]) -> anyhow::Result<Who> {
        let probe = async |cluster: &mut Cluster| {
            let mut known = Vec::new();
            for who in some {
                let status = cluster
                    .status(who)
                    .await
                    .map_err(|error| error.to_string())?;
                known.push(status.leader.map(Who::Replica));
            }
            match &known[0] {
                Some(leader) if some.contains(leader) && known.iter().all(|k| *k == known[0]) => {
                    Ok(leader.clone())
                }
                _ => Err(format!("known leaders: {known:?}")),
            }
        };
        Ok(self
            .cluster
            .wait_until("a leader among some", probe)
            .await?)
    }

    /// Waits until a process has killed itself at a failpoint.
    pub async fn wait_killed(&mut self, who: &Who) -> anyhow::Result<()> {
        let status = self.cluster.wait_exit(who).await?;
        ensure!(
            status.signal() == Some(9),
            "{who} ended otherwise: {status}"
        );
        Ok(())
    }

    /// Starts every process anew that does not run, and waits until the cluster is ready.
    pub async fn restart_missing(&mut self) -> anyhow::Result<()> {
        let seats = self
            .cluster
            .seats()
            .iter()
            .filter(|seat| !seat.is_started());
        let missing: Vec<_> = seats.map(|seat| seat.who().clone()).collect();
        for who in missing {
            self.cluster.restart(&who)?;
        }
        Ok(self.cluster.wait_ready().await?)
    }

    /// Takes the data folder of a process away that does not run, and says where it is.
    pub fn set_aside(&self, who: &Who) -> anyhow::Result<PathBuf> {
        let folder = self.cluster.seat(who)?.folder();
        let aside = folder.with_extension("aside");
        std::fs::rename(folder, &aside).with_context(|| folder.display().to_string())?;
        Ok(aside)
    }

    /// Puts the folder back, in the place of what was made there meanwhile.
    pub fn give_back(&mut self, who: &Who, aside: &Path) -> anyhow::Result<()> {
        self.cluster.wipe(who)?;
        let folder = self.cluster.seat(who)?.folder();
        std::fs::rename(aside, folder).with_context(|| folder.display().to_string())
    }

    /// Waits until the cluster says that `txn` is in `state`.
    pub async fn wait_state(&mut self, txn: TxnId, state: State) -> anyhow::Result<()> {
        self.wait_state_by(self.client.clone(), txn, state).await
    }

    /// Waits until one replica says so, or the leader that it knows.
    pub async fn wait_state_at(
        &mut self,
        who: &Who,
        txn: TxnId,
        state: State,
    ) -> anyhow::Result<()> {
        self.wait_state_by(self.client_of(who)?, txn, state).await
    }

    async fn wait_state_by(
        &mut self,
        client: Client,
        txn: TxnId,
        state: State,
    ) -> anyhow::Result<()> {
        let waited_for = format!("{txn} to be {state:?}");
        let probe = async move |_: &mut Cluster| {
            let seen = client.describe(txn).await;
            let seen = seen.map_err(|failure| failure.to_string())?.state();
            if seen == state {
                Ok(())
            } else {
                Err(format!("{seen:?}"))
            }
        };
        Ok(self.cluster.wait_until(&waited_for, probe).await?)
    }

    /// Waits until no participant holds a lock: every branch has its outcome.
    pub async fn wait_unlocked(&mut self) -> anyhow::Result<()> {
        for name in PARTICIPANTS {
            self.wait_unlocked_at(name).await?;
        }
        Ok(())
    }

    /// Waits until one store holds no lock.
    pub async fn wait_unlocked_at(&mut self, name: &str) -> anyhow::Result<()> {
        let reader = self.reader(name)?;
        let probe = async move |_: &mut Cluster| match reader.locks().await {
            Ok(locks) if locks.is_empty() => Ok(()),
            Ok(locks) => Err(format!("{} locks are held", locks.len())),
            Err(failure) => Err(failure.to_string()),
        };
        let waited_for = format!("{name} to hold no lock");
        Ok(self.cluster.wait_until(&waited_for, probe).await?)
    }

    /// Whether the order of `txn` is in the stores, where it is the only one. Both must say the same.
    pub async fn is_applied(&self, txn: TxnId) -> anyhow::Result<bool> {
        let [orders, stock] = PARTICIPANTS;
        let order = self.value(orders, &txn.to_string()).await?.is_some();
        let taken = self.value(stock, BOOK).await? == Some(Value::from(1));
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

    /// What one replica says of `txn`, once it can say.
    pub async fn outcome_at(&self, who: &Who, txn: TxnId) -> anyhow::Result<OutcomeReport> {
        Ok(self.client_of(who)?.outcome(txn).await?)
    }

    pub(crate) fn reader(&self, participant: &str) -> anyhow::Result<KvReader> {
        let address = self.cluster.seat(&Who::participant(participant))?.address();
        Ok(self.client.kv(address.to_string())?)
    }
}
