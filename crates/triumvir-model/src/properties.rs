//! What must always hold, and what must be reachable so that the former means something.

use stateright::{Model, Property};
use triumvir_protocol::{
    AbortReason, Answer, BranchState, Mode, NoReason, Outcome, ParticipantId, Phase, Record,
    Standing, Value,
};

use crate::model::World;
use crate::network::Body;
use crate::state::{State, TXN};
use crate::{Bounds, Content, Vote, heal, recovery};

macro_rules! invariants {
    ($($name:literal,)*) => {
        vec![$(Property::always($name, |world: &World, state: &State| {
            let holds = state.broken.as_ref().is_none_or(|broken| broken.0 != $name);
            holds || !world.counts($name, state)
        }),)*]
    };
}

/// The invariants; with [`Bounds::conditions`] those of *Non-blocking* as well.
pub(crate) fn all(bounds: &Bounds) -> Vec<Property<World>> {
    let mut all = invariants![
        "agreement",
        "validity",
        "stability",
        "client truth",
        "one value per ballot",
        "chosen value",
        "witness",
        "abort evidence",
        "closure",
        "forget",
        "forget in doubt",
        "no resurrection",
        "durability",
        "isolation",
        "work",
        "no alarm",
        "no panic",
    ];
    if bounds.conditions {
        let counts = |name| bounds.only.is_none_or(|only| only == name);
        let conditions = heal::conditions().into_iter();
        all.extend(conditions.filter(|own| counts(own.name)));
    }
    all.extend(reachable(bounds));
    all
}

fn reachable(bounds: &Bounds) -> Vec<Property<World>> {
    let mut some = vec![Property::sometimes(
        "commit",
        |world: &World, state: &State| everybody(world, state, Value::Commit),
    )];
    let prepared_abort = bounds.timeouts || bounds.inquired();
    if prepared_abort {
        some.push(Property::sometimes(
            "abort",
            |world: &World, state: &State| everybody(world, state, Value::Abort),
        ));
    }
    if bounds.timeouts {
        some.push(Property::sometimes(
            "vote timeout",
            |_: &World, state: &State| {
                let reason = match state.head.standing(TXN) {
                    Standing::Ended(ended) => ended.reason,
                    _ => None,
                };
                matches!(reason, Some(AbortReason::VoteTimeout(_)))
            },
        ));
        some.push(Property::sometimes(
            "work timeout",
            |_: &World, state: &State| {
                let refused = BranchState::Refused(NoReason::Timeout);
                (0..state.nodes.len())
                    .any(|at| state.branch(at).is_some_and(|b| b.state == refused))
            },
        ));
    }
    some.extend(reachable_by_peers(bounds));
    if three_phases(bounds) {
        some.push(Property::sometimes(
            "finish alone",
            recovery::finished_alone,
        ));
    }
    if bounds.horizon {
        some.push(Property::sometimes(
            "forgotten",
            |_: &World, state: &State| {
                let forgot = |at| state.branch(at).is_none();
                state.head.horizon().covers(TXN)
                    && !state.nodes[0].effects.is_empty()
                    && (0..state.nodes.len()).all(forgot)
            },
        ));
    }
    some
}

/// Whether peers may finish among themselves.
fn three_phases(bounds: &Bounds) -> bool {
    let three = |content: &Content| content.terms.mode == Mode::ThreePhase;
    bounds.contents.iter().any(three)
}

fn reachable_by_peers(bounds: &Bounds) -> Vec<Property<World>> {
    let mut some = vec![Property::sometimes("resend", recovery::told_again)];
    if !bounds.inquired() {
        return some;
    }
    // Where only one is ever prepared, no peer knows more than it.
    let voters = bounds
        .votes
        .iter()
        .filter(|votes| votes.contains(&Vote::Yes));
    if voters.count() > 1 {
        some.push(Property::sometimes("poll", recovery::told_by_peer));
    }
    if bounds.seats > 1 && bounds.timeouts {
        some.push(Property::sometimes("inquiry", recovery::told_when_asked));
    }
    if bounds.seats > bounds.asked && !bounds.is_recorded() {
        some.push(Property::sometimes("adoption", adoption));
    }
    if three_phases(bounds) {
        some.push(Property::sometimes(
            "fence round",
            |world: &World, state: &State| {
                world.bounds.contents.iter().any(|content| {
                    // No leader's ballot for abort has anything to do with it, and no other content.
                    let apart = match state.head.standing(TXN) {
                        Standing::Absent => true,
                        Standing::Open(open) => {
                            open.accepted.value == Value::Commit
                                && open.terms.digest == content.terms.digest
                        }
                        Standing::Ended(_) | Standing::Forgotten => false,
                    };
                    apart && everyone(state, content, Value::Abort)
                })
            },
        ));
    }
    if three_phases(bounds) && bounds.rounds > 1 {
        some.push(Property::sometimes(
            "refusal resolved to commit",
            |_: &World, s: &State| resolved(s, Value::Commit),
        ));
        some.push(Property::sometimes(
            "refusal resolved to abort",
            |_: &World, s: &State| resolved(s, Value::Abort),
        ));
    }
    some
}

/// Everybody on the list of some content has carried out `outcome`, but for those that only read.
fn everybody(world: &World, state: &State, outcome: Outcome) -> bool {
    let mut contents = world.bounds.contents.iter();
    contents.any(|content| everyone(state, content, outcome))
}

/// The same of this content.
fn everyone(state: &State, content: &Content, outcome: Outcome) -> bool {
    let key = (TXN, content.terms.digest);
    let at = |id: &ParticipantId| id.0 as usize - 1;
    let read = |id: &ParticipantId| {
        let branch = state.branch(at(id));
        branch.is_some_and(|branch| matches!(branch.state, BranchState::Read { .. }))
    };
    let effect = |id: &ParticipantId| state.nodes[at(id)].effects.get(&key);
    let listed = &content.terms.participants;
    listed.iter().any(|id| effect(id).is_some())
        && listed
            .iter()
            .all(|id| effect(id) == Some(&outcome) || read(id))
}

/// A leader that no client has asked has gathered the votes, and no earlier one has.
fn adoption(world: &World, state: &State) -> bool {
    let proposed = |record: &Record| matches!(record, Record::PreCommit { .. });
    let phase = |at: usize| {
        let conductor = state.seats[at].conductor.as_ref();
        conductor.and_then(|conductor| conductor.phase(TXN))
    };
    let first = world.bounds.asked;
    state.head.standing(TXN) == Standing::Absent
        && state.limbo.iter().any(|record| proposed(record))
        && state.seats.len() > first
        && (0..first).all(|at| !matches!(phase(at), Some(Phase::Proposed)))
        && (first..state.seats.len()).any(|at| phase(at) == Some(Phase::Proposed))
}

/// A coordinator's ballot above the first was acknowledged.
fn resolved(state: &State, value: Value) -> bool {
    let Standing::Open(open) = state.head.standing(TXN) else {
        return false;
    };
    let ack = Answer::Ack {
        ballot: open.accepted.ballot,
    };
    open.accepted.value == value
        && open.accepted.ballot.round > 0
        && state
            .network
            .iter()
            .any(|envelope| envelope.body == Body::Answer(ack.clone()))
}

impl World {
    /// The names of what must be reachable.
    pub fn reachable(&self) -> Vec<&'static str> {
        let sometimes = stateright::Expectation::Sometimes;
        let all = self.properties().into_iter();
        all.filter(|p| p.expectation == sometimes)
            .map(|p| p.name)
            .collect()
    }
}
