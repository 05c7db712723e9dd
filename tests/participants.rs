//! Participants killed with SIGKILL at chosen steps of a transaction.

use triumvir_client::Mode;
use triumvir_testkit::Who;
use triumvir_tests::System;
use triumvir_wire::v1::State;

/// Proves: a vote survives its process. The participant dies prepared, comes back with its changes
/// and its locks, hears of the outcome that was decided meanwhile, and applies it.
#[tokio::test(flavor = "multi_thread")]
async fn a_participant_killed_after_its_vote_keeps_it() -> anyhow::Result<()> {
    let stock = Who::participant("stock");
    let mut system = System::start().await?;
    let held = system.hold_at_proposal(Mode::ThreePhase).await?;
    system.cluster.kill(&stock).await?;
    system.release(&held)?;
    // The other participant's acknowledgement decides.
    held.answer.await??;
    system.cluster.restart(&stock)?;

    system.wait_unlocked().await?;
    assert!(system.is_applied(held.txn).await?);
    system.wait_state(held.txn, State::Ended).await
}
