//! The one writer. Everything that the program says to its user leaves through [`Output`]: results on
//! stdout, errors and remarks on stderr. No other file may touch the two streams, except the log
//! subscriber and progress bars, which write to stderr.
//!
//! A closed pipe is not an error: the rest is dropped, and a command that streams can ask
//! [`Output::is_closed`] whether anybody still listens.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use comfy_table::{Attribute, Cell, ContentArrangement, Table, presets};
use serde::Serialize;

use crate::failure::Failure;
use crate::paint::Paint;

/// How results are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people: tables, and times with their units.
    #[default]
    Table,
    /// For programs: JSON with stable field names, and times in milliseconds.
    Json,
}

/// The writer of stdout and stderr.
#[derive(Debug)]
pub(crate) struct Output {
    format: Format,
    stdout: Paint,
    stderr: Paint,
    closed: AtomicBool,
}

impl Output {
    /// A writer in `format`. Colour is used on a terminal only, and never if `NO_COLOR` is set.
    pub(crate) fn new(format: Format) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self {
            format,
            stdout: Paint::new(wanted && io::stdout().is_terminal()),
            stderr: Paint::new(wanted && io::stderr().is_terminal()),
            closed: AtomicBool::new(false),
        }
    }

    /// The colours of stdout.
    pub(crate) fn paint(&self) -> Paint {
        self.stdout
    }

    /// Whether the reader of stdout has gone.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// The result of a command: one JSON document, or what `text` makes of it.
    ///
    /// # Errors
    ///
    /// Stdout cannot be written, for another reason than a closed pipe.
    pub(crate) fn show<T: Serialize + ?Sized>(
        &self,
        result: &T,
        text: impl FnOnce() -> String,
    ) -> io::Result<()> {
        match self.format {
            Format::Table => self.write(&text()),
            Format::Json => self.write(&serde_json::to_string_pretty(result)?),
        }
    }

    /// One of many results: one line of JSON, or what `text` makes of it.
    ///
    /// # Errors
    ///
    /// As [`Output::show`].
    pub(crate) fn event<T: Serialize + ?Sized>(
        &self,
        event: &T,
        text: impl FnOnce() -> String,
    ) -> io::Result<()> {
        match self.format {
            Format::Table => self.write(&text()),
            Format::Json => self.write(&serde_json::to_string(event)?),
        }
    }

    /// A line of a report that grows while a command runs. It is for people: with JSON it goes to
    /// stderr, so that stdout holds the result and nothing else.
    ///
    /// # Errors
    ///
    /// As [`Output::show`].
    pub(crate) fn say(&self, text: impl Display) -> io::Result<()> {
        match self.format {
            Format::Table => self.write(&text.to_string()),
            Format::Json => {
                self.note(text);
                Ok(())
            }
        }
    }

    /// Text as it is, on stdout, whatever the format: a script, a configuration file.
    ///
    /// # Errors
    ///
    /// As [`Output::show`].
    pub(crate) fn raw(&self, text: &str) -> io::Result<()> {
        self.write(text)
    }

    /// A remark on stderr. Nothing can be done if it cannot be written.
    pub(crate) fn note(&self, text: impl Display) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// An error on stderr, with its code and what to do next.
    pub(crate) fn failure(&self, failure: &Failure) {
        let text = match self.format {
            Format::Table => failure.text(self.stderr),
            Format::Json => failure.json().to_string(),
        };
        self.note(text);
    }

    /// An empty table with these columns, as wide as the terminal at most.
    pub(crate) fn table<'a>(&self, columns: impl IntoIterator<Item = &'a str>) -> Table {
        let mut table = Table::new();
        table
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Dynamic);
        if !self.stdout.is_on() {
            table.force_no_tty();
        }
        let head = |name: &str| Cell::new(name.to_uppercase()).add_attribute(Attribute::Bold);
        table.set_header(columns.into_iter().map(head));
        if let Some(first) = table.column_mut(0) {
            first.set_padding((0, 1));
        }
        table
    }

    fn write(&self, text: &str) -> io::Result<()> {
        if self.is_closed() {
            return Ok(());
        }
        let mut stdout = io::stdout().lock();
        let newline = if text.ends_with('\n') { "" } else { "\n" };
        let written = write!(stdout, "{text}{newline}").and_then(|()| stdout.flush());
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.closed.store(true, Ordering::Relaxed);
                Ok(())
            }
            written => written,
        }
    }
}
