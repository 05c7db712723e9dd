//! Processes that come back without their data folder: refused under the identity that belonged to
//! it. With the folder they are taken in again.

use std::path::PathBuf;

use anyhow::ensure;
use triumvir_testkit::Who;
use triumvir_tests::{Ending, Setup, System, stock};

/// Starts `who` on an empty folder, and checks that it ends by itself and says `why`. Its own folder
/// is left where the path says.
async fn refused(system: &mut System, who: &Who, why: &str) -> anyhow::Result<PathBuf> {
    let aside = system.set_aside(who)?;
    system.cluster.restart(who)?;
    let status = system.cluster.wait_exit(who).await?;
    let log = system.cluster.seat(who)?.log_tail();
    ensure!(
        status.code().is_some_and(|code| code != 0),
        "{who} ended by {status}:\n{log}"
    );
    ensure!(log.contains(why), "{who} does not say {why:?}:\n{log}");
    Ok(aside)
}

/// Proves: a replica that has lost its disk, and with it its votes and entries, takes no part; the
/// others go on without it.
#[tokio::test(flavor = "multi_thread")]
async fn a_wiped_replica_is_refused_under_its_old_identity() -> anyhow::Result<()> {
    let mut system = System::start_with(Setup::patient()).await?;
    let (_, followers) = system.roles().await?;
    let lost = &followers[0];
    system.cluster.kill(lost).await?;
    let aside = refused(&mut system, lost, "must join under a new id").await?;
    let pending = system.begin();
    let pending = system.told_committed(pending).await?;
    system.give_back(lost, &aside)?;
    system.aftermath(pending, Ending::Committed).await
}

/// Proves: a participant that has lost its disk, and with it what it has accepted, is nobody whom the
/// cluster knows; its part of what was decided waits for the folder.
#[tokio::test(flavor = "multi_thread")]
async fn a_wiped_participant_is_refused_under_its_old_identity() -> anyhow::Result<()> {
    let points = "participant::before-ack-sent=return(kill)";
    let mut system = System::start_with(Setup::patient().failpoints(stock(), points)).await?;
    let pending = system.begin();
    system.wait_killed(&stock()).await?;
    let pending = system.told_committed(pending).await?;
    let aside = refused(&mut system, &stock(), "TV0019").await?;
    system.give_back(&stock(), &aside)?;
    system.aftermath(pending, Ending::Committed).await
}
