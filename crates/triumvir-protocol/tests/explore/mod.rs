//! A seeded walk through the world: anything may happen at any time, all invariants are checked after
//! every step; then the faults stop and everything must be decided.

mod heal;
mod rng;

use std::panic::{AssertUnwindSafe, catch_unwind};

use heal::{Remedy, checked};
use rng::Rng;
use triumvir_protocol::{
    Incarnation, Mode, Outcome, ParticipantId, ReplicaId, Reply, Rules, TxnId, Value, Work,
};

use crate::world::{Ask, Plan, World};

const BAG_MAX: usize = 60;

/// What an execution reached.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Reached {
    pub(crate) committed: usize,
    pub(crate) aborted: usize,
    pub(crate) told: usize,
    pub(crate) fenced: usize,
    pub(crate) expired: usize,
}

/// One execution. Err: what went wrong, with the transcript.
pub(crate) fn explore(seed: u64, steps: usize, rules: Rules) -> Result<Reached, String> {
    let mut rng = Rng::new(seed);
    let mut world = build(&mut rng, rules);
    let walk = AssertUnwindSafe(|| walk(&mut world, &mut rng, steps));
    let result = catch_unwind(walk).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        Err(format!("panicked: {}", text.unwrap_or_default()))
    });
    match result {
        Ok(()) => Ok(reached(&world)),
        Err(why) => Err(format!("seed {seed}: {why}\n{}", world.trace.join("\n"))),
    }
}

fn walk(world: &mut World, rng: &mut Rng, steps: usize) -> Result<(), String> {
    for _ in 0..steps {
        step(world, rng);
        checked(world)?;
    }
    match rng.below(4) {
        0 => heal::heal(world, Remedy::Peers, rng)?,
        1 => heal::heal(world, Remedy::Mute, rng)?,
        _ => {}
    }
    heal::heal(world, Remedy::Leader, rng)?;
    heal::ask_again(world)
}

/// Two or three participants, one or two contents under one id, any modes and votes.
fn build(rng: &mut Rng, rules: Rules) -> World {
    let participants = 2 + rng.below(2) as u32;
    let mut world = World::new(rules, 3, participants);
    let all: Vec<_> = (1..=participants).map(ParticipantId).collect();
    let mode = |rng: &mut Rng| {
        if rng.chance(4) {
            Mode::TwoPhase
        } else {
            Mode::ThreePhase
        }
    };
    let (one, other): (&[_], Option<&[_]>) = match rng.below(8) {
        0 => (&all, Some(&all)),
        1 => (&all[..all.len() - 1], Some(&all[1..])),
        2 => (&all[..1], Some(&all[1..])),
        _ => (&all, None),
    };
    // Work done before, a payload that contents share, or one of its own.
    let (first, second) = (mode(rng), mode(rng));
    let work = match rng.below(8) {
        0 => Some(Work::Done {
            incarnation: Incarnation(1),
            operations: 1,
        }),
        1..4 if first != second => Some(Work::Payload((*b"shared").into())),
        _ => None,
    };
    let list = |ids: &[ParticipantId]| ids.iter().map(|id| (*id, work.clone())).collect::<Vec<_>>();
    world.content(first, &list(one));
    if let Some(other) = other {
        world.content(second, &list(other));
    }
    for node in world.nodes.values_mut() {
        node.plan = match rng.below(12) {
            0 => Plan::No,
            1 | 2 => Plan::Read,
            _ => Plan::Yes,
        };
    }
    if matches!(work, Some(Work::Done { .. })) {
        for id in all {
            world.operate(id, TxnId::from_u128(1));
        }
    }
    world.peers_tell = rng.chance(2);
    world.elect(ReplicaId(1));
    for id in 1..=3 {
        world.apply(ReplicaId(id));
    }
    world
}

fn step(world: &mut World, rng: &mut Rng) {
    let replicas: Vec<_> = world.replicas.keys().copied().collect();
    let nodes: Vec<_> = world.nodes.keys().copied().collect();
    let replica = rng.pick(&replicas).expect("there are some");
    let node = rng.pick(&nodes).expect("there are some");
    match rng.below(100) {
        0..42 => message(world, rng),
        42..56 => {
            let busy = nodes.iter().filter(|id| !world.nodes[id].jobs.is_empty());
            if let Some(id) = rng.pick(&busy.copied().collect::<Vec<_>>()) {
                world.work(id);
            }
        }
        56..66 if !world.limbo.is_empty() => {
            let index = rng.below(world.limbo.len());
            if rng.chance(8) {
                world.limbo.remove(index);
            } else {
                world.append(index);
            }
        }
        66..78 => drop(world.apply(replica)),
        78..81 => world.elect(replica),
        81 => world.depose(replica),
        82 => world.crash(node),
        83..86 => world.restart(node),
        86..93 => {
            let timers: Vec<_> = world.timers.iter().copied().collect();
            if let Some(timer) = rng.pick(&timers) {
                world.fire(timer);
            }
        }
        93..98 => client(world, rng, &replicas),
        98 if rng.chance(2) => drop(world.operate(node, TxnId::from_u128(1))),
        98 => world.propose_horizon(replica, TxnId::from_u128(1 + rng.below(2) as u128)),
        _ => {}
    }
}

fn message(world: &mut World, rng: &mut Rng) {
    if world.bag.is_empty() {
        return;
    }
    let index = rng.below(world.bag.len());
    match rng.below(20) {
        0 | 1 => drop(world.bag.remove(index)),
        #[cfg(feature = "mutants")]
        2 => world.deliver_torn(index),
        3..8 if world.bag.len() < BAG_MAX => {
            let copy = world.bag[index].clone();
            world.deliver_copy(copy);
        }
        _ => world.deliver(index),
    }
    while world.bag.len() > BAG_MAX {
        let index = rng.below(world.bag.len());
        world.bag.remove(index);
    }
}

fn client(world: &mut World, rng: &mut Rng, replicas: &[ReplicaId]) {
    let leads = |id: &&ReplicaId| world.replicas[id].conductor.is_some();
    let leaders: Vec<_> = replicas.iter().filter(leads).copied().collect();
    let Some(at) = rng.pick(&leaders) else {
        return;
    };
    let txn = TxnId::from_u128(1 + u128::from(rng.chance(6)));
    let ask = match rng.below(12) {
        0 => Ask::Outcome { decide: false },
        1 => Ask::Outcome { decide: true },
        2 => Ask::Abort,
        _ => Ask::Commit(rng.below(world.contents.len())),
    };
    world.ask(at, txn, ask);
}

fn reached(world: &World) -> Reached {
    let mut reached = Reached::default();
    let outcome = |txn, content: &crate::world::Content| -> Option<Outcome> {
        world
            .past
            .outcome(TxnId::from_u128(txn), content.terms.digest)
    };
    for txn in 1..=2 {
        for content in &world.contents {
            match outcome(txn, content) {
                Some(Value::Commit) => reached.committed += 1,
                Some(Value::Abort) => reached.aborted += 1,
                None => {}
            }
        }
    }
    for asked in world.callers.values() {
        reached.told += usize::from(asked.reply.is_some());
        reached.expired += usize::from(asked.reply == Some(Reply::Expired));
    }
    reached.fenced = world
        .trace
        .iter()
        .filter(|line| line.contains("PROMISE"))
        .count();
    reached
}

/// Explores `seeds` and adds up what they reached.
fn sweep(seeds: std::ops::Range<u64>, steps: usize) -> Reached {
    let mut sum = Reached::default();
    for seed in seeds {
        let one = explore(seed, steps, Rules::default()).unwrap_or_else(|why| panic!("{why}"));
        sum.committed += one.committed;
        sum.aborted += one.aborted;
        sum.told += one.told;
        sum.fenced += one.fenced;
        sum.expired += one.expired;
    }
    sum
}

#[test]
fn short_executions_hold_and_heal() {
    let reached = sweep(0..4_000, 80);
    assert!(
        reached.committed > 300 && reached.aborted > 300,
        "{reached:?}"
    );
    assert!(reached.fenced > 100 && reached.expired > 100, "{reached:?}");
}

#[test]
fn long_executions_hold_and_heal() {
    let reached = sweep(1_000_000..1_000_800, 400);
    assert!(
        reached.committed > 50 && reached.aborted > 50,
        "{reached:?}"
    );
}
