//! What went wrong, as the user is told: a code, a sentence, what to do next, and the exit status.
//! Commands make failures; only [`Output`](crate::output::Output) writes them.

use std::fmt;

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
        Self { exit, code: None, message: message.into(), applied: None, next: None }
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
    fn a_failure_under_a_context_is_still_found() {
        let error = anyhow::Error::new(Failure::usage("no such thing")).context("while reading");
        assert_eq!(Failure::of(&error).exit, Exit::Usage);
    }
}
