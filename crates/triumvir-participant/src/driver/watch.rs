//! What an operator sees of the branches: gauges, counters and log lines. Nothing here changes what
//! happens.

use std::collections::{BTreeSet, HashSet};
use std::time::{SystemTime, UNIX_EPOCH};

use metrics::{Counter, counter};
use triumvir_protocol::{
    Alarm, Answer, Branch, BranchState, Force, Message, ParticipantId, ParticipantTimer, ReplicaId,
    Request, Target, TxnId,
};

/// The most lines about single branches between two publications; the rest is only counted.
const LINES_MAX: usize = 20;

/// The branches that wait for an outcome, and those among them that have waited long.
pub(super) struct Watch {
    in_doubt: BTreeSet<TxnId>,
    overdue: HashSet<TxnId>,
    /// Branches that became overdue, and that were resolved then, since the last publication.
    news: (usize, usize),
    votes: Votes,
}

/// What every vote counts in, looked up once.
struct Votes {
    yes: Counter,
    read: Counter,
    no: Counter,
}

impl Watch {
    pub(super) fn restore<'a>(branches: impl Iterator<Item = (TxnId, &'a Branch)>) -> Self {
        let votes =
            |vote: &'static str| counter!("triumvir_participant_votes_total", "vote" => vote);
        Self {
            in_doubt: branches.map(|(txn, _)| txn).collect(),
            overdue: HashSet::new(),
            news: (0, 0),
            votes: Votes {
                yes: votes("yes"),
                read: votes("read"),
                no: votes("no"),
            },
        }
    }

    pub(super) fn forced(&mut self, force: &Force) {
        match force {
            Force::Branch(txn, branch) if branch.is_live() => {
                self.in_doubt.insert(*txn);
            }
            Force::Branch(txn, branch) => self.resolved(*txn, Some(&branch.state)),
            Force::Forget(txn) => self.resolved(*txn, None),
            Force::Horizon(_) => {}
        }
    }

    fn resolved(&mut self, txn: TxnId, state: Option<&BranchState>) {
        self.in_doubt.remove(&txn);
        if self.overdue.remove(&txn) {
            let outcome = match state {
                Some(BranchState::Committed) => "committed",
                Some(BranchState::Aborted) => "aborted",
                Some(BranchState::Read { .. }) => "released",
                _ => "over by the horizon",
            };
            self.news.1 += 1;
            if self.news.1 <= LINES_MAX {
                tracing::info!(%txn, outcome, "the branch is no longer in doubt");
            }
        }
    }

    pub(super) fn expired(&mut self, txn: TxnId, timer: ParticipantTimer) {
        match timer {
            ParticipantTimer::Inquire | ParticipantTimer::Finish
                if self.in_doubt.contains(&txn) && self.overdue.insert(txn) =>
            {
                self.news.0 += 1;
                if self.news.0 <= LINES_MAX {
                    tracing::warn!(%txn, "the branch is in doubt: no news in time; asking");
                }
            }
            ParticipantTimer::Work => tracing::debug!(%txn, "the work's time is over"),
            _ => {}
        }
    }

    pub(super) fn sent(&self, target: Target, txn: TxnId, message: &Message) {
        let vote = match message {
            Message::Answer(Answer::Yes { .. }) => &self.votes.yes,
            Message::Answer(Answer::Read { .. }) => &self.votes.read,
            Message::Answer(Answer::No { reason }) => {
                tracing::debug!(%txn, code = reason.code(), "voted no");
                &self.votes.no
            }
            Message::Request(request) => {
                if let Target::Peer(peer) = target {
                    asked(peer, txn, request);
                }
                return;
            }
            _ => return,
        };
        vote.increment(1);
    }

    /// A leader that another has followed sends requests.
    pub(super) fn late(&self, replica: ReplicaId, requests: usize) {
        counter!("triumvir_participant_late_requests_total").increment(requests as u64);
        tracing::debug!(%replica, requests, "requests of a former leader");
    }

    pub(super) fn alarm(&self, txn: TxnId, alarm: Alarm) {
        let (kind, text) = match alarm {
            Alarm::NoBranch => (
                "no-branch",
                "ALARM: told to go on with a branch that this journal does not know",
            ),
            Alarm::Contradiction => (
                "contradiction",
                "ALARM: told the opposite of what was done here",
            ),
        };
        counter!("triumvir_participant_alarms_total", "kind" => kind).increment(1);
        tracing::error!(%txn, kind, "{text}");
    }

    /// Sets the gauges.
    pub(super) fn publish(&mut self, calls: usize) {
        let (asking, resolved) = std::mem::take(&mut self.news);
        if asking > LINES_MAX || resolved > LINES_MAX {
            let overdue = self.overdue.len();
            tracing::warn!(asking, resolved, overdue, "many branches are in doubt");
        }
        metrics::gauge!("triumvir_participant_branches_in_doubt").set(self.in_doubt.len() as f64);
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let oldest = self
            .in_doubt
            .first()
            .map_or(0.0, |txn| now.as_secs_f64() - txn.millis() as f64 / 1000.0);
        metrics::gauge!("triumvir_participant_oldest_in_doubt_seconds").set(oldest.max(0.0));
        metrics::gauge!("triumvir_participant_resource_calls").set(calls as f64);
    }
}

/// A peer is asked or told something.
fn asked(peer: ParticipantId, txn: TxnId, request: &Request) {
    match request {
        Request::Fence { ballot } => {
            tracing::info!(%txn, %peer, %ballot, "fence round: asking for a promise");
        }
        Request::Accept { ballot, .. } => {
            tracing::info!(%txn, %peer, %ballot, "fence round: proposing abort");
        }
        Request::DoCommit | Request::Abort => {
            tracing::debug!(%txn, %peer, ?request, "telling a peer the outcome");
        }
        _ => {}
    }
}
