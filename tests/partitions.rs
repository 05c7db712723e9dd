//! The leader parted from the other replicas, in one direction or in both, with a transaction under
//! way. Clients and participants reach everyone all the time.

use triumvir_testkit::Who;
use triumvir_tests::{Ending, FIRST, Setup, System, replicas};

/// Which way is cut between the leader and the others.
#[derive(Clone, Copy)]
enum Cut {
    FromLeader,
    ToLeader,
    Both,
}

impl Cut {
    fn apply(self, system: &mut System, leader: &Who, other: &Who) -> anyhow::Result<()> {
        if !matches!(self, Self::ToLeader) {
            system.cluster.cut(leader, other)?;
        }
        if !matches!(self, Self::FromLeader) {
            system.cluster.cut(other, leader)?;
        }
        Ok(())
    }
}

/// Parts the leader from the others between the last vote and the record, at which it has stopped
/// itself, so that it goes on alone: it proposes what it cannot bring to an end. The others elect a
/// leader, who commits the same order for a client of its own. Then all hear each other again, and the
/// client of the first leader is told the same.
async fn parted(cut: Cut) -> anyhow::Result<()> {
    let points = "leader::after-all-votes=1*return(stop)";
    let setup = Setup::patient().gates().failpoints(FIRST, points);
    let mut system = System::start_with(setup).await?;
    let others = &replicas()[1..];
    let pending = system.connect(&FIRST).await?.begin();
    system.cluster.wait_stopped(&FIRST).await?;
    for other in others {
        cut.apply(&mut system, &FIRST, other)?;
    }
    system.cluster.resume(&FIRST)?;
    let successor = system.wait_leader_among(others).await?;
    let again = system.again_at(&successor, &pending)?;
    system.told_committed(again).await?;
    system.cluster.mend();
    system.aftermath(pending, Ending::Committed).await
}

/// Proves: a leader that nobody hears keeps nobody from going on, and what it still believes to lead
/// comes to nothing.
#[tokio::test(flavor = "multi_thread")]
async fn leader_that_is_not_heard() -> anyhow::Result<()> {
    parted(Cut::FromLeader).await
}

/// Proves: the same for a leader that is heard and hears nobody, once its connections have ended.
#[tokio::test(flavor = "multi_thread")]
async fn leader_that_does_not_hear() -> anyhow::Result<()> {
    parted(Cut::ToLeader).await
}

/// Proves: the same for a leader that is cut off in both directions.
#[tokio::test(flavor = "multi_thread")]
async fn leader_that_is_cut_off() -> anyhow::Result<()> {
    parted(Cut::Both).await
}
