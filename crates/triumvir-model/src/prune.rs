//! What can make no difference any more is left out of a state, so that states that differ in nothing
//! else are one. Beside each rule stands why nothing is lost by it: whatever the message or record
//! could still do is nothing, or lies beyond the bounds, or is done by another that is kept. Every
//! argument is about the machines as they are, with all rules in force, and none of it holds when the
//! horizon moves, as what is forgotten is asked anew.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use triumvir_protocol::{
    Answer, Ballot, BranchState, Digest, Mode, ParticipantId, Phase, Request, Standing, Value,
};

use crate::model::World;
use crate::network::{Body, Envelope};
use crate::node::{NodeEvent, NodeStep};
use crate::shared::Shared;
use crate::state::{State, TXN};

/// What becomes of a message.
enum Fate {
    Kept,
    /// It can do nothing any more.
    Dead,
    /// It does what all of the same sender and receiver do that have the same number: the one with the
    /// lowest ballot is kept.
    Like(u32, Ballot),
}

impl World {
    /// Whether this run leaves anything out.
    pub(crate) fn prunes(&self) -> bool {
        let bounds = &self.bounds;
        bounds.prune && !bounds.horizon && !bounds.epochs
    }

    /// What `message` would do at participant `at`; none if it panics.
    pub(crate) fn hears(
        &self,
        state: &State,
        at: usize,
        message: &Shared<Envelope>,
    ) -> Option<Arc<NodeStep>> {
        let (rules, node) = (self.bounds.rules, &state.nodes[at]);
        let event = NodeEvent::Receive(message.hash());
        let key = (node.hash(), event);
        let step = || node.step(rules, event, Some(message));
        catch_unwind(AssertUnwindSafe(|| self.memo.node(&key, step))).ok()
    }

    pub(crate) fn prune(&self, state: &mut State) {
        let doomed = self.doomed(state);
        if !doomed.is_empty() {
            let keep = |envelope: &Shared<Envelope>| !doomed.contains(&envelope.hash());
            state.network.retain(keep);
        }
        // Records whose condition can never hold again. That there is one in the log lets a leader look
        // again at what stands, and any of them does.
        let dead = state.limbo.iter().filter(|record| !state.changes(record));
        let dead: Vec<_> = dead.map(Shared::hash).collect();
        let rest = dead.get(1..).unwrap_or_default();
        state.limbo.retain(|record| !rest.contains(&record.hash()));
    }

    fn doomed(&self, state: &State) -> Vec<u64> {
        let mut doomed = Vec::new();
        let mut kept: BTreeMap<_, (Ballot, u64)> = BTreeMap::new();
        for envelope in state.network.iter() {
            let fate = match (&envelope.body, envelope.to) {
                (Body::Answer(answer), None) => self.at_coordinators(state, envelope, answer),
                (Body::Answer(answer), Some(to)) => self.at_asker(state, envelope, answer, to),
                (Body::Request(_, request), Some(to)) => at_asked(state, envelope, request, to),
                _ => Fate::Kept,
            };
            match fate {
                Fate::Kept => {}
                Fate::Dead => doomed.push(envelope.hash()),
                Fate::Like(number, ballot) => {
                    let is_answer = matches!(envelope.body, Body::Answer(_));
                    let key = (envelope.to, envelope.from, is_answer, number);
                    let own = (ballot, envelope.hash());
                    let first = kept.entry(key).or_insert(own);
                    if own != *first {
                        doomed.push(own.max(*first).1);
                        *first = own.min(*first);
                    }
                }
            }
        }
        doomed
    }

    /// An answer to a leader. A leader that holds evidence answers any word of a voter with it; the
    /// vote does that as well, so what is said later is needed for what it says alone.
    fn at_coordinators(&self, state: &State, envelope: &Envelope, answer: &Answer) -> Fate {
        let voted = |from, digest| {
            state.network.iter().any(|envelope| {
                matches!(
                    envelope.body,
                    Body::Answer(Answer::Yes { .. } | Answer::Read { .. })
                ) && (envelope.from, envelope.to, envelope.digest) == (from, None, digest)
            })
        };
        match answer {
            // A leader answers it with a fence above it, which would be beyond the bounds; or it has
            // applied that ballot or a higher one. What was accepted is not looked at.
            Answer::Refuse { promised, .. } if voted(envelope.from, envelope.digest) => {
                if promised.round >= self.bounds.rounds || is_past(state, *promised) {
                    Fate::Dead
                } else {
                    Fate::Like(promised.round << 16 | promised.owner, *promised)
                }
            }
            // Only a leader that fences at that ballot heeds it, which is above what it has applied.
            Answer::Promise { ballot, .. }
                if voted(envelope.from, envelope.digest) && is_past(state, *ballot) =>
            {
                Fate::Dead
            }
            _ => Fate::Kept,
        }
    }

    /// An answer of a peer to one that asked.
    fn at_asker(
        &self,
        state: &State,
        envelope: &Shared<Envelope>,
        answer: &Answer,
        to: ParticipantId,
    ) -> Fate {
        let at = to.0 as usize - 1;
        let Some(branch) = state.branch(at).filter(|b| b.digest == envelope.digest) else {
            return Fate::Kept;
        };
        let (mode, mb) = match &branch.state {
            BranchState::Prepared {
                terms, promised, ..
            } => (terms.mode, *promised),
            // Its outcome is certain: it takes no answers any more.
            BranchState::PreCommitted { .. } => return Fate::Dead,
            _ => return Fate::Kept,
        };
        let rounds = self.bounds.rounds;
        match answer {
            // They count in the round that they name, if it is the one that is under way. What comes
            // after it, also after a restart, has a higher ballot: what is not heeded now never is.
            Answer::Promise { .. } | Answer::Ack { .. } => {
                let step = self.hears(state, at, envelope);
                let idle = step.is_some_and(|step| {
                    step.node == state.nodes[at]
                        && step.send.is_empty()
                        && step.force.is_empty()
                        && step.jobs.is_empty()
                });
                if idle { Fate::Dead } else { Fate::Kept }
            }
            // It ends a lower round, which its own higher promise has ended as well; the next round
            // is above its own promise anyway. Above the bounds it ends a round, which every execution
            // may do by itself, and lets none begin.
            Answer::Refuse { promised, .. } if *promised <= mb || promised.round >= rounds => {
                Fate::Dead
            }
            // Otherwise the round of the ballot counts: the next one is to be above it.
            Answer::Refuse { promised, .. } => Fate::Like(promised.round, *promised),
            // It lets a round begin above its ballot and the own promise, if the mode has rounds.
            Answer::Prepared { promised, .. } => {
                let round = promised.round.max(mb.round);
                if mode == Mode::TwoPhase || round >= rounds {
                    Fate::Dead
                } else {
                    Fate::Like(1 << 31 | round, *promised)
                }
            }
            _ => Fate::Kept,
        }
    }

    /// Whether seat `at` learns nothing that it could ever use from the vote `envelope`: what the
    /// operations returned, for a client, when none waits there or will.
    pub(crate) fn is_stale_vote(&self, state: &State, at: usize, envelope: &Envelope) -> bool {
        let vote = matches!(
            envelope.body,
            Body::Answer(Answer::Yes { .. } | Answer::Read { .. })
        );
        let seat = &state.seats[at];
        let all = (1 << self.bounds.asks.len()) - 1;
        let alone = at >= self.bounds.asked || seat.answered == all;
        let recorded = |conductor: &triumvir_protocol::Conductor| {
            conductor.flights().any(|(_, digest, phase)| {
                digest == envelope.digest && matches!(phase, Phase::Recorded | Phase::Committed)
            })
        };
        vote && alone && self.prunes() && seat.conductor.as_deref().is_some_and(recorded)
    }
}

/// Whether every leader, and whoever will be one, has applied `ballot` or a higher one, or the end.
fn is_past(state: &State, ballot: Ballot) -> bool {
    let seats = state.seats.iter().map(|seat| &seat.coordinator);
    seats
        .chain([&state.head])
        .all(|coordinator| match coordinator.standing(TXN) {
            Standing::Open(open) => open.accepted.ballot >= ballot,
            Standing::Ended(_) => true,
            Standing::Absent | Standing::Forgotten => false,
        })
}

/// A request to a participant.
fn at_asked(state: &State, envelope: &Envelope, request: &Request, to: ParticipantId) -> Fate {
    let same = |digest: Digest| digest == envelope.digest;
    let branch = state.branch(to.0 as usize - 1);
    match branch.filter(|b| same(b.digest)).map(|b| &b.state) {
        // Ballots below its promise are refused, in the same words, and after its outcome answered
        // with that.
        Some(BranchState::Prepared {
            terms, promised, ..
        }) if terms.mode == Mode::ThreePhase => match request {
            Request::Fence { ballot } | Request::Accept { ballot, .. } if ballot < promised => {
                Fate::Like(0, *ballot)
            }
            _ => Fate::Kept,
        },
        // All that does not contradict its outcome is answered with it.
        Some(BranchState::PreCommitted { ballot: own, .. }) => match request {
            Request::Poll => Fate::Like(0, Ballot::ZERO),
            Request::Fence { ballot } => Fate::Like(0, *ballot),
            Request::Accept { ballot, value } if *value == Value::Commit || ballot < own => {
                Fate::Like(0, *ballot)
            }
            _ => Fate::Kept,
        },
        _ => Fate::Kept,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use stateright::Model;
    use triumvir_protocol::Rules;

    use crate::shared::hash;
    use crate::{Bounds, Inquiries, World};

    /// What can be durable, told and recorded, over all executions; and how many states that takes.
    fn lasting(bounds: Bounds) -> (HashSet<u64>, usize) {
        let world = World::new(bounds);
        let (mut seen, mut lasting, mut open) =
            (HashSet::new(), HashSet::new(), world.init_states());
        while let Some(state) = open.pop() {
            if !seen.insert(hash(&state)) {
                continue;
            }
            assert_eq!(state.broken(), None);
            let nodes = state.nodes.iter();
            let disks: Vec<_> = nodes.map(|node| (&node.branches, &node.effects)).collect();
            lasting.insert(hash(&(&state.head, &state.past, disks)));
            let mut actions = Vec::new();
            world.actions(&state, &mut actions);
            let next = actions.into_iter();
            open.extend(next.filter_map(|action| world.next_state(&state, action)));
        }
        (lasting, seen.len())
    }

    fn compare(participants: u32, whole: impl Fn(&mut Bounds), fewer: impl Fn(&mut Bounds)) {
        let run = |with: &dyn Fn(&mut Bounds)| {
            let mut bounds = Bounds::new(Rules::default(), participants);
            bounds.open_voted();
            bounds.eager = true;
            with(&mut bounds);
            lasting(bounds)
        };
        let ((whole, all), (pruned, fewer)) = (run(&whole), run(&fewer));
        assert!(fewer < all, "{fewer} of {all}");
        assert_eq!(whole.len(), pruned.len());
        assert!(whole == pruned);
    }

    /// p1 alone runs rounds.
    fn alone(b: &mut Bounds) {
        b.inquiries = vec![Inquiries::Pair, Inquiries::Never];
    }

    fn higher_ballots(b: &mut Bounds) {
        alone(b);
        b.rounds = 2;
    }

    fn two_leaders(b: &mut Bounds) {
        alone(b);
        b.seats = 2;
    }

    fn crashes(b: &mut Bounds) {
        b.inquiries = vec![Inquiries::Any, Inquiries::Never];
        b.restarts.fill(true);
    }

    /// Two run rounds, and each has begun one.
    fn against(b: &mut Bounds) {
        let begun = [
            "p1: timer Inquire, twice",
            "p2: timer Inquire, twice",
            "p1 receives p2 -> p1: PREPARED 0.0 a",
            "p2 receives p1 -> p2: PREPARED 0.0 a",
            "p1: timer Fence",
            "p2: timer Fence",
        ];
        b.opening.extend(begun.map(String::from));
    }

    #[cfg(not(debug_assertions))]
    fn against_higher(b: &mut Bounds) {
        against(b);
        b.rounds = 2;
    }

    fn against_leaders(b: &mut Bounds) {
        against(b);
        b.seats = 2;
    }

    /// Two of three do, and the first has begun.
    #[cfg(not(debug_assertions))]
    fn of_three(b: &mut Bounds) {
        let begun = [
            "p1: timer Inquire, twice",
            "p2: timer Inquire, twice",
            "p1 receives p2 -> p1: PREPARED 0.0 a",
            "p1 receives p3 -> p1: PREPARED 0.0 a",
            "p1: timer Fence",
            "p2 receives p1 -> p2: FENCE 1.1 a",
        ];
        b.opening.extend(begun.map(String::from));
        b.inquiries[2] = Inquiries::Never;
    }

    fn pruned(participants: u32, with: fn(&mut Bounds)) {
        let whole = |b: &mut Bounds| {
            with(b);
            b.prune = false;
        };
        compare(participants, whole, with);
    }

    #[test]
    fn nothing_that_lasts_is_lost_by_pruning() {
        for with in [higher_ballots, two_leaders, crashes] {
            pruned(2, with);
        }
    }

    #[test]
    fn nor_where_both_run_rounds() {
        pruned(2, |_| {});
    }

    // Too slow without optimisation; the model is always run with it.
    #[cfg(not(debug_assertions))]
    #[test]
    fn nor_where_both_run_rounds_to_higher_ballots() {
        pruned(2, against_higher);
    }

    #[test]
    fn nor_where_both_run_rounds_before_two_leaders() {
        pruned(2, against_leaders);
    }

    #[cfg(not(debug_assertions))]
    #[test]
    fn nor_of_three_participants() {
        pruned(3, of_three);
    }

    #[test]
    fn nothing_that_lasts_is_lost_by_late_inquiries() {
        for with in [higher_ballots, two_leaders, crashes] {
            let inquiries = |b: &mut Bounds, t1| {
                with(b);
                let some = b.inquiries.iter_mut();
                some.filter(|own| **own != Inquiries::Never)
                    .for_each(|own| *own = t1);
            };
            compare(
                2,
                |b| inquiries(b, Inquiries::Any),
                |b| inquiries(b, Inquiries::Late),
            );
        }
    }
}
