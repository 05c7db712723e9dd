//! Bad input on the command line: the exit status, the code, and whether anything was applied.

use anyhow::{Context as _, ensure};
use triumvir_client::draw_txn;
use triumvir_tests::System;

use super::{ANCIENT, FAR_AHEAD, horizon_moves};

/// What is typed, the code that it ends with, its exit status, and a word of the explanation.
type Refusal<'a> = (&'a [&'a str], &'a str, i32, &'a str);

/// Proves: a request that cannot be carried out is refused with its code and exit status, which says
/// that nothing was applied, and nothing was.
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_command_is_told_what_is_wrong_with_it() -> anyhow::Result<()> {
    let system = System::start().await?;
    let id = draw_txn().to_string();
    let right = ["--at", "orders", "put:top:=9223372036854775807", "put:t=x"];
    let bottom = ["put:bottom:=-9223372036854775808"];
    let first = [&["commit", "--id", &id][..], &right, &bottom].concat();
    let ran = system.run(&first).await?;
    ensure!(ran.status == Some(0), "{ran:?}");
    let ahead = FAR_AHEAD.to_string();
    let cases: &[Refusal<'_>] = &[
        (&["--at", "nobody", "put:a=1"], "TV0006", 5, "nobody"),
        (
            &["--at", "orders", "put:a=1", "--at", "nobody", "put:a=1"],
            "TV0006",
            5,
            "nobody",
        ),
        (
            &["--id", &id, "--at", "orders", "put:a=1"],
            "TV0003",
            5,
            "other content",
        ),
        (
            &["--id", &ahead, "--at", "orders", "put:a=1"],
            "TV0005",
            5,
            "ahead",
        ),
        (
            &["--at", "orders", "put:a=1", "add:top=1"],
            "TV0030",
            3,
            "overflow",
        ),
        (
            &["--at", "orders", "put:a=1", "add:bottom=-1"],
            "TV0030",
            3,
            "overflow",
        ),
        (
            &["--at", "orders", "put:a=1", "add:t=1"],
            "TV0030",
            3,
            "integer",
        ),
    ];
    for (line, code, exit, word) in cases {
        let ran = system.run(&[&["commit"], *line].concat()).await?;
        let told = ran.expect(*exit, code, Some("not-applied"));
        let told = told.with_context(|| format!("{line:?}"))?;
        ensure!(told.message.contains(word), "{line:?}: {told:?}");
    }
    ensure!(system.run(&["outcome", &id]).await?.status == Some(0));
    ensure!(system.value("orders", "a").await?.is_none());
    system.commits().await
}

/// Proves: what no cluster has to be asked for is refused by the command line itself: with status 2
/// if it cannot be read, else with the code that the cluster would give.
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_document_is_told_what_is_wrong_with_it() -> anyhow::Result<()> {
    let system = System::start().await?;
    let unreadable: &[(&[&str], &str)] = &[
        (&["--at", "orders", "frob:a"], "frob"),
        (&["--at", "orders", "put:a"], "put:KEY"),
        (&["--at", "orders", "add:a=9223372036854775808"], "add:a"),
        (&["--at", "orders", "add:a=many"], "many"),
        (&["--id", "7", "--at", "orders", "put:a=1"], "--id"),
        (&["--file", "/nowhere/at/all"], "/nowhere/at/all"),
        (&[], "--at"),
    ];
    for (line, word) in unreadable {
        let ran = system.run(&[&["commit"], *line].concat()).await?;
        ensure!(ran.status == Some(2), "{line:?}: {ran:?}");
        ensure!(ran.stderr.contains(word), "{line:?}: {ran:?}");
    }
    for document in ["", "{", "[]", r#"{"parts": [{"at": "orders"}], "x": 1}"#] {
        let ran = system.commit_document(document, &[]).await?;
        ensure!(ran.status == Some(2), "{document:?}: {ran:?}");
    }
    let part = |at: &str, values: usize| {
        let value = "v".repeat(1_000_000);
        let puts =
            (0..values).map(|n| format!(r#"{{"put": {{"key": "a{n}", "value": "{value}"}}}}"#));
        let puts: Vec<_> = puts.collect();
        format!(r#"{{"at": "{at}", "operations": [{}]}}"#, puts.join(","))
    };
    let document = |parts: &[String]| format!(r#"{{"parts": [{}]}}"#, parts.join(","));
    let too_much: Vec<_> = (0..6).map(|n| part(&format!("p{n}"), 2)).collect();
    let too_many: Vec<_> = (0..65).map(|n| part(&format!("p{n}"), 0)).collect();
    let cases = [
        (document(&[]), "TV0008"),
        (document(&[part("orders", 3)]), "TV0010"),
        (document(&too_much), "TV0011"),
        (document(&too_many), "TV0009"),
    ];
    for (document, code) in cases {
        let ran = system.commit_document(&document, &[]).await?;
        ran.expect(5, code, Some("not-applied"))?;
    }
    ensure!(system.value("orders", "a0").await?.is_none());
    system.commits().await
}

/// Proves: an id that is older than what is remembered is not begun anew, and nobody claims to know
/// what became of it.
#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_is_too_old_leaves_its_outcome_open() -> anyhow::Result<()> {
    let mut system = System::start().await?;
    horizon_moves(&mut system).await?;
    let old = ANCIENT.to_string();
    let line = ["commit", "--id", &old, "--at", "orders", "put:a=1"];
    let ran = system.run(&line).await?;
    ran.expect(4, "TV0004", Some("unknown"))?;
    for line in [
        &["outcome", &old][..],
        &["outcome", &old, "--decide"],
        &["abort", &old],
    ] {
        let ran = system.run(line).await?;
        ensure!(ran.status == Some(4), "{line:?}: {ran:?}");
    }
    ensure!(system.value("orders", "a").await?.is_none());
    system.commits().await
}
