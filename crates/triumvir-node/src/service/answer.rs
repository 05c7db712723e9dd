//! The conductor's words in the words of the wire.

use triumvir_protocol::{
    AbortCause, AbortReason, Ended, NoReason, Outcome, ParticipantId, Payload, Reply, TxnId, Value,
};
use triumvir_wire::message::{decision_wire, payload_bytes};
use triumvir_wire::{Code, Failure, ids, v1};

use crate::owner::Answered;
use crate::view::Directory;

/// How a transaction ended, and why.
pub(crate) fn outcome(
    names: &Directory,
    outcome: Outcome,
    cause: Option<&AbortCause>,
) -> v1::Outcome {
    let cause = match outcome {
        Value::Commit => None,
        Value::Abort => Some(abort_cause(
            names,
            cause.unwrap_or(&AbortCause::Unexplained),
        )),
    };
    v1::Outcome {
        decision: decision_wire(outcome),
        cause,
    }
}

fn abort_cause(names: &Directory, cause: &AbortCause) -> v1::AbortCause {
    use v1::abort_cause::Kind;
    let (kind, participant, no) = match cause {
        AbortCause::No(id, reason) => (Kind::No, Some(*id), Some(reason.clone().into())),
        AbortCause::Recorded(reason) => match reason {
            AbortReason::VoteTimeout(id) => (Kind::VoteTimeout, Some(*id), None),
            AbortReason::Requested => (Kind::Requested, None, None),
            AbortReason::Decided => (Kind::Decided, None, None),
            AbortReason::Reported(id) => (Kind::Reported, Some(*id), None),
            AbortReason::Fenced => (Kind::Fenced, None, None),
            AbortReason::Removed(id) => (Kind::Removed, Some(*id), None),
        },
        AbortCause::Unexplained => (Kind::Unspecified, None, None),
    };
    v1::AbortCause {
        kind: kind.into(),
        participant: participant.map(|id| names.name(id)).unwrap_or_default(),
        no,
        text: cause_text(names, cause),
    }
}

/// Why a transaction was aborted, for a person.
pub(crate) fn cause_text(names: &Directory, cause: &AbortCause) -> String {
    let name = |id: &ParticipantId| names.name(*id);
    match cause {
        AbortCause::No(id, NoReason::Resource { code, detail, .. }) => {
            format!("{} refused: {code}: {detail}", name(id))
        }
        AbortCause::No(id, reason) => format!("{} refused: {}", name(id), reason.code()),
        AbortCause::Recorded(AbortReason::VoteTimeout(id)) => {
            format!("{} did not vote in time", name(id))
        }
        AbortCause::Recorded(AbortReason::Requested) => "a client asked to abort".to_owned(),
        AbortCause::Recorded(AbortReason::Decided) => {
            "there was no record when a client asked to decide".to_owned()
        }
        AbortCause::Recorded(AbortReason::Reported(id)) => {
            format!("{} holds evidence of abort", name(id))
        }
        AbortCause::Recorded(AbortReason::Fenced) => {
            "its participants' fences were resolved to abort".to_owned()
        }
        AbortCause::Recorded(AbortReason::Removed(id)) => {
            format!("{} was removed from the cluster", name(id))
        }
        AbortCause::Unexplained => "the log does not say why".to_owned(),
    }
}

/// The answer to Commit. `order`: the participants as the request names them.
pub(crate) fn commit(
    names: &Directory,
    txn: TxnId,
    order: &[ParticipantId],
    answered: Answered,
) -> Result<v1::CommitResponse, Failure> {
    let (outcome, results) = match told(answered)? {
        Told::Committed(mut results) => {
            let part = |id: &ParticipantId| {
                let results = payload_bytes(results.remove(id)?);
                Some(v1::PartResult {
                    participant: names.name(*id),
                    results,
                })
            };
            (
                outcome(names, Value::Commit, None),
                order.iter().filter_map(part).collect(),
            )
        }
        Told::Aborted(cause) => (outcome(names, Value::Abort, Some(&cause)), Vec::new()),
        Told::Expired => return Err(Failure::from(Code::IdExpired)),
        Told::NoRecord => return Err(Failure::new(Code::Internal, "commit found no record")),
    };
    Ok(v1::CommitResponse {
        txn: ids::txn_bytes(txn),
        outcome: Some(outcome),
        results,
    })
}

/// The answer to Outcome and Abort.
pub(crate) fn asked(
    names: &Directory,
    txn: TxnId,
    answered: Answered,
) -> Result<v1::OutcomeResponse, Failure> {
    let over = matches!(answered, Answered::Ended(_));
    let (state, outcome) = match told(answered)? {
        Told::Committed(_) => (
            v1::State::Committed,
            Some(outcome(names, Value::Commit, None)),
        ),
        Told::Aborted(cause) => (
            v1::State::Aborted,
            Some(outcome(names, Value::Abort, Some(&cause))),
        ),
        Told::Expired => (v1::State::Expired, None),
        Told::NoRecord => (v1::State::NoRecord, None),
    };
    let state = if over { v1::State::Ended } else { state };
    Ok(v1::OutcomeResponse {
        txn: ids::txn_bytes(txn),
        state: state.into(),
        outcome,
    })
}

/// What is not an error.
enum Told {
    Committed(std::collections::BTreeMap<ParticipantId, Payload>),
    Aborted(AbortCause),
    Expired,
    NoRecord,
}

fn told(answered: Answered) -> Result<Told, Failure> {
    match answered {
        Answered::Reply(reply) => match reply {
            Reply::Committed { results } => Ok(Told::Committed(results)),
            Reply::Aborted(cause) => Ok(Told::Aborted(cause)),
            Reply::Expired => Ok(Told::Expired),
            Reply::NoRecord => Ok(Told::NoRecord),
            Reply::IdInUse => Err(Failure::from(Code::IdInUse)),
            Reply::Busy => Err(Failure::from(Code::Busy)),
            Reply::Contested => Err(Failure::from(Code::IdContested)),
        },
        Answered::Ended(Ended {
            outcome: Value::Commit,
            ..
        }) => Ok(Told::Committed(std::collections::BTreeMap::new())),
        Answered::Ended(Ended {
            outcome: Value::Abort,
            reason,
            ..
        }) => Ok(Told::Aborted(
            reason.map_or(AbortCause::Unexplained, AbortCause::Recorded),
        )),
        Answered::TooManyOpen => Err(Failure::from(Code::TooManyOpen)),
        Answered::Draining => Err(Failure::from(Code::Draining)),
        Answered::Crowded => Err(Failure::new(
            Code::OutcomeUnknown,
            "it is known here, and too many callers wait for answers",
        )),
    }
}
