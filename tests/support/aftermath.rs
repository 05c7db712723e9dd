//! What must be true after every crash, whatever it was: one outcome everywhere, told to the client,
//! nothing in doubt, no lock left. This is the one place that says so.

use anyhow::{Context as _, bail, ensure};
use triumvir_client::{CommitError, Committed, Mode, Outcome, TxnId, Value, draw_txn};
use triumvir_testkit::{Cluster, Seat, Who};

use crate::order::{BOOK, order};
use crate::{PARTICIPANTS, Pending, System};

/// How the protocol ends a transaction that was disturbed at a given step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// Applied at both participants; the client is told so.
    Committed,
    /// Nothing is applied; the client is told so.
    Aborted,
}

impl Ending {
    /// What a client was told. An error if that is neither of the two.
    fn told(answer: &Result<Committed, CommitError>) -> anyhow::Result<Self> {
        match answer {
            Ok(_) => Ok(Self::Committed),
            Err(CommitError::Aborted { .. }) => Ok(Self::Aborted),
            Err(other) => bail!("the client was told: {other}"),
        }
    }
}

impl System {
    /// Starts what does not run, and checks that the transaction, the first on these stores, ended
    /// like this for everyone: for the client that asked and one that asks again, at every replica,
    /// in both stores; and that nothing of it is left.
    pub async fn aftermath(&mut self, pending: Pending, ending: Ending) -> anyhow::Result<()> {
        let Pending { txn, mode, answer } = pending;
        self.restart_missing().await?;
        let told = Ending::told(&answer.await?)?;
        ensure!(
            told == ending,
            "the client was told {told:?}, not {ending:?}"
        );
        self.wait_unlocked().await?;
        let applied = self.is_applied(txn).await?;
        ensure!(
            applied == (ending == Ending::Committed),
            "applied: {applied}, and {ending:?} is what must be"
        );
        for replica in self.cluster.replicas() {
            self.check_replica(replica.who(), txn, ending).await?;
        }
        self.wait_settled().await?;
        let repeated = order(&self.client, txn, mode).commit().await;
        let repeated = Ending::told(&repeated).context("asked again")?;
        ensure!(
            repeated == ending,
            "asked again, the client was told {repeated:?}"
        );
        self.check_next(txn, mode, ending).await
    }

    /// Commits the first order, and checks that all is as after any other. For tests of what must not
    /// have happened before.
    pub async fn commits(mut self) -> anyhow::Result<()> {
        let pending = self.begin();
        let pending = self.told_committed(pending).await?;
        self.aftermath(pending, Ending::Committed).await
    }

    /// One replica's word on the outcome.
    async fn check_replica(&self, who: &Who, txn: TxnId, ending: Ending) -> anyhow::Result<()> {
        // What is aborted for a NO has no record; this makes one. It binds nothing that is decided.
        let report = self.client_of(who)?.decide(txn).await?;
        let said = match report.outcome {
            Some(Outcome::Committed) => Some(Ending::Committed),
            Some(Outcome::Aborted(_)) => Some(Ending::Aborted),
            None => None,
        };
        ensure!(
            said == Some(ending),
            "{who} says {report:?}, not {ending:?}"
        );
        Ok(())
    }

    /// Waits until nobody knows of anything that is under way or in doubt, and every replica has
    /// applied the same number of outcomes.
    async fn wait_settled(&mut self) -> anyhow::Result<()> {
        let probe = async |cluster: &mut Cluster| settled(cluster).await;
        self.cluster
            .wait_until("nothing to be in doubt", probe)
            .await?;
        for seat in self.cluster.participants() {
            let metrics = self.cluster.metrics(seat.who()).await?;
            let alarms = metrics.value("triumvir_participant_alarms_total", &[]);
            ensure!(
                alarms.unwrap_or(0.0) == 0.0,
                "{} raised {alarms:?} alarms",
                seat.who()
            );
        }
        Ok(())
    }

    /// The same keys can be written again, on top of what the transaction left.
    async fn check_next(&self, txn: TxnId, mode: Mode, ending: Ending) -> anyhow::Result<()> {
        let before = i64::from(ending == Ending::Committed);
        let next = order(&self.client, draw_txn(), mode).at(
            PARTICIPANTS[0],
            triumvir_client::put(txn.to_string(), "another book"),
        );
        next.commit()
            .await
            .context("a transaction on the same keys")?;
        let order = self.value(PARTICIPANTS[0], &txn.to_string()).await?;
        ensure!(
            order == Some(Value::from("another book")),
            "then orders has {order:?}"
        );
        let stock = self.value(PARTICIPANTS[1], BOOK).await?;
        ensure!(
            stock == Some(Value::from(before + 1)),
            "then stock has {stock:?}"
        );
        Ok(())
    }
}

async fn settled(cluster: &Cluster) -> Result<(), String> {
    let mut outcomes = Vec::new();
    for who in cluster.replicas().map(Seat::who) {
        let status = cluster
            .status(who)
            .await
            .map_err(|error| error.to_string())?;
        if status.open > 0 || status.undecided > 0 || status.oldest_in_doubt_millis.is_some() {
            return Err(format!(
                "{who}: {} open, {} undecided",
                status.open, status.undecided
            ));
        }
        outcomes.push(status.ended);
    }
    if outcomes.iter().any(|count| *count != outcomes[0]) {
        return Err(format!("outcomes by replica: {outcomes:?}"));
    }
    for who in cluster.participants().map(Seat::who) {
        let metrics = cluster
            .metrics(who)
            .await
            .map_err(|error| error.to_string())?;
        let in_doubt = metrics.value("triumvir_participant_branches_in_doubt", &[]);
        if in_doubt != Some(0.0) {
            return Err(format!("{who}: {in_doubt:?} branches in doubt"));
        }
    }
    Ok(())
}
