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
    bounds.inquiries = 0;
    bounds.conditions = true;
    with(&mut bounds);
    bounds
}

/// Two contents under one id: the first in three phases at both participants.
fn contents(mode: Mode, list: &[u32]) -> Bounds {
    two(|b| {
        b.contents = vec![
            Content::text(b.rules, Mode::ThreePhase, &[1, 2], "x"),
            Content::text(b.rules, mode, list, "x"),
        ];
        b.asks.push(Ask::Commit(1));
    })
}

/// Runs of which every state is visited, in a minute each.
pub fn short() -> Vec<Named> {
    let votes = two(|b| {
        b.votes = vec![vec![Vote::Yes, Vote::Read, Vote::No]; 2];
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
    let leaders = two(|b| {
        b.seats = 2;
        b.timeouts = true;
    });
    vec![
        ("votes", votes),
        ("work done before", done),
        ("horizon", two(|b| b.horizon = true)),
        ("both modes", contents(Mode::TwoPhase, &[1, 2])),
        ("overlapping lists", contents(Mode::ThreePhase, &[2])),
        ("two leaders", leaders),
        ("fence rounds", two(|b| b.inquiries = 1)),
    ]
}

/// Runs that take longer; not each of them ends.
pub fn long() -> Vec<Named> {
    let leaders = two(|b| {
        b.seats = 3;
        b.timeouts = true;
        b.restarts = true;
    });
    let ballots = two(|b| {
        b.inquiries = 1;
        b.rounds = 2;
    });
    let fences = two(|b| {
        b.seats = 2;
        b.inquiries = 1;
    });
    vec![
        ("three leaders", leaders),
        ("ballots to round 2", ballots),
        ("two leaders and fence rounds", fences),
        ("three participants", of(3, |b| b.restarts = true)),
        (
            "three participants and fence rounds",
            of(3, |b| b.inquiries = 1),
        ),
    ]
}
