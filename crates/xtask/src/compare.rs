//! Our cluster beside three etcd nodes on the same machine, in turn, pair by pair: etcd's puts of 200
//! bytes, our commits of two puts at two participants.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::dist;
use crate::process::root;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to compare with.
    #[arg(value_enum)]
    with: Neighbour,
    /// Numbers of clients.
    #[arg(long, value_delimiter = ',', default_value = "1,16,64,256")]
    clients: Vec<u32>,
    /// Pairs of runs for each number.
    #[arg(long, default_value_t = 3)]
    pairs: u32,
    /// Seconds of each run that are measured, after three that are not.
    #[arg(long, default_value_t = 10)]
    seconds: u32,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Neighbour {
    Etcd,
}

/// One run.
struct Measured {
    per_second: f64,
    p50_millis: f64,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let Neighbour::Etcd = args.with;
    let version = Command::new("etcd").arg("--version").output();
    version.context("etcd is not installed: apt-get install etcd-server")?;
    let [ours, load] = dist::build([dist::TRIUMVIR, ("triumvir-benches", "etcd-load")])?;
    println!(
        "clients  etcd puts/s  p50 ms  three-phase/s  p50 ms  ratio  two-phase/s  p50 ms  ratio"
    );
    for &clients in &args.clients {
        for _ in 0..args.pairs {
            let etcd = etcd(&load, clients, args.seconds)?;
            let three = bench(&ours, clients, args.seconds, "three-phase")?;
            let two = bench(&ours, clients, args.seconds, "two-phase")?;
            println!(
                "{clients:7}  {:11.0}  {:6.1}  {:13.0}  {:6.1}  {:5.2}  {:11.0}  {:6.1}  {:5.2}",
                etcd.per_second,
                etcd.p50_millis,
                three.per_second,
                three.p50_millis,
                three.per_second / etcd.per_second,
                two.per_second,
                two.p50_millis,
                two.per_second / etcd.per_second,
            );
        }
    }
    Ok(())
}

fn bench(ours: &Path, clients: u32, seconds: u32, protocol: &str) -> anyhow::Result<Measured> {
    let mut command = Command::new(ours);
    command.args(["bench", "--local", "--warmup", "3s", "--output", "json"]);
    command.args(["--clients", &clients.to_string(), "--protocol", protocol]);
    command.args(["--duration", &format!("{seconds}s")]);
    let report = json(&mut command)?;
    let round = &report["rounds"][0];
    Ok(Measured {
        per_second: number(&round["commits_per_second"])?,
        p50_millis: number(&round["latency_millis"]["p50"])?,
    })
}

fn etcd(load: &Path, clients: u32, seconds: u32) -> anyhow::Result<Measured> {
    let cluster = Etcd::start(load)?;
    let mut command = Command::new(load);
    command.args(["--endpoints", &cluster.endpoints()]);
    command.args(["--clients", &clients.to_string()]);
    command.args(["--seconds", &seconds.to_string()]);
    let report = json(&mut command)?;
    Ok(Measured {
        per_second: number(&report["puts_per_second"])?,
        p50_millis: number(&report["p50_millis"])?,
    })
}

fn json(command: &mut Command) -> anyhow::Result<Value> {
    let output = command.stderr(Stdio::null()).output();
    let output = output.with_context(|| format!("cannot start {command:?}"))?;
    ensure!(output.status.success(), "{command:?} failed");
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn number(value: &Value) -> anyhow::Result<f64> {
    value.as_f64().context("the report has no such number")
}

/// Three nodes with their data in a folder that goes with them.
struct Etcd {
    nodes: Vec<Child>,
    folder: PathBuf,
}

impl Etcd {
    const CLIENT_PORTS: [u16; 3] = [23791, 23792, 23793];
    const PEER_PORTS: [u16; 3] = [23801, 23802, 23803];

    fn start(load: &Path) -> anyhow::Result<Self> {
        let folder = root().join(format!("target/etcd-{}", std::process::id()));
        let mut cluster = Self {
            nodes: Vec::new(),
            folder,
        };
        for node in 0..3 {
            let child = Self::node(&cluster.folder, node)?;
            cluster.nodes.push(child);
        }
        let began = Instant::now();
        while !cluster.answers(load) {
            ensure!(
                began.elapsed() < Duration::from_secs(30),
                "etcd does not come up"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(cluster)
    }

    fn node(folder: &Path, node: usize) -> anyhow::Result<Child> {
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let peer = |at: usize| format!("n{at}={}", url(Self::PEER_PORTS[at]));
        let mut command = Command::new("etcd");
        command.args(["--name", &format!("n{node}")]);
        command
            .arg("--data-dir")
            .arg(folder.join(format!("n{node}")));
        command.args(["--listen-peer-urls", &url(Self::PEER_PORTS[node])]);
        command.args([
            "--initial-advertise-peer-urls",
            &url(Self::PEER_PORTS[node]),
        ]);
        command.args(["--listen-client-urls", &url(Self::CLIENT_PORTS[node])]);
        command.args(["--advertise-client-urls", &url(Self::CLIENT_PORTS[node])]);
        command.args([
            "--initial-cluster",
            &(0..3).map(peer).collect::<Vec<_>>().join(","),
        ]);
        command.args(["--initial-cluster-state", "new", "--log-level", "error"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().context("cannot start etcd")
    }

    fn endpoints(&self) -> String {
        Self::CLIENT_PORTS
            .map(|port| format!("127.0.0.1:{port}"))
            .join(",")
    }

    /// Whether a put goes through.
    fn answers(&self, load: &Path) -> bool {
        let mut probe = Command::new(load);
        probe.args(["--endpoints", &self.endpoints(), "--clients", "1"]);
        probe.args(["--seconds", "0", "--warmup", "0"]);
        json(&mut probe).is_ok()
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            // One that has ended is what is wanted.
            let _ = node.kill();
            let _ = node.wait();
        }
        if let Err(error) = std::fs::remove_dir_all(&self.folder) {
            eprintln!("{}: {error}", self.folder.display());
        }
    }
}
