//! Each participant killed with SIGKILL at every step of a transaction. Nobody gives up for a lack of
//! time, unless a test says so.

use triumvir_client::Mode;
use triumvir_testkit::Who;
use triumvir_tests::{Ending, FIRST, Setup, System, stock};

/// Has `who` kill itself at `points`, and the leader do what `leader` says; brings `who` back, and
/// looks at what follows.
async fn killed_at(who: Who, points: &str, leader: &str) -> anyhow::Result<()> {
    let setup = Setup::patient()
        .failpoints(who.clone(), points)
        .failpoints(FIRST, leader);
    let mut system = System::start_with(setup).await?;
    let pending = system.begin();
    system.wait_killed(&who).await?;
    system.aftermath(pending, Ending::Committed).await
}

/// For each step one test with `orders` and one with `stock`; `$leader` is the leader's failpoints.
macro_rules! steps {
    ($($(#[$proves:meta])* $step:ident, $points:literal, $leader:expr;)*) => {$(
        mod $step {
            use super::*;

            $(#[$proves])*
            #[tokio::test(flavor = "multi_thread")]
            async fn orders() -> anyhow::Result<()> {
                killed_at(triumvir_tests::orders(), $points, $leader("stock").as_str()).await
            }

            $(#[$proves])*
            #[tokio::test(flavor = "multi_thread")]
            async fn stock() -> anyhow::Result<()> {
                killed_at(triumvir_tests::stock(), $points, $leader("orders").as_str()).await
            }
        }
    )*};
}

/// The leader does as always.
fn leader_undisturbed(_: &str) -> String {
    String::new()
}

/// The leader sends no pre-commit to the `other` participant: all depends on the one that dies.
fn leader_spares(other: &str) -> String {
    format!("leader::before-pre-commit=return(drop {other})")
}

steps! {
    /// Proves: there is no trace of the work; it is asked for again and done again, once.
    participant_killed_before_its_vote_is_forced,
        "participant::before-vote-forced=return(kill)", leader_undisturbed;

    /// Proves: a vote that nobody has heard stands, with its changes and its locks, and is given when
    /// it is asked for again.
    participant_killed_before_its_vote_is_sent,
        "participant::before-vote-sent=return(kill)", leader_undisturbed;

    /// Proves: pre-commit that was received and is not on disk is lost without harm.
    participant_killed_before_pre_committed,
        "participant::before-pre-committed-forced=return(kill)", leader_spares;

    /// Proves: what is pre-committed on disk and was acknowledged to nobody is commit, though nobody
    /// else has heard of it.
    participant_killed_after_pre_committed,
        "participant::before-ack-sent=return(kill)", leader_spares;

    /// Proves: do-commit that was received and is not carried out is told again.
    participant_killed_before_committed,
        "participant::before-committed-forced=return(kill)", leader_undisturbed;

    /// Proves: what is applied and was confirmed to nobody is applied once, and confirmed then.
    participant_killed_after_committed,
        "participant::before-committed-sent=return(kill)", leader_undisturbed;
}

/// Proves: a participant that does not come back in time to vote aborts the transaction, the client
/// is told, and the participant finds nothing to do when it is back.
#[tokio::test(flavor = "multi_thread")]
async fn participant_killed_before_its_vote_for_too_long() -> anyhow::Result<()> {
    let setup = Setup::new()
        .replicas_with(&["--vote-timeout", "1s"])
        .failpoints(stock(), "participant::before-vote-forced=return(kill)");
    let mut system = System::start_with(setup).await?;
    let pending = system.begin();
    system.wait_killed(&stock()).await?;
    let pending = system.told_aborted(pending).await?;
    system.aftermath(pending, Ending::Aborted).await
}

/// Proves: a vote survives its process. The participant dies prepared, comes back with its changes
/// and its locks, hears of the outcome that was decided meanwhile, and applies it.
#[tokio::test(flavor = "multi_thread")]
async fn participant_killed_after_its_vote_keeps_it() -> anyhow::Result<()> {
    let (mut system, pending) =
        System::start_with_all_votes(Setup::patient(), Mode::ThreePhase).await?;
    system.cluster.kill(&stock()).await?;
    system.cluster.resume(&FIRST)?;
    // The other participant's acknowledgement decides.
    let pending = system.told_committed(pending).await?;
    system.aftermath(pending, Ending::Committed).await
}
