//! The dependency table of docs/ARCHITECTURE.md, and what each manifest must say.

use toml::{Table, Value};

use super::{Findings, read};
use crate::process::root;

/// A crate may depend only on those named here; dev-dependencies are free.
const TABLE: &[(&str, &[&str])] = &[
    ("triumvir-protocol", &[]),
    ("triumvir-kv", &["protocol"]),
    ("triumvir-model", &["protocol"]),
    ("triumvir-wire", &["protocol"]),
    ("triumvir-storage", &["protocol", "kv"]),
    ("triumvir-replication", &["protocol", "wire", "storage"]),
    (
        "triumvir-node",
        &["protocol", "wire", "storage", "replication"],
    ),
    ("triumvir-client", &["protocol", "wire"]),
    (
        "triumvir-participant",
        &["protocol", "wire", "storage", "kv"],
    ),
    ("triumvir-testkit", &["wire", "client"]),
    (
        "triumvir-cli",
        &[
            "protocol",
            "kv",
            "wire",
            "storage",
            "replication",
            "node",
            "client",
            "participant",
            "testkit",
        ],
    ),
    ("xtask", &[]),
];

/// Only these may name openraft's crates.
const OPENRAFT: &str = "triumvir-replication";

/// What the core may not use: it does no I/O and has no order of its own making.
const CORE_FORBIDDEN: &[&str] = &[
    "tokio", "futures", "serde", "rand", "metrics", "tracing", "openraft", "tonic", "redb",
];

pub(super) fn check(findings: &mut Findings) -> anyhow::Result<()> {
    let mut folders: Vec<_> = std::fs::read_dir(root().join("crates"))?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<std::io::Result<_>>()?;
    folders.sort();
    for name in &folders {
        let path = std::path::Path::new("crates").join(name).join("Cargo.toml");
        let manifest: Table = read(&path)?.parse()?;
        let place = path.display();
        if manifest["package"]["name"].as_str() != Some(name) {
            findings.add(&place, "the package is not named like its folder");
        }
        if manifest
            .get("lints")
            .and_then(|lints| lints.get("workspace"))
            != Some(&Value::Boolean(true))
        {
            findings.add(&place, "does not take the workspace's lints");
        }
        let Some((_, allowed)) = TABLE.iter().find(|(row, _)| row == name) else {
            findings.add(
                &place,
                "is not in the dependency table (crates/xtask/src/tidy)",
            );
            continue;
        };
        let empty = Table::new();
        let named = manifest
            .get("dependencies")
            .and_then(Value::as_table)
            .unwrap_or(&empty);
        for dependency in named.keys() {
            if let Some(ours) = dependency.strip_prefix("triumvir-")
                && !allowed.contains(&ours)
            {
                findings.add(&place, format!("may not depend on {dependency}"));
            }
            if dependency.starts_with("openraft") && name != OPENRAFT {
                findings.add(&place, "only triumvir-replication may name openraft");
            }
            if CORE_FORBIDDEN.contains(&dependency.as_str())
                && ["triumvir-protocol", "triumvir-kv"].contains(&name.as_str())
            {
                findings.add(&place, format!("the core may not use {dependency}"));
            }
        }
    }
    Ok(())
}
