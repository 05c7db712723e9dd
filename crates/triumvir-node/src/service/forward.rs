//! Any replica takes any call: one that does not lead forwards it to the leader, and tries again
//! while the leadership moves and the caller's time lasts. Calls are safe to repeat by their ids.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::transport::Channel;
use tonic::{Request, Status};
use triumvir_wire::{Applied, Code, Failure};

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

    /// A call whose caller waits for `time`, and that nobody has forwarded.
    pub(super) fn within(time: Duration, unanswered: Code) -> Self {
        Self {
            deadline: deadline::within(time),
            forwarded: false,
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
        let _open = shared.calls.token();
        let mut taken_up = false;
        let mut view = shared.view.clone();
        loop {
            if shared.inbox.is_closed() {
                let stopped = if taken_up {
                    self.unanswered
                } else {
                    Code::NoLeader
                };
                return Err(Failure::new(stopped, "the replica has stopped"));
            }
            let (leads, own) = {
                let now = view.borrow_and_update();
                (
                    now.leading.is_some(),
                    now.leader == Some(shared.config.node),
                )
            };
            if leads {
                match timeout_at(self.deadline, local()).await {
                    Ok(Some(Ok(answer))) => return Ok(answer),
                    Ok(Some(Err(failure))) => taken_up |= may_be_repeated(failure, taken_up)?,
                    Ok(None) => taken_up = true,
                    Err(_) => return Err(self.unanswered(true)),
                }
            } else if self.forwarded && !own {
                return Err(self.unanswered(taken_up));
            } else if let Some(leader) = self.leader(shared) {
                match timeout_at(self.deadline, remote(leader)).await {
                    Ok(Ok(answer)) => return Ok(answer),
                    Ok(Err(status)) => {
                        let failure = Failure::from_status(&status);
                        // A leader that drains is not one for long.
                        if failure.code != Code::Draining {
                            taken_up |= may_be_repeated(failure, taken_up)?;
                        }
                    }
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

/// Whether the leader may have taken the call up, where it is tried again; the failure, where that
/// is the caller's answer.
///
/// Once it may have been taken up, a leader that refuses it says nothing of the former attempt.
fn may_be_repeated(failure: Failure, taken_up: bool) -> Result<bool, Failure> {
    match failure.code {
        Code::NoLeader | Code::Unreachable => Ok(false),
        Code::OutcomeUnknown | Code::NoAnswer | Code::Transport | Code::Stopped => Ok(true),
        // Another transaction has the id: nothing of this one is or will be applied.
        Code::IdInUse => Err(failure),
        // A former leader, or one that adopted it, may have committed it before the horizon passed.
        Code::IdExpired if taken_up => Err(Failure::new(Code::OutcomeUnknown, failure.detail)),
        code if taken_up && code.is_retryable() => Ok(true),
        _ if taken_up && failure.applied == Applied::NotApplied => {
            Err(failure.with_applied(Applied::Unknown))
        }
        _ => Err(failure),
    }
}

/// The error of a call as its caller gets it.
pub(super) fn status(shared: &Shared, failure: Failure) -> Status {
    refusal(shared, failure).into()
}

/// The same, where it does not travel as a status.
pub(super) fn refusal(shared: &Shared, failure: Failure) -> Failure {
    telemetry::refused(failure.code);
    tracing::debug!(code = %failure.code, detail = failure.detail, "a call got an error");
    let leader = shared.leader_hint().or(failure.leader.clone());
    failure.with_leader(leader)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_nothing_of_an_attempt_before_it() {
        let judged = |code, taken_up| may_be_repeated(Failure::from(code), taken_up);
        for taken_up in [false, true] {
            assert_eq!(judged(Code::Unreachable, taken_up), Ok(false));
            assert_eq!(judged(Code::Transport, taken_up), Ok(true));
            let in_use = judged(Code::IdInUse, taken_up).unwrap_err();
            assert_eq!(in_use.applied, Applied::NotApplied);
        }
        assert_eq!(
            judged(Code::Busy, false).unwrap_err().applied,
            Applied::NotApplied
        );
        assert_eq!(judged(Code::Busy, true), Ok(true));
        let unknown = judged(Code::UnknownParticipant, true).unwrap_err();
        assert_eq!(unknown.applied, Applied::Unknown);
        let expired = |taken_up| judged(Code::IdExpired, taken_up).unwrap_err().code;
        assert_eq!(expired(false), Code::IdExpired);
        assert_eq!(expired(true), Code::OutcomeUnknown);
    }
}
