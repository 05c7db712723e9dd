//! The end of an execution: faults stop, and under one of the conditions of docs/protocol.md,
//! "Guarantees", everything must be decided.

use triumvir_protocol::{
    BranchState, Mode, ParticipantId, ParticipantTimer, Record, ReplicaId, Terms, TxnId,
};

use super::rng::Rng;
use crate::world::{Ask, Party, Timer, World};

/// Who is left to finish.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Remedy {
    /// One leader with a majority.
    Leader,
    /// No coordinator at all.
    Peers,
    /// A leader that speaks and cannot replicate.
    Mute,
}

const QUIET_MAX: usize = 5_000;
const ROUNDS_MAX: usize = 60;

/// Lets the remedy work until all is decided. Err: why it is not.
pub(super) fn heal(world: &mut World, remedy: Remedy, rng: &mut Rng) -> Result<(), String> {
    world.say(format!("heal by {remedy:?}"));
    let nodes: Vec<_> = world.nodes.keys().copied().collect();
    for id in nodes {
        world.restart(id);
        checked(world)?;
    }
    if remedy == Remedy::Leader {
        let replicas: Vec<_> = world.replicas.keys().copied().collect();
        if rng.chance(2) {
            world.limbo.clear();
        }
        if rng.chance(2) || !is_led(world) {
            world.elect(ReplicaId(1 + rng.below(replicas.len()) as u64));
        }
    }
    let ranks = world.nodes.len();
    for round in 0..ROUNDS_MAX {
        quiet(world, remedy)?;
        if is_decided(world, remedy) {
            return Ok(());
        }
        // T2 is delayed by rank and jittered: fence rounds that always start together, or always at the
        // moment when inquiries provoke a leader's own fence, need not end.
        let has_turn = |timer: &Timer| match timer {
            Timer::Participant(id, _, ParticipantTimer::Fence) => {
                round % 2 == 1 && id.0 as usize % ranks == round / 2 % ranks
            }
            _ => round % 2 == 0,
        };
        for timer in world.timers.clone() {
            if world.timers.contains(&timer) && has_turn(&timer) {
                world.fire(timer);
                checked(world)?;
            }
        }
    }
    Err(format!(
        "not decided by {remedy:?}:\n{}",
        world.picture().join("\n")
    ))
}

/// Whether the replica that was elected last still leads, so that nothing need be rebuilt.
fn is_led(world: &World) -> bool {
    let last = world.log.iter().rev().find_map(|record| match record {
        Record::Activate { replica, .. } => Some(replica),
        _ => None,
    });
    last.is_some_and(|id| {
        let replica = &world.replicas[id];
        let epoch = world
            .log
            .iter()
            .rposition(|r| matches!(r, Record::Activate { .. }));
        let own = replica
            .conductor
            .as_ref()
            .map(|conductor| conductor.epoch().0);
        own == epoch.map(|index| index as u64 + 1)
    })
}

/// Every client that asks again is answered.
pub(super) fn ask_again(world: &mut World) -> Result<(), String> {
    let leader = world.replicas.iter().rev();
    let mut leader = leader
        .filter(|(_, r)| r.conductor.is_some())
        .map(|(id, _)| *id);
    let leader = leader.next().ok_or("nobody leads")?;
    let known: Vec<_> = world.callers.values().map(|asked| asked.txn).collect();
    let mut known: Vec<_> = known
        .into_iter()
        .flat_map(|txn| (0..world.contents.len()).map(move |content| (txn, content)))
        .collect();
    known.sort_unstable();
    known.dedup();
    for (txn, content) in known {
        let caller = world.ask(leader, txn, Ask::Commit(content));
        checked(world)?;
        for _ in 0..ROUNDS_MAX {
            quiet(world, Remedy::Leader)?;
            if world.callers[&caller].reply.is_some() && is_decided(world, Remedy::Leader) {
                break;
            }
            for timer in world.timers.clone() {
                world.fire(timer);
                checked(world)?;
            }
        }
        if world.callers[&caller].reply.is_none() {
            return Err(format!("c{} is never answered", caller.0));
        }
    }
    Ok(())
}

/// Delivers, works, and with a leader replicates, until nothing is left to do.
fn quiet(world: &mut World, remedy: Remedy) -> Result<(), String> {
    for _ in 0..QUIET_MAX {
        if remedy == Remedy::Peers {
            let replica = |party: Party| matches!(party, Party::Replica(_));
            world.bag.retain(|e| !replica(e.from) && !replica(e.to));
        }
        let busy = world.nodes.iter().find(|(_, node)| !node.jobs.is_empty());
        if !world.bag.is_empty() {
            world.deliver(0);
        } else if let Some((&id, _)) = busy {
            world.work(id);
        } else if remedy != Remedy::Leader {
            return Ok(());
        } else if !world.limbo.is_empty() {
            world.append(0);
        } else {
            let behind = world.replicas.iter();
            let mut behind = behind.filter(|(_, r)| r.applied < world.log.len());
            let Some((&id, _)) = behind.next() else {
                return Ok(());
            };
            world.apply(id);
        }
        checked(world)?;
    }
    Err(format!("they never fall silent under {remedy:?}"))
}

fn is_decided(world: &World, remedy: Remedy) -> bool {
    let knows = |id: &ParticipantId, txn: TxnId| {
        let state = world.nodes[id]
            .branches()
            .get(&txn)
            .map(|branch| &branch.state);
        !matches!(
            state,
            Some(BranchState::Prepared { .. } | BranchState::Read { .. })
        )
    };
    let must_end = |txn: TxnId, terms: &Terms, state: &BranchState| match (remedy, state) {
        (Remedy::Leader, _) => true,
        // A READ voter is released by whoever knows an outcome; where all have only read, nobody does.
        (_, BranchState::Read { .. }) => terms.participants.iter().any(|id| knows(id, txn)),
        // Two-phase participants wait for a coordinator.
        _ => terms.mode == Mode::ThreePhase,
    };
    let waiting = world
        .nodes
        .values()
        .flat_map(|node| node.branches())
        .any(|(txn, branch)| {
            let live = branch.live();
            live.is_some_and(|(terms, _)| must_end(*txn, terms, &branch.state))
        });
    let open = world.replicas.values().any(|replica| {
        let flights = replica
            .conductor
            .as_ref()
            .map_or(0, |c| c.flights().count());
        flights > 0 || !replica.coordinator.open().is_empty()
    });
    !waiting && (remedy != Remedy::Leader || !open)
}

pub(super) fn checked(world: &mut World) -> Result<(), String> {
    world.check().map_err(|violation| violation.to_string())
}
