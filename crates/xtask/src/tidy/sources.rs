//! Source files: size, opening words, and words that must not be there.

use std::path::{Path, PathBuf};

use super::{Findings, read};

/// The most lines that a file may have.
const LINES_MAX: usize = 500;
/// The most lines that half of the files may have.
const LINES_MEDIAN_MAX: usize = 200;

/// Unfinished or switched-off code.
const FORBIDDEN: &[&str] = &["todo!(", "unimplemented!(", "#[ignore", "dbg!("];

/// What the sans-io crates may not touch.
const CORE_FORBIDDEN: &[&str] = &[
    "std::time",
    "std::thread",
    "std::fs",
    "std::net",
    "HashMap",
    "async ",
];

pub(super) fn check(files: &[PathBuf], findings: &mut Findings) -> anyhow::Result<()> {
    let mut sizes = Vec::new();
    for path in files
        .iter()
        .filter(|path| path.extension().is_some_and(|end| end == "rs"))
    {
        let text = read(path)?;
        let lines = text.lines().count();
        sizes.push(lines);
        check_file(path, &text, lines, findings);
    }
    sizes.sort_unstable();
    if let Some(median) = sizes.get(sizes.len() / 2)
        && *median > LINES_MEDIAN_MAX
    {
        findings.add("crates", format!("the median file has {median} lines"));
    }
    Ok(())
}

fn check_file(path: &Path, text: &str, lines: usize, findings: &mut Findings) {
    let place = path.display();
    if lines > LINES_MAX {
        findings.add(&place, format!("{lines} lines; at most {LINES_MAX}"));
    }
    if !text.starts_with("//!") && !text.starts_with("#![") {
        findings.add(&place, "does not open with `//!`: what room is this?");
    }
    if path.starts_with("crates/xtask") {
        return;
    }
    for (line, number) in text.lines().zip(1..) {
        for word in FORBIDDEN.iter().filter(|word| line.contains(**word)) {
            findings.add(format!("{place}:{number}"), format!("`{word}`"));
        }
        let in_core = ["crates/triumvir-protocol/src", "crates/triumvir-kv/src"]
            .iter()
            .any(|core| path.starts_with(core));
        let code = line.split("//").next().unwrap_or_default();
        for word in CORE_FORBIDDEN
            .iter()
            .filter(|word| in_core && code.contains(**word))
        {
            findings.add(
                format!("{place}:{number}"),
                format!("the core may not use `{word}`"),
            );
        }
    }
}
