//! The binary's main job and its benchmark, as a user runs them: real processes, real kills. No speed
//! is asserted anywhere.

use std::process::{Command, Output};

use serde_json::Value;

/// Runs the binary with JSON output and without the variables that would configure it.
fn triumvir(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_triumvir"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TRIUMVIR_") {
            command.env_remove(name);
        }
    }
    let output = command.args(["--output", "json"]).args(args).output();
    output.expect("the binary can be started")
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error} in the output\n{}", text(output));
    })
}

fn text(output: &Output) -> String {
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    format!("{}\nstdout:\n{stdout}\nstderr:\n{stderr}", output.status)
}

/// The checks of the audit that do not hold.
fn failed(report: &Value) -> Vec<&Value> {
    let audit = report["audit"].as_array().expect("the audit is a list");
    audit.iter().filter(|check| check["wrong"] != 0).collect()
}

#[test]
fn the_audit_holds_after_the_leader_and_a_participant_were_killed() {
    let output = triumvir(&["demo", "--rows", "300"]);
    assert!(output.status.success(), "{}", text(&output));
    let report = json(&output);
    assert_eq!(report["sound"], true);
    assert_eq!(failed(&report), Vec::<&Value>::new());
    assert_eq!(report["outcomes"]["committed"], 300);
    let outages = report["outages"]
        .as_array()
        .expect("the outages are a list");
    let killed: Vec<_> = outages
        .iter()
        .map(|outage| outage["killed"].as_str().unwrap())
        .collect();
    assert!(killed[0].starts_with("the leader, replica "), "{killed:?}");
    assert_eq!(killed[1], "participant inventory");
    for outage in outages {
        assert!(outage["orders_in_flight"].as_u64().unwrap() > 0, "{outage}");
        assert!(outage["commits_stopped_millis"].is_number(), "{outage}");
    }
}

#[test]
fn the_audit_names_the_store_that_was_broken() {
    for store in ["orders", "inventory", "payments"] {
        let output = triumvir(&["demo", "--rows", "30", "--no-kill", "--sabotage", store]);
        assert_eq!(output.status.code(), Some(7), "{}", text(&output));
        let report = json(&output);
        assert_eq!(report["sound"], false);
        let failed = failed(&report);
        assert!(!failed.is_empty(), "{report}");
        for check in failed {
            assert_eq!(check["stores"], serde_json::json!([store]), "{check}");
            assert!(
                check["findings"][0].as_str().unwrap().starts_with(store),
                "{check}"
            );
        }
        let kept = String::from_utf8_lossy(&output.stderr);
        let folder = kept
            .lines()
            .find_map(|line| line.strip_prefix("folders and logs are kept: "));
        std::fs::remove_dir_all(folder.expect("a failing demo keeps its folder")).unwrap();
    }
}

#[test]
fn orders_that_find_no_stock_are_refused_and_the_audit_still_holds() {
    let args = [
        "demo",
        "--rows",
        "100",
        "--no-kill",
        "--scarce",
        "3",
        "--clients",
        "4",
    ];
    let output = triumvir(&args);
    assert!(output.status.success(), "{}", text(&output));
    let report = json(&output);
    let (committed, refused) = (
        &report["outcomes"]["committed"],
        &report["outcomes"]["refused"],
    );
    assert!(refused.as_u64().unwrap() > 0, "{report}");
    assert_eq!(committed.as_u64().unwrap() + refused.as_u64().unwrap(), 100);
}

#[test]
fn a_file_that_holds_no_orders_is_wrong_usage_and_starts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.csv");
    std::fs::write(&path, "customer,date,quantity,cents\na,yesterday,1,100\n").unwrap();
    let output = triumvir(&["demo", "--orders", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(
        text(&output).contains("line 2: the date is not YYYY-MM-DD"),
        "{}",
        text(&output)
    );
}

#[test]
fn the_benchmark_reports_every_round() {
    let args = [
        "bench",
        "--local",
        "--duration",
        "1s",
        "--warmup",
        "200ms",
        "--clients",
        "1,4",
    ];
    let output = triumvir(&args);
    assert!(output.status.success(), "{}", text(&output));
    let report = json(&output);
    assert_eq!(report["protocol"], "three-phase");
    assert_eq!(report["participants"], serde_json::json!(["p1", "p2"]));
    let rounds = report["rounds"].as_array().expect("the rounds are a list");
    assert_eq!(rounds.len(), 2);
    for round in rounds {
        assert!(round["committed"].as_u64().unwrap() > 0, "{round}");
        for number in [
            "commits_per_second",
            "measured_millis",
            "raft_entries_per_commit",
            "cpu_seconds_per_1000_commits",
            "conflicts",
        ] {
            assert!(round[number].is_number(), "{number} in {round}");
        }
        assert!(
            round["fsyncs_per_commit"]["replicas"].is_number(),
            "{round}"
        );
        for quantile in ["p50", "p95", "p99", "max"] {
            assert!(
                round["latency_millis"][quantile].is_number(),
                "{quantile} in {round}"
            );
        }
        for phase in ["prepare", "record", "ack", "total"] {
            for value in ["mean", "p50", "p95", "p99", "max_at_most"] {
                assert!(
                    round["phase_millis"][phase][value].is_number(),
                    "{phase} {value} in {round}"
                );
            }
        }
        let processes = round["cpu_seconds"].as_object().unwrap();
        assert_eq!(processes.len(), 6, "{round}");
    }
}

#[test]
fn the_benchmark_kills_the_leader_and_sees_commits_go_on() {
    let output = triumvir(&["bench", "--local", "--kills", "2", "--clients", "4"]);
    assert!(output.status.success(), "{}", text(&output));
    let report = json(&output);
    let kills = report["kills"].as_array().expect("the kills are a list");
    assert_eq!(kills.len(), 2);
    for kill in kills {
        assert!(kill["replica"].is_u64(), "{kill}");
        assert!(
            kill["commits_stopped_millis"].as_f64() > Some(0.0),
            "{kill}"
        );
    }
    let spread = &report["commits_stopped_millis"];
    for value in ["min", "median", "max"] {
        assert!(spread[value].is_number(), "{value} in {spread}");
    }
    assert!(report["committed"].as_u64() >= Some(400), "{report}");
}
