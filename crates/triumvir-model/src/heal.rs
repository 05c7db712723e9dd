//! *Non-blocking*: from a state, only the parties that a condition names go on, under a fair schedule,
//! until the branch in doubt is decided. What is volatile or under way is lost first, so that one
//! durable state is tried once.

use stateright::Property;
use triumvir_protocol::{
    Branch, BranchState, ConductorTimer, Mode, ParticipantId, ParticipantTimer,
};

use crate::Action;
use crate::model::World;
use crate::shared::hash;
use crate::state::State;
use crate::step::Step;

const ROUNDS_MAX: usize = 80;
const QUIET_MAX: usize = 400;

pub(crate) fn conditions() -> Vec<Property<World>> {
    vec![
        Property::always("condition 1", |world: &World, state: &State| {
            doubts(state).all(|(at, _)| world.heals(state, 1, true, &[at]))
        }),
        Property::always("condition 2", |world: &World, state: &State| {
            pairs(state, |peer, branch| {
                peer.is_some_and(|peer| {
                    peer.digest == branch.digest
                        && matches!(
                            peer.state,
                            BranchState::PreCommitted { .. }
                                | BranchState::Committed
                                | BranchState::Aborted
                        )
                })
            })
            .all(|(at, peer)| world.heals(state, 2, false, &[at, peer]))
                && doubts(state)
                    .filter(|(_, b)| matches!(b.state, BranchState::PreCommitted { .. }))
                    .all(|(at, _)| world.heals(state, 2, false, &[at]))
        }),
        Property::always("condition 3", |world: &World, state: &State| {
            let everyone: Vec<_> = (0..state.nodes.len()).collect();
            let three = |(_, branch): &(usize, &Branch)| {
                branch
                    .live()
                    .is_some_and(|(terms, _)| terms.mode == Mode::ThreePhase)
            };
            doubts(state).all(|doubt| !three(&doubt) || world.heals(state, 3, false, &everyone))
        }),
        Property::always("condition 4", |world: &World, state: &State| {
            pairs(state, |peer, branch| {
                peer.is_none_or(|peer| {
                    peer.digest != branch.digest || matches!(peer.state, BranchState::Refused(_))
                })
            })
            .all(|(at, peer)| world.heals(state, 4, false, &[at, peer]))
        }),
    ]
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
    /// Whether `parties[0]` is decided when only `parties` and, with `led`, a new leader go on.
    fn heals(&self, state: &State, condition: u8, led: bool, parties: &[usize]) -> bool {
        if state.broken.is_some() {
            return true;
        }
        // By what these parties are; what they lose below makes many of these one.
        let head = if led { state.head.hash() } else { 0 };
        let nodes = |state: &State| -> Vec<u64> {
            let nodes = parties.iter().map(|at| state.nodes[*at].hash());
            nodes.collect()
        };
        let key = hash(&(condition, "as found", head, nodes(state), parties));
        self.memo.heals(key, || {
            let mut bounds = self.bounds.clone();
            bounds.rounds = u32::MAX;
            bounds.alarms = false;
            bounds.restarts_max = None;
            let mut from = state.clone();
            from.network = Default::default();
            from.limbo.clear();
            from.seats.clear();
            let mut step = Step::new(&bounds, &self.memo, from, false);
            for &party in parties {
                step.restart(party);
            }
            step.observe();
            let key = hash(&(condition, "restarted", head, nodes(&step.state), parties));
            self.memo.heals(key, || schedule(&mut step, led, parties))
        })
    }
}

fn schedule(step: &mut Step<'_>, led: bool, parties: &[usize]) -> bool {
    if led {
        step.act(Action::Activate);
    }
    for round in 0..ROUNDS_MAX {
        if !quiet(step, led, parties) || step.state.broken.is_some() {
            return false;
        }
        let doubt = step.state.branch(parties[0]);
        if doubt.is_none_or(|branch| !branch.is_in_doubt()) {
            return true;
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
        if led {
            step.act(Action::Timeout(0, ConductorTimer::Vote));
            step.act(Action::Timeout(0, ConductorTimer::Resend));
        }
    }
    false
}

/// Delivers, works and replicates until nothing is left to do.
fn quiet(step: &mut Step<'_>, led: bool, parties: &[usize]) -> bool {
    for _ in 0..QUIET_MAX {
        let messages = std::mem::take(&mut step.state.network);
        let mut busy = messages.iter().next().is_some();
        for envelope in messages.iter() {
            let from = envelope.from.map(|id| id.0 as usize - 1);
            if from.is_some_and(|from| !parties.contains(&from)) {
                continue;
            }
            match envelope.to.map(|id| id.0 as usize - 1) {
                Some(to) if parties.contains(&to) => step.deliver(to, envelope),
                None if led => step.receive(0, envelope),
                _ => {}
            }
            step.observe();
        }
        for &party in parties {
            busy |= step.work_off(party);
        }
        while led && let Some(record) = step.state.limbo.first().cloned() {
            busy = true;
            step.act(Action::Append(record.hash()));
            step.state.limbo.retain(|own| *own != record);
            if !step.state.seats[0].behind.is_empty() {
                step.act(Action::Apply(0));
            }
        }
        if !busy {
            return true;
        }
    }
    false
}
