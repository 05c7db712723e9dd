//! The runs under the rules in force, each with its bounds. What each leaves out is what its bounds
//! say.

use triumvir_protocol::{Mode, Rules};

use crate::Inquiries::{Any, Late, Never, Pair};
use crate::{Ask, Bounds, Content, Inquiries, Vote};

/// A run and its name.
pub type Named = (&'static str, Bounds);

fn two(with: impl FnOnce(&mut Bounds)) -> Bounds {
    of(2, with)
}

fn of(participants: u32, with: impl FnOnce(&mut Bounds)) -> Bounds {
    let mut bounds = Bounds::new(Rules::default(), participants);
    bounds.inquiries.fill(Never);
    bounds.conditions = true;
    bounds.memories = true;
    with(&mut bounds);
    bounds
}

/// Two contents under one id: one in three phases at the participants `first`, one at `second`.
fn contents(mode: Mode, first: &[u32], second: &[u32]) -> Bounds {
    let participants = first.iter().chain(second).max();
    of(*participants.expect("a list names somebody"), |b| {
        b.contents = vec![
            Content::text(b.rules, Mode::ThreePhase, first, "x"),
            Content::text(b.rules, mode, second, "x"),
        ];
        b.asks.push(Ask::Commit(1));
    })
}

/// The same, each asked for at both of two leaders; `inquiries` participants may run fence rounds.
fn contested(inquiries: usize, mode: Mode, first: &[u32], second: &[u32]) -> Bounds {
    let mut bounds = contents(mode, first, second);
    bounds.eager = true;
    bounds.inquiries[..inquiries].fill(Pair);
    bounds.seats = 2;
    bounds.asked = 2;
    bounds
}

/// The first content is prepared at p1 when the second leader begins the second one.
fn begun() -> Vec<String> {
    let steps = [
        "n1 is activated",
        "a client asks n1: commit a",
        "p1 receives n -> p1: CAN-COMMIT with work a",
        "p1 has prepared: Yes",
        "n2 is activated",
        "a client asks n2: commit b",
    ];
    steps.map(String::from).to_vec()
}

/// All have voted; `inquiries` participants may run fence rounds; `seats` leaders, one after another.
fn fences(participants: u32, inquiries: usize, seats: usize, rounds: u32) -> Bounds {
    of(participants, |b| {
        b.open_voted();
        b.eager = true;
        b.inquiries[..inquiries].fill(Pair);
        b.seats = seats;
        b.rounds = rounds;
    })
}

/// Begins where the pre-commit record stands and the first of `seats` leaders has applied it; ballots
/// to round 2.
fn recorded(seats: usize) -> Bounds {
    let mut bounds = fences(2, 2, seats, 2);
    let steps = [
        "n1 receives p1 -> n: YES a",
        "n1 receives p2 -> n: YES a",
        "the log takes PRE-COMMIT a voters [p1, p2]",
    ];
    bounds.opening.extend(steps.map(String::from));
    bounds
}

/// T1 as `t1` says it for each of two participants.
fn asking(t1: [Inquiries; 2], bounds: Bounds) -> Bounds {
    let inquiries = t1.to_vec();
    Bounds {
        inquiries,
        ..bounds
    }
}

/// A crash of each participant.
fn crash(bounds: Bounds) -> Bounds {
    let all: Vec<_> = (1..=bounds.votes.len()).collect();
    crash_at(&all, bounds)
}

/// A crash of each of `some`, counted from 1.
fn crash_at(some: &[usize], bounds: Bounds) -> Bounds {
    let restarts = (1..=bounds.votes.len()).map(|at| some.contains(&at));
    Bounds {
        restarts: restarts.collect(),
        restarts_max: Some(1),
        ..bounds
    }
}

/// A leader change, work and vote timers; no order of messages is fixed by eagerness.
fn timers(t1: [Inquiries; 2]) -> Bounds {
    let bounds = two(|b| {
        b.timeouts = true;
        b.seats = 2;
    });
    asking(t1, bounds)
}

/// Runs of which every state is visited: minutes together.
pub fn short() -> Vec<Named> {
    let mut runs = without_fences();
    runs.extend(horizons());
    runs.extend(with_fences());
    runs.extend(pairs());
    runs
}

/// The horizon passes, with one thing more in each.
fn horizons() -> Vec<Named> {
    let horizon = |with: fn(&mut Bounds)| {
        two(|b| {
            b.horizon = true;
            with(b);
        })
    };
    let voted = horizon(|b| {
        b.seats = 2;
        b.eager = true;
        b.open_voted();
    });
    vec![
        (
            "horizon, a leader change, a crash each",
            crash(voted.clone()),
        ),
        (
            "horizon, a leader change, polls",
            asking([Pair, Never], voted),
        ),
        ("horizon, a crash each", crash(horizon(|_| {}))),
    ]
}

/// What is in no other run together, in pairs.
fn pairs() -> Vec<Named> {
    let three_phase = Mode::ThreePhase;
    // Both contents in one mode and with one list, and with none in common.
    let mut equal = contested(0, three_phase, &[1, 2], &[1, 2]);
    equal.contents[1] = Content::text(equal.rules, three_phase, &[1, 2], "y");
    let disjoint = contested(0, three_phase, &[1], &[2]);
    let late = two(|b| {
        b.lag = true;
        b.seats = 2;
        b.timeouts = true;
    });
    let client = |ask| {
        two(|b| {
            b.open_voted();
            b.eager = true;
            b.seats = 2;
            b.asked = 2;
            b.asks.push(ask);
        })
    };
    let mut reader = fences(2, 2, 2, 2);
    reader.votes[1] = vec![Vote::Read];
    reader.opening[5] = "p2 has prepared: Read".into();
    vec![
        ("equal lists, two leaders", equal),
        ("disjoint lists, two leaders", disjoint),
        (
            "lists that share one participant, two leaders",
            contested(0, three_phase, &[1, 2], &[2, 3]),
        ),
        (
            "late application, T1, timeouts",
            asking([Pair, Never], late),
        ),
        ("two leaders asked for the outcome", client(Ask::Outcome)),
        ("two leaders asked to decide", client(Ask::Decide)),
        ("two leaders asked to abort", client(Ask::Abort)),
        ("a READ voter, ballots to round 2", reader),
    ]
}

fn without_fences() -> Vec<Named> {
    let votes = two(|b| {
        b.votes = vec![vec![Vote::Yes, Vote::Read, Vote::No]; 2];
        b.timeouts = true;
        b.restarts.fill(true);
        b.slow = true;
        b.lag = true;
        b.asks.extend([Ask::Outcome, Ask::Decide, Ask::Abort]);
    });
    let done = two(|b| {
        b.contents = vec![Content::done(b.rules, Mode::ThreePhase, &[1, 2])];
        b.restarts.fill(true);
    });
    let epochs = two(|b| {
        b.seats = 2;
        b.timeouts = true;
        b.epochs = true;
    });
    let leaders = two(|b| {
        b.seats = 3;
        b.timeouts = true;
        b.restarts.fill(true);
    });
    let two_phases = two(|b| {
        b.contents = vec![Content::text(b.rules, Mode::TwoPhase, &[1, 2], "x")];
        b.inquiries.fill(Any);
        b.seats = 2;
        b.timeouts = true;
        b.restarts.fill(true);
    });
    let (two_phase, three_phase) = (Mode::TwoPhase, Mode::ThreePhase);
    vec![
        ("votes", votes),
        ("work done before", done),
        ("horizon", two(|b| b.horizon = true)),
        ("both modes", contents(two_phase, &[1, 2], &[1, 2])),
        ("overlapping lists", contents(three_phase, &[1, 2], &[2])),
        ("disjoint lists", contents(three_phase, &[1], &[2])),
        (
            "lists that share one participant",
            contents(three_phase, &[1, 2], &[2, 3]),
        ),
        ("epochs", epochs),
        ("two leader changes", leaders),
        ("two phases alone", two_phases),
        ("three participants", of(3, |b| b.restarts.fill(true))),
    ]
}

fn with_fences() -> Vec<Named> {
    let all = two(|b| {
        b.votes = vec![vec![Vote::Yes, Vote::Read, Vote::No]; 2];
        b.timeouts = true;
        b.restarts.fill(true);
        b.inquiries.fill(Any);
    });
    let slow = Bounds {
        slow: true,
        ..crash(fences(2, 2, 1, 1))
    };
    let mut modes = contested(1, Mode::TwoPhase, &[1, 2], &[1, 2]);
    modes.opening = begun();
    let lists = contested(1, Mode::ThreePhase, &[1, 2], &[2]);
    let mut reader = fences(3, 2, 2, 1);
    reader.votes[2] = vec![Vote::Read];
    reader.opening[7] = "p3 has prepared: Read".into();
    vec![
        ("fence rounds", all),
        (
            "fence rounds, slow resources, a crash each",
            asking([Any, Any], slow),
        ),
        ("fence rounds and all timers", timers([Any, Never])),
        ("fence rounds, both modes", modes),
        ("fence rounds, overlapping lists", lists),
        (
            "fence rounds, a leader change",
            asking([Late, Late], fences(2, 2, 2, 1)),
        ),
        ("fence rounds, two leader changes", fences(2, 2, 3, 1)),
        (
            "two leader changes, T1 at any moment at p1",
            asking([Late, Pair], fences(2, 2, 3, 1)),
        ),
        ("ballots to round 2", fences(2, 2, 1, 2)),
        ("ballots to round 2, a leader change", recorded(2)),
        (
            "three participants, two run fence rounds",
            fences(3, 2, 1, 1),
        ),
        (
            "three participants, one runs fence rounds, a leader change",
            fences(3, 1, 2, 1),
        ),
        (
            "three participants, one runs fence rounds, ballots to round 2",
            fences(3, 1, 1, 2),
        ),
        (
            "three participants, one READ, two run fence rounds, a leader change",
            reader,
        ),
    ]
}

/// Runs that take longer; not all end in ten minutes on two cores.
pub fn long() -> Vec<Named> {
    let modes = contested(1, Mode::TwoPhase, &[1, 2], &[1, 2]);
    let horizon = two(|b| b.horizon = true);
    let mut runs = vec![
        ("horizon, polls", asking([Pair, Never], horizon)),
        ("all timers at both participants", timers([Any, Any])),
        ("both modes from the beginning", modes),
        (
            "a leader change, a crash each, fence rounds",
            crash(fences(2, 2, 2, 1)),
        ),
        (
            "two leader changes, a crash each, fence rounds",
            crash(fences(2, 2, 3, 1)),
        ),
        (
            "two leader changes, T1 at any moment",
            asking([Late, Late], fences(2, 2, 3, 1)),
        ),
        (
            "ballots to round 2, T1 at any moment",
            asking([Late, Late], fences(2, 2, 1, 2)),
        ),
        (
            "a leader change from the votes on, ballots to round 2",
            fences(2, 2, 2, 2),
        ),
        ("two leader changes, ballots to round 2", recorded(3)),
        (
            "two leader changes, ballots to round 2, T1 at p1",
            asking([Pair, Never], recorded(3)),
        ),
        (
            "a leader change, a crash each, ballots to round 2",
            crash(recorded(2)),
        ),
    ];
    runs.extend(long_of_three());
    runs
}

/// The larger ones of three participants.
fn long_of_three() -> Vec<Named> {
    vec![
        (
            "three participants, all run fence rounds",
            fences(3, 3, 1, 1),
        ),
        (
            "three participants, one runs fence rounds, two leader changes",
            fences(3, 1, 3, 1),
        ),
        (
            "three participants, one runs fence rounds, a leader change, a crash each",
            crash(fences(3, 1, 2, 1)),
        ),
        (
            "three participants, two run fence rounds, a leader change",
            fences(3, 2, 2, 1),
        ),
        (
            "three participants, two run fence rounds, a crash each",
            crash(fences(3, 2, 1, 1)),
        ),
        (
            "three participants, two run fence rounds, a leader change, a crash of p3",
            crash_at(&[3], fences(3, 2, 2, 1)),
        ),
        (
            "three participants, all run fence rounds, a crash of p1",
            crash_at(&[1], fences(3, 3, 1, 1)),
        ),
        (
            "three participants, two run fence rounds, ballots to round 2",
            fences(3, 2, 1, 2),
        ),
        (
            "three participants, lists that share one, one runs fence rounds",
            contested(1, Mode::ThreePhase, &[1, 2], &[2, 3]),
        ),
        (
            "three participants, all run fence rounds, a crash of p1 and of p2",
            crash_at(&[1, 2], fences(3, 3, 1, 1)),
        ),
        (
            "three participants, two run fence rounds, a leader change, a crash each",
            crash(fences(3, 2, 2, 1)),
        ),
        (
            "three participants, two run fence rounds, two leader changes",
            fences(3, 2, 3, 1),
        ),
        (
            "three participants, all run fence rounds, a crash each",
            crash(fences(3, 3, 1, 1)),
        ),
        (
            "three participants, all run fence rounds, a leader change",
            fences(3, 3, 2, 1),
        ),
    ]
}
