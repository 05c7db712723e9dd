//! The runs under the rules in force, each with its bounds. What each leaves out is what its bounds
//! say.

use triumvir_protocol::{Mode, Rules};

use crate::{Ask, Bounds, Content, Vote};

/// A run and its name.
pub type Named = (&'static str, Bounds);

fn two(with: impl FnOnce(&mut Bounds)) -> Bounds {
    of(2, with)
}

fn of(participants: u32, with: impl FnOnce(&mut Bounds)) -> Bounds {
    let mut bounds = Bounds::new(Rules::default(), participants);
    bounds.inquiries.fill(0);
    bounds.conditions = true;
    with(&mut bounds);
    bounds
}

/// Two contents under one id: the first in three phases at both participants, or at `first` alone.
fn contents(mode: Mode, first: &[u32], second: &[u32]) -> Bounds {
    two(|b| {
        b.contents = vec![
            Content::text(b.rules, Mode::ThreePhase, first, "x"),
            Content::text(b.rules, mode, second, "x"),
        ];
        b.asks.push(Ask::Commit(1));
    })
}

/// All have voted; `inquiries` participants may run fence rounds; `seats` leaders, one after another.
fn fences(participants: u32, inquiries: usize, seats: usize, rounds: u32) -> Bounds {
    of(participants, |b| {
        b.open_voted();
        b.eager = true;
        b.inquiries[..inquiries].fill(1);
        b.seats = seats;
        b.rounds = rounds;
    })
}

/// Runs of which every state is visited: a few minutes together.
pub fn short() -> Vec<Named> {
    let all_votes = vec![vec![Vote::Yes, Vote::Read, Vote::No]; 2];
    let votes = two(|b| {
        b.votes = all_votes;
        b.timeouts = true;
        b.restarts = true;
        b.slow = true;
        b.lag = true;
        b.asks.extend([Ask::Outcome, Ask::Decide, Ask::Abort]);
    });
    let done = two(|b| {
        b.contents = vec![Content::done(b.rules, Mode::ThreePhase, &[1, 2])];
        b.restarts = true;
    });
    let epochs = two(|b| {
        b.seats = 2;
        b.timeouts = true;
        b.epochs = true;
    });
    let leaders = two(|b| {
        b.seats = 3;
        b.timeouts = true;
        b.restarts = true;
    });
    let crashes = Bounds {
        restarts: true,
        ..fences(2, 2, 1, 1)
    };
    let reader = Bounds {
        votes: vec![vec![Vote::Yes], vec![Vote::Read]],
        inquiries: vec![1, 1],
        ..two(|b| b.eager = true)
    };
    let slow = Bounds {
        slow: true,
        restarts: true,
        restarts_max: Some(1),
        ..fences(2, 2, 1, 1)
    };
    let three = of(3, |b| b.restarts = true);
    let (two_phase, three_phase) = (Mode::TwoPhase, Mode::ThreePhase);
    vec![
        ("votes", votes),
        ("work done before", done),
        ("horizon", two(|b| b.horizon = true)),
        ("both modes", contents(two_phase, &[1, 2], &[1, 2])),
        ("overlapping lists", contents(three_phase, &[1, 2], &[2])),
        ("disjoint lists", contents(three_phase, &[1], &[2])),
        ("epochs", epochs),
        ("two leader changes", leaders),
        ("fence rounds", two(|b| b.inquiries.fill(1))),
        ("fence rounds and crashes", crashes),
        ("fence rounds with a READ voter", reader),
        ("fence rounds, slow resources, a crash each", slow),
        ("ballots to round 2", fences(2, 2, 1, 2)),
        ("two leader changes and fence rounds", fences(2, 2, 3, 1)),
        ("three participants", three),
    ]
}

/// Runs that take longer; the last ones do not end in ten minutes on two cores.
pub fn long() -> Vec<Named> {
    let crash = |bounds| Bounds {
        restarts: true,
        restarts_max: Some(1),
        ..bounds
    };
    vec![
        (
            "three participants, one runs fence rounds, a leader change",
            fences(3, 1, 2, 1),
        ),
        (
            "three participants, two run fence rounds",
            fences(3, 2, 1, 1),
        ),
        (
            "three participants, all run fence rounds",
            fences(3, 3, 1, 1),
        ),
        (
            "a leader change, a crash each, fence rounds",
            crash(fences(2, 2, 2, 1)),
        ),
        ("a leader change, ballots to round 2", fences(2, 2, 2, 2)),
    ]
}
