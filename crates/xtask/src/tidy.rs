//! What no compiler checks: who may depend on whom, how large files are, what must be documented, what a
//! release must not have.

mod dependencies;
mod documents;
mod failpoints;
mod sources;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use crate::process::root;

/// What is wrong, one line each.
#[derive(Default)]
struct Findings(Vec<String>);

impl Findings {
    fn add(&mut self, place: impl std::fmt::Display, what: impl std::fmt::Display) {
        self.0.push(format!("{place}: {what}"));
    }
}

pub(crate) fn run() -> anyhow::Result<()> {
    let mut findings = Findings::default();
    let files = tracked_files()?;
    dependencies::check(&mut findings)?;
    failpoints::check(&mut findings)?;
    sources::check(&files, &mut findings)?;
    documents::check(&files, &mut findings)?;
    for finding in &findings.0 {
        eprintln!("tidy: {finding}");
    }
    ensure!(
        findings.0.is_empty(),
        "tidy found {} things",
        findings.0.len()
    );
    Ok(())
}

/// The files that belong to the project, relative to its root.
fn tracked_files() -> anyhow::Result<Vec<PathBuf>> {
    let output = std::process::Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .context("cannot start git")?;
    ensure!(output.status.success(), "git ls-files failed");
    let listed = String::from_utf8(output.stdout)?;
    Ok(listed
        .lines()
        .map(PathBuf::from)
        .filter(|path| root().join(path).exists())
        .collect())
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(root().join(path)).with_context(|| path.display().to_string())
}
