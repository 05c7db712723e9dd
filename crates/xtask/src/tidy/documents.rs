//! Documents: every error code has its page, every relative link leads somewhere.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{Findings, read};
use crate::process::root;

/// Where the stable error codes are defined.
const CODES: &str = "crates/triumvir-wire/src/status";

pub(super) fn check(files: &[PathBuf], findings: &mut Findings) -> anyhow::Result<()> {
    check_codes(files, findings)?;
    for path in files
        .iter()
        .filter(|path| path.extension().is_some_and(|end| end == "md"))
    {
        for target in links(&read(path)?) {
            let folder = path.parent().unwrap_or(Path::new(""));
            if !root().join(folder).join(&target).exists() {
                findings.add(
                    path.display(),
                    format!("the link to {target} leads nowhere"),
                );
            }
        }
    }
    Ok(())
}

fn check_codes(files: &[PathBuf], findings: &mut Findings) -> anyhow::Result<()> {
    let mut sources = vec![PathBuf::from(CODES)];
    sources.extend(
        files
            .iter()
            .filter(|p| p.starts_with("crates/triumvir-wire/src/status"))
            .cloned(),
    );
    let mut codes = BTreeSet::new();
    for source in sources.iter().filter(|path| root().join(path).is_file()) {
        codes.extend(stable_codes(&read(source)?));
    }
    if codes.is_empty() {
        findings.add(CODES, "no stable error code found");
    }
    let pages: BTreeSet<_> = files
        .iter()
        .filter(|path| path.starts_with("docs/errors"))
        .filter_map(|path| path.file_stem())
        .map(|stem| stem.to_string_lossy().into_owned())
        .filter(|stem| stem.starts_with("TV"))
        .collect();
    for code in codes.difference(&pages) {
        findings.add(format!("docs/errors/{code}.md"), "is missing");
    }
    for page in pages.difference(&codes) {
        findings.add(
            format!("docs/errors/{page}.md"),
            "is about a code that does not exist",
        );
    }
    Ok(())
}

/// Every `TV` with four digits behind it, tests aside.
fn stable_codes(text: &str) -> BTreeSet<String> {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    code.match_indices("TV")
        .filter_map(|(at, _)| code.get(at..at + 6))
        .filter(|code| code[2..].bytes().all(|byte| byte.is_ascii_digit()))
        .map(str::to_owned)
        .collect()
}

/// The relative targets of the inline links of a Markdown text, without fragments.
fn links(text: &str) -> Vec<String> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', '#']).next())
        .filter(|target| !target.is_empty() && !target.contains("://") && !target.contains(' '))
        .map(str::to_owned)
        .collect()
}
