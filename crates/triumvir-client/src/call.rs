//! One call, repeated at the right replica until it is answered or its deadline passes.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use tokio::time::{Instant, sleep_until, timeout_at};
use tonic::transport::Channel;
use tonic::{Request, Response, Status};
use triumvir_wire::status::LEADER_METADATA;
use triumvir_wire::{Applied, Code, Failure};

use crate::replicas::{Asked, Replicas};

/// The most of a call's time that is kept for its answer to come back.
const WAY_BACK: Duration = Duration::from_millis(250);

/// With less time left than this, nothing is repeated that is known to have had no effect: an attempt
/// that is cut off by the deadline would turn what is known into doubt.
const WORTH_TRYING: Duration = Duration::from_millis(100);

/// A call that was not answered with a response.
#[derive(Debug)]
pub(crate) struct Missed {
    /// The last failure; one that came from a replica, if any could be reached.
    pub(crate) last: Failure,
    /// Whether any of the attempts may have had its effect.
    pub(crate) doubt: bool,
}

impl Missed {
    /// The failure of a question about a transaction, of which it leaves everything open.
    pub(crate) fn into_open_question(self) -> Failure {
        self.last.with_applied(Applied::Unknown)
    }

    /// The failure of a call that changes nothing.
    pub(crate) fn into_read_failure(self) -> Failure {
        self.last.with_applied(Applied::NotApplied)
    }
}

/// Asks until there is an answer, a failure that repeating does not mend, or the deadline.
///
/// Every attempt sends the same thing, so that a server takes repetitions for what they are. `send` is
/// given the time that the server may take. `silence` is the code of an attempt that was not answered.
pub(crate) async fn call<T, F>(
    replicas: &Replicas,
    deadline: Instant,
    silence: Code,
    send: impl Fn(Channel, Duration) -> F,
) -> Result<T, Missed>
where
    F: Future<Output = Result<Response<T>, Status>>,
{
    let send = |asked: &Asked, time| send(asked.channel.clone(), time);
    call_at(replicas, deadline, silence, send).await
}

/// The same, where `send` must know more of the server than its channel.
pub(crate) async fn call_at<T, F>(
    replicas: &Replicas,
    deadline: Instant,
    silence: Code,
    send: impl Fn(&Asked, Duration) -> F,
) -> Result<T, Missed>
where
    F: Future<Output = Result<Response<T>, Status>>,
{
    let mut pauses = pauses(Duration::from_millis(10), Duration::from_millis(200));
    let worth_trying = worth_trying(deadline);
    let mut repeated = false;
    let mut doubt = false;
    let mut last = Failure::new(Code::BadDeadline, "the deadline had passed before the call");
    let mut may_hop = true;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || repeated && !doubt && left < worth_trying {
            return Err(Missed { last, doubt });
        }
        let asked = replicas.current();
        let answer = timeout_at(deadline, send(&asked, share(left))).await;
        let failure = match answer {
            Ok(Ok(response)) => {
                if let Some(leader) = leader(&response) {
                    replicas.follow(&asked, leader);
                }
                return Ok(response.into_inner());
            }
            Ok(Err(status)) => heard(&asked, &status),
            Err(_) => Failure::new(silence, format!("{} did not answer in time", asked.address)),
        };
        tracing::debug!(address = asked.address, %failure, "an attempt failed");
        doubt |= failure.applied != Applied::NotApplied;
        let hop = turn(replicas, &asked, &failure);
        let again = failure.is_retryable();
        let nobody = failure.code == Code::Unreachable && last.code != Code::Unreachable;
        if !(nobody && repeated) {
            last = failure;
        }
        if !again {
            return Err(Missed { last, doubt });
        }
        repeated = true;
        may_hop = hop && may_hop;
        if may_hop {
            may_hop = false;
            continue;
        }
        let pause = pauses.next().unwrap_or_default();
        sleep_until(deadline.min(Instant::now() + pause)).await;
        may_hop = true;
    }
}

/// What `asked` has answered.
fn heard(asked: &Asked, status: &Status) -> Failure {
    let mut failure = Failure::from_status(status);
    if failure.code == Code::NoLeader {
        failure.detail = match failure.detail.as_str() {
            detail if detail == failure.code.title() => {
                format!("{} answers, and reaches none", asked.given)
            }
            detail => format!("{}: {detail}", asked.given),
        };
    }
    failure
}

/// Chooses whom to ask next. Whether a leader was named that can be asked at once.
pub(crate) fn turn(replicas: &Replicas, asked: &Asked, failure: &Failure) -> bool {
    if let Some(leader) = &failure.leader
        && replicas.follow(asked, leader)
    {
        return true;
    }
    if !matches!(
        failure.code,
        Code::Busy | Code::TooManyOpen | Code::IdContested
    ) {
        replicas.turn_from(asked, failure);
    }
    false
}

/// The least time before `deadline` in which something is tried again without need: less than a tenth
/// of what is left now.
pub(crate) fn worth_trying(deadline: Instant) -> Duration {
    WORTH_TRYING.min(deadline.saturating_duration_since(Instant::now()) / 10)
}

/// Growing pauses with jitter, without end: the deadline ends them.
pub(crate) fn pauses(min: Duration, max: Duration) -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(min)
        .with_max_delay(max)
        .with_jitter()
        .without_max_times()
        .build()
}

/// A request that tells the server how much time it has.
pub(crate) fn timed<T>(message: T, time: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(time);
    request
}

/// The server's share of the time that is left: its answer needs some to come back.
fn share(left: Duration) -> Duration {
    left - (left / 10).min(WAY_BACK)
}

fn leader<T>(response: &Response<T>) -> Option<&str> {
    response
        .metadata()
        .get(LEADER_METADATA)
        .and_then(|leader| leader.to_str().ok())
}
