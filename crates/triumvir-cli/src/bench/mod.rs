//! `triumvir bench`: a closed loop of clients against a cluster, and what a transaction costs there.
//!
//! Every figure is measured: nothing is estimated, and what a cluster does not tell is left out.

mod failover;
mod load;
mod moments;
mod reading;
mod report;
mod table;
mod tally;
mod target;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use humantime_serde::re::humantime::parse_duration;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use triumvir_client::Mode;

use crate::cli::Globals;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;
use crate::process::Signals;
use load::{KEYS, Load, Work};
use reading::Reading;
use report::{Report, Round};
use target::Target;

pub(crate) const HELP: &str = "\
Each client has one transaction under way, which puts one key at each participant, and
begins the next when it is over. Latencies are the clients'; phases and forced writes come
from the metrics of the processes that serve them, processor time from /proc.

Examples:
  triumvir bench --local --participants 2 --clients 1,16,64,256
  triumvir bench --local --kills 30
  triumvir bench --local --protocol two-phase --hot-keys 10 --dir /var/tmp
  triumvir bench --coordinators 10.0.0.1:7401 --participants orders,payments --http 10.0.0.1:7501";

/// The largest value that a participant takes.
const PAYLOAD_BYTES_MAX: u64 = 1 << 20;

/// How outcomes are decided.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Protocol {
    /// Not blocked by the loss of all coordinators.
    ThreePhase,
    /// Quicker by one round.
    TwoPhase,
}

impl Protocol {
    fn mode(self) -> Mode {
        match self {
            Self::ThreePhase => Mode::ThreePhase,
            Self::TwoPhase => Mode::TwoPhase,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::ThreePhase => "three-phase",
            Self::TwoPhase => "two-phase",
        }
    }
}

/// Arguments of `triumvir bench`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Start three replicas and the participants as processes of this machine
    #[arg(long)]
    local: bool,
    /// With --local how many; else their names, with commas between them
    #[arg(long, value_name = "COUNT|NAMES", default_value = "2")]
    participants: String,
    /// Transactions under way at any time; several numbers are measured one after the other
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "16",
        value_parser = clap::value_parser!(u32).range(1..=10_000))]
    clients: Vec<u32>,
    /// How long to measure
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    duration: Duration,
    /// How long to run before measuring
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_duration)]
    warmup: Duration,
    /// With --local: kill the leader so often with SIGKILL, and measure how long commits stop
    #[arg(long, value_name = "N", requires = "local", conflicts_with_all = ["duration", "warmup"],
        value_parser = clap::value_parser!(u32).range(1..))]
    kills: Option<u32>,
    /// How outcomes are decided
    #[arg(long, value_enum, default_value = "three-phase")]
    protocol: Protocol,
    /// Draw keys from so few, so that transactions conflict
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    hot_keys: Option<u64>,
    /// Bytes to put at each participant
    #[arg(long, value_name = "N", default_value_t = 100,
        value_parser = clap::value_parser!(u64).range(0..=PAYLOAD_BYTES_MAX))]
    payload_bytes: u64,
    /// Seed of keys and payload
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// HTTP addresses of the replicas of a running cluster, to read metrics from
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        conflicts_with = "local"
    )]
    http: Vec<SocketAddr>,
    /// With --local: where the temporary folder is made; choose a disk
    #[arg(long, value_name = "DIR", requires = "local")]
    dir: Option<PathBuf>,
    /// With --local: keep folders and logs
    #[arg(long, requires = "local")]
    keep: bool,
}

/// Runs the benchmark, against the cluster that `globals` name unless it starts one itself. One
/// transaction may take their timeout, repetitions included.
///
/// # Errors
///
/// The arguments make no sense, or the cluster cannot be started or asked. Transactions that fail are
/// counted.
pub(crate) async fn run(
    args: &Args,
    globals: &Globals,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::new()?;
    tokio::select! {
        measured = measure(args, globals, output) => {
            measured?;
            Ok(Exit::Ok.into())
        }
        signal = signals.next() => {
            let message = format!("ended by {signal}, with every process that was started");
            Err(Failure::new(Exit::Internal, message).into())
        }
    }
}

/// Measures what is asked for, and ends in order what was started for it.
async fn measure(args: &Args, globals: &Globals, output: &Output) -> anyhow::Result<()> {
    let mut target = if args.local {
        Target::local(args, globals.timeout).await?
    } else {
        Target::running(args, globals)?
    };
    show(args, &mut target, output).await?;
    if let Some(cluster) = target.cluster {
        cluster.shut_down().await?;
    }
    Ok(())
}

/// Measures, and shows it.
async fn show(args: &Args, target: &mut Target, output: &Output) -> anyhow::Result<()> {
    if target.participants.is_empty() {
        return Err(Failure::usage("--participants names none").into());
    }
    let in_memory = target.is_in_memory();
    if in_memory {
        output.note("the folder is in memory, where forcing a write costs nothing; see --dir");
    }
    let work = Arc::new(work(args, target));
    if let Some(kills) = args.kills {
        if args.clients.len() > 1 {
            return Err(Failure::usage("--kills takes one number of --clients").into());
        }
        let report = failover::measure(args, kills, target, &work, output).await?;
        return Ok(output.show(&report, || table::failovers(&report, output))?);
    }
    if target.http.is_empty() {
        output.note("phases, fsyncs and batches are in the metrics of the replicas; see --http");
    }
    let mut rounds = Vec::with_capacity(args.clients.len());
    for clients in &args.clients {
        output.note(format!(
            "{clients} clients: {:?} after {:?}",
            args.duration, args.warmup
        ));
        rounds.push(round(args, target, &work, *clients).await?);
    }
    let report = Report {
        protocol: args.protocol.name(),
        participants: target.participants.clone(),
        payload_bytes: work.payload.len(),
        keys: work.keys,
        seed: args.seed,
        local: args.local,
        in_memory,
        rounds,
    };
    Ok(output.show(&report, || table::text(&report, output))?)
}

fn work(args: &Args, target: &Target) -> Work {
    let mut payload = vec![0; usize::try_from(args.payload_bytes).unwrap_or_default()];
    StdRng::seed_from_u64(args.seed).fill_bytes(&mut payload);
    Work {
        participants: target.participants.clone(),
        mode: args.protocol.mode(),
        keys: args.hot_keys.unwrap_or(KEYS),
        payload: Bytes::from(payload),
        seed: args.seed,
    }
}

async fn round(
    args: &Args,
    target: &Target,
    work: &Arc<Work>,
    clients: u32,
) -> anyhow::Result<Round> {
    let read = || Reading::take(&target.client, &target.http, target.cluster.as_ref());
    let load = Load::start(&target.client, work, clients, None);
    tokio::time::sleep(args.warmup).await;
    let before = read().await?;
    load.measure();
    let began = Instant::now();
    tokio::time::sleep(args.duration).await;
    let measured = began.elapsed();
    load.stop();
    let after = read().await?;
    let tally = load.finish().await;
    let (local, difference) = (args.local, after.since(&before));
    Ok(Round::new(clients, measured, local, tally, difference))
}
