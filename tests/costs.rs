//! What a transaction costs, counted and not timed: the same on a slow machine. A change that makes
//! each of them force, replicate or send more than its steps need fails here, and not in a benchmark later.
//! (What rides along with something else, and so costs less, does so by the clock: docs/performance.md.)

use anyhow::{Context as _, ensure};
use procfs::process::Process;
use triumvir_client::{Mode, put};
use triumvir_testkit::{Cluster, Seat, Who};
use triumvir_tests::{PARTICIPANTS, System};

/// One after another, so that no two share a batch.
const COMMITS: u32 = 50;

/// What was counted since the processes started.
#[derive(Clone, Copy, Debug)]
struct Counted {
    replica_forces: f64,
    participant_forces: f64,
    entries: f64,
    replica_frames: f64,
    participant_frames: f64,
}

async fn count(system: &System, leader: &Who) -> anyhow::Result<Counted> {
    let cluster = &system.cluster;
    let mut counted = Counted {
        replica_forces: 0.0,
        participant_forces: 0.0,
        entries: 0.0,
        replica_frames: 0.0,
        participant_frames: 0.0,
    };
    for seat in cluster.seats() {
        let metrics = cluster.metrics(seat.who()).await?;
        let forces = metrics.histogram("triumvir_storage_fsync_seconds", &[]);
        let forces = forces.context("every process forces")?.count;
        // A counter that was never raised is not there: a follower sends nothing.
        let frames = |name| metrics.value(name, &[]).unwrap_or_default();
        match seat.who() {
            Who::Replica(_) => {
                counted.replica_forces += forces;
                counted.replica_frames += frames("triumvir_session_frames_total");
            }
            Who::Participant(_) => {
                counted.participant_forces += forces;
                counted.participant_frames += frames("triumvir_participant_frames_total");
            }
        }
    }
    counted.entries = cluster.status(leader).await?.applied as f64;
    Ok(counted)
}

/// Proves: a commit at two participants, alone, takes one Raft entry for its record and at most one
/// for its end, two forced writes at most for these at each replica, three forced writes at each
/// participant (vote, pre-commit, commit), and three frames to each participant and three back.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_forces_and_replicates_no_more_than_its_steps() -> anyhow::Result<()> {
    costs_no_more_than(Mode::ThreePhase, 3.0).await
}

/// Proves: the same in two phases, with two steps at each participant (vote, commit).
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_in_two_phases_forces_and_replicates_no_more_than_its_steps() -> anyhow::Result<()>
{
    costs_no_more_than(Mode::TwoPhase, 2.0).await
}

/// `steps` are those at each of two participants. A tenth more is for what else goes on.
async fn costs_no_more_than(mode: Mode, steps: f64) -> anyhow::Result<()> {
    let mut system = System::start().await?;
    let (leader, _) = system.roles().await?;
    buy(&system, mode, 0).await?;
    system.wait_unlocked().await?;
    let before = count(&system, &leader).await?;
    for number in 1..=COMMITS {
        buy(&system, mode, number).await?;
    }
    system.wait_unlocked().await?;
    let after = count(&system, &leader).await?;

    let of_both = 2.0 * steps * 1.1;
    let bounds = [
        ("Raft entries", before.entries, after.entries, 2.2),
        (
            "forced writes at replicas",
            before.replica_forces,
            after.replica_forces,
            6.6,
        ),
        (
            "forced writes at participants",
            before.participant_forces,
            after.participant_forces,
            of_both,
        ),
        (
            "frames of replicas",
            before.replica_frames,
            after.replica_frames,
            of_both,
        ),
        (
            "frames of participants",
            before.participant_frames,
            after.participant_frames,
            of_both,
        ),
    ];
    for (what, before, after, most) in bounds {
        let each = (after - before) / f64::from(COMMITS);
        ensure!(
            each > 0.0 && each <= most,
            "{each} {what} for each commit, not {most} at most"
        );
    }
    Ok(())
}

/// Linux: the class of a thread that nobody has put into another one.
const SCHED_NORMAL: u32 = 0;
/// Linux: the class of a thread that does not interrupt whoever wakes it.
const SCHED_BATCH: u32 = 3;

/// Proves: in every process the threads that serve let whoever wakes them go on, so that they find
/// batches when they look, and the one that forces the disk begins at once. A thread that is just
/// starting is given the time for it.
#[tokio::test(flavor = "multi_thread")]
async fn threads_that_serve_interrupt_nobody_and_the_one_that_forces_does() -> anyhow::Result<()> {
    let mut system = System::start().await?;
    buy(&system, Mode::ThreePhase, 0).await?;
    let probe = async |cluster: &mut Cluster| {
        let mut seats = cluster.seats().iter();
        seats.try_for_each(|seat| check_classes(seat).map_err(|error| error.to_string()))
    };
    Ok(system.cluster.wait_until("the classes", probe).await?)
}

fn check_classes(seat: &Seat) -> anyhow::Result<()> {
    let (mut serving, mut forcing) = (Vec::new(), Vec::new());
    for task in Process::new(seat.pid().context("it runs")?)?.tasks()? {
        let stat = task?.stat()?;
        match stat.comm.as_str() {
            "tokio-rt-worker" => serving.push(stat.policy),
            "triumvir-writer" => forcing.push(stat.policy),
            _ => (),
        }
    }
    let serve = !serving.is_empty() && serving.iter().all(|class| *class == Some(SCHED_BATCH));
    ensure!(
        serve && forcing == [Some(SCHED_NORMAL)],
        "{}: those that serve are of the classes {serving:?}, that which forces of {forcing:?}",
        seat.who()
    );
    Ok(())
}

async fn buy(system: &System, mode: Mode, number: u32) -> anyhow::Result<()> {
    let [orders, stock] = PARTICIPANTS;
    let key = number.to_string();
    let transaction = system.client.transaction().mode(mode);
    let transaction = transaction.at(orders, put(key.clone(), "1"));
    transaction.at(stock, put(key, "1")).commit().await?;
    Ok(())
}
