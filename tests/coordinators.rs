//! Coordinators lost together: all of them, or a majority, at chosen steps of a transaction.

use anyhow::ensure;
use triumvir_client::Mode;
use triumvir_testkit::{Cluster, Who};
use triumvir_tests::{Ending, FIRST, Setup, System, replicas};
use triumvir_wire::v1::State;

/// Neither follower will ever say anything of a record: it dies before it applies one.
fn silent_followers(setup: Setup) -> Setup {
    let points = "replica::before-pre-commit-applied=return(kill)";
    setup
        .failpoints(Who::Replica(2), points)
        .failpoints(Who::Replica(3), points)
}

/// Proves: a record that is in the log of a dead leader alone may be lost; the successor adopts the
/// prepared branches and makes its own.
///
/// Both followers are paused when the order is begun. The leader proposes for as long as its lease
/// lasts, which is why that is longer here than usual.
#[tokio::test(flavor = "multi_thread")]
async fn leader_killed_with_the_record_in_its_own_log_alone() -> anyhow::Result<()> {
    let lease = [
        "--raft-election-timeout-min",
        "1s",
        "--raft-election-timeout-max",
        "3s",
    ];
    let mut system = System::start_with(Setup::patient().replicas_with(&lease)).await?;
    let (leader, followers) = system.roles().await?;
    let buyer = system.connect(&leader).await?;
    for follower in &followers {
        system.cluster.pause(follower)?;
    }
    let pending = buyer.begin();
    system
        .wait_state_at(&leader, pending.txn, State::Proposed)
        .await?;
    system.cluster.kill(&leader).await?;
    for follower in &followers {
        system.cluster.resume(follower)?;
    }
    let pending = system.repeat(pending);
    system.aftermath(pending, Ending::Committed).await
}

/// Proves: participants that are all prepared finish among themselves when no coordinator is left,
/// and the cluster agrees with them when it is back.
///
/// The leader is stopped before the record when all are killed. If a follower has led before that, it
/// has died at its own record, and said nothing of it.
#[tokio::test(flavor = "multi_thread")]
async fn all_coordinators_killed_with_all_prepared() -> anyhow::Result<()> {
    let setup = silent_followers(Setup::hasty());
    let (mut system, pending) = System::start_with_all_votes(setup, Mode::ThreePhase).await?;
    system.cluster.kill_all(&replicas()).await?;
    system.wait_unlocked().await?;
    // A fence round can only choose abort.
    assert!(!system.is_applied(pending.txn).await?);
    system.aftermath(pending, Ending::Aborted).await
}

/// Proves: one participant that has seen pre-commit is enough. It commits by itself and tells the
/// other, who was never sent pre-commit, while no coordinator is left.
///
/// The leader dies when the acknowledgement reaches it. The followers die before they apply the
/// record, so that neither of them can have said anything of it.
#[tokio::test(flavor = "multi_thread")]
async fn all_coordinators_killed_after_one_saw_pre_commit() -> anyhow::Result<()> {
    let leader = "leader::before-pre-commit=return(drop stock);leader::on-ack=return(kill)";
    let setup = silent_followers(Setup::hasty()).failpoints(FIRST, leader);
    let mut system = System::start_with(setup).await?;
    let pending = system.connect(&FIRST).await?.begin();
    system.wait_killed(&FIRST).await?;
    // One that has not yet heard that the record is committed may be left.
    system.cluster.kill_all(&replicas()[1..]).await?;
    system.wait_unlocked().await?;
    assert!(system.is_applied(pending.txn).await?);
    system.aftermath(pending, Ending::Committed).await
}

/// Proves: one participant that has not voted is enough. It refuses when the other asks, and both are
/// free while no coordinator is left.
#[tokio::test(flavor = "multi_thread")]
async fn all_coordinators_killed_with_one_participant_not_yet_voted() -> anyhow::Result<()> {
    let points = "leader::before-can-commit=return(drop stock);leader::after-vote=return(kill)";
    let mut system = System::start_with(Setup::hasty().failpoints(FIRST, points)).await?;
    let pending = system.connect(&FIRST).await?.begin();
    system.wait_killed(&FIRST).await?;
    system.cluster.kill_all(&replicas()[1..]).await?;
    system.wait_unlocked().await?;
    assert!(!system.is_applied(pending.txn).await?);
    system.aftermath(pending, Ending::Aborted).await
}

/// Proves: a leader that has lost its majority decides nothing, and goes on with what it began when
/// the majority is back.
#[tokio::test(flavor = "multi_thread")]
async fn both_followers_killed_and_back() -> anyhow::Result<()> {
    let (mut system, pending) =
        System::start_with_all_votes(Setup::patient(), Mode::ThreePhase).await?;
    system.cluster.kill_all(&replicas()[1..]).await?;
    system.cluster.resume(&FIRST)?;
    system.aftermath(pending, Ending::Committed).await
}

/// Proves: a follower that is left alone does nothing, and the transaction is adopted when the others
/// are back.
#[tokio::test(flavor = "multi_thread")]
async fn leader_and_one_follower_killed_and_back() -> anyhow::Result<()> {
    let (mut system, pending) =
        System::start_with_all_votes(Setup::patient(), Mode::ThreePhase).await?;
    system.cluster.kill_all(&replicas()[..2]).await?;
    system.aftermath(pending, Ending::Committed).await
}

/// Proves: in two-phase mode the loss of all coordinators leaves the participants prepared, as
/// documented, and the cluster finishes them when it is back.
#[tokio::test(flavor = "multi_thread")]
async fn two_phase_participants_wait_for_the_coordinators() -> anyhow::Result<()> {
    let (mut system, pending) =
        System::start_with_all_votes(Setup::hasty(), Mode::TwoPhase).await?;
    system.cluster.kill_all(&replicas()).await?;
    system.aftermath(pending, Ending::Committed).await
}

/// Proves: a leader that is killed and back before anybody misses it leads again only after an election.
/// The others may have entries of its former term that it had not yet written itself; in the same term
/// it would put others in their places, and the replicas would differ for good.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_back_at_once_does_not_lead_in_its_former_term() -> anyhow::Result<()> {
    let mut system = System::start_with(Setup::patient()).await?;
    let (leader, followers) = system.roles().await?;
    let term = system.cluster.status(&leader).await?.term;
    for follower in &followers {
        system.cluster.pause(follower)?;
    }
    system.cluster.kill(&leader).await?;
    system.cluster.restart(&leader)?;
    let probe = async |cluster: &mut Cluster| {
        let status = cluster.status(&leader).await;
        status.map_err(|error| error.to_string())
    };
    let back = system
        .cluster
        .wait_until("the former leader", probe)
        .await?;
    ensure!(back.leader.is_none(), "{:?} leads", back.leader);
    for follower in &followers {
        system.cluster.resume(follower)?;
    }
    system.cluster.wait_ready().await?;
    let (leader, _) = system.roles().await?;
    let status = system.cluster.status(&leader).await?;
    ensure!(status.term > term, "{leader} leads in {}", status.term);
    let pending = system.begin();
    let pending = system.told_committed(pending).await?;
    system.aftermath(pending, Ending::Committed).await
}
