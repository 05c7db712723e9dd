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

/// How T1 goes off at a participant that is in doubt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Inquiries {
    /// Never.
    Never,
    /// Once between two starts, and then twice in a row: the coordinators are asked, then the peers are
    /// polled, as if nobody had answered. The cheap form: a participant that a coordinator has spoken
    /// to since leaves the matter to it for ever.
    Pair,
    /// At any moment, any number of times.
    Any,
    /// The same, in fewer steps. T1 says something, which stays under way, and changes what T2 alone
    /// looks at. So once all that it can say is said, it goes off right before T2 and at no other time;
    /// and a peer's answer to a poll, which only T2 looks at, comes between the two.
    Late,
}

/// A run's parties and limits. Repeated messages need no limit: they lead back to states that are
/// known.
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
    /// What happens in every execution before anything else, as a transcript says it. Only what comes
    /// after it is explored.
    pub opening: Vec<String>,
    /// Whether everybody says at once what it can say without any change of its own. More messages
    /// under way allow more, never less, so nothing is lost; transcripts get long.
    pub eager: bool,
    /// Activations: leader changes and one more.
    pub seats: usize,
    /// The highest round of a ballot.
    pub rounds: u32,
    /// By participant, how T1 goes off there.
    pub inquiries: Vec<Inquiries>,
    /// Whether committing and undoing take time, in which other things happen.
    pub slow: bool,
    /// Whether the last seat may act on less than the whole log. Earlier seats always may.
    pub lag: bool,
    /// By participant, whether it crashes and restarts with what it has forced.
    pub restarts: Vec<bool>,
    /// How often each does so; none: any number of times.
    pub restarts_max: Option<u8>,
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
    /// Whether they are also checked with what the parties hold in memory, not only after a restart of
    /// all of them.
    pub memories: bool,
    /// Whether what can make no difference any more is left out of states: see `prune`. Argued for all
    /// rules in force.
    pub prune: bool,
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
            opening: Vec::new(),
            eager: false,
            seats: 1,
            rounds: 1,
            inquiries: vec![Inquiries::Pair; participants as usize],
            slow: false,
            lag: false,
            restarts: vec![false; participants as usize],
            restarts_max: None,
            timeouts: false,
            horizon: false,
            epochs: false,
            only: None,
            alarms: true,
            conditions: false,
            memories: false,
            prune: rules == Rules::default(),
        }
    }

    /// Whether any participant asks at all.
    pub(crate) fn inquired(&self) -> bool {
        self.inquiries.iter().any(|t1| *t1 != Inquiries::Never)
    }

    /// Whether it begins with a record.
    pub(crate) fn is_recorded(&self) -> bool {
        let mut opening = self.opening.iter();
        opening.any(|line| line.starts_with("the log takes"))
    }

    /// Begins when every listed participant has voted YES by the first leader's can-commit, with all
    /// that was said still under way.
    pub fn open_voted(&mut self) {
        let id = |at: usize| format!("p{}", at + 1);
        let votes = (0..self.votes.len()).map(id);
        let votes = votes.flat_map(|p| {
            let asked = format!("{p} receives n -> {p}: CAN-COMMIT with work a");
            [asked, format!("{p} has prepared: Yes")]
        });
        let begun = ["n1 is activated", "a client asks n1: commit a"];
        self.opening = begun.map(String::from).into_iter().chain(votes).collect();
    }
}
