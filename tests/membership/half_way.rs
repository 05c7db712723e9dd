//! A change of the members whose leader is lost, or stops for long, in the midst of it. Whatever it has
//! come to, the cluster commits, another leader finishes what a majority has, and to ask again is all
//! that an operator has to do.

use triumvir_client::put;
use triumvir_testkit::Who;
use triumvir_tests::{Ending, FIRST, Load, Ran, Setup, System};

/// A majority has the first of a change's two steps, and the second one is not proposed.
const BETWEEN: &str = "replica::before-joint-members-applied";
/// The first step is in the log of the leader, and nobody else can have it.
const OWN_LOG: &str = "replica::joint-members-appended";
/// How long a command may take that cannot be answered. Nothing is measured.
const SHORT: [&str; 2] = ["--timeout", "10s"];
/// How long any other may take.
const LONG: [&str; 2] = ["--timeout", "60s"];
/// The replica whose membership changes.
const FOURTH: Who = Who::Replica(4);
/// Replicas that are members throughout and do not lead at the beginning.
const OTHERS: [Who; 2] = [Who::Replica(2), Who::Replica(3)];

/// A cluster whose first replica leads, for as long as it lives, however slow the machine is, and does
/// this on the way.
fn setup(points: &str) -> Setup {
    Setup::patient()
        .failpoints(FIRST, points)
        .replicas_with(&["--raft-election-timeout-min", "2s"])
        .replicas_with(&["--raft-election-timeout-max", "3s"])
}

/// What is done to the fourth replica by three others.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    /// It has caught up as a learner.
    Promote,
    /// It is a voter.
    Remove,
}

impl Change {
    /// A cluster in which this can be asked for, led by the first replica, which does `word` at `point`
    /// on the way.
    async fn prepared(self, point: &str, word: &str) -> anyhow::Result<System> {
        // Who is removed was promoted before.
        let first = match self {
            Self::Remove if point == BETWEEN || point == OWN_LOG => "1*off->",
            Self::Promote | Self::Remove => "",
        };
        let points = format!("{point}={first}1*return({word})");
        let mut system = System::start_with(setup(&points)).await?;
        let fourth = system.add_member(4).await?;
        system.cluster.restart(&fourth)?;
        system.cluster.wait_ready().await?;
        match self {
            Self::Promote => system.wait_caught_up(4).await?,
            Self::Remove => system.promote(4).await?,
        }
        Ok(system)
    }

    fn command(self, time: [&'static str; 2]) -> [&'static str; 5] {
        let word = match self {
            Self::Promote => "promote",
            Self::Remove => "remove",
        };
        ["cluster", word, "4", time[0], time[1]]
    }

    /// Checks that those who are left do not have the change, not even its first step.
    async fn is_lost(self, system: &mut System) -> anyhow::Result<()> {
        let others = [&OTHERS[..], &[FOURTH]].concat();
        system.wait_leader_among(&others).await?;
        // Then the successor has applied whatever it had when it was elected.
        let transaction = system.client.transaction().at("stock", put("k", 1));
        transaction.commit().await?;
        for who in &others {
            let members = system.cluster.status(who).await?.members;
            let fourth = members.iter().find(|member| member.replica == 4);
            let voter = fourth.map(|member| member.voter);
            anyhow::ensure!(voter == Some(self == Self::Remove), "{who}: {members:?}");
        }
        Ok(())
    }

    /// Waits until the change is made, though nobody asks for it, and checks that it can be asked for
    /// once more.
    async fn is_made(self, system: &mut System) -> anyhow::Result<()> {
        match self {
            Self::Promote => system.wait_voters(&[1, 2, 3, 4]).await?,
            Self::Remove => {
                system.wait_removed(&FOURTH).await?;
                system.cluster.remove_seat(&FOURTH)?;
                system.wait_voters(&[1, 2, 3]).await?;
            }
        }
        system.changed(&self.command(LONG)).await?;
        Ok(())
    }
}

/// All is as after any other transaction.
async fn aftermath(mut system: System) -> anyhow::Result<()> {
    let pending = system.begin();
    let pending = system.told_committed(pending).await?;
    system.aftermath(pending, Ending::Committed).await
}

/// The leader is killed between the two steps, and its client knows nobody else.
async fn killed_between(change: Change) -> anyhow::Result<()> {
    let mut system = change.prepared(BETWEEN, "kill").await?;
    let load = Load::start(&system.client);
    let ran = system.run_at(&FIRST, &change.command(SHORT)).await?;
    ran.expect(4, "TV0043", Some("unknown"))?;
    system.wait_killed(&FIRST).await?;
    change.is_made(&mut system).await?;
    load.wait_progress(&mut system).await?;
    system.restart_missing().await?;
    load.wait_progress(&mut system).await?;
    load.end(&system).await?;
    aftermath(system).await
}

/// The leader is killed when nobody else can have heard of the change, and its client knows nobody
/// else.
async fn killed_with_its_own_log_alone(change: Change) -> anyhow::Result<()> {
    let mut system = change.prepared(OWN_LOG, "kill").await?;
    let ran = system.run_at(&FIRST, &change.command(SHORT)).await?;
    ran.expect(4, "TV0043", Some("unknown"))?;
    system.wait_killed(&FIRST).await?;
    change.is_lost(&mut system).await?;
    system.changed(&change.command(LONG)).await?;
    change.is_made(&mut system).await?;
    aftermath(system).await
}

/// The leader is killed when the change is made, and nobody was told.
async fn killed_before_it_answered(change: Change, point: &str) -> anyhow::Result<()> {
    let mut system = change.prepared(point, "kill").await?;
    let load = Load::start(&system.client);
    let asked = system.begin_run(&change.command(LONG));
    system.wait_killed(&FIRST).await?;
    succeeded(asked.await??)?;
    change.is_made(&mut system).await?;
    load.wait_progress(&mut system).await?;
    load.end(&system).await?;
    aftermath(system).await
}

fn succeeded(ran: Ran) -> anyhow::Result<()> {
    anyhow::ensure!(ran.status == Some(0), "{ran:?}");
    Ok(())
}

/// For a promotion and for a removal one test of each.
macro_rules! changes {
    ($($name:ident, $change:expr, $answered:expr;)*) => {$(
        mod $name {
            use super::*;

            /// Proves: a successor finishes by itself what a majority has; the operator is told that it
            /// is not known, and what to do.
            #[tokio::test(flavor = "multi_thread")]
            async fn leader_killed_between_the_steps() -> anyhow::Result<()> {
                killed_between($change).await
            }

            /// Proves: what was lost with the leader is not made, and made by the successor when the
            /// operator, who was told that it is not known, asks again.
            #[tokio::test(flavor = "multi_thread")]
            async fn leader_killed_with_the_change_in_its_own_log_alone() -> anyhow::Result<()> {
                killed_with_its_own_log_alone($change).await
            }

            /// Proves: a change that was made is not made twice; the command succeeds.
            #[tokio::test(flavor = "multi_thread")]
            async fn leader_killed_before_it_answered() -> anyhow::Result<()> {
                killed_before_it_answered($change, $answered).await
            }
        }
    )*};
}

changes! {
    promotion, Change::Promote, "leader::after-member-promoted";
    removal, Change::Remove, "leader::after-member-removed";
}

/// Proves: a leader that stops between the steps, and goes on when another has finished the change,
/// changes nothing any more, and its client is told that it is made.
#[tokio::test(flavor = "multi_thread")]
async fn late_second_step_of_a_paused_leader() -> anyhow::Result<()> {
    let mut system = Change::Promote.prepared(BETWEEN, "stop").await?;
    let asked = system.begin_run(&Change::Promote.command(LONG));
    system.cluster.wait_stopped(&FIRST).await?;
    let others = [&OTHERS[..], &[FOURTH]].concat();
    system.wait_leader_among(&others).await?;
    system.wait_voters_at(&others, &[1, 2, 3, 4]).await?;
    let pending = system.begin();
    let pending = system.told_committed(pending).await?;
    system.cluster.resume(&FIRST)?;
    succeeded(asked.await??)?;
    Change::Promote.is_made(&mut system).await?;
    system.aftermath(pending, Ending::Committed).await
}

/// Proves: another change that is asked for while one stands half-way does not end that one otherwise:
/// who was to be removed does not become a learner.
#[tokio::test(flavor = "multi_thread")]
async fn another_change_comes_after_the_one_that_stands_half_way() -> anyhow::Result<()> {
    let mut system = Change::Remove.prepared(BETWEEN, "kill").await?;
    let removed = system.begin_run(&Change::Remove.command(LONG));
    system.wait_killed(&FIRST).await?;
    let fifth = system.add_member(5).await?;
    system.wait_removed(&FOURTH).await?;
    system.cluster.remove_seat(&FOURTH)?;
    succeeded(removed.await??)?;
    system.cluster.restart(&fifth)?;
    system.cluster.wait_ready().await?;
    system.promote(5).await?;
    system.wait_voters(&[1, 2, 3, 5]).await?;
    aftermath(system).await
}

/// Proves: a replica that was added, of which nobody was told, is added once: to ask again prints its
/// command.
#[tokio::test(flavor = "multi_thread")]
async fn leader_killed_before_it_answered_that_a_replica_is_added() -> anyhow::Result<()> {
    let points = "leader::after-member-added=return(kill)";
    let mut system = System::start_with(setup(points)).await?;
    let address = system.cluster.add_seat(FOURTH)?.address();
    let newcomer = format!("4={address}");
    let add = ["cluster", "add", &newcomer];
    let ran = system.run_at(&FIRST, &[&add[..], &SHORT].concat()).await?;
    ran.expect(4, "TV0043", Some("unknown"))?;
    system.wait_killed(&FIRST).await?;
    let added = system.changed(&[&add[..], &LONG].concat()).await?;
    system.take_command(&FOURTH, &added)?;
    system.cluster.restart(&FOURTH)?;
    system.cluster.wait_ready().await?;
    system.promote(4).await?;
    system.wait_voters(&[1, 2, 3, 4]).await?;
    aftermath(system).await
}

/// Proves: when a lost replica is replaced, and the leader is lost too in the midst of that, nothing is
/// decided without a majority of both; with the leader back the removal is finished, and the rest of the
/// replacement goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_goes_on_when_the_leader_is_back() -> anyhow::Result<()> {
    let points = format!("{BETWEEN}=1*return(kill)");
    let mut system = System::start_with(setup(&points)).await?;
    let [_, lost] = &OTHERS;
    system.cluster.kill(lost).await?;
    system.cluster.wipe(lost)?;
    let remove = ["cluster", "remove", "3"];
    let ran = system
        .run_at(&FIRST, &[&remove[..], &SHORT].concat())
        .await?;
    ran.expect(4, "TV0043", Some("unknown"))?;
    system.wait_killed(&FIRST).await?;
    let pending = system.begin();
    system.cluster.restart(&FIRST)?;
    let pending = system.told_committed(pending).await?;
    system.changed(&[&remove[..], &LONG].concat()).await?;
    system.add_voter(4).await?;
    system.cluster.restart(lost)?;
    system.wait_removed(lost).await?;
    system.cluster.remove_seat(lost)?;
    system.wait_voters(&[1, 2, 4]).await?;
    system.aftermath(pending, Ending::Committed).await
}
