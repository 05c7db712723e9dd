//! A participant that does not answer.

use anyhow::ensure;
use triumvir_client::put;
use triumvir_tests::{Setup, System, stock};

/// Proves: a participant that is down, or that stands still, costs a transaction that needs it no
/// more than the vote timeout. It is aborted, for that reason, at the other participant too.
#[tokio::test(flavor = "multi_thread")]
async fn a_participant_that_is_away_aborts_by_timeout() -> anyhow::Result<()> {
    let setup = Setup::new().replicas_with(&["--vote-timeout", "1s"]);
    let mut system = System::start_with(setup).await?;
    for stands_still in [false, true] {
        if stands_still {
            system.cluster.pause(&stock())?;
        } else {
            system.cluster.kill(&stock()).await?;
        }
        let line = [
            "commit", "--at", "orders", "put:a=1", "--at", "stock", "put:a=1",
        ];
        let ran = system.run(&line).await?;
        let told = ran.expect(3, "TV0030", Some("not-applied"))?;
        ensure!(
            told.message.contains("stock did not vote in time"),
            "{told:?}"
        );
        let report: serde_json::Value = serde_json::from_str(&ran.stdout)?;
        ensure!(report["cause"]["word"] == "vote-timeout", "{report}");
        // Nobody else has to wait for it: not for the key that it left, nor for its absence.
        let other = system.client.transaction().at("orders", put("a", 2));
        other.commit().await?;
        ensure!(system.value("orders", "a").await? == Some(2.into()));
        if stands_still {
            system.cluster.resume(&stock())?;
        }
        system.restart_missing().await?;
    }
    ensure!(system.value("stock", "a").await?.is_none());
    system.commits().await
}
