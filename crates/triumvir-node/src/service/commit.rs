//! Commit: everything that can be wrong with a request is found here, before anything is done.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message as _;
use triumvir_protocol::{Mode, ParticipantId, Submission, Terms, TxnId, Work};
use triumvir_wire::{Applied, Code, Failure, ids, message, v1};
use uuid::Uuid;

use crate::view::Directory;
use crate::{Config, clock};

/// A request whose own content is good; whether its participants exist is for the leader to say.
#[derive(Clone, Debug)]
pub(super) struct Checked {
    pub(super) txn: TxnId,
    age: TxnId,
    mode: Mode,
    parts: Vec<(String, Work)>,
}

/// A submission, and its participants in the order of the request.
pub(super) struct Resolved {
    pub(super) submission: Submission,
    pub(super) order: Vec<ParticipantId>,
}

impl Checked {
    /// Checks `request`, and gives it an id if it has none: so that it can be repeated from here
    /// on.
    pub(super) fn new(request: &mut v1::CommitRequest, config: &Config) -> Result<Self, Failure> {
        let size = request.encoded_len();
        if size > config.request_max_bytes {
            let detail = format!("{size} bytes; {} are allowed", config.request_max_bytes);
            return Err(Failure::new(Code::RequestTooLarge, detail));
        }
        let made = || TxnId::from_u128(Uuid::now_v7().as_u128());
        let txn = ids::client_txn("txn", &request.txn)?.unwrap_or_else(made);
        request.txn = ids::txn_bytes(txn);
        not_ahead(txn, config)?;
        let age = ids::client_txn("first_attempt", &request.first_attempt)?.unwrap_or(txn);
        let mode = match request.mode() {
            v1::Mode::TwoPhase => Mode::TwoPhase,
            v1::Mode::ThreePhase => Mode::ThreePhase,
            v1::Mode::Unspecified if request.mode == 0 => Mode::ThreePhase,
            v1::Mode::Unspecified => message::mode("mode", request.mode)?,
        };
        let parts = parts(&request.parts, config)?;
        Ok(Self {
            txn,
            age,
            mode,
            parts,
        })
    }

    /// A refusal of this request's id, as the caller is told of it. Where a participant was replaced,
    /// the same request names another one than before: then what has the id may be this very
    /// request.
    pub(super) fn in_use(&self, directory: &Directory, failure: Failure) -> Failure {
        let replaced = |(name, _): &(String, Work)| directory.was_replaced(name);
        if failure.code == Code::IdInUse && self.parts.iter().any(replaced) {
            return failure.with_applied(Applied::Unknown);
        }
        failure
    }

    /// Finds the participants by their names.
    pub(super) fn resolve(&self, directory: &Directory) -> Result<Resolved, Failure> {
        let find = |(name, work): &(String, Work)| match directory.id(name) {
            Some(id) => Ok((id, work.clone())),
            None => Err(Failure::new(Code::UnknownParticipant, format!("{name:?}"))),
        };
        let parts = self.parts.iter().map(find).collect::<Result<Vec<_>, _>>()?;
        let terms = Terms::of(self.mode, &parts)
            .map_err(|error| Failure::new(Code::Malformed, error.to_string()))?;
        let order = parts.iter().map(|(id, _)| *id).collect();
        let work: BTreeMap<_, _> = parts.into_iter().collect();
        let submission = Submission {
            txn: self.txn,
            terms,
            work,
            age: self.age,
        };
        Ok(Resolved { submission, order })
    }
}

/// Refuses an id whose clock reading is far ahead.
pub(super) fn not_ahead(txn: TxnId, config: &Config) -> Result<(), Failure> {
    let future = u64::try_from(config.future_max.as_millis()).unwrap_or(u64::MAX);
    let ahead = txn.millis().saturating_sub(clock::millis());
    if ahead > future {
        let detail = format!("{ahead} ms ahead of this replica; {future} ms are allowed");
        return Err(Failure::new(Code::IdAhead, detail));
    }
    Ok(())
}

fn parts(parts: &[v1::Part], config: &Config) -> Result<Vec<(String, Work)>, Failure> {
    if parts.is_empty() {
        return Err(Failure::from(Code::NoParticipants));
    }
    if parts.len() > config.participants_max {
        let detail = format!("{}; {} are allowed", parts.len(), config.participants_max);
        return Err(Failure::new(Code::TooManyParticipants, detail));
    }
    let mut names = BTreeSet::new();
    let check = |part: &v1::Part| {
        let name = part.participant.clone();
        if name.is_empty() {
            return Err(Failure::new(Code::Malformed, "a part names no participant"));
        }
        if !names.insert(name.clone()) {
            return Err(Failure::new(Code::ParticipantTwice, format!("{name:?}")));
        }
        if let Some(v1::work::Kind::Payload(payload)) =
            part.work.as_ref().and_then(|w| w.kind.as_ref())
            && payload.len() > config.payload_max_bytes
        {
            let (found, max) = (payload.len(), config.payload_max_bytes);
            let detail = format!("{name:?}: {found} bytes; {max} are allowed");
            return Err(Failure::new(Code::PayloadTooLarge, detail));
        }
        Ok((name, message::work("part.work", part.work.clone())?))
    };
    parts.iter().map(check).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(name: &str, bytes: usize) -> v1::Part {
        let kind = Some(v1::work::Kind::Payload(vec![0; bytes].into()));
        v1::Part {
            participant: name.to_owned(),
            work: Some(v1::Work { kind }),
        }
    }

    fn check(parts: Vec<v1::Part>) -> Result<Checked, Code> {
        let config = Config {
            participants_max: 3,
            payload_max_bytes: 100,
            request_max_bytes: 250,
            ..Config::default()
        };
        let mut request = v1::CommitRequest {
            parts,
            ..v1::CommitRequest::default()
        };
        let checked = Checked::new(&mut request, &config);
        if let Ok(checked) = &checked {
            assert_eq!(
                request.txn,
                ids::txn_bytes(checked.txn),
                "the id goes with the request"
            );
        }
        checked.map_err(|failure| failure.code)
    }

    #[test]
    fn each_thing_that_is_wrong_has_its_code() {
        assert!(check(vec![part("a", 1), part("b", 100)]).is_ok());
        let many = ["a", "b", "c", "d"].map(|name| part(name, 1)).to_vec();
        let wrong = [
            (vec![], Code::NoParticipants),
            (vec![part("a", 1), part("a", 1)], Code::ParticipantTwice),
            (many, Code::TooManyParticipants),
            (vec![part("a", 101)], Code::PayloadTooLarge),
            (
                vec![part("a", 90), part("b", 90), part("c", 90)],
                Code::RequestTooLarge,
            ),
            (vec![part("", 1)], Code::Malformed),
            (
                vec![v1::Part {
                    participant: "a".to_owned(),
                    work: None,
                }],
                Code::Malformed,
            ),
        ];
        for (parts, code) in wrong {
            assert_eq!(check(parts).unwrap_err(), code);
        }
    }

    #[test]
    fn an_id_from_the_future_is_refused() {
        let config = Config::default();
        let at = |ahead| TxnId::at_millis(clock::millis() + ahead);
        assert!(not_ahead(at(0), &config).is_ok());
        assert_eq!(
            not_ahead(at(400_000), &config).unwrap_err().code,
            Code::IdAhead
        );
    }
}
