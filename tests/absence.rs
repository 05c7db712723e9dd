//! Replicas that are away for a while: one for so long that the log it lacks is gone, and each in
//! turn while transactions are under way.

use anyhow::ensure;
use triumvir_client::{Outcome, put};
use triumvir_testkit::{Cluster, Who};
use triumvir_tests::{Ending, Load, PARTICIPANTS, Setup, System};

/// A snapshot is taken every so many entries.
const SNAPSHOT_EVERY: u64 = 20;
/// So many entries are kept behind a snapshot.
const KEPT: u64 = 5;

/// Proves: a follower whose next entry is in nobody's log any more gets a snapshot, and knows then
/// what was decided while it was away, as it says when it is the only one left.
#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_was_away_for_long_gets_a_snapshot() -> anyhow::Result<()> {
    let every = SNAPSHOT_EVERY.to_string();
    let kept = KEPT.to_string();
    let flags = [
        "--raft-snapshot-every-entries",
        &every,
        "--raft-kept-entries",
        &kept,
    ];
    let mut system = System::start_with(Setup::patient().replicas_with(&flags)).await?;
    let (leader, followers) = system.roles().await?;
    let away = &followers[0];
    let seen = system.cluster.status(away).await?.last_log;
    system.cluster.kill(away).await?;
    let pending = system.begin();
    let pending = system.told_committed(pending).await?;
    let present = [leader.clone(), followers[1].clone()];
    // Two snapshots later, what the first one holds is out of the log.
    commit_until_snapshot(&mut system, &present, seen + KEPT + 2 * SNAPSHOT_EVERY).await?;

    system.cluster.restart(away)?;
    system.cluster.wait_ready().await?;
    let target = system.cluster.status(&leader).await?.applied;
    let probe = async |cluster: &mut Cluster| {
        let applied = cluster
            .status(away)
            .await
            .map_err(|error| error.to_string())?
            .applied;
        if applied >= target {
            Ok(())
        } else {
            Err(format!("{applied} of {target} entries"))
        }
    };
    system
        .cluster
        .wait_until("the follower to catch up", probe)
        .await?;
    let log = std::fs::read_to_string(system.cluster.seat(away)?.log())?;
    ensure!(
        log.contains("the state is that of a snapshot"),
        "{away} was given no snapshot:\n{log}"
    );
    system.cluster.kill_all(&present).await?;
    let report = system.outcome_at(away, pending.txn).await?;
    ensure!(
        matches!(report.outcome, Some(Outcome::Committed)),
        "{report:?}"
    );
    system.aftermath(pending, Ending::Committed).await
}

/// Commits until all `present` replicas have a snapshot that ends above `index`.
async fn commit_until_snapshot(
    system: &mut System,
    present: &[Who],
    index: u64,
) -> anyhow::Result<()> {
    let client = system.client.clone();
    let mut count = 0;
    let probe = async |cluster: &mut Cluster| {
        count += 1;
        let filler = client
            .transaction()
            .at(PARTICIPANTS[0], put(format!("filler-{count}"), "x"))
            .at(PARTICIPANTS[1], put(format!("filler-{count}"), "x"));
        filler.commit().await.map_err(|error| error.to_string())?;
        for who in present {
            let status = cluster
                .status(who)
                .await
                .map_err(|error| error.to_string())?;
            if status.snapshot <= index {
                return Err(format!("{who}: the snapshot ends at {}", status.snapshot));
            }
        }
        Ok(())
    };
    Ok(system
        .cluster
        .wait_until("snapshots above what the follower has", probe)
        .await?)
}

/// Proves: restarting one replica after the other, the leader first and its successor as well, aborts
/// no transaction and leaves no client without an answer.
#[tokio::test(flavor = "multi_thread")]
async fn rolling_restart_under_load_aborts_nothing() -> anyhow::Result<()> {
    let mut system = System::start_with(Setup::asking()).await?;
    let load = Load::start(&system.client);
    let (leader, followers) = system.roles().await?;
    for who in [leader].into_iter().chain(followers) {
        load.wait_progress(&mut system).await?;
        system.cluster.terminate(&who)?;
        let status = system.cluster.wait_exit(&who).await?;
        ensure!(status.success(), "{who} ended by {status}");
        load.wait_progress(&mut system).await?;
        system.cluster.restart(&who)?;
        system.cluster.wait_ready().await?;
    }
    load.wait_progress(&mut system).await?;
    load.end(&system).await?;
    let mut logs = system
        .cluster
        .replicas()
        .map(|seat| std::fs::read_to_string(seat.log()));
    ensure!(
        logs.any(|log| log.is_ok_and(|log| log.contains("another replica leads"))),
        "whoever led has not handed it on"
    );
    drop(logs);
    let pending = system.begin();
    let pending = system.told_committed(pending).await?;
    system.aftermath(pending, Ending::Committed).await
}
