//! The command line, run once: what a user types, and what the user is told. The binary is the one
//! that the cluster's processes run.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use tokio::process::Command;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use triumvir_testkit::Who;

use crate::{DEADLINE, System};

/// Variables that would configure the command.
const VARIABLE_PREFIX: &str = "TRIUMVIR_";

/// A command that is over.
#[derive(Debug)]
pub struct Ran {
    /// Its exit status; none if a signal ended it.
    pub status: Option<i32>,
    /// All it wrote to stdout.
    pub stdout: String,
    /// All it wrote to stderr.
    pub stderr: String,
}

/// An error, as a program reads it from the command line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Told {
    /// The exit status that it states.
    pub exit: i64,
    /// The stable code.
    pub code: Option<String>,
    /// Whether anything was applied.
    pub applied: Option<String>,
    /// What happened.
    pub message: String,
}

impl Ran {
    /// The error, which is the last line of stderr.
    pub fn told(&self) -> anyhow::Result<Told> {
        let line = self.stderr.lines().next_back().unwrap_or_default();
        let told: serde_json::Value =
            serde_json::from_str(line).with_context(|| format!("no error in JSON: {self:?}"))?;
        let error = &told["error"];
        let text = |name: &str| error[name].as_str().map(str::to_owned);
        ensure!(
            text("next").is_some_and(|next| !next.is_empty()),
            "it is not said what to do next: {self:?}"
        );
        Ok(Told {
            exit: error["exit"].as_i64().context("no exit status")?,
            code: text("code"),
            applied: text("applied"),
            message: text("message").unwrap_or_default(),
        })
    }

    /// Checks that it ended with this status and said so with this code.
    pub fn expect(&self, exit: i32, code: &str, applied: Option<&str>) -> anyhow::Result<Told> {
        ensure!(self.status == Some(exit), "not {exit}: {self:?}");
        let told = self.told()?;
        let right = told.exit == i64::from(exit)
            && told.code.as_deref() == Some(code)
            && told.applied.as_deref() == applied;
        ensure!(right, "not {code} and {applied:?}: {told:?}");
        Ok(told)
    }
}

impl System {
    /// Runs a command as a client of all replicas, with its answers in JSON.
    pub async fn run(&self, line: &[&str]) -> anyhow::Result<Ran> {
        let addresses = self.cluster.coordinators();
        let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
        let coordinators = addresses.join(",");
        run(&[line, &["--coordinators", &coordinators]].concat()).await
    }

    /// The same as a client of one replica alone.
    pub async fn run_at(&self, replica: &Who, line: &[&str]) -> anyhow::Result<Ran> {
        let address = self.cluster.seat(replica)?.address().to_string();
        run(&[line, &["--coordinators", &address]].concat()).await
    }

    /// Runs a command as a client of all replicas beside the test.
    pub fn begin_run(&self, line: &[&str]) -> JoinHandle<anyhow::Result<Ran>> {
        let addresses = self.cluster.coordinators();
        let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
        let mut line: Vec<String> = line.iter().map(ToString::to_string).collect();
        line.extend(["--coordinators".to_owned(), addresses.join(",")]);
        tokio::spawn(async move {
            let line: Vec<_> = line.iter().map(String::as_str).collect();
            run(&line).await
        })
    }

    /// Commits what is written in a document, with more arguments.
    pub async fn commit_document(&self, document: &str, line: &[&str]) -> anyhow::Result<Ran> {
        let path = self.cluster.folder().join("document.json");
        std::fs::write(&path, document)?;
        let path = path.to_string_lossy();
        self.run(&[&["commit", "--file", &path], line].concat())
            .await
    }
}

/// Runs a command that ends by itself, with its answers in JSON.
pub async fn run(line: &[&str]) -> anyhow::Result<Ran> {
    let mut command = Command::new(binary());
    command
        .args(["--output", "json"])
        .args(line)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with(VARIABLE_PREFIX) {
            command.env_remove(name);
        }
    }
    let ended = timeout(DEADLINE, command.output()).await;
    let output = ended.with_context(|| format!("{line:?} does not end"))??;
    Ok(Ran {
        status: output.status.code(),
        stdout: String::from_utf8(output.stdout)?,
        stderr: String::from_utf8(output.stderr)?,
    })
}

/// The binary under test.
///
/// # Panics
///
/// `TRIUMVIR_BIN` is not set, which names it: `cargo xtask test` sets it.
pub(crate) fn binary() -> PathBuf {
    let binary = std::env::var_os("TRIUMVIR_BIN");
    binary
        .expect("TRIUMVIR_BIN names no binary: run these tests with `cargo xtask test`")
        .into()
}
