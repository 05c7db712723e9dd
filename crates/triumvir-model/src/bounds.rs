//! How far a run goes. Every bound is stated here; what it leaves out is said beside it.

use std::collections::BTreeMap;

use triumvir_protocol::{Incarnation, Mode, ParticipantId, Rules, Terms, Work};

use crate::{Ask, Vote};

/// What a client submits.
#[derive(Clone, Debug)]
pub struct Content {
    pub(crate) terms: Terms,
    pub(crate) work: BTreeMap<ParticipantId, Work>,
}

impl Content {
    /// A content of `text` for each of `participants`, counted from 1.
    ///
    /// # Panics
    ///
    /// If the list is no transaction.
    pub fn text(rules: Rules, mode: Mode, participants: &[u32], text: &str) -> Self {
        Self::new(
            rules,
            mode,
            participants,
            &Work::Payload(text.as_bytes().into()),
        )
    }

    /// A content of one operation done before at each of `participants` in its first incarnation.
    ///
    /// # Panics
    ///
    /// If the list is no transaction.
    pub fn done(rules: Rules, mode: Mode, participants: &[u32]) -> Self {
        let (incarnation, operations) = (Incarnation(1), 1);
        let work = Work::Done {
            incarnation,
            operations,
        };
        Self::new(rules, mode, participants, &work)
    }

    fn new(rules: Rules, mode: Mode, participants: &[u32], work: &Work) -> Self {
        let parts = participants
            .iter()
            .map(|id| (ParticipantId(*id), work.clone()));
        let parts: Vec<_> = parts.collect();
        Self {
            terms: Terms::under(rules, mode, &parts).expect("a transaction"),
            work: parts.into_iter().collect(),
        }
    }
}

/// A run's parties and limits. Restarts and repeated messages need no limit: they lead back to
/// states that are known.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// The rules in force.
    pub rules: Rules,
    /// By participant, how its resource may vote.
    pub votes: Vec<Vec<Vote>>,
    /// What clients submit, all under one id.
    pub contents: Vec<Content>,
    /// What clients ask, each at every seat until it is answered there.
    pub asks: Vec<Ask>,
    /// How many seats clients reach: the first of them.
    pub asked: usize,
    /// Activations: leader changes and one more.
    pub seats: usize,
    /// The highest round of a ballot.
    pub rounds: u32,
    /// How often T1 goes off at a participant between its restarts, twice in a row each time: the
    /// coordinators are asked, then the peers are polled.
    pub inquiries: u8,
    /// Whether committing and undoing take time, in which other things happen.
    pub slow: bool,
    /// Whether the last seat may act on less than the whole log. Earlier seats always may.
    pub lag: bool,
    /// Whether participants restart.
    pub restarts: bool,
    /// Whether work and vote timers go off.
    pub timeouts: bool,
    /// Whether the horizon moves.
    pub horizon: bool,
    /// Whether leaders' frames carry their epochs. Without, nobody is ever dropped as outdated: more
    /// can happen, not less.
    pub epochs: bool,
    /// The one property that counts, where what a broken rule leads to in the end is looked for.
    pub only: Option<&'static str>,
    /// Whether an alarm is a failure.
    pub alarms: bool,
    /// Whether the conditions of *Non-blocking* are checked in every state.
    pub conditions: bool,
}

impl Bounds {
    /// Participants that vote YES on one content in three phases; one seat, no faults but those of
    /// the network.
    pub fn new(rules: Rules, participants: u32) -> Self {
        let all: Vec<_> = (1..=participants).collect();
        Self {
            rules,
            votes: vec![vec![Vote::Yes]; participants as usize],
            contents: vec![Content::text(rules, Mode::ThreePhase, &all, "a")],
            asks: vec![Ask::Commit(0)],
            asked: 1,
            seats: 1,
            rounds: 1,
            inquiries: 1,
            slow: false,
            lag: false,
            restarts: false,
            timeouts: false,
            horizon: false,
            epochs: false,
            only: None,
            alarms: true,
            conditions: false,
        }
    }
}
