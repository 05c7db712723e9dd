//! Members that are added, promoted, removed and replaced while the cluster is in use, by the command
//! line.

#[path = "membership/half_way.rs"]
mod half_way;

use anyhow::ensure;
use triumvir_testkit::Who;
use triumvir_tests::{Ending, Load, Setup, System};

/// Proves: a fourth replica that was added, started by the printed command and promoted counts: with
/// one of the first three dead, nothing is committed without it.
#[tokio::test(flavor = "multi_thread")]
async fn a_fourth_replica_is_added_and_takes_the_place_of_a_dead_one() -> anyhow::Result<()> {
    let mut system = System::start_with(Setup::patient()).await?;
    let first = system.begin();
    let first = system.told_committed(first).await?;
    let fourth = system.add_voter(4).await?;
    system.wait_voters(&[1, 2, 3, 4]).await?;
    let (_, followers) = system.roles().await?;
    let dead = followers.into_iter().find(|who| *who != fourth);
    let dead = dead.expect("three follow");
    system.cluster.kill(&dead).await?;
    let pending = system.repeat(first);
    let pending = system.told_committed(pending).await?;
    let load = Load::start(&system.client);
    load.wait_progress(&mut system).await?;
    load.end(&system).await?;
    system.aftermath(pending, Ending::Committed).await
}

/// Proves: a replica that has lost its disk is replaced under a new id while the cluster runs, after
/// which the cluster survives the loss of another; the old id is refused on an empty folder.
#[tokio::test(flavor = "multi_thread")]
async fn a_wiped_replica_is_replaced_under_a_new_id() -> anyhow::Result<()> {
    let mut system = System::start_with(Setup::patient()).await?;
    let (leader, followers) = system.roles().await?;
    let [lost, other] = &followers[..] else {
        anyhow::bail!("not two followers: {followers:?}");
    };
    system.cluster.kill(lost).await?;
    system.cluster.wipe(lost)?;
    let pending = system.begin();
    let pending = system.told_committed(pending).await?;
    system.remove_member(lost).await?;
    let fourth = system.add_voter(4).await?;
    system.cluster.restart(lost)?;
    system.wait_removed(lost).await?;
    system.cluster.remove_seat(lost)?;
    system.cluster.kill(other).await?;
    let load = Load::start(&system.client);
    load.wait_progress(&mut system).await?;
    load.end(&system).await?;
    system.wait_leader_among(&[leader, fourth]).await?;
    system.aftermath(pending, Ending::Committed).await
}

/// Proves: a leader that is removed under load hands on first; nothing is aborted, lost or done twice,
/// and its process ends.
#[tokio::test(flavor = "multi_thread")]
async fn removing_the_leader_under_load_loses_nothing() -> anyhow::Result<()> {
    let mut system = System::start_with(Setup::asking()).await?;
    let load = Load::start(&system.client);
    load.wait_progress(&mut system).await?;
    let (leader, followers) = system.roles().await?;
    system.remove_member(&leader).await?;
    system.wait_removed(&leader).await?;
    system.cluster.remove_seat(&leader)?;
    system.wait_leader_among(&followers).await?;
    load.wait_progress(&mut system).await?;
    system.add_voter(4).await?;
    load.wait_progress(&mut system).await?;
    load.end(&system).await?;
    let pending = system.begin();
    let pending = system.told_committed(pending).await?;
    system.aftermath(pending, Ending::Committed).await
}

/// Proves: a replica that was removed ends, ends again when it is started again, and changes nothing
/// for the others meanwhile; its id is used up.
#[tokio::test(flavor = "multi_thread")]
async fn a_removed_replica_that_comes_back_is_refused() -> anyhow::Result<()> {
    let mut system = System::start_with(Setup::patient()).await?;
    let (leader, followers) = system.roles().await?;
    let removed = &followers[0];
    let address = system.cluster.seat(removed)?.address();
    let Who::Replica(id) = *removed else {
        anyhow::bail!("{removed} is no replica");
    };
    system.remove_member(removed).await?;
    system.wait_removed(removed).await?;
    let term = system.cluster.status(&leader).await?.term;
    system.cluster.restart(removed)?;
    system.wait_removed(removed).await?;
    system.cluster.wipe(removed)?;
    system.cluster.restart(removed)?;
    system.wait_removed(removed).await?;
    let status = system.cluster.status(&leader).await?;
    ensure!(
        status.term == term && Some(Who::Replica(status.leader.unwrap_or(0))) == Some(leader),
        "the term was {term}, and now: {status:?}"
    );
    let again = format!("{id}={address}");
    let ran = system.run(&["cluster", "add", &again]).await?;
    ran.expect(5, "TV0037", Some("not-applied"))?;
    system.remove_member(removed).await?;
    system.cluster.remove_seat(removed)?;
    let pending = system.begin();
    let pending = system.told_committed(pending).await?;
    system.aftermath(pending, Ending::Committed).await
}

/// Proves: a learner does not become a voter before it has caught up, and does no harm before that:
/// its process does not even run. One that never runs is removed like any other.
#[tokio::test(flavor = "multi_thread")]
async fn a_learner_is_not_promoted_too_early() -> anyhow::Result<()> {
    let mut system = System::start_with(Setup::patient()).await?;
    let fourth = system.add_member(4).await?;
    let ran = system.run(&["cluster", "promote", "4"]).await?;
    ran.expect(5, "TV0040", Some("not-applied"))?;
    let ran = system.run(&["cluster", "promote", "5"]).await?;
    ran.expect(5, "TV0038", Some("not-applied"))?;
    let pending = system.begin();
    let pending = system.told_committed(pending).await?;
    system.cluster.restart(&fourth)?;
    system.cluster.wait_ready().await?;
    system.promote(4).await?;
    let fifth = system.add_member(5).await?;
    system.remove_member(&fifth).await?;
    system.cluster.remove_seat(&fifth)?;
    system.wait_voters(&[1, 2, 3, 4]).await?;
    system.aftermath(pending, Ending::Committed).await
}
