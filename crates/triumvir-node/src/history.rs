//! Recent transactions and what happened to them as seen from this replica, in memory, for people.
//! It begins anew with every start, it is bounded, and nothing is decided by it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Instant;

use foldhash::quality::RandomState;
use tracing::Span;
use triumvir_protocol::{
    AbortCause, Answer, Digest, Milestone, Mode, Outcome, ParticipantId, Terms, TxnId,
};

use crate::clock;

/// Events kept of one transaction.
const EVENTS_MAX: usize = 256;
/// As many as two participants' votes make.
const EVENTS_USUAL: usize = 7;

/// What is known of a branch, as words for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum BranchWord {
    Asked,
    Yes,
    Read,
    No,
    PreCommitted,
    Committed,
    Aborted,
}

impl BranchWord {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Yes => "yes",
            Self::Read => "read",
            Self::No => "no",
            Self::PreCommitted => "pre-committed",
            Self::Committed => "committed",
            Self::Aborted => "aborted",
        }
    }

    fn of(answer: &Answer) -> Option<Self> {
        match answer {
            Answer::Yes { .. } | Answer::Prepared { .. } => Some(Self::Yes),
            Answer::Read { .. } => Some(Self::Read),
            Answer::No { .. } => Some(Self::No),
            Answer::Ack { .. } | Answer::Decided => Some(Self::PreCommitted),
            Answer::Committed { .. } => Some(Self::Committed),
            Answer::Aborted => Some(Self::Aborted),
            Answer::NeedPayload
            | Answer::Promise { .. }
            | Answer::Refuse { .. }
            | Answer::Forgotten { .. } => None,
        }
    }
}

/// One transaction.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entry {
    pub(crate) digest: Option<Digest>,
    pub(crate) mode: Option<Mode>,
    pub(crate) branches: BTreeMap<ParticipantId, BranchWord>,
    /// Microseconds since the Unix epoch, and what happened.
    pub(crate) events: Vec<(u64, Milestone)>,
    pub(crate) outcome: Option<(Outcome, Option<AbortCause>)>,
    pub(crate) begun: Option<Instant>,
    pub(crate) prepared: Option<Instant>,
    pub(crate) recorded: Option<Instant>,
    /// What the log lines about it are inside of.
    pub(crate) span: Option<Span>,
}

/// The last so many transactions.
#[derive(Debug)]
pub(crate) struct History {
    max: usize,
    entries: HashMap<TxnId, Entry, RandomState>,
    order: VecDeque<TxnId>,
}

impl History {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            max,
            entries: HashMap::default(),
            order: VecDeque::new(),
        }
    }

    pub(crate) fn get(&self, txn: TxnId) -> Option<&Entry> {
        self.entries.get(&txn)
    }

    /// The log holds `txn` with this content: what was known of another one is void.
    pub(crate) fn learn_recorded(&mut self, txn: TxnId, terms: &Terms) {
        let entry = self.entry(txn);
        if entry.digest.is_some_and(|known| known != terms.digest) {
            *entry = Entry::default();
        }
        self.learn(txn, terms);
    }

    /// Someone has come with the content of `txn`. It counts unless another one is known.
    pub(crate) fn learn(&mut self, txn: TxnId, terms: &Terms) {
        let entry = self.entry(txn);
        if entry.digest.is_none() {
            entry.digest = Some(terms.digest);
            entry.mode = Some(terms.mode);
            let branches = terms.participants.iter().map(|id| (*id, BranchWord::Asked));
            entry.branches = branches.collect();
        }
    }

    /// A participant has answered.
    pub(crate) fn heard(
        &mut self,
        from: ParticipantId,
        txn: TxnId,
        digest: Digest,
        answer: &Answer,
    ) {
        if let Some(entry) = self.entries.get_mut(&txn)
            && entry.digest == Some(digest)
            && let Some(word) = BranchWord::of(answer)
            && let Some(branch) = entry.branches.get_mut(&from)
        {
            *branch = (*branch).max(word);
        }
    }

    /// Something has happened to `txn`; gives what is known of it by then.
    pub(crate) fn happened(&mut self, txn: TxnId, milestone: &Milestone) -> &mut Entry {
        let entry = self.entry(txn);
        if *milestone == Milestone::Begun {
            // What stands was a former attempt's, perhaps with other content.
            *entry = Entry::default();
        }
        if entry.events.capacity() == 0 {
            entry.events.reserve_exact(EVENTS_USUAL);
        }
        if entry.events.len() < EVENTS_MAX {
            entry.events.push((clock::micros(), milestone.clone()));
        }
        let now = Instant::now();
        match milestone {
            Milestone::Begun => entry.begun = Some(now),
            Milestone::Prepared => entry.prepared = Some(now),
            Milestone::Recorded => entry.recorded = entry.recorded.or(Some(now)),
            Milestone::Voted(..) | Milestone::Decided(..) | Milestone::Ended => {}
        }
        entry
    }

    /// How `txn` ended is known; false when it was known before.
    pub(crate) fn ended(
        &mut self,
        txn: TxnId,
        outcome: Outcome,
        cause: Option<AbortCause>,
    ) -> bool {
        let entry = self.entry(txn);
        let news = entry.outcome.is_none();
        if news {
            entry.outcome = Some((outcome, cause));
        }
        news
    }

    fn entry(&mut self, txn: TxnId) -> &mut Entry {
        if !self.entries.contains_key(&txn) {
            if self.order.len() >= self.max
                && let Some(oldest) = self.order.pop_front()
            {
                self.entries.remove(&oldest);
            }
            self.order.push_back(txn);
        }
        self.entries.entry(txn).or_default()
    }
}

#[cfg(test)]
mod tests {
    use triumvir_protocol::Value;

    use super::*;

    #[test]
    fn keeps_the_last_ones_and_tells_news_once() {
        let mut history = History::new(2);
        let txn = TxnId::from_u128;
        for id in 1..=3 {
            assert!(history.ended(txn(id), Value::Commit, None));
            assert!(!history.ended(txn(id), Value::Commit, None));
        }
        assert!(history.get(txn(1)).is_none());
        assert!(history.get(txn(2)).is_some() && history.get(txn(3)).is_some());
    }

    #[test]
    fn refused_content_changes_nothing_and_recorded_content_replaces() {
        let mut history = History::new(1);
        let terms = |digest, list: &[u32]| {
            let list = list.iter().copied().map(ParticipantId);
            Terms::from_parts(Mode::ThreePhase, Digest([digest; 32]), list).unwrap()
        };
        let txn = TxnId::from_u128(1);
        history.learn(txn, &terms(1, &[1, 2]));
        history.learn(txn, &terms(2, &[3]));
        assert_eq!(history.get(txn).unwrap().branches.len(), 2);
        history.learn_recorded(txn, &terms(2, &[3]));
        assert_eq!(history.get(txn).unwrap().branches.len(), 1);
    }

    #[test]
    fn a_branch_never_goes_back() {
        let mut history = History::new(1);
        let terms = Terms::from_parts(Mode::ThreePhase, Digest([1; 32]), [ParticipantId(4)]);
        let (txn, terms) = (TxnId::from_u128(1), terms.unwrap());
        history.learn(txn, &terms);
        let committed = Answer::Committed { results: None };
        let yes = Answer::Yes { results: [].into() };
        for answer in [&committed, &yes] {
            history.heard(ParticipantId(4), txn, terms.digest, answer);
        }
        let entry = history.get(txn).unwrap();
        assert_eq!(entry.branches[&ParticipantId(4)], BranchWord::Committed);
    }
}
