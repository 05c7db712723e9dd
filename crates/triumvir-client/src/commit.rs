//! Committing: one attempt until its outcome is known, and further attempts after conflicts.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use triumvir_protocol::TxnId;
use triumvir_wire::{Code, Failure, ids, v1};

use crate::call::{Missed, call_at, pauses, worth_trying};
use crate::client::unreadable;
use crate::replicas::Replicas;
use crate::transaction::draw_txn;
use crate::{CommitError, Committed, Outcome, Results};

/// Under which id to try.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt {
    pub(crate) txn: TxnId,
    /// Whether the id was drawn for this call, so that nobody can have used it before.
    pub(crate) drawn: bool,
    /// The first attempt at the same work, if it was not this one.
    pub(crate) first_attempt: Option<TxnId>,
}

/// Commits `request`, which has no ids yet; with `retry`, again and again while conflicts abort it.
pub(crate) async fn commit(
    replicas: &Replicas,
    mut request: v1::CommitRequest,
    mut attempt: Attempt,
    retry: bool,
    deadline: Instant,
) -> Result<Committed, CommitError> {
    let mut pauses = pauses(Duration::from_millis(2), Duration::from_millis(100));
    let worth_trying = worth_trying(deadline);
    for attempts in 1.. {
        let Attempt {
            txn, first_attempt, ..
        } = attempt;
        request.txn = ids::txn_bytes(txn);
        request.first_attempt = first_attempt.map(ids::txn_bytes).unwrap_or_default();
        let (outcome, results) = until_known(replicas, &request, attempt, deadline).await?;
        let cause = match outcome {
            Outcome::Committed => {
                return Ok(Committed {
                    txn,
                    attempts,
                    results,
                });
            }
            Outcome::Aborted(cause) => cause,
        };
        let pause = pauses.next().unwrap_or_default();
        let in_time = Instant::now() + pause + worth_trying < deadline;
        if !(retry && cause.is_retryable() && in_time && attempts < u32::MAX) {
            return Err(CommitError::Aborted {
                txn,
                cause,
                attempts,
            });
        }
        tracing::debug!(%txn, %cause, attempts, "aborted, and tried again");
        sleep(pause).await;
        let first_attempt = Some(first_attempt.unwrap_or(txn));
        attempt = Attempt {
            txn: draw_txn(),
            drawn: true,
            first_attempt,
        };
    }
    unreachable!("the loop ends by returning")
}

/// Repeats one attempt, always the same, until its outcome is known.
async fn until_known(
    replicas: &Replicas,
    request: &v1::CommitRequest,
    attempt: Attempt,
    deadline: Instant,
) -> Result<(Outcome, Results), CommitError> {
    let answer = call_at(replicas, deadline, Code::OutcomeUnknown, |asked, time| {
        let (asked, request) = (asked.clone(), request.clone());
        async move { asked.pipe.commit(asked.channel, request, time).await }
    });
    let response = answer.await.map_err(|missed| settle(missed, attempt))?;
    read(response, attempt.txn).map_err(|failure| CommitError::Unknown {
        txn: attempt.txn,
        last: failure,
    })
}

/// What a missed call means for the transaction.
fn settle(missed: Missed, attempt: Attempt) -> CommitError {
    let Missed { last, doubt } = missed;
    // A refusal speaks of this call; one before it, with the same id, may have been taken up.
    let earlier = !attempt.drawn && last.is_retryable();
    if doubt || earlier {
        CommitError::unknown(attempt.txn, last)
    } else {
        CommitError::Refused(last)
    }
}

fn read(response: v1::CommitResponse, txn: TxnId) -> Result<(Outcome, Results), Failure> {
    if response.txn != ids::txn_bytes(txn) {
        return Err(Failure::new(
            Code::Internal,
            "the answer is about another transaction",
        ));
    }
    let Some(outcome) = response.outcome else {
        return Err(Failure::new(Code::Internal, "the answer has no outcome"));
    };
    let outcome = Outcome::from_wire(outcome).map_err(|error| unreadable(&error))?;
    Ok((outcome, Results::from_wire(response.results)))
}
