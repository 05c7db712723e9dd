//! Golden transcripts: a small command language drives the world, and what happens is compared with
//! `testdata/*.txt`. With `TRIUMVIR_BLESS=1` the files are rewritten. Blocks are separated by blank
//! lines: comments, commands, `----`, and what they printed.

mod stage;

use std::fmt::Write as _;
use std::path::PathBuf;

pub(crate) use stage::Stage;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/testdata")
}

/// Runs a transcript's commands and gives the transcript with what they print now.
fn replay(text: &str) -> String {
    let mut stage = Stage::default();
    let mut played = String::new();
    for block in text.split("\n\n").map(str::trim).filter(|b| !b.is_empty()) {
        let commands: Vec<_> = block.lines().take_while(|line| *line != "----").collect();
        if !played.is_empty() {
            played.push('\n');
        }
        let mut spoke = false;
        for line in &commands {
            writeln!(played, "{line}").expect("strings take all");
        }
        for line in commands.iter().filter(|line| !line.starts_with('#')) {
            stage.play(line);
            spoke = true;
        }
        if spoke {
            writeln!(played, "----").expect("strings take all");
        }
        for line in stage.printed() {
            writeln!(played, "{line}").expect("strings take all");
        }
    }
    played
}

#[test]
fn transcripts_are_what_they_were() {
    let bless = std::env::var_os("TRIUMVIR_BLESS").is_some_and(|value| value == "1");
    let mut files: Vec<_> = std::fs::read_dir(folder())
        .expect("the transcripts are there")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "txt"))
        .collect();
    files.sort();
    assert!(files.len() >= 39, "transcripts are missing: {files:?}");
    let mut differing = Vec::new();
    for path in files {
        let old = std::fs::read_to_string(&path).expect("readable");
        let new = replay(&old);
        let wrong = new.lines().find(|line| {
            let line = line.trim_start();
            line.starts_with("WRONG") || line.starts_with("VIOLATION")
        });
        differing.extend(wrong.map(|line| format!("{}: {line}", path.display())));
        if old == new {
            continue;
        }
        if bless {
            std::fs::write(&path, new).expect("writable");
        } else {
            let first = old.lines().zip(new.lines()).find(|(old, new)| old != new);
            differing.push(format!("{}: {first:?}", path.display()));
        }
    }
    assert!(
        differing.is_empty(),
        "TRIUMVIR_BLESS=1 rewrites: {differing:#?}"
    );
}
