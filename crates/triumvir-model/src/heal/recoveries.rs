//! Whether one thing alone gets branches in doubt out of it: the leader's resending, or T3.

use std::panic::{AssertUnwindSafe, catch_unwind};

use triumvir_protocol::{ConductorTimer, ParticipantTimer, Phase};

use super::{Cast, Healed, Leader, doubts, has_outcome, quiet};
use crate::Action;
use crate::model::World;
use crate::shared::{Shared, hash};
use crate::state::{State, TXN};
use crate::step::{Step, reason};

impl World {
    /// Whether somebody in doubt comes to an outcome when all that is under way is lost and the last
    /// leader says once again what may have been, proposing nothing. Nobody is at work, and the leader
    /// has applied all: nothing else could lead to it.
    pub(crate) fn resent(&self, state: &State) -> bool {
        let Some(last) = state.seats.last().filter(|last| last.behind.is_empty()) else {
            return false;
        };
        let recorded = |phase| matches!(phase, Phase::Recorded | Phase::Committed);
        let phase = last.conductor.as_ref().and_then(|own| own.phase(TXN));
        let all: Vec<_> = (0..state.nodes.len()).collect();
        let cast = Cast::everyone(&all, Some(Leader::Last));
        let key = hash(&("resent", &state.head, last));
        phase.is_some_and(recorded)
            && self.alone(state, cast, key, |step| {
                step.act(Action::Timeout(cast.leader(state), ConductorTimer::Resend));
                step.state.limbo.is_empty()
            })
    }

    /// Whether a participant that has pre-committed, as no other has, and all others in doubt commit when
    /// all that is under way is lost and no coordinator speaks: because its T3 goes off, as nobody is at
    /// work.
    pub(crate) fn finished(&self, state: &State) -> bool {
        let others = |at: usize| (0..state.nodes.len()).filter(move |peer| *peer != at);
        let mut ready = doubts(state).filter(|(at, branch)| {
            let mut others = others(*at).filter_map(|peer| state.branch(peer));
            has_outcome(branch) && !others.any(has_outcome)
        });
        let all: Vec<_> = (0..state.nodes.len()).collect();
        ready.next().is_some_and(|(at, _)| {
            let cast = Cast::everyone(&all, None);
            let key = hash(&("finished", at));
            self.alone(state, cast, key, |step| {
                step.act(Action::Fire(at, ParticipantTimer::Finish));
                true
            })
        })
    }

    /// Whether `does`, and what follows from it, ends every doubt when all that is under way is lost and
    /// nobody is at work.
    fn alone(
        &self,
        state: &State,
        cast: Cast<'_>,
        key: u64,
        does: impl Fn(&mut Step<'_>) -> bool,
    ) -> bool {
        let nodes: Vec<_> = state.nodes.iter().map(Shared::hash).collect();
        let attempt = || -> Healed {
            let from = cast.begin(state);
            let mut step = Step::new(&self.bounds, &self.memo, from, false).unwatched();
            if !does(&mut step) {
                return Err("it proposes again".into());
            }
            quiet(&mut step, cast);
            let mut ends = doubts(state).map(|(at, branch)| {
                let effect = step.state.nodes[at].effects.get(&(TXN, branch.digest));
                effect.copied()
            });
            let first = ends.next().flatten();
            let all = ends.all(|end| end == first);
            first
                .filter(|_| all)
                .ok_or_else(|| "not all doubt ends".into())
        };
        state.nodes.iter().all(|node| node.jobs.is_empty())
            && self
                .memo
                .heals(hash(&(key, nodes)), || {
                    let done = catch_unwind(AssertUnwindSafe(attempt));
                    done.unwrap_or_else(|panic| Err(reason(&*panic).into()))
                })
                .is_ok()
    }
}
