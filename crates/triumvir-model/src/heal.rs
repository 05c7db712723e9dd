//! *Non-blocking*: from a state, only the parties that a condition names go on, under a fair schedule,
//! until the branch in doubt is decided, and with it that of every other party. What is under way is
//! lost first. What the parties hold in memory is lost as well, or kept: either could be what blocks
//! them. What they come to is what all others say, that ever said anything: participants, clients and
//! the log.

mod ending;
mod overtaken;
mod recoveries;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ending::{agreed, has_ended};
use overtaken::{Overtaken, has_ballots, overtake};
use stateright::Property;
use triumvir_protocol::{
    Branch, BranchState, ConductorTimer, Mode, Outcome, ParticipantId, ParticipantTimer,
};

use crate::Action;
use crate::model::World;
use crate::shared::hash;
use crate::state::{State, TXN};
use crate::step::{Step, reason};

const ROUNDS_MAX: usize = 80;
const QUIET_MAX: usize = 400;

/// How the first of the parties ends, or why it does not.
pub(crate) type Healed = Result<Outcome, Arc<str>>;

/// Who goes on, and with what.
#[derive(Clone, Copy, Hash)]
struct Cast<'a> {
    /// With a leader.
    led: Option<Leader>,
    /// The first is in doubt.
    parties: &'a [usize],
    /// With what they have forced alone.
    restarted: bool,
    /// As they are, but for what they hear first.
    overtaken: Option<Overtaken>,
    /// Whether one that has not voted may. Where it must not have, it stays at work until it refuses.
    votes: bool,
}

#[derive(Clone, Copy, Hash)]
enum Leader {
    /// One that is activated now.
    New,
    /// The one that was activated last, with all that it holds.
    Last,
}

type Check = fn(&World, &State) -> Result<(), String>;

const CONDITIONS: [(&str, Check); 4] = [
    ("condition 1", |world, state| {
        let mut doubts = doubts(state);
        doubts.try_for_each(|(at, _)| world.heals(state, 1, &[at]))
    }),
    ("condition 2", |world, state| {
        let knows = |peer: Option<&Branch>, branch: &Branch| {
            peer.is_some_and(|peer| peer.digest == branch.digest && has_outcome(peer))
        };
        let alone = doubts(state).filter(|(_, branch)| has_outcome(branch));
        let alone = alone.map(|(at, _)| vec![at]);
        let told = pairs(state, knows).map(|(at, peer)| vec![at, peer]);
        let mut all = told.chain(alone);
        all.try_for_each(|parties| world.heals(state, 2, &parties))
    }),
    ("condition 3", |world, state| {
        let everyone = |first| {
            let rest = (0..state.nodes.len()).filter(move |at| *at != first);
            std::iter::once(first).chain(rest).collect::<Vec<_>>()
        };
        let three = |branch: &Branch| {
            let live = branch.live();
            live.is_some_and(|(terms, _)| terms.mode == Mode::ThreePhase)
        };
        let mut doubts = doubts(state).filter(|(_, branch)| three(branch));
        doubts.try_for_each(|(at, _)| world.heals(state, 3, &everyone(at)))
    }),
    ("condition 4", |world, state| {
        let refuses = |peer: Option<&Branch>, branch: &Branch| {
            peer.is_none_or(|peer| {
                peer.digest != branch.digest || matches!(peer.state, BranchState::Refused(_))
            })
        };
        let mut pairs = pairs(state, refuses);
        pairs.try_for_each(|(at, peer)| world.heals(state, 4, &[at, peer]))
    }),
];

/// The conditions as properties.
pub(crate) fn conditions() -> Vec<Property<World>> {
    vec![
        Property::always(CONDITIONS[0].0, holds::<0>),
        Property::always(CONDITIONS[1].0, holds::<1>),
        Property::always(CONDITIONS[2].0, holds::<2>),
        Property::always(CONDITIONS[3].0, holds::<3>),
    ]
}

fn holds<const NUMBER: usize>(world: &World, state: &State) -> bool {
    let (name, check) = CONDITIONS[NUMBER];
    world.is_over() || check(world, state).is_ok() || !world.counts(name, state)
}

fn has_outcome(branch: &Branch) -> bool {
    matches!(
        branch.state,
        BranchState::PreCommitted { .. } | BranchState::Committed | BranchState::Aborted
    )
}

/// Participants in doubt.
fn doubts(state: &State) -> impl Iterator<Item = (usize, &Branch)> {
    let branches = (0..state.nodes.len()).filter_map(|at| Some((at, state.branch(at)?)));
    branches.filter(|(_, branch)| branch.is_in_doubt())
}

/// A participant in doubt and one on its list of which `is` holds.
fn pairs<'a>(
    state: &'a State,
    is: impl Fn(Option<&Branch>, &Branch) -> bool + Copy + 'a,
) -> impl Iterator<Item = (usize, usize)> + 'a {
    doubts(state).flat_map(move |(at, branch)| {
        let terms = branch.live().map(|(terms, _)| terms.clone());
        let listed = move |peer: &usize| {
            let id = ParticipantId(*peer as u32 + 1);
            terms.as_ref().is_some_and(|terms| terms.lists(id))
        };
        let peers = (0..state.nodes.len()).filter(move |peer| *peer != at);
        peers
            .filter(listed)
            .filter(move |peer| is(state.branch(*peer), branch))
            .map(move |peer| (at, peer))
    })
}

impl World {
    /// The conditions that do not hold in `state`, and why.
    pub(crate) fn blocked(&self, state: &State) -> Vec<(&'static str, String)> {
        if !self.bounds.conditions {
            return Vec::new();
        }
        let failed =
            |(name, check): &(&'static str, Check)| Some((*name, check(self, state).err()?));
        CONDITIONS.iter().filter_map(failed).collect()
    }

    /// Whether `parties[0]`, and with it all of them, come to the outcome that stands, if any does, when
    /// only those go on that `condition` names: `parties`, and for the first a leader.
    fn heals(&self, state: &State, condition: u8, parties: &[usize]) -> Result<(), String> {
        if state.broken.is_some() {
            return Ok(());
        }
        let led = condition == 1;
        let cast = |leader, restarted, overtaken| Cast {
            led: led.then_some(leader),
            parties,
            restarted,
            overtaken,
            votes: condition != 4,
        };
        let mut casts = vec![cast(Leader::New, true, None)];
        if self.bounds.memories {
            let fences = parties.iter().any(|at| has_ballots(state.branch(*at)));
            let ways = [None, Some(Overtaken::Refused), Some(Overtaken::Polled)];
            for overtaken in ways.into_iter().take(if fences { 3 } else { 1 }) {
                casts.push(cast(Leader::New, false, overtaken));
                if led && !state.seats.is_empty() {
                    casts.push(cast(Leader::Last, false, overtaken));
                }
            }
        }
        let branch = state.branch(parties[0]).expect("it is in doubt");
        let stands = state.past.verdicts(TXN, branch.digest);
        for cast in casts {
            let outcome = self.healed(state, cast).map_err(|why| why.to_string())?;
            if stands.iter().any(|stands| *stands != outcome) {
                let name = parties[0] + 1;
                return Err(format!("p{name} comes to {outcome:?}, against what stands"));
            }
            if condition == 4 && outcome == Outcome::Commit {
                return Err("a transaction of which one refuses is committed".to_owned());
            }
        }
        Ok(())
    }

    /// What a schedule leads to. It depends on the cast, on what those in it are, and on nothing else:
    /// it is not watched, so the past has no part in it. Whether it agrees with the past is asked by
    /// the caller, for every past; whether its single steps are safe is asked of the same steps in the
    /// exploration, as far as its bounds go: here ballots have none.
    fn healed(&self, state: &State, cast: Cast<'_>) -> Healed {
        let nodes = |state: &State| -> Vec<u64> {
            let nodes = cast.parties.iter().map(|at| state.nodes[*at].hash());
            nodes.collect()
        };
        let head = cast.led.map(|_| (state.head.hash(), state.seats.len()));
        let last = match cast.led {
            Some(Leader::Last) => state.seats.last().map(hash),
            _ => None,
        };
        let key = hash(&("as found", cast, head, last, nodes(state)));
        self.memo.heals(key, || {
            let mut bounds = self.bounds.clone();
            bounds.rounds = u32::MAX;
            bounds.alarms = false;
            bounds.restarts_max = None;
            let attempt = || {
                let mut step = Step::new(&bounds, &self.memo, cast.begin(state), false).unwatched();
                if let Some(how) = cast.overtaken {
                    overtake(&mut step, cast, how, self.bounds.rounds);
                }
                if !cast.restarted {
                    return schedule(&mut step, cast);
                }
                for &party in cast.parties {
                    step.restart(party);
                }
                // What they lose makes many of these one.
                let key = hash(&("restarted", cast, head, nodes(&step.state)));
                self.memo.heals(key, || schedule(&mut step, cast))
            };
            let done = catch_unwind(AssertUnwindSafe(attempt));
            done.unwrap_or_else(|panic| Err(reason(&*panic).into()))
        })
    }
}

impl<'a> Cast<'a> {
    /// All `parties`, as they are.
    fn everyone(parties: &'a [usize], led: Option<Leader>) -> Self {
        Self {
            led,
            parties,
            restarted: false,
            overtaken: None,
            votes: true,
        }
    }

    /// In words.
    fn how(self) -> String {
        let found = match (self.restarted, self.overtaken) {
            (true, _) => "after a restart",
            (false, None) => "as they are",
            (false, Some(Overtaken::Refused)) => "overtaken",
            (false, Some(Overtaken::Polled)) => "having heard of higher ballots",
        };
        let led = match self.led {
            Some(Leader::New) => ", and a new leader",
            Some(Leader::Last) => ", and the leader",
            None => "",
        };
        format!("{found}{led}")
    }

    /// The leader's seat in a schedule from `state`.
    fn leader(self, state: &State) -> usize {
        match self.led {
            Some(Leader::Last) => state.seats.len() - 1,
            _ => state.seats.len(),
        }
    }

    /// `state` as these find it: what is under way is lost, and no other leader acts.
    fn begin(self, state: &State) -> State {
        let mut from = state.clone();
        from.network = Default::default();
        from.limbo.clear();
        let acting = self.leader(state);
        for (at, seat) in from.seats.iter_mut().enumerate() {
            if at != acting {
                seat.conductor = None;
                seat.behind.clear();
            }
        }
        from
    }
}

fn schedule(step: &mut Step<'_>, cast: Cast<'_>) -> Healed {
    let parties = cast.parties;
    let leader = cast.leader(&step.state);
    let (txn, digest) = match step.state.branch(parties[0]) {
        Some(branch) => (TXN, branch.digest),
        None => return Err("there is no branch".into()),
    };
    if matches!(cast.led, Some(Leader::New)) {
        step.act(Action::Activate);
    }
    for round in 0..ROUNDS_MAX {
        if !quiet(step, cast) {
            return Err("there is no end of messages".into());
        }
        if let Some((name, why)) = step.state.broken() {
            return Err(format!("{name}: {why}").into());
        }
        let ended = |at: &usize| has_ended(&step.state, *at, digest);
        if let Some(&outcome) = step.state.nodes[parties[0]].effects.get(&(txn, digest))
            && parties.iter().all(ended)
        {
            return agreed(step, cast, digest, outcome);
        }
        // T2 is delayed by rank, so that fence rounds do not always start together.
        if round % 2 == 1 {
            let turn = parties[round / 2 % parties.len()];
            step.act(Action::Fire(turn, ParticipantTimer::Fence));
            continue;
        }
        for &party in parties {
            for timer in [
                ParticipantTimer::Work,
                ParticipantTimer::Inquire,
                ParticipantTimer::Finish,
            ] {
                step.act(Action::Fire(party, timer));
            }
        }
        if cast.led.is_some() {
            step.act(Action::Timeout(leader, ConductorTimer::Vote));
            step.act(Action::Timeout(leader, ConductorTimer::Resend));
        }
    }
    let mut open = parties
        .iter()
        .filter(|at| !has_ended(&step.state, **at, digest));
    let first = open.next().map_or(parties[0], |at| *at) + 1;
    let names: Vec<_> = parties.iter().map(|at| format!("p{}", at + 1)).collect();
    let (names, how) = (names.join(" and "), cast.how());
    Err(format!("p{first} stays in doubt if only {names} go on, {how}").into())
}

/// Delivers, works and replicates until nothing is left to do.
fn quiet(step: &mut Step<'_>, cast: Cast<'_>) -> bool {
    let parties = cast.parties;
    let leader = step
        .state
        .seats
        .iter()
        .rposition(|seat| seat.conductor.is_some());
    let leader = leader.filter(|_| cast.led.is_some());
    for _ in 0..QUIET_MAX {
        let messages = std::mem::take(&mut step.state.network);
        let mut busy = messages.iter().next().is_some();
        for envelope in messages.iter() {
            match (envelope.to.map(|id| id.0 as usize - 1), leader) {
                (Some(to), _) if parties.contains(&to) => step.deliver(to, envelope),
                (None, Some(leader)) => step.receive(leader, envelope),
                _ => {}
            }
        }
        for &party in parties {
            busy |= step.work_off(party, cast.votes);
        }
        let Some(leader) = leader else {
            if busy {
                continue;
            }
            return true;
        };
        while let Some(record) = step.state.limbo.first().cloned() {
            busy = true;
            step.act(Action::Append(record.hash()));
            step.state.limbo.retain(|own| *own != record);
        }
        while !step.state.seats[leader].behind.is_empty() {
            busy = true;
            step.act(Action::Apply(leader));
        }
        if !busy {
            return true;
        }
    }
    false
}
