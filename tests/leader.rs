//! The leader killed with SIGKILL, or stopped and resumed, at every step of a transaction. Nobody
//! gives up for a lack of time in these tests, and a client repeats its call until it is told: what
//! the protocol says of the step is then the only outcome there can be.

use anyhow::ensure;
use triumvir_tests::{Ending, FIRST, Pending, Setup, System, replicas};
use triumvir_wire::v1::State;

/// Has the leader kill itself at `points`, waits for its end, and looks at what follows.
async fn killed_at(points: &str) -> anyhow::Result<()> {
    let setup = Setup::patient().failpoints(FIRST, points);
    let mut system = System::start_with(setup).await?;
    let pending = system.begin();
    system.wait_killed(&FIRST).await?;
    let pending = system.told_committed(pending).await?;
    system.aftermath(pending, Ending::Committed).await
}

/// Has the leader stop itself at `points` until a successor has committed the order, for a client of
/// its own; then lets the leader go on where it was, with a client that still waits there.
async fn paused_at(points: &str) -> anyhow::Result<()> {
    let (mut system, pending) = resumed_at(points).await?;
    system.aftermath(pending, Ending::Committed).await
}

/// The same, where the leader says something to participants then: it arrives.
async fn heard_late_at(points: &str) -> anyhow::Result<()> {
    let (mut system, pending) = resumed_at(points).await?;
    system.wait_late_requests().await?;
    system.aftermath(pending, Ending::Committed).await
}

async fn resumed_at(points: &str) -> anyhow::Result<(System, Pending)> {
    // Nobody closes the connection of who is silent, for however long that takes.
    let setup = Setup::patient()
        .participants_with(&["--network-keepalive", "1h"])
        .failpoints(FIRST, points);
    let mut system = System::start_with(setup).await?;
    let pending = system.connect(&FIRST).await?.begin();
    system.cluster.wait_stopped(&FIRST).await?;
    let successor = system.wait_leader_among(&replicas()[1..]).await?;
    let again = system.again_at(&successor, &pending)?;
    system.told_committed(again).await?;
    system.cluster.resume(&FIRST)?;
    Ok((system, pending))
}

/// One test for each step.
macro_rules! steps {
    ($disturbed:ident: $($(#[$proves:meta])* $step:ident, $points:literal;)*) => {$(
        $(#[$proves])*
        #[tokio::test(flavor = "multi_thread")]
        async fn $step() -> anyhow::Result<()> {
            $disturbed($points).await
        }
    )*};
}

steps! { killed_at:
    /// Proves: nothing has begun, and the client's call, repeated, begins it at the successor.
    leader_killed_before_can_commit, "leader::before-can-commit=return(kill)";

    /// Proves: a successor that has heard no vote adopts the branches that are prepared. The other
    /// participant has not even been asked.
    leader_killed_after_some_votes,
        "leader::before-can-commit=return(drop stock);leader::after-vote=return(kill)";

    /// Proves: votes that a former leader has counted are given again; nothing is aborted.
    leader_killed_after_all_votes, "leader::after-all-votes=return(kill)";

    /// Proves: whether or not the record outlives its proposer, it is commit.
    leader_killed_after_the_record_is_proposed, "leader::after-proposal=return(kill)";

    /// Proves: a record that a majority has is the successor's to carry out, although nobody has
    /// applied it and no participant has heard of it.
    leader_killed_before_the_record_is_applied,
        "replica::before-pre-commit-applied=return(kill)";

    /// Proves: the same, with the record applied.
    leader_killed_before_pre_commit, "leader::before-pre-commit=return(kill)";

    /// Proves: `orders` has pre-commit and `stock` does not; the acknowledgement is not heard. The
    /// successor finishes at both.
    leader_killed_after_some_pre_commits,
        "leader::before-pre-commit=return(drop stock);leader::on-ack=return(kill)";

    /// Proves: it is decided, nobody is told, and `stock` is still only prepared: the successor comes
    /// to the same decision.
    leader_killed_after_the_first_ack,
        "leader::before-pre-commit=return(drop stock);leader::after-decision=return(kill)";

    /// Proves: the client was answered, and one participant never hears of it from this leader.
    leader_killed_after_some_do_commits,
        "leader::before-do-commit=return(drop stock);leader::on-committed=return(kill)";

    /// Proves: everything is applied and only the record's end is missing: the successor ends it.
    leader_killed_before_end, "leader::before-end=return(kill)";
}

steps! { heard_late_at:
    /// Proves: can-commit of a deposed leader, arriving after the outcome, starts nothing.
    late_can_commit_of_a_paused_leader, "leader::before-can-commit=1*return(stop)";

    /// Proves: pre-commit of a deposed leader, arriving after the outcome, changes nothing.
    late_pre_commit_of_a_paused_leader, "leader::before-pre-commit=1*return(stop)";
}

steps! { paused_at:
    /// Proves: a record that a deposed leader proposes is not accepted, and disturbs nothing.
    late_proposal_of_a_paused_leader, "leader::after-all-votes=1*return(stop)";

    /// Proves: a deposed leader that has decided says the same as its successor.
    late_answer_of_a_paused_leader, "leader::after-decision=1*return(stop)";
}

/// Proves: once the client is told, the answer stands, although `stock` has heard neither pre-commit
/// nor do-commit when the leader dies.
#[tokio::test(flavor = "multi_thread")]
async fn leader_killed_after_it_answered() -> anyhow::Result<()> {
    let points = "leader::before-pre-commit=return(drop stock);\
                  leader::before-do-commit=return(drop stock)";
    let mut system = System::start_with(Setup::patient().failpoints(FIRST, points)).await?;
    let pending = system.told_committed(system.begin()).await?;
    system.cluster.kill(&FIRST).await?;
    system.aftermath(pending, Ending::Committed).await
}

/// Proves: without the client's repetition there is nothing to be found of a transaction whose leader
/// died before can-commit, and asking for a decision closes it for good.
#[tokio::test(flavor = "multi_thread")]
async fn unsent_can_commit_leaves_nothing() -> anyhow::Result<()> {
    let points = "leader::before-can-commit=return(kill)";
    let mut system = System::start_with(Setup::patient().failpoints(FIRST, points)).await?;
    let pending = system.connect(&FIRST).await?.begin();
    system.wait_killed(&FIRST).await?;
    pending.answer.abort();
    let seen = system.client.describe(pending.txn).await?;
    ensure!(seen.state() == State::NoRecord, "{seen:?}");
    system.wait_unlocked().await?;
    system.client.decide(pending.txn).await?;
    let pending = system.repeat(pending);
    system.aftermath(pending, Ending::Aborted).await
}

/// Proves: prepared participants bring their transaction to the successor themselves, and it commits
/// although its client is gone.
#[tokio::test(flavor = "multi_thread")]
async fn prepared_participants_need_no_client() -> anyhow::Result<()> {
    let points = "leader::after-all-votes=return(kill)";
    let mut system = System::start_with(Setup::asking().failpoints(FIRST, points)).await?;
    let pending = system.connect(&FIRST).await?.begin();
    system.wait_killed(&FIRST).await?;
    pending.answer.abort();
    system.wait_state(pending.txn, State::Ended).await?;
    let pending = system.repeat(pending);
    system.aftermath(pending, Ending::Committed).await
}
