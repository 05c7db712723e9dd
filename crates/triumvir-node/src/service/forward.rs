//! Any replica takes any call: one that does not lead forwards it to the leader, and tries again
//! while the leadership moves and the caller's time lasts. Calls are safe to repeat by their ids.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::transport::Channel;
use tonic::{Request, Status};
use triumvir_wire::{Code, Failure};

use super::deadline;
use crate::shared::Shared;
use crate::telemetry;

/// Marks a call that a replica has forwarded, so that it is not forwarded again.
const FORWARDED_METADATA: &str = "triumvir-forwarded";

/// One call on its way to the leader.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    /// When it must be answered.
    deadline: Instant,
    /// Another replica has forwarded it.
    forwarded: bool,
    /// What its caller is told when it was taken up and not answered in time.
    unanswered: Code,
}

/// The leader as it is reached from here, and the time that is left.
#[derive(Clone, Debug)]
pub(super) struct Leader {
    pub(super) channel: Channel,
    left: Duration,
    node: u64,
}

impl Leader {
    /// `message` as it is forwarded.
    pub(super) fn request<M>(&self, message: M) -> Request<M> {
        let mut request = Request::new(message);
        request.set_timeout(self.left);
        let node = MetadataValue::from(self.node);
        request.metadata_mut().insert(FORWARDED_METADATA, node);
        request
    }
}

impl Call {
    pub(super) fn new(metadata: &MetadataMap, default: Duration, unanswered: Code) -> Self {
        Self {
            deadline: deadline::deadline(metadata, default),
            forwarded: metadata.contains_key(FORWARDED_METADATA),
            unanswered,
        }
    }

    pub(super) fn is_forwarded(&self) -> bool {
        self.forwarded
    }

    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Has the call answered by the leader: by `local` if this replica leads (none: it leads no
    /// longer), else by `remote`.
    pub(super) async fn at_leader<T, L, R>(
        &self,
        shared: &Shared,
        local: impl Fn() -> L,
        remote: impl Fn(Leader) -> R,
    ) -> Result<T, Failure>
    where
        L: Future<Output = Option<Result<T, Failure>>>,
        R: Future<Output = Result<T, Status>>,
    {
        let mut taken_up = false;
        let mut view = shared.view.clone();
        loop {
            let (leads, own) = {
                let now = view.borrow_and_update();
                (
                    now.leading.is_some(),
                    now.leader == Some(shared.config.node),
                )
            };
            if leads {
                taken_up = true;
                match timeout_at(self.deadline, local()).await {
                    Ok(Some(answer)) => return answer,
                    Ok(None) => {}
                    Err(_) => return Err(self.unanswered(taken_up)),
                }
            } else if self.forwarded && !own {
                return Err(self.unanswered(taken_up));
            } else if let Some(leader) = self.leader(shared) {
                match timeout_at(self.deadline, remote(leader)).await {
                    Ok(Ok(answer)) => return Ok(answer),
                    Ok(Err(status)) => taken_up |= may_be_repeated(&status)?,
                    Err(_) => return Err(self.unanswered(true)),
                }
            }
            tokio::select! {
                _ = view.changed() => {}
                () = tokio::time::sleep(Shared::PAUSE) => {}
                () = sleep_until(self.deadline) => return Err(self.unanswered(taken_up)),
            }
        }
    }

    fn leader(&self, shared: &Shared) -> Option<Leader> {
        let address = shared.leader_address()?;
        let channel = shared.channels.to(&address).ok()?;
        let left = self.deadline.saturating_duration_since(Instant::now());
        Some(Leader {
            channel,
            left,
            node: shared.config.node,
        })
    }

    fn unanswered(&self, taken_up: bool) -> Failure {
        match taken_up {
            true => Failure::from(self.unanswered),
            false => Failure::from(Code::NoLeader),
        }
    }
}

/// Whether the leader may have taken the call up, where it can be repeated; the failure, where it is
/// an answer.
fn may_be_repeated(status: &Status) -> Result<bool, Failure> {
    let failure = Failure::from_status(status);
    match failure.code {
        Code::NoLeader | Code::Unreachable | Code::Draining => Ok(false),
        Code::OutcomeUnknown | Code::NoAnswer | Code::Transport | Code::Stopped => Ok(true),
        _ => Err(failure),
    }
}

/// The error of a call as its caller gets it.
pub(super) fn status(shared: &Shared, failure: Failure) -> Status {
    telemetry::refused(failure.code);
    tracing::debug!(code = %failure.code, detail = failure.detail, "a call got an error");
    let leader = shared.leader_hint().or(failure.leader.clone());
    failure.with_leader(leader).into()
}
