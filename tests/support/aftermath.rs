//! What must be true after every crash, whatever it was: one outcome everywhere, told to the client,
//! nothing in doubt, no lock left. This is the one place that says so.

use anyhow::{Context as _, bail, ensure};
use triumvir_client::{
    CommitError, Committed, Mode, Outcome, OutcomeReport, TxnId, Value, draw_txn,
};
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
        // What is aborted for a NO has no record; this makes one. It binds nothing that is decided.
        let decided = self.client.decide(txn).await?;
        check_report("asked to decide, the leader", &decided, ending)?;
        self.wait_settled().await?;
        for replica in self.cluster.replicas() {
            // A follower that has applied the outcome says so itself.
            let report = self.outcome_at(replica.who(), txn).await?;
            check_report(replica.who(), &report, ending)?;
        }
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

    /// Waits until nobody knows of anything that is under way or in doubt, and every replica has
    /// applied the same number of outcomes. Nobody has raised an alarm on the way, in whichever of its
    /// lives.
    pub async fn wait_settled(&mut self) -> anyhow::Result<()> {
        let probe = async |cluster: &mut Cluster| settled(cluster).await;
        self.cluster
            .wait_until("nothing to be in doubt", probe)
            .await?;
        for seat in self.cluster.seats() {
            let log = std::fs::read_to_string(seat.log())?;
            let line = log
                .lines()
                .find(|line| ["ALARM", "panicked"].iter().any(|word| line.contains(word)));
            ensure!(line.is_none(), "{}: {line:?}", seat.who());
        }
        Ok(())
    }

    /// Waits until a participant has heard a leader that another has followed.
    pub async fn wait_late_requests(&mut self) -> anyhow::Result<()> {
        let probe = async |cluster: &mut Cluster| {
            for who in cluster.participants().map(Seat::who) {
                let metrics = cluster.metrics(who).await;
                let metrics = metrics.map_err(|error| error.to_string())?;
                let late = metrics.value("triumvir_participant_late_requests_total", &[]);
                if late.is_some_and(|late| late > 0.0) {
                    return Ok(());
                }
            }
            Err("none has".to_owned())
        };
        let waited_for = "a request of a former leader to arrive";
        Ok(self.cluster.wait_until(waited_for, probe).await?)
    }

    /// Waits until a participant has no branch in doubt.
    pub async fn wait_no_doubt(&mut self, who: &Who) -> anyhow::Result<()> {
        let waited_for = format!("{who} to have nothing in doubt");
        let probe = async |cluster: &mut Cluster| no_doubt(cluster, who).await;
        Ok(self.cluster.wait_until(&waited_for, probe).await?)
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
        no_doubt(cluster, who).await?;
    }
    Ok(())
}

async fn no_doubt(cluster: &Cluster, who: &Who) -> Result<(), String> {
    let metrics = cluster.metrics(who).await;
    let metrics = metrics.map_err(|error| error.to_string())?;
    match metrics.value("triumvir_participant_branches_in_doubt", &[]) {
        Some(0.0) => Ok(()),
        in_doubt => Err(format!("{who}: {in_doubt:?} branches in doubt")),
    }
}

fn check_report(
    who: impl std::fmt::Display,
    report: &OutcomeReport,
    ending: Ending,
) -> anyhow::Result<()> {
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
