//! Runs the model for a person: `short`, `long` or a run's name, or `explore NAME ADDRESS`, which
//! serves stateright's explorer. Everything is printed by one writer.

use std::error::Error;
use std::io::Write;
use std::time::{Duration, Instant};

use stateright::Model as _;
use triumvir_model::runs::{Named, long, short};
use triumvir_model::{Limits, World, run};

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<_> = std::env::args().skip(1).collect();
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let named = |name: &str| -> Result<Named, String> {
        let mut all = short().into_iter().chain(long());
        all.find(|(own, _)| *own == name)
            .ok_or_else(|| format!("no such run: {name}"))
    };
    let (runs, seconds) = match *words {
        ["explore", name, address] => {
            World::new(named(name)?.1).checker().serve(address);
            return Ok(());
        }
        ["short", seconds] => (short(), seconds),
        ["long", seconds] => (long(), seconds),
        [name, seconds] => (vec![named(name)?], seconds),
        _ => return Err("short|long|NAME SECONDS, or explore NAME ADDRESS".into()),
    };
    let time = Duration::from_secs(seconds.parse()?);
    let mut failed = false;
    for (name, bounds) in runs {
        let limits = Limits {
            threads: std::thread::available_parallelism()?.get(),
            time,
            states: usize::MAX,
        };
        let began = Instant::now();
        let found = run(bounds, limits);
        failed |= !found.failures.is_empty();
        let seconds = began.elapsed().as_secs();
        writeln!(std::io::stdout(), "{name}: {found}; {seconds} s")?;
    }
    if failed {
        return Err("a property does not hold".into());
    }
    Ok(())
}
