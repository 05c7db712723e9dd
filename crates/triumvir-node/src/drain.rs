//! An orderly end: nothing new is begun, what is under way finishes, another replica leads.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use triumvir_replication::TransferError;

use crate::owner::Input;
use crate::shared::Shared;

/// What votes may take beyond their timeout to become an outcome.
const AFTER_VOTES: Duration = Duration::from_secs(1);

/// Drains this replica. Bounded by the drain timeout, and by the time in which everything that was
/// begun is recorded or aborted: what waits longer waits for a participant that is away, and goes on
/// at another leader as it would here.
pub(crate) async fn drain(shared: &Arc<Shared>) {
    tracing::info!("draining: nothing new is begun");
    if shared.inbox.send(Input::Drain).await.is_err() {
        return;
    }
    let mut view = shared.view.clone();
    let idle = view.wait_for(|view| view.idle);
    let config = &shared.config;
    let most = config
        .drain_timeout
        .min(config.vote_timeout.saturating_add(AFTER_VOTES));
    let until = Instant::now() + most;
    if timeout_at(until, idle).await.is_err() {
        tracing::warn!("transactions are still under way: the next leader goes on with them");
    }
    hand_on(shared).await;
    // Calls that another leader is to answer go through this replica to their end.
    shared.calls.close();
    if timeout_at(until, shared.calls.wait()).await.is_err() {
        tracing::warn!("calls are still open: their callers ask another replica");
    }
    let _ = shared.inbox.send(Input::EndSessions).await;
}

/// Hands the leadership to another replica, if this one has it.
async fn hand_on(shared: &Shared) {
    let Some(replica) = shared.replica.get() else {
        return;
    };
    match replica.transfer_leadership(None).await {
        Ok(leader) => tracing::info!(leader, "another replica leads"),
        Err(TransferError::NotLeader { .. } | TransferError::NoTarget) => {}
        Err(error) => tracing::warn!(%error, "leadership was not handed on; the others will elect"),
    }
}
