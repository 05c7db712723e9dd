//! Faults of the surroundings: a disk that is full, that fails or that lies, a participant that is
//! away, a majority that is lost. Whoever cannot go on says why and stops; nobody waits for ever; and
//! what was acknowledged is there when the fault is gone.

#[path = "faults/absent.rs"]
mod absent;
#[path = "faults/damage.rs"]
mod damage;
#[path = "faults/disk.rs"]
mod disk;
#[path = "faults/majority.rs"]
mod majority;
#[path = "faults/start.rs"]
mod start;

use anyhow::ensure;
use triumvir_testkit::Who;
use triumvir_tests::System;

/// Waits until `who` has ended by itself, and checks that it did so in order, with exit status 1, this
/// code and these words.
async fn ended(system: &mut System, who: &Who, code: &str, words: &str) -> anyhow::Result<()> {
    let status = system.cluster.wait_exit(who).await?;
    let log = system.cluster.seat(who)?.log_tail();
    ensure!(status.code() == Some(1), "{who} ended by {status}:\n{log}");
    let said = log.contains(&format!("error[{code}]: ")) && log.contains(words);
    ensure!(said, "{who} does not say {code} and {words:?}:\n{log}");
    ensure!(log.contains("next: "), "{who} says nothing to do:\n{log}");
    ensure!(!log.contains("panicked"), "{who} panicked:\n{log}");
    Ok(())
}
