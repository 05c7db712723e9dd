//! A disk that has no room for what a process writes when it starts, on a new folder and on one that has
//! data. It says so and ends; what it has left behind is no hindrance when there is room.

use anyhow::ensure;
use triumvir_client::put;
use triumvir_testkit::{Hindrance, Limits, Who};
use triumvir_tests::{Setup, System, stock};

use super::ended;

/// A disk that is full before the log has its place.
const NO_ROOM_BYTES: u64 = 1 << 20;
/// A disk with less room than the files of a process take that has run. What it says on stderr, which
/// goes to a file too, is far less.
const LITTLE_ROOM_BYTES: u64 = 1 << 20;
/// Transactions, one after the other, by which every log becomes larger than that: each forces at least
/// a page at every process.
const COMMITS: usize = 300;
/// What one of them stores.
const VALUE_BYTES: usize = 20_000;

/// A limit on the size of files.
fn room(bytes: u64) -> Hindrance {
    let limits = Limits {
        file_bytes: Some(bytes),
        ..Limits::default()
    };
    Hindrance {
        limits,
        ..Hindrance::default()
    }
}

/// A disk that is full at this step.
fn full_at(point: &str) -> Hindrance {
    Hindrance {
        failpoints: format!("storage::{point}=return(28)"),
        ..Hindrance::default()
    }
}

/// How a limit is told, and how a full disk is.
const TOO_LARGE: &str = "File too large";
const NO_SPACE: &str = "No space left on device";

/// Proves: a new replica and a new participant whose disk is full at any step of their first start end
/// and say so; with room they start on the same folder, as themselves.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_folder_on_a_full_disk() -> anyhow::Result<()> {
    let mut system = System::start_with(Setup::patient()).await?;
    let replica = system.add_member(4).await?;
    let participant = Who::participant("reserve");
    system.cluster.add_seat(participant.clone())?;
    for who in [&replica, &participant] {
        // Each goes on from what the one before has left.
        let hindrances = [
            (room(NO_ROOM_BYTES), TOO_LARGE),
            (full_at("before-format"), NO_SPACE),
            (full_at("before-claim"), NO_SPACE),
            (full_at("before-force"), NO_SPACE),
        ];
        for (hindrance, words) in hindrances {
            system.cluster.hinder(who, hindrance)?;
            system.cluster.restart(who)?;
            ended(&mut system, who, "TV0035", words).await?;
        }
        system.cluster.restart(who)?;
        system.cluster.wait_ready().await?;
    }
    system.promote(4).await?;
    system.wait_voters(&[1, 2, 3, 4]).await?;
    let transaction = system.client.transaction().at("reserve", put("k", 1));
    transaction.commit().await?;
    ensure!(system.value("reserve", "k").await? == Some(1.into()));
    system.commits().await
}

/// Proves: a replica and a participant that find their disk full when they are started again, after an
/// orderly end and after a crash, end and say so; what was acknowledged is there when there is room.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_with_data_on_a_full_disk() -> anyhow::Result<()> {
    let mut system = System::start_with(Setup::patient()).await?;
    let value = |n: usize| n.to_string().repeat(VALUE_BYTES / n.to_string().len());
    for n in 0..COMMITS {
        let transaction = system.client.transaction();
        let transaction = transaction.at("stock", put(n.to_string(), value(n)));
        transaction.commit().await?;
    }
    for who in [Who::Replica(3), stock()] {
        for in_order in [true, false] {
            if in_order {
                system.cluster.terminate(&who)?;
                system.cluster.wait_exit(&who).await?;
            } else {
                system.cluster.kill(&who).await?;
            }
            let hindrances = [
                (room(LITTLE_ROOM_BYTES), TOO_LARGE),
                (full_at("before-force"), NO_SPACE),
            ];
            for (hindrance, words) in hindrances {
                system.cluster.hinder(&who, hindrance)?;
                system.cluster.restart(&who)?;
                ended(&mut system, &who, "TV0035", words).await?;
            }
            system.restart_missing().await?;
        }
    }
    for n in 0..COMMITS {
        let found = system.value("stock", &n.to_string()).await?;
        ensure!(found == Some(value(n).into()), "value {n} is another");
    }
    system.commits().await
}
