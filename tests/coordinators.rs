//! Coordinators killed with SIGKILL at chosen steps of a transaction.

use triumvir_client::{CommitError, Mode, Outcome};
use triumvir_testkit::Who;
use triumvir_tests::System;
use triumvir_wire::v1::State;

/// Proves: a leader that dies after all votes and before the record aborts nothing. Its record is in
/// its own log at most, since both followers are paused; the successor adopts the prepared branches.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_killed_between_votes_and_record_aborts_nothing() -> anyhow::Result<()> {
    let mut system = System::start().await?;
    let held = system.hold_at_proposal(Mode::ThreePhase).await?;
    system.cluster.kill(&held.leader).await?;
    system.release(&held)?;

    let committed = system.repeat(held).await?;
    system.wait_unlocked().await?;
    assert!(system.is_applied(committed.txn).await?);
    Ok(())
}

/// Proves: once one participant has acknowledged, the client's answer stands whoever dies. The other
/// participant is paused after its vote, so that the first acknowledgement is the only one.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_killed_after_the_first_ack_loses_no_answer() -> anyhow::Result<()> {
    let stock = Who::participant("stock");
    let mut system = System::start().await?;
    let held = system.hold_at_proposal(Mode::ThreePhase).await?;
    system.cluster.pause(&stock)?;
    system.release(&held)?;
    held.answer.await??;
    system.cluster.kill(&held.leader).await?;
    system.cluster.resume(&stock)?;

    system.wait_unlocked().await?;
    assert!(system.is_applied(held.txn).await?);
    let report = system.outcome(held.txn).await?;
    assert!(
        matches!(report.outcome, Some(Outcome::Committed)),
        "{report:?}"
    );
    Ok(())
}

/// Proves: participants that are all prepared finish among themselves when no coordinator is left,
/// and the cluster agrees with them when it is back, although its log may hold the proposal.
#[tokio::test(flavor = "multi_thread")]
async fn prepared_participants_finish_without_any_coordinator() -> anyhow::Result<()> {
    let mut system = System::start().await?;
    let held = system.hold_at_proposal(Mode::ThreePhase).await?;
    let all: Vec<_> = (1..=3).map(Who::Replica).collect();
    system.cluster.kill_all(&all).await?;

    system.wait_unlocked().await?;
    assert!(
        !system.is_applied(held.txn).await?,
        "a fence round can only choose abort"
    );
    for replica in &all {
        system.cluster.restart(replica)?;
    }
    let error = held
        .answer
        .await?
        .expect_err("it was aborted without the coordinators");
    assert!(matches!(error, CommitError::Aborted { .. }), "{error:?}");
    assert!(!system.is_applied(held.txn).await?);
    Ok(())
}

/// Proves: in two-phase mode the same crash leaves the participants prepared, as documented, and the
/// cluster finishes them when it is back.
#[tokio::test(flavor = "multi_thread")]
async fn two_phase_participants_wait_for_the_coordinators() -> anyhow::Result<()> {
    let mut system = System::start().await?;
    let held = system.hold_at_proposal(Mode::TwoPhase).await?;
    let all: Vec<_> = (1..=3).map(Who::Replica).collect();
    system.cluster.kill_all(&all).await?;
    for replica in &all {
        system.cluster.restart(replica)?;
    }

    let txn = system.repeat(held).await?.txn;
    system.wait_unlocked().await?;
    assert!(system.is_applied(txn).await?);
    system.wait_state(txn, State::Ended).await
}
