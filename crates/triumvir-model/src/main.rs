//! Runs the model for a person. Everything is printed by one writer.

use std::error::Error;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use clap::Parser;
use stateright::Model as _;
use triumvir_model::runs::{Named, long, short};
use triumvir_model::{Found, Limits, World, allowance, run};

/// States are small values by the million.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Checks every execution of the shipped protocol core within stated bounds.
#[derive(Debug, Parser)]
#[command(version)]
enum Command {
    /// The runs that end in minutes; fails unless every state of each was seen.
    Short {
        /// When all of them together are given up, in seconds; else `TRIUMVIR_MODEL_SECONDS`, or 1200.
        #[arg(long)]
        seconds: Option<u64>,
    },
    /// The runs that take longer.
    Long {
        /// When a run is given up, in seconds.
        #[arg(long, default_value_t = 600)]
        seconds: u64,
    },
    /// One run by its name.
    Run {
        /// See `names`.
        name: String,
        /// When it is given up, in seconds.
        #[arg(long, default_value_t = 600)]
        seconds: u64,
    },
    /// The names of all runs.
    Names,
    /// Opens stateright's explorer in a browser, to walk through an execution.
    Explore {
        /// See `names`.
        #[arg(default_value = "fence rounds")]
        name: String,
        /// Where to listen.
        #[arg(long, default_value = "127.0.0.1:3000")]
        address: SocketAddr,
    },
}

fn main() -> Result<(), Box<dyn Error>> {
    match Command::parse() {
        Command::Short { seconds } => {
            let all = seconds.map_or_else(allowance, Duration::from_secs);
            check(short(), Time::Together(all))
        }
        Command::Long { seconds } => check(long(), Time::Each(Duration::from_secs(seconds))),
        Command::Run { name, seconds } => {
            let each = Time::Each(Duration::from_secs(seconds));
            check(vec![named(&name)?], each)
        }
        Command::Names => {
            for (name, _) in short().into_iter().chain(long()) {
                writeln!(std::io::stdout(), "{name}")?;
            }
            Ok(())
        }
        Command::Explore { name, address } => {
            let world = World::new(named(&name)?.1);
            let page = format!("http://{address}");
            writeln!(std::io::stdout(), "{name}: {page}, to be read in a browser")?;
            std::thread::spawn(move || show(address, &page));
            world.checker().serve(address);
            Ok(())
        }
    }
}

/// Opens `page` in the person's browser once it is served. On a machine without one the person has read
/// where it is.
fn show(address: SocketAddr, page: &str) {
    while TcpStream::connect(address).is_err() {
        std::thread::sleep(Duration::from_millis(50));
    }
    let _ = open::that_detached(page);
}

fn named(name: &str) -> Result<Named, String> {
    let mut all = short().into_iter().chain(long());
    let found = all.find(|(own, _)| *own == name);
    found.ok_or_else(|| format!("no such run: {name}"))
}

/// When runs are given up.
#[derive(Clone, Copy)]
enum Time {
    /// Each after so long, which is no failure.
    Each(Duration),
    /// All of them after so long, which is one: every state is to be seen. Shortest ways are looked for.
    Together(Duration),
}

/// Prints what each run found. A run in which a property does not hold fails, and one that saw every
/// state and did not reach what it must.
fn check(runs: Vec<Named>, time: Time) -> Result<(), Box<dyn Error>> {
    let mut failed = Vec::new();
    let all = Instant::now();
    for (name, bounds) in runs {
        let began = Instant::now();
        let (time, whole) = match time {
            Time::Each(time) => (time, false),
            Time::Together(time) => (time.saturating_sub(all.elapsed()), true),
        };
        let limits = Limits {
            threads: available_parallelism()?.get(),
            time,
            states: usize::MAX,
            shortest: whole,
        };
        let found = run(bounds, limits);
        let seconds = began.elapsed().as_secs();
        writeln!(std::io::stdout(), "{name}: {found}; {seconds} s")?;
        if let Some(why) = fault(&found, whole) {
            failed.push(format!("{name} {why}"));
        }
        if whole && !found.complete {
            break;
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(failed.join("; ").into())
}

/// Why a run has failed.
fn fault(found: &Found, whole: bool) -> Option<String> {
    if let Some((property, _)) = found.failures.first() {
        return Some(format!("shows that {property} does not hold"));
    }
    if whole && !found.complete {
        let why = "was given up before every state was seen: the states have become too many, or this \
            machine needs more than TRIUMVIR_MODEL_SECONDS, which is 1200 unless it is set";
        return Some(why.into());
    }
    let unreached = found.complete && !found.missing.is_empty();
    unreached.then(|| format!("does not reach {}", found.missing.join(", ")))
}
