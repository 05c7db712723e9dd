//! One run of the checker and what it found.

use std::fmt;
use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model};

use crate::{Bounds, World};

/// When a run stops although there is more to see.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Threads.
    pub threads: usize,
    /// Time.
    pub time: Duration,
    /// States, repeated ones included.
    pub states: usize,
    /// Breadth first: what is found is shortest, and every state that waits is held in memory.
    pub shortest: bool,
}

/// What a run found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Different states.
    pub states: usize,
    /// States, repeated ones included.
    pub generated: usize,
    /// The longest way to a state that was taken, in steps; breadth first, the longest shortest one.
    pub depth: usize,
    /// Whether every state within the bounds was seen.
    pub complete: bool,
    /// Properties that do not hold, each with a transcript.
    pub failures: Vec<(&'static str, String)>,
    /// What was not reached.
    pub missing: Vec<&'static str>,
}

/// How long all the runs that must end may take together, for a machine much slower than those that
/// they are meant for: twenty minutes, or so many seconds as `TRIUMVIR_MODEL_SECONDS` says. What is not
/// done by then has failed, and does not keep anybody waiting.
pub fn allowance() -> Duration {
    let said = std::env::var("TRIUMVIR_MODEL_SECONDS").ok();
    let seconds = said.and_then(|said| said.parse().ok());
    Duration::from_secs(seconds.unwrap_or(1200))
}

/// Visits every state within `bounds` until a property fails or a limit is reached.
pub fn run(bounds: Bounds, limits: Limits) -> Found {
    let names = World::new(bounds.clone()).reachable();
    let mut world = World::new(bounds).until(Instant::now().checked_add(limits.time));
    if limits.shortest {
        world = world.first_failures();
    }
    let builder = world
        .checker()
        .threads(limits.threads)
        .target_state_count(limits.states)
        .finish_when(HasDiscoveries::AnyFailures);
    if limits.shortest {
        found(&builder.spawn_bfs().join(), &names, limits)
    } else {
        found(&builder.spawn_dfs().join(), &names, limits)
    }
}

fn found(checker: &impl Checker<World>, names: &[&'static str], limits: Limits) -> Found {
    checker.model().rest();
    let discoveries = checker.discoveries();
    let missing = names.iter().copied();
    let missing: Vec<_> = missing
        .filter(|name| !discoveries.contains_key(name))
        .collect();
    let mut failures: Vec<_> = discoveries
        .into_iter()
        .filter(|(name, _)| !names.contains(name))
        .map(|(name, path)| (name, checker.model().transcript(&path.into_actions())))
        .collect();
    failures.sort_unstable();
    let stopped = checker.model().is_over() || checker.state_count() >= limits.states;
    Found {
        states: checker.unique_state_count(),
        generated: checker.state_count(),
        depth: checker.max_depth(),
        complete: failures.is_empty() && !stopped,
        failures,
        missing,
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = if self.complete { "all" } else { "not all" };
        write!(
            f,
            "{} states ({} generated), depth {}, {all} visited",
            self.states, self.generated, self.depth
        )?;
        if !self.missing.is_empty() {
            write!(f, ", not reached: {}", self.missing.join(", "))?;
        }
        for (name, transcript) in &self.failures {
            write!(f, "\n{name}:\n{transcript}")?;
        }
        Ok(())
    }
}
