//! Runs the binary with an environment of its own and keeps what it said.

use std::process::{Command, Output, Stdio};

/// A run that is over.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A run that is being described.
pub(crate) struct Run(Command);

/// The binary with these arguments, and none of the variables that it knows.
pub(crate) fn triumvir(line: &[&str]) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_triumvir"));
    command.args(line).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TRIUMVIR_") {
            command.env_remove(name);
        }
    }
    Run(command)
}

impl Run {
    pub(crate) fn args<'a>(mut self, line: impl IntoIterator<Item = &'a str>) -> Self {
        self.0.args(line);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.0.env(name, value);
        self
    }

    pub(crate) fn run(mut self) -> Ran {
        Ran::new(self.0.output().unwrap())
    }

    /// Stdout is a pipe that nobody reads.
    pub(crate) fn run_without_reader(mut self) -> Ran {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let child = self
            .0
            .stdout(writer)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Ran::new(child.wait_with_output().unwrap())
    }
}

impl Ran {
    fn new(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self {
            status: output.status.code().unwrap_or(-1),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// The dump has this setting from this source.
    pub(crate) fn has_setting(&self, setting: &str, source: &str) {
        let found = self.stdout.lines().any(|line| {
            let mut parts = line.splitn(2, " # ");
            let same = parts.next().map(str::trim) == Some(setting);
            same && parts.next().is_some_and(|found| found.ends_with(source))
        });
        assert!(found, "{setting} # {source} is not in\n{}", self.stdout);
    }

    /// It ended with 2, said all these words on stderr, and nothing on stdout.
    pub(crate) fn is_usage_error(&self, words: &[&str]) {
        assert_eq!((self.status, self.stdout.as_str()), (2, ""), "{self:?}");
        for word in words {
            assert!(
                self.stderr.contains(word),
                "{word} is not in\n{}",
                self.stderr
            );
        }
    }
}
