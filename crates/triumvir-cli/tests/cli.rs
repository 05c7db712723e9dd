//! The built binary, as a user meets it: what it prints, where, and how it ends. Here without a
//! cluster; with one, in `cli/running.rs`.

#[path = "cli/binary.rs"]
mod binary;
#[path = "cli/running.rs"]
mod running;

use binary::{Ran, triumvir};

const NODES: &str = "1=127.0.0.1:7401,2=127.0.0.1:7402,3=127.0.0.1:7403";
/// Discard, on this machine: nothing listens there.
const NOBODY: &str = "127.0.0.1:9";
const TXN: &str = "0198c1f0-7a55-7d2e-9c11-3f5b0a4e6c21";

#[test]
fn a_flag_wins_over_the_environment_over_the_file_over_the_default() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("node.toml");
    std::fs::write(
        &file,
        "retention = \"2h\"\ninflight_max = 10\nslow = \"3s\"\n",
    )
    .unwrap();
    let ran = triumvir(&[
        "server",
        "--dump-config",
        "--node",
        "2",
        "--initial-cluster",
        NODES,
    ])
    .args(["--config", file.to_str().unwrap(), "--inflight-max", "30"])
    .env("TRIUMVIR_INFLIGHT_MAX", "20")
    .env("TRIUMVIR_SLOW", "4s")
    .run();
    assert_eq!(ran.status, 0, "{ran:?}");
    ran.has_setting("inflight_max = 30", "flag --inflight-max");
    ran.has_setting("slow = \"4s\"", "environment variable TRIUMVIR_SLOW");
    ran.has_setting("retention = \"2h\"", "node.toml");
    ran.has_setting("vote_timeout = \"5s\"", "default");
    ran.has_setting("listen = \"127.0.0.1:7402\"", "derived");
    ran.has_setting("http_listen = \"127.0.0.1:7502\"", "derived");
}

#[test]
fn what_is_dumped_is_a_configuration_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dumped.toml");
    let dump = |line: &[&str]| {
        let ran = triumvir(line).run();
        assert_eq!(ran.status, 0, "{ran:?}");
        ran.stdout
    };
    let settings = |text: &str| {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines
            .filter_map(|line| line.split(" # ").next().map(str::trim))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let line = [
        "participant",
        "kv",
        "--dump-config",
        "--name",
        "orders",
        "--kv-lock-wait",
        "2s",
    ];
    let first = dump(
        &[
            &line[..],
            &["--coordinators", "a:1,b:2", "--peer-address", "x=h:1"],
        ]
        .concat(),
    );
    std::fs::write(&file, &first).unwrap();
    let second = dump(&[
        "participant",
        "kv",
        "--dump-config",
        "--config",
        file.to_str().unwrap(),
    ]);
    assert_eq!(settings(&first), settings(&second));
    assert!(
        first.contains("lock_wait = \"2s\"") && first.contains("[\"a:1\", \"b:2\"]"),
        "{first}"
    );
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let ran = triumvir(&["server", "--dump-config"])
        .env("TRIUMVIR_RETENTION", "")
        .run();
    assert_eq!(ran.status, 0, "{ran:?}");
    ran.has_setting("retention = \"1h\"", "default");
}

#[test]
fn an_unknown_key_is_refused_with_its_name_and_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("node.toml");
    std::fs::write(&file, "[raft]\nhartbeat = \"1s\"\n").unwrap();
    let ran = triumvir(&["server", "--config", file.to_str().unwrap(), "--node", "1"]).run();
    ran.is_usage_error(&["`raft.hartbeat`", "node.toml", "raft.heartbeat"]);
}

#[test]
fn an_unknown_variable_is_refused_with_its_name() {
    let ran = triumvir(&["server", "--dump-config"])
        .env("TRIUMVIR_RETENTOIN", "1h")
        .run();
    ran.is_usage_error(&["TRIUMVIR_RETENTOIN"]);
    // Another command's variable is somebody's, and Kubernetes sets some by itself.
    let ran = triumvir(&["server", "--dump-config"])
        .env("TRIUMVIR_NAME", "orders")
        .env("TRIUMVIR_SERVICE_HOST", "10.0.0.1")
        .env("TRIUMVIR_PORT", "tcp://10.0.0.1:7401")
        .run();
    assert_eq!(ran.status, 0, "{ran:?}");
}

#[test]
fn a_wrong_value_is_refused_with_its_source() {
    let server = ["server", "--dump-config"];
    let ran = triumvir(&server).env("TRIUMVIR_RETENTION", "soon").run();
    ran.is_usage_error(&["TRIUMVIR_RETENTION", "soon", "unit"]);
    let ran = triumvir(&server).args(["--retention", "soon"]).run();
    ran.is_usage_error(&["--retention", "soon"]);
    let ran = triumvir(&["list"]).env("TRIUMVIR_TIMEOUT", "soon").run();
    ran.is_usage_error(&["TRIUMVIR_TIMEOUT", "soon"]);
    let ran = triumvir(&["server", "--node", "4", "--initial-cluster", NODES]).run();
    ran.is_usage_error(&["initial_cluster", "flag --initial-cluster"]);
    let ran = triumvir(&[
        "server",
        "--node",
        "1",
        "--initial-cluster",
        NODES,
        "--log",
        "a=b=c",
    ]);
    ran.run().is_usage_error(&["a=b=c"]);
}

#[test]
fn what_is_needed_is_asked_for() {
    triumvir(&["server"])
        .run()
        .is_usage_error(&["node", "--node", "TRIUMVIR_NODE"]);
    triumvir(&["participant", "kv"])
        .run()
        .is_usage_error(&["name", "--name"]);
    triumvir(&["commit"]).run().is_usage_error(&["--at"]);
    for line in [
        &["server", "--timeout", "1s"][..],
        &["demo", "--timeout", "1s"],
    ] {
        triumvir(line)
            .run()
            .is_usage_error(&["no use", "--timeout"]);
    }
    triumvir(&["bench", "--local", "--coordinators", NOBODY])
        .run()
        .is_usage_error(&["no use", "--coordinators"]);
}

/// What the environment sets is not needed on the command line.
#[test]
fn a_usage_line_is_the_same_whatever_the_environment_says() {
    for (line, usage) in [
        (&["commit"][..], "triumvir commit [OPTIONS] <--at "),
        (&["outcome"], "triumvir outcome [OPTIONS] <TXN>"),
        (&["kv", "get"], "triumvir kv get [OPTIONS] --at "),
    ] {
        let ran = triumvir(line).env("TRIUMVIR_COORDINATORS", NOBODY).run();
        ran.is_usage_error(&[usage]);
        assert_eq!(ran.stderr, triumvir(line).run().stderr);
    }
}

#[test]
fn a_wrong_command_line_ends_with_2_before_anything_is_asked() {
    for line in [
        &["commit", "--at", "orders", "put:42"][..],
        &[
            "commit",
            "--at",
            "orders",
            "add:a=x",
            "--coordinators",
            NOBODY,
        ],
        &["commit", "--file", "/no/such/file"],
        &["outcome", "0198c1f0"],
        &["list", "--limit", "5000"],
        &["no-such-command"],
    ] {
        let ran = triumvir(line).run();
        assert_eq!(ran.status, 2, "{line:?}: {ran:?}");
        assert!(
            ran.stdout.is_empty() && !ran.stderr.is_empty(),
            "{line:?}: {ran:?}"
        );
    }
}

#[test]
fn without_a_cluster_nothing_is_applied_and_the_status_says_so() {
    let quick = ["--timeout", "200ms", "--coordinators", NOBODY];
    for line in [
        &["commit", "--at", "orders", "put:42=x"][..],
        &["describe", TXN],
        &["list"],
        &["kv", "get", "--at", "orders", "42"],
        &["kv", "get", "--at", NOBODY, "42"],
        &["cluster", "status"],
    ] {
        let ran = triumvir(line).args(quick).run();
        assert_eq!(ran.status, 6, "{line:?}: {ran:?}");
        assert!(
            ran.stderr.contains("error[TV") && ran.stderr.contains("next:"),
            "{ran:?}"
        );
    }
}

/// The question was not answered: the transaction is what it was before.
#[test]
fn without_a_cluster_an_outcome_is_unknown() {
    for command in ["outcome", "abort"] {
        let ran = triumvir(&[command, TXN, "--output", "json"])
            .args(["--timeout", "200ms", "--coordinators", NOBODY])
            .run();
        assert_eq!(ran.status, 4, "{ran:?}");
        let error: serde_json::Value = serde_json::from_str(&ran.stderr).unwrap();
        assert_eq!(error["error"]["applied"], "unknown", "{ran:?}");
    }
}

#[test]
fn with_json_errors_are_json_as_well() {
    let ran = triumvir(&["list", "--output", "json", "--timeout", "200ms"])
        .args(["--coordinators", NOBODY])
        .run();
    assert_eq!(ran.status, 6, "{ran:?}");
    let error: serde_json::Value = serde_json::from_str(&ran.stderr).unwrap();
    assert_eq!(error["error"]["exit"], 6);
    assert_eq!(error["error"]["applied"], "not-applied");
    assert!(error["error"]["code"].as_str().unwrap().starts_with("TV"));
}

#[test]
fn an_unreachable_coordinator_is_part_of_the_picture() {
    let ran = triumvir(&[
        "cluster",
        "status",
        "--output",
        "json",
        "--timeout",
        "200ms",
    ])
    .args(["--coordinators", NOBODY])
    .run();
    let picture: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(picture["replicas"][0]["role"], "unreachable");
    assert_eq!(picture["replicas"][0]["address"], NOBODY);
    assert_eq!(picture["majority"], false);
}

#[test]
fn a_server_says_which_address_is_taken() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let ran = triumvir(&[
        "server",
        "--node",
        "1",
        "--initial-cluster",
        &format!("1={address}"),
    ])
    .args(["--data", folder.path().to_str().unwrap()])
    .run();
    assert_eq!(ran.status, 1, "{ran:?}");
    assert!(
        ran.stderr.contains(&address) && ran.stderr.contains("next:"),
        "{ran:?}"
    );
}

#[test]
fn completions_are_made_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = triumvir(&["completions", shell]).run();
        assert_eq!(ran.status, 0, "{shell}");
        assert!(ran.stdout.contains("dump-config"), "{shell}");
    }
}

#[test]
fn help_names_exit_statuses_variables_and_examples() {
    let help = |line: &[&str]| triumvir(line).run().stdout;
    assert!(help(&["--help"]).contains("Exit status:"));
    let server = help(&["server", "--help"]);
    assert!(server.contains("TRIUMVIR_RETENTION") && server.contains("TRIUMVIR_RAFT_HEARTBEAT"));
    assert!(help(&["commit", "--help"]).contains("Examples:"));
    assert!(help(&["participant", "kv", "--help"]).contains("TRIUMVIR_TIMERS_FENCE"));
    assert!(help(&["--version"]).starts_with("triumvir "));
}

#[test]
fn a_closed_pipe_is_not_an_error() {
    let Ran { status, stderr, .. } = triumvir(&["completions", "bash"]).run_without_reader();
    assert_eq!((status, stderr.as_str()), (0, ""));
}
