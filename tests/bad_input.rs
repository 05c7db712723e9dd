//! What must be refused, by processes that live on: bad requests, strangers, and bytes that mean
//! nothing. Each refusal has its stable code and says rightly whether anything was applied; after all
//! of them the cluster commits, and nothing of what was refused is in the stores.

#[path = "bad_input/commands.rs"]
mod commands;
#[path = "bad_input/garbage.rs"]
mod garbage;
#[path = "bad_input/requests.rs"]
mod requests;
#[path = "bad_input/strangers.rs"]
mod strangers;

use triumvir_client::TxnId;
use triumvir_testkit::Cluster;
use triumvir_tests::{System, replicas};
use triumvir_wire::ids;

/// An id of the year 2001: below every horizon.
const ANCIENT: TxnId = TxnId::from_u128(0x00e8_d4a5_1000_7000_8000_0000_0000_0001);
/// An id of the year 2100.
const FAR_AHEAD: TxnId = TxnId::from_u128(0x03bb_2cc3_d800_7000_8000_0000_0000_0001);

/// Waits until every replica has left the ancient past behind.
async fn horizon_moves(system: &mut System) -> anyhow::Result<()> {
    let probe = async |cluster: &mut Cluster| {
        for who in replicas() {
            let status = cluster.status(&who).await.map_err(|e| e.to_string())?;
            let horizon = ids::horizon("horizon", &status.horizon).map_err(|e| e.to_string())?;
            if !horizon.covers(ANCIENT) {
                return Err(format!("{who}: the horizon is {horizon:?}"));
            }
        }
        Ok(())
    };
    let waited_for = "the horizon to move";
    Ok(system.cluster.wait_until(waited_for, probe).await?)
}
