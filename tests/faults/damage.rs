//! A data folder that has something else than what was written to it.

use anyhow::ensure;
use triumvir_testkit::Who;
use triumvir_tests::{System, stock};

use super::ended;

/// The size of a page of the file.
const PAGE_BYTES: usize = 4_096;

/// What became of the file.
type Damage = fn(&mut Vec<u8>);

/// Every way in which a file is damaged here.
const DAMAGES: [(&str, Damage); 5] = [
    ("another file is in its place", |bytes| bytes.fill(b'x')),
    ("its head is gone", |bytes| bytes[..512].fill(0)),
    ("half of it is missing", |bytes| {
        bytes.truncate(bytes.len() / 2)
    }),
    ("one bit of every page but the first is wrong", |bytes| {
        for page in bytes.chunks_mut(PAGE_BYTES).skip(1) {
            page[page.len() / 2] ^= 1;
        }
    }),
    ("all but the first page is noise", |bytes| {
        for (at, byte) in bytes.iter_mut().enumerate().skip(PAGE_BYTES) {
            *byte = ((at * 31) >> 3) as u8;
        }
    }),
];

/// Proves: a process whose file was damaged while it was down does not start on it, however it had
/// ended, and says so; the others go on, and with the file as it was it is back.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_refused_at_the_start() -> anyhow::Result<()> {
    let mut system = System::start().await?;
    for who in [Who::Replica(3), stock()] {
        for in_order in [true, false] {
            if in_order {
                system.cluster.terminate(&who)?;
                system.cluster.wait_exit(&who).await?;
            } else {
                system.cluster.kill(&who).await?;
            }
            // Once it was stopped in order, the database's file has all; what a killed process has forced
            // last is in its log, of which a part that is only noise may never have been written.
            let (name, damages) = match in_order {
                true => (FILE, &DAMAGES[..]),
                false => (LOG, &DAMAGES[..4]),
            };
            let path = system.cluster.seat(&who)?.folder().join(name);
            let whole = std::fs::read(&path)?;
            for (what, damage) in damages {
                let mut bytes = whole.clone();
                damage(&mut bytes);
                std::fs::write(&path, bytes)?;
                system.cluster.restart(&who)?;
                let refused = ended(&mut system, &who, "TV0036", "damaged").await;
                ensure!(refused.is_ok(), "{name}: {what}: {refused:?}");
            }
            std::fs::write(&path, &whole)?;
            system.restart_missing().await?;
        }
    }
    system.commits().await
}

/// Proves: a folder whose files were emptied is a new one, which is nobody's: it is refused like a lost
/// disk. One of which only some were emptied is refused as damaged.
#[tokio::test(flavor = "multi_thread")]
async fn emptied_files_are_a_lost_disk() -> anyhow::Result<()> {
    let mut system = System::start().await?;
    for (who, words) in [
        (Who::Replica(3), "join under a new id"),
        (stock(), "TV0019"),
    ] {
        for emptied in [&[FILE, LOG, OTHER_LOG][..], &[LOG], &[LOG, OTHER_LOG]] {
            system.cluster.kill(&who).await?;
            let folder = system.cluster.seat(&who)?.folder().to_owned();
            let kept = [FILE, LOG, OTHER_LOG].map(|name| (name, std::fs::read(folder.join(name))));
            for name in emptied {
                std::fs::write(folder.join(name), [])?;
            }
            system.cluster.restart(&who)?;
            let status = system.cluster.wait_exit(&who).await?;
            let log = system.cluster.seat(&who)?.log_tail();
            let words = if emptied.len() == 3 { words } else { "TV0036" };
            let refused = status.code() == Some(1) && log.contains(words);
            ensure!(
                refused,
                "{who} without {emptied:?} ended by {status}:\n{log}"
            );
            for (name, content) in kept {
                std::fs::write(folder.join(name), content?)?;
            }
            system.restart_missing().await?;
        }
    }
    system.commits().await
}

/// The database of a process.
const FILE: &str = "triumvir.redb";
/// What it has forced last.
const LOG: &str = "triumvir.wal-0";
const OTHER_LOG: &str = "triumvir.wal-1";
