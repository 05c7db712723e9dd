//! An error as it is told to a caller, and its form as a gRPC status.

use std::error::Error as _;
use std::fmt;

use tonic::metadata::{MetadataMap, MetadataValue};

use super::{APPLIED_METADATA, Applied, CODE_METADATA, Code, LEADER_METADATA};
use crate::{WireError, v1};

/// The longest detail that travels, in bytes; more is cut. A status is a header, and headers are
/// bounded.
const DETAIL_BYTES_MAX: usize = 2 << 10;

/// An error as it is told to a caller. Shown as: what happened; whether anything was applied; what to
/// do next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// What went wrong.
    pub code: Code,
    /// What happened this time, for a person.
    pub detail: String,
    /// The address of the leader, where it is known.
    pub leader: Option<String>,
    /// What is known of the transaction that was asked for.
    pub applied: Applied,
}

impl Failure {
    /// A failure with what the code says of the transaction.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            leader: None,
            applied: code.applied(),
        }
    }

    /// The same, with the address of the leader.
    #[must_use]
    pub fn with_leader(self, leader: Option<impl Into<String>>) -> Self {
        Self {
            leader: leader.map(Into::into),
            ..self
        }
    }

    /// The same, where more or less is known of the transaction than the code says.
    #[must_use]
    pub fn with_applied(self, applied: Applied) -> Self {
        Self { applied, ..self }
    }

    /// Whether the same call may go better after a pause: [`Code::is_retryable`].
    pub fn is_retryable(&self) -> bool {
        self.code.is_retryable()
    }

    /// The failure that a status carries. A status without our metadata comes from the transport or
    /// from something between: its outcome is unknown, unless the call certainly never left.
    pub fn from_status(status: &tonic::Status) -> Self {
        let text = |key| {
            status
                .metadata()
                .get(key)
                .and_then(|value| value.to_str().ok())
        };
        let Some(found) = text(CODE_METADATA) else {
            return Self::foreign(status);
        };
        let applied = text(APPLIED_METADATA).unwrap_or_default();
        let leader = text(LEADER_METADATA).map(str::to_owned);
        Self::read(found, applied, status.message().to_owned()).with_leader(leader)
    }

    fn read(found: &str, applied: &str, detail: String) -> Self {
        let word = Applied::from_word(applied);
        let (code, detail, applied) = match Code::from_text(found) {
            Some(code) => (code, detail, word.unwrap_or(code.applied())),
            None => {
                let detail = format!("{detail} ({found}, which this version does not know)");
                (Code::Internal, detail, word.unwrap_or(Applied::Unknown))
            }
        };
        Self {
            code,
            detail,
            leader: None,
            applied,
        }
    }

    fn foreign(status: &tonic::Status) -> Self {
        let detail = if status.message().is_empty() {
            format!("{:?}", status.code())
        } else {
            status.message().to_owned()
        };
        if never_left(status) {
            return Self::new(Code::Unreachable, detail);
        }
        match status.code() {
            tonic::Code::Unimplemented => Self::new(Code::UnsupportedVersion, detail),
            tonic::Code::DeadlineExceeded => Self::new(Code::OutcomeUnknown, detail),
            _ => Self::new(Code::Transport, detail),
        }
    }
}

/// Whether the connection was never made.
fn never_left(status: &tonic::Status) -> bool {
    let mut source = status.source();
    while let Some(error) = source {
        if error.is::<tonic::ConnectError>() {
            return true;
        }
        source = error.source();
    }
    false
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.code.title())?;
        if !self.detail.is_empty() && self.detail != self.code.title() {
            write!(f, " ({})", self.detail)?;
        }
        write!(f, "; {}; {}", self.applied.sentence(), self.code.next())
    }
}

impl std::error::Error for Failure {}

impl From<v1::Refusal> for Failure {
    fn from(refusal: v1::Refusal) -> Self {
        let leader = Some(refusal.leader).filter(|leader| !leader.is_empty());
        Self::read(&refusal.code, &refusal.applied, refusal.detail).with_leader(leader)
    }
}

impl From<Failure> for v1::Refusal {
    fn from(failure: Failure) -> Self {
        Self {
            code: failure.code.as_str().to_owned(),
            applied: failure.applied.as_str().to_owned(),
            detail: failure.detail,
            leader: failure.leader.unwrap_or_default(),
        }
    }
}

/// A message that was refused before anything was done.
impl From<WireError> for Failure {
    fn from(error: WireError) -> Self {
        Self::new(Code::Malformed, error.to_string())
    }
}

impl From<Code> for Failure {
    fn from(code: Code) -> Self {
        Self::new(code, code.title())
    }
}

impl From<Failure> for tonic::Status {
    fn from(failure: Failure) -> Self {
        let mut metadata = MetadataMap::new();
        metadata.insert(
            CODE_METADATA,
            MetadataValue::from_static(failure.code.as_str()),
        );
        metadata.insert(
            APPLIED_METADATA,
            MetadataValue::from_static(failure.applied.as_str()),
        );
        if let Some(leader) = failure.leader.and_then(|leader| leader.parse().ok()) {
            metadata.insert(LEADER_METADATA, leader);
        }
        let mut detail = failure.detail;
        if detail.len() > DETAIL_BYTES_MAX {
            let fits = (0..=DETAIL_BYTES_MAX)
                .rev()
                .find(|end| detail.is_char_boundary(*end));
            detail.truncate(fits.unwrap_or_default());
        }
        Self::with_metadata(failure.code.grpc(), detail, metadata)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_survives_its_way_through_a_status() {
        for code in Code::all() {
            let failure = Failure::new(*code, "what happened, in words")
                .with_leader(Some("10.0.0.1:7000"))
                .with_applied(Applied::Unknown);
            let status = tonic::Status::from(failure.clone());
            assert_eq!(status.code(), code.grpc());
            assert_eq!(Failure::from_status(&status), failure);
            assert_eq!(Failure::from(v1::Refusal::from(failure.clone())), failure);
        }
    }

    #[test]
    fn a_leader_that_is_no_ascii_is_left_out() {
        let failure = Failure::from(Code::NoLeader).with_leader(Some("h\u{f6}st\n"));
        let back = Failure::from_status(&failure.into());
        assert_eq!(back.leader, None);
    }

    #[test]
    fn a_foreign_status_is_unknown() {
        for code in (0..=16).map(tonic::Code::from) {
            let failure = Failure::from_status(&tonic::Status::new(code, "from a proxy"));
            let certain = code == tonic::Code::Unimplemented;
            assert_eq!(failure.applied == Applied::NotApplied, certain, "{code:?}");
        }
    }

    #[test]
    fn a_code_of_a_later_version_keeps_its_word_on_what_was_applied() {
        let mut status = tonic::Status::from(Failure::from(Code::Busy));
        status
            .metadata_mut()
            .insert(CODE_METADATA, MetadataValue::from_static("TV7777"));
        let failure = Failure::from_status(&status);
        assert_eq!(
            (failure.code, failure.applied),
            (Code::Internal, Applied::NotApplied)
        );
        assert!(failure.detail.contains("TV7777"));
    }

    #[test]
    fn is_shown_as_what_happened_whether_applied_and_what_next() {
        let shown = Failure::new(Code::Busy, "256 in flight").to_string();
        assert!(shown.starts_with("TV0013: too many transactions are in flight (256 in flight); "));
        assert!(shown.contains("; nothing was applied; repeat it after a pause"));
    }
}
