//! What went wrong, as the user is told: a code, a sentence, what to do next, and the exit status.
//! Commands make failures; only [`Output`](crate::output::Output) writes them.

use std::fmt;

use triumvir_client::{Applied, BuildError, Code};

use crate::exit::Exit;
use crate::paint::{Paint, Tone};

/// An error at the end of a command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Failure {
    /// The exit status.
    pub(crate) exit: Exit,
    /// The stable code, `TV` and four digits, if the error has one.
    pub(crate) code: Option<String>,
    /// What happened.
    pub(crate) message: String,
    /// Whether the transaction was applied: `not-applied`, `applied` or `unknown`.
    pub(crate) applied: Option<&'static str>,
    /// What the user can do next.
    pub(crate) next: Option<String>,
}

impl Failure {
    /// A failure with nothing but its message.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            code: None,
            message: message.into(),
            applied: None,
            next: None,
        }
    }

    /// A wrong command line or configuration.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Adds what to do next.
    #[must_use]
    pub(crate) fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// A failure with the code, and what the code says to do next.
    pub(crate) fn coded(exit: Exit, code: Code, message: impl Into<String>) -> Self {
        let code_text = Some(code.as_str().to_owned());
        Self {
            code: code_text,
            ..Self::new(exit, message)
        }
        .next(code.next())
    }

    /// The end of a process that could not start or go on. What to do next is what the code says of
    /// the disk, else `next`.
    pub(crate) fn stopped(code: Option<Code>, message: String, next: &str) -> Self {
        match code {
            Some(code @ (Code::DiskFailed | Code::DataDamaged)) => {
                Self::coded(Exit::Internal, code, message)
            }
            Some(code) => Self::coded(Exit::Internal, code, message).next(next),
            None => Self::new(Exit::Internal, message).next(next),
        }
    }

    /// Any error: as it is if it is a failure already, else as an internal one with its causes.
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        match error.downcast_ref::<Self>() {
            Some(failure) => failure.clone(),
            None => Self::new(Exit::Internal, format!("{error:#}")),
        }
    }

    /// For a person, over several lines.
    pub(crate) fn text(&self, paint: Paint) -> String {
        let head = match &self.code {
            Some(code) => format!("error[{code}]:"),
            None => "error:".to_owned(),
        };
        let mut text = format!("{} {}", paint.tone(Tone::Bad, head), self.message);
        if let Some(next) = &self.next {
            let next = next.replace('\n', "\n        ");
            text.push_str(&format!("\n  {} {next}", paint.tone(Tone::Strong, "next:")));
        }
        text
    }

    /// For a program, on one line.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "error": {
                "code": self.code,
                "message": self.message,
                "applied": self.applied,
                "next": self.next,
                "exit": self.exit.code(),
            }
        })
    }
}

/// What the cluster, or the way to it, has said.
impl From<triumvir_client::Failure> for Failure {
    fn from(failure: triumvir_client::Failure) -> Self {
        let code = failure.code;
        let exit = match (failure.applied, code.grpc()) {
            (Applied::Applied, _) => Exit::Ok,
            (Applied::Unknown, _) => Exit::Unknown,
            (Applied::NotApplied, tonic::Code::Unavailable | tonic::Code::DeadlineExceeded) => {
                Exit::Unreachable
            }
            (Applied::NotApplied, tonic::Code::Internal) => Exit::Internal,
            (Applied::NotApplied, _) if code == Code::BadSettings => Exit::Usage,
            (Applied::NotApplied, _) => Exit::Refused,
        };
        let title = code.title();
        let message = match failure.detail.as_str() {
            "" => title.to_owned(),
            detail if detail == title => title.to_owned(),
            detail => format!("{title}: {detail}"),
        };
        let mut next = code.next().to_owned();
        // One that cannot be reached is no help.
        let helps = code.is_retryable() && code != Code::NoLeader;
        if let Some(leader) = failure.leader.as_ref().filter(|_| helps) {
            next.push_str(&format!(" (the leader is {leader})"));
        }
        let applied = Some(failure.applied.as_str());
        Self {
            applied,
            ..Self::coded(exit, code, message)
        }
        .next(next)
    }
}

/// Addresses and times that no client can be made of.
impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Self {
        triumvir_client::Failure::from(error).into()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_reads_code_message_and_next_step() {
        let mut failure = Failure::new(Exit::Refused, "id in use").next("choose another id");
        failure.code = Some("TV0003".into());
        assert_eq!(
            failure.text(Paint::new(false)),
            "error[TV0003]: id in use\n  next: choose another id"
        );
        assert_eq!(failure.json()["error"]["exit"], 5);
    }

    #[test]
    fn an_error_of_elsewhere_is_internal_and_keeps_its_causes() {
        let error = anyhow::anyhow!("disk full").context("cannot write");
        let failure = Failure::of(&error);
        assert_eq!(failure.exit, Exit::Internal);
        assert_eq!(failure.message, "cannot write: disk full");
    }

    #[test]
    fn exit_statuses_follow_what_is_known_of_the_transaction() {
        let cases = [
            (Code::Unreachable, Exit::Unreachable),
            (Code::NoLeader, Exit::Unreachable),
            (Code::OutcomeUnknown, Exit::Unknown),
            (Code::IdInUse, Exit::Refused),
            (Code::Busy, Exit::Refused),
            (Code::BadSettings, Exit::Usage),
        ];
        for (code, exit) in cases {
            let failure = Failure::from(triumvir_client::Failure::from(code));
            assert_eq!(failure.exit, exit, "{code}");
            assert_eq!(failure.code.as_deref(), Some(code.as_str()));
        }
    }

    #[test]
    fn a_failure_under_a_context_is_still_found() {
        let error = anyhow::Error::new(Failure::usage("no such thing")).context("while reading");
        assert_eq!(Failure::of(&error).exit, Exit::Usage);
    }
}
