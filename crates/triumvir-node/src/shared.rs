//! What all services of the process share: the way to the owner, its view, and who the others are.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio_util::task::TaskTracker;
use triumvir_protocol::DiskId;
use triumvir_replication::Replica;

use crate::channels::Channels;
use crate::owner::{Input, Learnt};
use crate::view::View;
use crate::{Config, Shutdown};

/// Shared by every service.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Arc<Config>,
    pub(crate) disk: DiskId,
    /// The data folder held Raft's state when the process started.
    pub(crate) had_state: bool,
    pub(crate) inbox: mpsc::Sender<Input>,
    pub(crate) view: watch::Receiver<View>,
    pub(crate) learnt: broadcast::Sender<Learnt>,
    pub(crate) channels: Channels,
    /// Calls that are for the leader to answer: a token of each is held until it is answered.
    pub(crate) calls: TaskTracker,
    pub(crate) shutdown: Shutdown,
    pub(crate) replica: OnceLock<Replica>,
}

impl Shared {
    /// The view now.
    pub(crate) fn view(&self) -> View {
        self.view.borrow().clone()
    }

    /// Where the leader is reached, if one is known and it is not this replica.
    pub(crate) fn leader_address(&self) -> Option<String> {
        let leader = self
            .view
            .borrow()
            .leader
            .filter(|leader| *leader != self.config.node)?;
        self.address(leader)
    }

    /// Where `node` is reached.
    pub(crate) fn address(&self, node: u64) -> Option<String> {
        let members = self.replica.get().map(Replica::members).unwrap_or_default();
        let member = members.member(node).map(|member| member.address.clone());
        member.or_else(|| self.config.initial_cluster.members().get(&node).cloned())
    }

    /// Where the leader is reached, this replica included: what callers are told.
    pub(crate) fn leader_hint(&self) -> Option<String> {
        let leader = self.view.borrow().leader?;
        match leader == self.config.node {
            true => Some(self.config.advertised()),
            false => self.address(leader),
        }
    }

    /// Asks the owner; none when it is gone or will not answer.
    pub(crate) async fn ask<T>(
        &self,
        input: impl FnOnce(oneshot::Sender<T>) -> Input,
    ) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.inbox.send(input(reply)).await.ok()?;
        answer.await.ok()
    }

    /// The time between two tries of something that failed.
    pub(crate) const PAUSE: Duration = Duration::from_millis(50);
}
