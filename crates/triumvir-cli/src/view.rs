//! How things of the protocol are shown: words, times, and JSON with stable names. No command, no
//! call.

use std::time::{Duration, UNIX_EPOCH};

use humantime_serde::re::humantime;
use serde::Serialize;
use triumvir_client::{AbortCause, Mode, NoReason, Outcome, State, TxnId};
use uuid::Uuid;

use crate::paint::Tone;

/// A transaction id as it is written on a command line: a UUID in any of its forms.
///
/// # Errors
///
/// What is expected.
pub(crate) fn parse_txn(text: &str) -> Result<TxnId, String> {
    match Uuid::parse_str(text) {
        Ok(id) if id.get_version_num() == 7 => Ok(TxnId::from_u128(id.as_u128())),
        Ok(_) => Err("a transaction id is a UUID of version 7; this is another version".to_owned()),
        Err(_) => Err(
            "a transaction id is a UUID, such as 0198c1f0-7a55-7d2e-9c11-3f5b0a4e6c21 \
                       (all of it, not a part)"
                .to_owned(),
        ),
    }
}

/// A transaction id in a message of the cluster.
pub(crate) fn txn_text(bytes: &[u8]) -> String {
    match triumvir_wire::ids::txn("txn", bytes) {
        Ok(txn) => txn.to_string(),
        Err(_) => "?".to_owned(),
    }
}

/// A time for a person, with two or three digits that matter: `850 µs`, `12.3 ms`, `4.2 s`, `3 m 5 s`.
pub(crate) fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    let whole = time.as_secs();
    match whole {
        0 if seconds < 0.001 => format!("{} µs", time.as_micros()),
        0 if seconds < 0.1 => format!("{:.1} ms", seconds * 1e3),
        0 => format!("{:.0} ms", seconds * 1e3),
        1..60 => format!("{seconds:.1} s"),
        60..3_600 => format!("{} m {} s", whole / 60, whole % 60),
        3_600..86_400 => format!("{} h {} m", whole / 3_600, whole % 3_600 / 60),
        _ => format!("{} d {} h", whole / 86_400, whole % 86_400 / 3_600),
    }
}

/// Milliseconds for a person.
pub(crate) fn millis(millis: u64) -> String {
    duration(Duration::from_millis(millis))
}

/// Microseconds as milliseconds with a fraction, for JSON.
pub(crate) fn fraction(micros: u64) -> f64 {
    micros as f64 / 1e3
}

/// A point in time, UTC, with milliseconds.
pub(crate) fn instant(micros: u64) -> String {
    match UNIX_EPOCH.checked_add(Duration::from_micros(micros)) {
        Some(at) => humantime::format_rfc3339_millis(at).to_string(),
        None => format!("{micros} µs after 1970"),
    }
}

/// The stable word for a state.
pub(crate) fn state(state: State) -> &'static str {
    match state {
        State::Unspecified => "unspecified",
        State::NoRecord => "no-record",
        State::Voting => "voting",
        State::Proposed => "proposed",
        State::Recorded => "recorded",
        State::Committed => "committed",
        State::Aborted => "aborted",
        State::Ended => "ended",
        State::Expired => "expired",
    }
}

/// What a state means, in a sentence.
pub(crate) fn meaning(state: State) -> &'static str {
    match state {
        State::Unspecified => "the cluster says nothing",
        State::NoRecord => "there is no record of it, which binds nobody",
        State::Voting => "its participants are voting",
        State::Proposed => "its record is on the way to the replicas",
        State::Recorded => "recorded to commit; not yet confirmed by a participant",
        State::Committed => "committed; some participants have not confirmed it yet",
        State::Aborted => "nothing of it is or will be applied",
        State::Ended => "over, and confirmed by all participants",
        State::Expired => "older than the outcomes that are kept",
    }
}

/// How a state looks.
pub(crate) fn tone(state: State, outcome: Option<&Outcome>) -> Tone {
    match (outcome, state) {
        (Some(Outcome::Committed), _) => Tone::Good,
        (Some(Outcome::Aborted(_)), _) => Tone::Bad,
        (None, State::Expired | State::NoRecord) => Tone::Faint,
        (None, _) => Tone::Odd,
    }
}

/// The stable word for an outcome.
pub(crate) fn outcome(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Committed => "committed",
        Outcome::Aborted(_) => "aborted",
    }
}

/// The stable word for a mode.
pub(crate) fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::ThreePhase => "three-phase",
        Mode::TwoPhase => "two-phase",
    }
}

/// Why a transaction was aborted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct CauseView {
    /// The stable word; with a NO the resource's own.
    pub(crate) word: String,
    /// The participant that it is about.
    pub(crate) participant: Option<String>,
    /// For a person.
    pub(crate) text: String,
    /// Whether the same work may succeed in a new transaction.
    pub(crate) retryable: bool,
}

impl From<&AbortCause> for CauseView {
    fn from(cause: &AbortCause) -> Self {
        Self {
            word: cause.word().to_owned(),
            participant: cause.participant().map(str::to_owned),
            text: cause.to_string(),
            retryable: cause.is_retryable(),
        }
    }
}

/// What to do about an abort.
pub(crate) fn after_abort(cause: &AbortCause) -> &'static str {
    match cause {
        cause if cause.is_retryable() => {
            "the same work may succeed in a new transaction: repeat it, or use --retry-conflicts"
        }
        AbortCause::No {
            reason: NoReason::Resource { .. },
            ..
        } => {
            "look at the data that the cause names, change the transaction, and commit it under a \
             new id"
        }
        _ => "if the work is still wanted, commit it under a new id",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_digits_that_matter() {
        let cases = [
            (Duration::from_micros(850), "850 µs"),
            (Duration::from_micros(12_345), "12.3 ms"),
            (Duration::from_millis(450), "450 ms"),
            (Duration::from_millis(4_210), "4.2 s"),
            (Duration::from_secs(185), "3 m 5 s"),
            (Duration::from_secs(7_260), "2 h 1 m"),
            (Duration::from_secs(200_000), "2 d 7 h"),
        ];
        for (time, text) in cases {
            assert_eq!(duration(time), text);
        }
    }

    #[test]
    fn ids_are_read_whole_and_of_the_right_version() {
        let id = "0198c1f0-7a55-7d2e-9c11-3f5b0a4e6c21";
        assert_eq!(parse_txn(id).unwrap().to_string(), id);
        assert!(parse_txn("0198c1f0").unwrap_err().contains("all of it"));
        assert!(
            parse_txn(&Uuid::nil().to_string())
                .unwrap_err()
                .contains("version 7")
        );
    }

    #[test]
    fn instants_are_utc() {
        assert_eq!(instant(1_700_000_000_123_456), "2023-11-14T22:13:20.123Z");
    }
}
