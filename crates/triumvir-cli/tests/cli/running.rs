//! The command line against a running cluster: three replicas and two participants, as processes of
//! the built binary. Proves what the exit statuses say of a transaction, and that JSON can be relied
//! on. Faults are the workspace's own test crate's.

use serde_json::{Value, json};
use triumvir_testkit::{Cluster, ClusterConfig};

use crate::binary::{Ran, triumvir};

const JSON: [&str; 2] = ["--output", "json"];

/// Runs one command after another against one cluster.
struct Shell {
    coordinators: String,
}

impl Shell {
    fn run(&self, line: &[&str]) -> Ran {
        triumvir(line)
            .args(["--coordinators", &self.coordinators])
            .run()
    }

    /// Runs it, expects this status, and reads what it printed.
    fn json(&self, line: &[&str], status: i32) -> Value {
        let ran = self.run(&[line, &JSON].concat());
        assert_eq!(ran.status, status, "{line:?}: {ran:?}");
        serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_say_what_became_of_transactions() {
    let config = ClusterConfig::new(env!("CARGO_BIN_EXE_triumvir"))
        .with_participants(["orders", "stock"].map(str::to_owned));
    let mut cluster = Cluster::start(config).await.unwrap();
    cluster.wait_ready().await.unwrap();
    let coordinators: Vec<_> = cluster
        .coordinators()
        .iter()
        .map(ToString::to_string)
        .collect();
    let shell = Shell {
        coordinators: coordinators.join(","),
    };
    let txn = committed(&shell);
    refused(&shell);
    looked_at(&shell, &txn);
    over(&shell, &txn);
}

/// A commit and what it left; its id is returned.
fn committed(shell: &Shell) -> String {
    let stock = ["--at", "stock", "put:n:=5", "add:n=-2,min=0", "get:gone"];
    let line = [&["commit", "--at", "orders", "put:a\\=b=x,y"], &stock[..]].concat();
    let report = shell.json(&line, 0);
    assert_eq!(
        (&report["outcome"], &report["attempts"]),
        (&json!("committed"), &json!(1))
    );
    let results = &report["participants"][1]["results"];
    assert_eq!(
        (&results[1]["value"], &results[2]["value"]),
        (&json!(3), &Value::Null)
    );
    let read = shell.json(&["kv", "get", "--at", "orders", "a\\=b", "none"], 0);
    let values = json!([{"key": "a=b", "value": "x,y"}, {"key": "none", "value": null}]);
    assert_eq!(read["values"], values);
    let scanned = shell.json(&["kv", "scan", "--at", "stock", "--prefix", "n"], 0);
    assert_eq!(scanned, json!({"key": "n", "value": 3}));
    report["txn"].as_str().unwrap().to_owned()
}

/// Aborted by a participant; refused by the cluster.
fn refused(shell: &Shell) {
    let line = [
        "commit",
        "--mode",
        "two-phase",
        "--at",
        "stock",
        "add:n=-9,min=0",
    ];
    let report = shell.json(&line, 3);
    assert_eq!(report["cause"]["word"], "minimum");
    assert_eq!(
        (&report["outcome"], &report["mode"]),
        (&json!("aborted"), &json!("two-phase"))
    );
    let ran = shell.run(&line);
    assert!(
        ran.stderr.contains("error[TV0030]") && ran.stderr.contains("next:"),
        "{ran:?}"
    );
    let ran = shell.run(&["commit", "--at", "nobody", "get:a"]);
    assert_eq!(ran.status, 5, "{ran:?}");
    assert!(ran.stderr.contains("error[TV0006]"), "{ran:?}");
    let ran = shell.run(&["kv", "get", "--at", "nobody", "a"]);
    assert!(
        ran.status == 5 && ran.stderr.contains("orders, stock"),
        "{ran:?}"
    );
}

/// Outcomes of a transaction that committed, and of one that nobody knows.
fn over(shell: &Shell, txn: &str) {
    assert_eq!(shell.json(&["outcome", txn], 0)["outcome"], "committed");
    assert_eq!(shell.json(&["abort", txn], 7)["outcome"], "committed");
    let line = ["commit", "--id", txn, "--at", "orders", "put:other=1"];
    let ran = shell.run(&line);
    assert_eq!(ran.status, 5, "other content under the same id: {ran:?}");
    let fresh = uuid::Uuid::now_v7().to_string();
    let known = shell.json(&["outcome", &fresh], 4);
    assert_eq!(
        (&known["state"], &known["outcome"]),
        (&json!("no-record"), &Value::Null)
    );
    assert_eq!(
        shell.json(&["outcome", &fresh, "--decide"], 3)["outcome"],
        "aborted"
    );
    assert_eq!(shell.json(&["abort", &fresh], 0)["outcome"], "aborted");
    let line = ["commit", "--id", &fresh, "--at", "orders", "put:late=1"];
    assert_eq!(shell.json(&line, 3)["outcome"], "aborted");
}

/// The cluster as a whole.
fn looked_at(shell: &Shell, txn: &str) {
    let description = shell.json(&["describe", txn], 0);
    assert_eq!(description["branches"].as_array().unwrap().len(), 2);
    assert!(!description["timeline"].as_array().unwrap().is_empty());
    let list = shell.json(&["list", "--ended"], 0);
    let listed = list["transactions"].as_array().unwrap();
    assert!(
        listed
            .iter()
            .any(|row| row["txn"] == txn && row["outcome"] == "committed")
    );
    let one = Shell {
        coordinators: shell.coordinators.split(',').next().unwrap().to_owned(),
    };
    let status = one.json(&["cluster", "status"], 0);
    assert_eq!(
        (&status["reachable"], &status["voters"]),
        (&json!(3), &json!(3))
    );
    let roles = status["replicas"]
        .as_array()
        .unwrap()
        .iter()
        .map(|replica| &replica["role"]);
    assert_eq!(roles.filter(|role| **role == "leader").count(), 1);
    assert_eq!(status["participants"].as_array().unwrap().len(), 2);
}
