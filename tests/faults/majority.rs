//! A majority that is lost, with the leader among those that are left and without it. How a call ends
//! then depends on the instant; that it ends, and that what it says is true, does not.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use triumvir_client::{Applied, Client, Code, CommitError, Outcome, TxnId, draw_txn, put};
use triumvir_testkit::Who;
use triumvir_tests::{Pending, Setup, System};

/// How long a call may take while nobody can decide. It is told to the call; nothing is measured.
const SHORT: Duration = Duration::from_secs(2);
/// The same on the command line.
const SHORT_FLAG: [&str; 2] = ["--timeout", "2s"];
/// No call that ends takes so long, on whatever machine.
const ENDLESS: Duration = Duration::from_secs(60);
/// Transactions that are begun in vain at once.
const VAIN: usize = 8;

/// What a transaction writes in both stores.
fn attempt(client: &Client, txn: TxnId) -> triumvir_client::Transaction {
    let key = format!("vain-{txn}");
    let transaction = client.transaction().fresh_id(txn);
    transaction
        .at("orders", put(&key, 1))
        .at("stock", put(&key, 1))
}

/// Whether both stores have it. An error if one has.
async fn applied(system: &System, txn: TxnId) -> anyhow::Result<bool> {
    let key = format!("vain-{txn}");
    let order = system.value("orders", &key).await?.is_some();
    let stock = system.value("stock", &key).await?.is_some();
    ensure!(order == stock, "{txn} is split: {order}, {stock}");
    Ok(order)
}

/// Begins transactions with a short deadline, all at once. Those whose outcome is unknown, and those
/// that were said to be without effect.
async fn in_vain(system: &System) -> anyhow::Result<(Vec<TxnId>, Vec<TxnId>)> {
    let client = system.client.with_timeout(SHORT);
    let ids: Vec<_> = (0..VAIN).map(|_| draw_txn()).collect();
    let calls = futures::future::join_all(ids.iter().map(|txn| attempt(&client, *txn).commit()));
    let answers = tokio::time::timeout(ENDLESS, calls).await;
    let answers = answers.context("a call hangs")?;
    let (mut unknown, mut without_effect) = (Vec::new(), Vec::new());
    for (txn, answer) in ids.iter().zip(answers) {
        match answer {
            Err(CommitError::Unknown { last, .. }) => {
                let right = last.code == Code::OutcomeUnknown && last.applied == Applied::Unknown;
                ensure!(right, "{last:?}");
                unknown.push(*txn);
            }
            Err(CommitError::Refused(failure)) => {
                let right = failure.code == Code::NoLeader;
                ensure!(
                    right && failure.applied == Applied::NotApplied,
                    "{failure:?}"
                );
                without_effect.push(*txn);
            }
            other => bail!("nobody can decide, and yet: {other:?}"),
        }
    }
    Ok((unknown, without_effect))
}

/// What the command line says while nobody can decide: *unknown* or *nobody answered*, each rightly.
async fn commands_end(system: &System) -> anyhow::Result<()> {
    let txn = draw_txn().to_string();
    let commit = ["commit", "--at", "orders", "put:command=1"];
    let ran = system.run(&[&commit[..], &SHORT_FLAG].concat()).await?;
    match ran.status {
        Some(4) => ran.expect(4, "TV0002", Some("unknown"))?,
        _ => ran.expect(6, "TV0001", Some("not-applied"))?,
    };
    for line in [&["abort", &txn][..], &["outcome", &txn, "--decide"]] {
        let ran = system.run(&[line, &SHORT_FLAG].concat()).await?;
        let told = ran.told()?;
        ensure!(ran.status == Some(4), "{line:?}: {ran:?}");
        ensure!(told.applied.as_deref() == Some("unknown"), "{told:?}");
    }
    let status = system
        .run(&[&["cluster", "status"], &SHORT_FLAG[..]].concat())
        .await?;
    ensure!(status.status == Some(6), "{status:?}");
    ensure!(
        status.told()?.code.as_deref() == Some("TV0001"),
        "{status:?}"
    );
    Ok(())
}

/// After the majority is back: what was unknown is resolved by repeating it, in one way everywhere;
/// what was without effect stays so.
async fn resolved(system: &System, unknown: &[TxnId], without: &[TxnId]) -> anyhow::Result<()> {
    for txn in unknown {
        let committed = match attempt(&system.client, *txn).commit().await {
            Ok(_) => true,
            Err(CommitError::Aborted { .. }) => false,
            other => bail!("{txn}: {other:?}"),
        };
        ensure!(applied(system, *txn).await? == committed, "{txn}");
    }
    for txn in without {
        ensure!(!applied(system, *txn).await?, "{txn} had no effect");
        let report = system.client.decide(*txn).await?;
        ensure!(
            matches!(report.outcome, Some(Outcome::Aborted(_))),
            "{report:?}"
        );
    }
    Ok(())
}

/// Kills `lost`, which are two of three, looks at what is said, and brings them back.
async fn lost(mut system: System, lost: [Who; 2]) -> anyhow::Result<()> {
    system.cluster.kill_all(&lost).await?;
    // A client with much time, which has to do nothing but wait.
    let patient: Pending = system.begin();
    let (mut unknown, mut without) = in_vain(&system).await?;
    commands_end(&system).await?;
    let (later_unknown, later_without) = in_vain(&system).await?;
    unknown.extend(later_unknown);
    without.extend(later_without);
    ensure!(!patient.answer.is_finished(), "{:?}", patient.answer.await?);

    system.restart_missing().await?;
    let patient = system.told_committed(patient).await?;
    resolved(&system, &unknown, &without).await?;
    system
        .aftermath(patient, triumvir_tests::Ending::Committed)
        .await
}

/// Proves: a leader that is left alone answers every call in time, decides nothing, and goes on when
/// the others are back.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_left_alone_keeps_nobody_waiting() -> anyhow::Result<()> {
    let mut system = System::start_with(Setup::asking()).await?;
    let (_, followers) = system.roles().await?;
    let followers: [Who; 2] = followers.try_into().expect("two of three follow");
    lost(system, followers).await
}

/// Proves: the same for a follower that is left alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_follower_left_alone_keeps_nobody_waiting() -> anyhow::Result<()> {
    let mut system = System::start_with(Setup::asking()).await?;
    let (leader, followers) = system.roles().await?;
    lost(system, [leader, followers[0].clone()]).await
}

/// Proves: every other command ends, too, and says whether anything was applied: with the leader left
/// alone, and with a follower.
#[tokio::test(flavor = "multi_thread")]
async fn every_command_ends_without_a_majority() -> anyhow::Result<()> {
    for leader_stays in [true, false] {
        let mut system = System::start_with(Setup::asking()).await?;
        let (leader, followers) = system.roles().await?;
        let mut lost = followers;
        if !leader_stays {
            lost[0] = leader;
        }
        system.cluster.kill_all(&lost).await?;
        let Who::Replica(gone) = lost[0] else {
            unreachable!("the replicas were killed")
        };
        let (txn, gone) = (draw_txn().to_string(), gone.to_string());
        for change in [
            &["cluster", "add", "4=127.0.0.1:1"][..],
            &["cluster", "promote", &gone],
            &["cluster", "remove", &gone],
            &["participant", "remove", "stock", "--force"],
        ] {
            let ran = system.run(&[change, &SHORT_FLAG].concat()).await?;
            let told = ran.told()?;
            let ends = matches!(ran.status, Some(2 | 4 | 6));
            let says = matches!(told.applied.as_deref(), Some("unknown" | "not-applied"));
            ensure!(ends && says, "{change:?}: {ran:?}");
        }
        for read in [&["list"][..], &["describe", &txn], &["outcome", &txn]] {
            let ran = system.run(&[read, &SHORT_FLAG].concat()).await?;
            ensure!(matches!(ran.status, Some(0 | 4 | 6)), "{read:?}: {ran:?}");
            if ran.status != Some(0) {
                ran.told()?;
            }
        }
    }
    Ok(())
}
