//! A participant that stays away: what it leaves open is bounded, and an operator can decide that it
//! never comes back.

use anyhow::{Context as _, bail, ensure};
use triumvir_client::{CommitError, TxnId, Value, add, draw_txn, put};
use triumvir_testkit::{Cluster, Metrics};
use triumvir_tests::{PARTICIPANTS, Setup, System, refused, replicas, stock};
use triumvir_wire::v1::transactions_client::TransactionsClient;
use triumvir_wire::v1::{CommitRequest, Part, State, Work, work};
use triumvir_wire::{Applied, Code, ids};

/// How long outcomes are kept: long for a client that repeats a call, short for one who waits for the
/// end of it.
const RETENTION: &str = "10s";

/// So many records may be open, half of them by one participant.
const OPEN_MAX: u64 = 6;

/// Proves: a participant that is lost for good keeps a record open, and the horizon below it, until
/// an operator removes it. Then the record ends as the other has confirmed it, the horizon passes, the
/// lost folder is refused for ever, and a fresh one takes the name.
#[tokio::test(flavor = "multi_thread")]
async fn a_participant_that_never_comes_back_is_removed() -> anyhow::Result<()> {
    let points = "participant::before-pre-committed-forced=return(kill)";
    let setup = Setup::patient().replicas_with(&["--retention", RETENTION]);
    let mut system = System::start_with(setup.failpoints(stock(), points)).await?;
    let mut pending = system.begin();
    system.wait_killed(&stock()).await?;
    (&mut pending.answer).await??;
    wait_open(&mut system, 1).await?;
    wait_older(&mut system).await?;

    let id = nothing_is_done_without_force(&system).await?;
    // By its name, and once more by its id: that changes nothing.
    for who in ["stock", &id] {
        let removal = removal(&system, &[who, "--force"]).await?;
        ensure!(removal["removed"] == true, "{removal}");
    }
    wait_open(&mut system, 0).await?;
    check_said(&system, pending.txn).await?;
    wait_passed(&mut system, pending.txn).await?;

    system.cluster.restart(&stock())?;
    let status = system.cluster.wait_exit(&stock()).await?;
    let log = system.cluster.seat(&stock())?.log_tail();
    ensure!(
        status.code().is_some_and(|code| code != 0) && log.contains("TV0046"),
        "the lost folder ended by {status}:\n{log}"
    );
    system.cluster.wipe(&stock())?;
    system.cluster.restart(&stock())?;
    system.cluster.wait_ready().await?;
    let mut next = system.begin();
    (&mut next.answer).await??;
    ensure!(system.is_applied(next.txn).await?, "{} is lost", next.txn);
    wait_open(&mut system, 0).await?;
    let first = system
        .value(PARTICIPANTS[0], &pending.txn.to_string())
        .await?;
    ensure!(first.is_some(), "the first order is lost at orders");
    system.wait_unlocked().await?;
    system.wait_settled().await
}

/// Without `--force` it is said what would be ended, and nothing is. The participant's id.
async fn nothing_is_done_without_force(system: &System) -> anyhow::Result<String> {
    let ran = system.run(&["participant", "remove", "stock"]).await?;
    ensure!(ran.status == Some(2), "{ran:?}");
    let plan: serde_json::Value = serde_json::from_str(&ran.stdout)?;
    let right = plan["records"] == 1 && plan["removed"] == false && plan["session"] == false;
    ensure!(right && plan["oldest_millis"].is_u64(), "{plan}");
    ensure!(ran.told()?.message.contains("--force"), "{ran:?}");
    let plan_again = removal(system, &["orders"]).await;
    ensure!(plan_again.is_err(), "orders is not removed without --force");
    Ok(format!("p{}", plan["participant"]))
}

/// What the command shows when it does what it is asked.
async fn removal(system: &System, line: &[&str]) -> anyhow::Result<serde_json::Value> {
    let ran = system
        .run(&[&["participant", "remove"], line].concat())
        .await?;
    ensure!(ran.status == Some(0), "{ran:?}");
    Ok(serde_json::from_str(&ran.stdout)?)
}

/// Waits until every replica says that so many records are open, in its status and its metrics; with
/// one that is open, the metrics say that it is in doubt.
async fn wait_open(system: &mut System, count: u64) -> anyhow::Result<()> {
    let probe = async |cluster: &mut Cluster| {
        for who in replicas() {
            let status = cluster.status(&who).await;
            let status = status.map_err(|error| error.to_string())?;
            let metrics = cluster.metrics(&who).await;
            let metrics: Metrics = metrics.map_err(|error| error.to_string())?;
            let open = metrics.value("triumvir_records_open", &[]);
            let oldest = metrics.value("triumvir_oldest_in_doubt_seconds", &[]);
            let in_doubt = oldest.is_some_and(|age| age > 0.0);
            if status.open != count || open != Some(count as f64) || in_doubt != (count > 0) {
                return Err(format!("{who}: {} open, {open:?}, {oldest:?}", status.open));
            }
        }
        Ok(())
    };
    let waited_for = format!("{count} open records");
    Ok(system.cluster.wait_until(&waited_for, probe).await?)
}

/// Waits until the metrics say that the oldest transaction in doubt is older than it was.
async fn wait_older(system: &mut System) -> anyhow::Result<()> {
    let mut before = None;
    let probe = async |cluster: &mut Cluster| {
        let metrics = cluster.metrics(&replicas()[0]).await;
        let metrics: Metrics = metrics.map_err(|error| error.to_string())?;
        let age = metrics.value("triumvir_oldest_in_doubt_seconds", &[]);
        let age = age.ok_or("no age")?;
        match *before.get_or_insert(age) {
            before if age > before => Ok(()),
            before => Err(format!("{age}, and {before} before")),
        }
    };
    let waited_for = "the oldest in doubt to grow older";
    Ok(system.cluster.wait_until(waited_for, probe).await?)
}

/// That it was removed is in the log of every replica, in the status, and beside its branch.
async fn check_said(system: &System, txn: TxnId) -> anyhow::Result<()> {
    for who in replicas() {
        let log = std::fs::read_to_string(system.cluster.seat(&who)?.log())?;
        ensure!(
            log.contains("has removed the participant for good"),
            "{who} does not say it:\n{log}"
        );
        let status = system.cluster.status(&who).await?;
        let known = status.participants.iter().find(|p| p.name == "stock");
        ensure!(
            known.is_some_and(|known| known.removed),
            "{who}: {status:?}"
        );
    }
    let description = system.client.describe(txn).await?;
    ensure!(description.state() == State::Ended, "{description:?}");
    let branch = description
        .branches
        .iter()
        .find(|b| b.participant == "stock");
    ensure!(
        branch.is_some_and(|branch| branch.removed),
        "{description:?}"
    );
    Ok(())
}

/// Waits until the horizon is at or above `txn` everywhere.
async fn wait_passed(system: &mut System, txn: TxnId) -> anyhow::Result<()> {
    let probe = async |cluster: &mut Cluster| {
        for who in replicas() {
            let status = cluster.status(&who).await;
            let horizon = status.map_err(|error| error.to_string())?.horizon;
            let horizon = ids::txn("horizon", &horizon).map_err(|error| error.to_string())?;
            if horizon < txn {
                return Err(format!("{who}: the horizon is at {horizon}"));
            }
        }
        Ok(())
    };
    Ok(system
        .cluster
        .wait_until("the horizon to pass", probe)
        .await?)
}

/// Proves: a participant that does not confirm leaves half of what may be open, and no more: who names
/// it is refused at once with nothing done, while it runs and while it is away; who does not goes on.
/// When it is back, all of it ends.
#[tokio::test(flavor = "multi_thread")]
async fn one_participant_that_stays_away_does_not_use_up_what_may_be_open() -> anyhow::Result<()> {
    let most = OPEN_MAX.to_string();
    let setup = Setup::patient()
        .replicas_with(&["--open-max", &most])
        .failpoints(stock(), "participant::before-committed-sent=return(drop)");
    let mut system = System::start_with(setup).await?;
    let share = OPEN_MAX / 2;
    for _ in 0..share {
        buy(&system).await?;
    }
    wait_open(&mut system, share).await?;
    refused_for_stock(&mut system).await?;
    system.cluster.kill(&stock()).await?;
    refused_for_stock(&mut system).await?;
    for count in 0..2 * OPEN_MAX {
        let other = system.client.transaction();
        let other = other.at(PARTICIPANTS[0], put(format!("other-{count}"), "x"));
        other
            .commit()
            .await
            .context("one that does not name stock")?;
    }
    wait_open(&mut system, share).await?;
    refused_for_stock(&mut system).await?;

    system.cluster.restart(&stock())?;
    system.cluster.wait_ready().await?;
    wait_open(&mut system, 0).await?;
    buy(&system).await?;
    let bought = system.value(PARTICIPANTS[1], "bought").await?;
    let expected = Value::from(i64::try_from(share)? + 1);
    ensure!(bought == Some(expected), "{bought:?} are bought");
    system.wait_unlocked().await?;
    system.wait_settled().await
}

/// Commits a transaction over both participants.
async fn buy(system: &System) -> anyhow::Result<()> {
    let order = system.client.transaction();
    let order = order.at(PARTICIPANTS[0], put(draw_txn().to_string(), "one book"));
    order.at(PARTICIPANTS[1], add("bought", 1)).commit().await?;
    Ok(())
}

/// A transaction that names `stock` is refused at every replica, with nothing done.
async fn refused_for_stock(system: &mut System) -> anyhow::Result<()> {
    for who in replicas() {
        let address = system.cluster.seat(&who)?.address();
        let mut replica = TransactionsClient::connect(format!("http://{address}")).await?;
        let part = |name: &str| Part {
            participant: name.to_owned(),
            work: Some(Work {
                kind: Some(work::Kind::Payload(bytes::Bytes::from_static(
                    b"never read",
                ))),
            }),
        };
        let request = CommitRequest {
            txn: ids::txn_bytes(draw_txn()),
            parts: PARTICIPANTS.map(part).to_vec(),
            ..CommitRequest::default()
        };
        let answer = replica.commit(request).await;
        refused(answer, Code::TooManyOpen, Applied::NotApplied)?;
    }
    Ok(())
}

/// Proves: an id that was replaced, and that nobody has any more, still keeps its records open; it is
/// removed by its number, and who has the name now is not touched.
#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_participant_is_removed_by_its_id() -> anyhow::Result<()> {
    let setup = Setup::patient()
        .participants_with(&["--replace-lost-disk"])
        .failpoints(
            stock(),
            "participant::before-pre-committed-forced=return(kill)",
        );
    let mut system = System::start_with(setup).await?;
    let mut pending = system.begin();
    system.wait_killed(&stock()).await?;
    (&mut pending.answer).await??;
    let id = removal_id(&system, "stock").await?;
    system.cluster.wipe(&stock())?;
    system.cluster.restart(&stock())?;
    system.cluster.wait_ready().await?;
    wait_open(&mut system, 1).await?;
    let new = removal_id(&system, "stock").await?;
    ensure!(new != id, "{new} was given twice");
    let removed = removal(&system, &[&id, "--force"]).await?;
    ensure!(removed["removed"] == true, "{removed}");
    wait_open(&mut system, 0).await?;
    ensure!(removal_id(&system, "stock").await? == new, "{new} is gone");
    buy(&system).await?;
    system.wait_unlocked().await?;
    system.wait_settled().await
}

/// The id of the participant that has this name.
async fn removal_id(system: &System, name: &str) -> anyhow::Result<String> {
    let ran = system.run(&["participant", "remove", name]).await?;
    let plan: serde_json::Value = serde_json::from_str(&ran.stdout)?;
    Ok(format!("p{}", plan["participant"]))
}

/// Proves: a participant that runs and is removed ends by itself and says why. A transaction that
/// names it is aborted for that; one that is over is still answered with its outcome.
#[tokio::test(flavor = "multi_thread")]
async fn a_running_participant_that_is_removed_ends() -> anyhow::Result<()> {
    let mut system = System::start_with(Setup::patient()).await?;
    let pending = system.begin();
    let pending = system.told_committed(pending).await?;
    let removed = removal(&system, &["stock", "--force"]).await?;
    ensure!(removed["removed"] == true, "{removed}");
    let status = system.cluster.wait_exit(&stock()).await?;
    let log = system.cluster.seat(&stock())?.log_tail();
    ensure!(
        status.code().is_some_and(|code| code != 0) && log.contains("TV0046"),
        "it ended by {status}:\n{log}"
    );
    let next = system.begin();
    let (aborted, orders) = (next.txn.to_string(), triumvir_tests::orders());
    match next.answer.await? {
        Err(CommitError::Aborted { cause, .. }) => ensure!(cause.word() == "removed", "{cause}"),
        other => bail!("not aborted but {other:?}"),
    }
    let again = system.repeat(pending);
    again.answer.await?.context("the first, asked again")?;
    let order = system.value(PARTICIPANTS[0], &aborted).await?;
    ensure!(order.is_none(), "aborted, and orders has {order:?}");
    system.wait_unlocked_at(PARTICIPANTS[0]).await?;
    system.wait_no_doubt(&orders).await
}
