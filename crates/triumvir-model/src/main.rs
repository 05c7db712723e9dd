//! Runs the model for a person. Everything is printed by one writer.

use std::error::Error;
use std::io::Write;
use std::net::SocketAddr;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use clap::Parser;
use stateright::Model as _;
use triumvir_model::runs::{Named, long, short};
use triumvir_model::{Limits, World, run};

/// States are small values by the million.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Checks every execution of the shipped protocol core within stated bounds.
#[derive(Debug, Parser)]
#[command(version)]
enum Command {
    /// The runs that end in minutes; fails unless every state of each was seen.
    Short,
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
    /// Serves stateright's explorer: walk through an execution in a browser.
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
        Command::Short => check(short(), u64::MAX, true),
        Command::Long { seconds } => check(long(), seconds, false),
        Command::Run { name, seconds } => check(vec![named(&name)?], seconds, false),
        Command::Names => {
            for (name, _) in short().into_iter().chain(long()) {
                writeln!(std::io::stdout(), "{name}")?;
            }
            Ok(())
        }
        Command::Explore { name, address } => {
            let world = World::new(named(&name)?.1);
            writeln!(
                std::io::stdout(),
                "{name}: open http://{address} in a browser"
            )?;
            world.checker().serve(address);
            Ok(())
        }
    }
}

fn named(name: &str) -> Result<Named, String> {
    let mut all = short().into_iter().chain(long());
    let found = all.find(|(own, _)| *own == name);
    found.ok_or_else(|| format!("no such run: {name}"))
}

/// Prints what each run found. A run in which a property does not hold fails, and one that saw every
/// state and did not reach what it must. With `whole`, shortest ways are looked for, and one that was
/// given up fails, too.
fn check(runs: Vec<Named>, seconds: u64, whole: bool) -> Result<(), Box<dyn Error>> {
    let mut failed = Vec::new();
    for (name, bounds) in runs {
        let limits = Limits {
            threads: available_parallelism()?.get(),
            time: Duration::from_secs(seconds),
            states: usize::MAX,
            shortest: whole,
        };
        let began = Instant::now();
        let found = run(bounds, limits);
        let unreached = found.complete && !found.missing.is_empty();
        if !found.failures.is_empty() || unreached || whole && !found.complete {
            failed.push(name);
        }
        let seconds = began.elapsed().as_secs();
        writeln!(std::io::stdout(), "{name}: {found}; {seconds} s")?;
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(format!("not all is well with: {}", failed.join(", ")).into())
}
