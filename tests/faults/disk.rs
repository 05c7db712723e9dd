//! A disk that takes no more, or that reports an error after it was told to force what it has.

use anyhow::{Context as _, ensure};
use triumvir_client::put;
use triumvir_testkit::{Limits, Who};
use triumvir_tests::{FIRST, Load, Setup, System, stock};

use super::ended;

/// Commits of one process before its disk fails: more than a start takes.
const COMMITS: u32 = 200;

/// Has the disk of `who` fail with error `number` at `point` of a commit, under load, and checks that
/// nothing that was acknowledged is lost. Replica 1 leads.
async fn fails(who: Who, point: &str, number: u32, words: &str) -> anyhow::Result<()> {
    let points = format!("storage::{point}={COMMITS}*off->return({number})");
    let setup = Setup::patient().failpoints(FIRST, "");
    let mut system = System::start_with(setup.failpoints(who.clone(), &points)).await?;
    let load = Load::start(&system.client);
    ended(&mut system, &who, "TV0035", words).await?;
    system.restart_missing().await?;
    load.wait_progress(&mut system).await?;
    load.end(&system).await?;
    system.commits().await
}

/// For each process one test with a disk that is full, and one with a disk that cannot say whether it
/// has what it was given.
macro_rules! disks {
    ($($(#[$proves:meta])* $name:ident, $who:expr;)*) => {$(
        mod $name {
            use super::*;

            $(#[$proves])*
            #[tokio::test(flavor = "multi_thread")]
            async fn full() -> anyhow::Result<()> {
                fails($who, "before-force", 28, "No space left on device").await
            }

            $(#[$proves])*
            #[tokio::test(flavor = "multi_thread")]
            async fn failing_at_the_force() -> anyhow::Result<()> {
                fails($who, "after-force", 5, "Input/output error").await
            }
        }
    )*};
}

disks! {
    /// Proves: the leader stops and says why; clients go on at its successor, and it comes back with
    /// what it has.
    disk_of_the_leader, FIRST;

    /// Proves: a follower stops and says why; nobody else is disturbed.
    disk_of_a_follower, Who::Replica(2);

    /// Proves: a participant stops and says why; what needs it waits, and is committed when it is
    /// back.
    disk_of_a_participant, stock();
}

/// The largest file of a participant on a small disk, which has room for the start, and for the log.
const SMALL_BYTES: u64 = 40 << 20;
/// What one transaction stores.
const VALUE_BYTES: usize = 500_000;

/// Proves: the same with a file that the system really lets grow no more, which is the database's: its
/// checkpoint fails, while the write-ahead log has its whole place already. The transaction that did
/// not fit is committed on a larger disk, and all before it are there.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_can_grow_no_more_ends_the_process() -> anyhow::Result<()> {
    let limits = Limits {
        file_bytes: Some(SMALL_BYTES),
        ..Limits::default()
    };
    let setup = Setup::patient().limits(stock(), limits);
    let mut system = System::start_with(setup).await?;
    let client = system.client.clone();
    // The database's file grows when the log was filled.
    let count = 2 * SMALL_BYTES as usize / VALUE_BYTES;
    let value = |n: usize| n.to_string().repeat(VALUE_BYTES / n.to_string().len());
    let filled = tokio::spawn(async move {
        for n in 0..count {
            let large = client
                .transaction()
                .at("stock", put(n.to_string(), value(n)));
            large.commit().await.with_context(|| format!("value {n}"))?;
        }
        anyhow::Ok(())
    });
    ended(&mut system, &stock(), "TV0035", "File too large").await?;
    checkpoint_failed(&system, &stock())?;
    system.restart_missing().await?;
    filled.await??;
    for n in 0..count {
        let found = system.value("stock", &n.to_string()).await?;
        ensure!(found == Some(value(n).into()), "value {n} is another");
    }
    system.commits().await
}

/// Checks that what failed was to write the database's file.
fn checkpoint_failed(system: &System, who: &Who) -> anyhow::Result<()> {
    let log = std::fs::read_to_string(system.cluster.seat(who)?.log())?;
    let words = "the database's file cannot be written";
    ensure!(log.contains(words), "{who} failed otherwise:\n{log}");
    Ok(())
}

/// Transactions before each end.
const COMMITS_BEFORE: usize = 20;

/// Proves: a checkpoint that fails at an orderly end, a replica's and a participant's, is said and loses
/// nothing: the write-ahead log has all, and the next start goes on with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_fails_at_the_end_loses_nothing() -> anyhow::Result<()> {
    let points = "storage::before-checkpoint=return(28)";
    let third = Who::Replica(3);
    let setup = Setup::patient().failpoints(third.clone(), points);
    let mut system = System::start_with(setup.failpoints(stock(), points)).await?;
    let key = |who: &Who, n: usize| format!("{n} before the end of {who}");
    let ending = [third, stock()];
    for who in &ending {
        // Far less than a checkpoint is made for, and nothing is under way at the end.
        for n in 0..COMMITS_BEFORE {
            let put = put(key(who, n), n.to_string());
            let transaction = system.client.transaction().at("stock", put);
            transaction.commit().await?;
        }
        system.cluster.terminate(who)?;
        let status = system.cluster.wait_exit(who).await?;
        let log = system.cluster.seat(who)?.log_tail();
        let in_order = status.success() && !log.contains("TV0035");
        ensure!(in_order, "{who} ended by {status}:\n{log}");
        let said = log.contains("was not completed when it was closed");
        ensure!(said, "{who} does not say it:\n{log}");
        system.restart_missing().await?;
    }
    for who in &ending {
        for n in 0..COMMITS_BEFORE {
            let found = system.value("stock", &key(who, n)).await?;
            ensure!(found == Some(n.to_string().into()), "{who}, {n}: {found:?}");
        }
    }
    system.commits().await
}
