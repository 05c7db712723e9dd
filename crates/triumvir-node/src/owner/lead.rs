//! Leading: when this replica's own activation is applied it conducts, and not a moment longer than
//! until it is deposed. Whether it may lead is Raft's to say.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use triumvir_protocol::{
    Caller, Conductor, ConductorOutputs, ConductorTimer, Coordinator, Epoch, Horizon, Limits,
    Record, TxnId,
};
use triumvir_replication::{Outcome, Replica, Status};

use super::Owner;
use super::proposals::Proposed;
use super::timers::Timers;

/// After so many ticks an activation is tried again even though no majority is heard.
const RETRY_TICKS: u64 = 8;

/// The activation in a row that is told of when it is not accepted.
const REFUSED_SAID: u32 = 3;

/// A replica that has not answered its leader for so long is said to be silent.
const SILENCE: Duration = Duration::from_secs(3);

/// What this replica does for transactions.
pub(super) enum Role {
    /// Another leads, or nobody.
    Following,
    /// Raft says that this replica leads, and its activation is not yet applied.
    Activating {
        /// Raft's term.
        term: u64,
        /// The mark of the activation.
        nonce: u64,
    },
    /// This replica's activation is the last one applied.
    Leading(Box<Leading>),
}

/// One leadership.
pub(super) struct Leading {
    pub(super) term: u64,
    since: Instant,
    /// Replicas that do not answer, and of which this was said.
    silent: BTreeSet<u64>,
    pub(super) conductor: Conductor,
    pub(super) timers: Timers,
}

impl Leading {
    /// Says of each replica once that it does not answer, and once that it does again.
    pub(super) fn listen(&mut self, status: &Status) {
        if self.since.elapsed() < SILENCE {
            return;
        }
        for (replica, peer) in &status.peers {
            let answered = peer.ack_millis.map(Duration::from_millis);
            if answered.is_some_and(|ago| ago < SILENCE) {
                if self.silent.remove(replica) {
                    tracing::info!(replica, "the replica answers again");
                }
            } else if self.silent.insert(*replica) {
                tracing::warn!(replica, "the replica does not answer");
            }
        }
    }
}

impl Role {
    /// The activation that this replica leads under.
    pub(super) fn epoch(&self) -> Option<Epoch> {
        match self {
            Self::Leading(leading) => Some(leading.conductor.epoch()),
            Self::Following | Self::Activating { .. } => None,
        }
    }

    /// The horizon that frames carry: the applied one.
    pub(super) fn horizon(&self, coordinator: &Coordinator) -> Horizon {
        match self {
            Self::Leading(leading) => leading.conductor.horizon(coordinator),
            Self::Following | Self::Activating { .. } => coordinator.horizon(),
        }
    }

    /// The next timer that is over; never, unless this replica leads.
    pub(super) async fn next_timer(&mut self) -> (TxnId, ConductorTimer) {
        match self {
            Self::Leading(leading) => leading.timers.next().await,
            Self::Following | Self::Activating { .. } => std::future::pending().await,
        }
    }

    /// The caller no longer waits.
    pub(super) fn leave(&mut self, caller: Caller, txn: TxnId) {
        if let Self::Leading(leading) = self {
            leading.conductor.leave(caller, txn);
        }
    }

    fn term(&self) -> Option<u64> {
        match self {
            Self::Following => None,
            Self::Activating { term, .. } => Some(*term),
            Self::Leading(leading) => Some(leading.term),
        }
    }
}

impl Owner {
    /// Compares the role with what Raft says.
    pub(super) fn reconsider_role(&mut self) {
        let Some(watched) = &mut self.leadership else {
            return;
        };
        let now = *watched.borrow_and_update();
        let own = now.me_leader.then_some(now.term);
        if own.is_none() {
            self.refused = 0;
        }
        if self.role.term().is_some() && self.role.term() != own {
            self.depose("Raft has another leader");
        }
        if let Some(term) = own
            && matches!(self.role, Role::Following)
            // What an earlier leadership proposed is either applied or refused by then.
            && self.proposals.is_idle()
            && self.may_activate()
        {
            self.activate(term);
        }
    }

    /// Whether an activation may be accepted. One that was not is tried again when a majority is
    /// heard, and now and then in any case.
    fn may_activate(&self) -> bool {
        let heard = || {
            let status = self.replica.as_ref().map(Replica::status)?;
            status.quorum_ack_millis.map(Duration::from_millis)
        };
        self.refused == 0
            || self.ticks.is_multiple_of(RETRY_TICKS)
            || heard().is_some_and(|ago| ago < self.config.raft.election_timeout_min)
    }

    fn activate(&mut self, term: u64) {
        let nonce = rand::random();
        if self.refused == 0 {
            tracing::info!(term, "Raft says that this replica leads: activating");
        } else {
            tracing::debug!(term, refused = self.refused, "activating once more");
        }
        self.generation += 1;
        self.role = Role::Activating { term, nonce };
        self.proposals.extend([Record::Activate {
            replica: self.me,
            nonce,
        }]);
    }

    /// An activation was applied, this replica's own or another's.
    pub(super) fn on_activated(&mut self, epoch: Epoch, nonce: u64) {
        let term = match self.role {
            Role::Activating { term, nonce: own } if own == nonce => term,
            Role::Leading(_) => return self.depose("another activation is applied"),
            Role::Following | Role::Activating { .. } => return,
        };
        let limits = Limits {
            inflight_max: self.config.inflight_max,
            open_max: self.config.open_max,
        };
        let mut out = ConductorOutputs::default();
        let conductor = Conductor::new(self.rules, limits, &self.coordinator, &mut out);
        let timers = Timers::new(&self.config);
        self.refused = 0;
        self.role = Role::Leading(Box::new(Leading {
            term,
            since: Instant::now(),
            silent: BTreeSet::new(),
            conductor,
            timers,
        }));
        tracing::info!(%epoch, term, taken_over = self.coordinator.open().len(), "leading");
        self.absorb(out);
        self.sessions.tell_all();
    }

    /// This replica conducts no longer. Whoever waits sees that, and asks the next leader.
    pub(super) fn depose(&mut self, why: &str) {
        let callers = self.callers.len();
        match self.role {
            // A new leader's first record may be early.
            Role::Activating { .. } if self.refused != REFUSED_SAID => {
                tracing::debug!(why, "not activated");
            }
            Role::Activating { .. } => tracing::info!(why, "still not activated"),
            Role::Leading(_) | Role::Following => tracing::info!(why, callers, "leading no longer"),
        }
        self.role = Role::Following;
        self.generation += 1;
        self.proposals.clear();
        self.callers.clear();
        self.registering.clear();
        self.removing.clear();
    }

    /// A batch was applied, or will perhaps never be: then the order of records is broken, and this
    /// leadership ends. Raft may still say that this replica leads; it activates anew.
    pub(super) fn on_proposed(&mut self, proposed: Proposed) {
        let lost = match proposed.outcome {
            Outcome::Applied { .. } => false,
            Outcome::NotLeader { .. } | Outcome::Unknown { .. } | Outcome::Stopped => true,
        };
        if proposed.generation != self.generation {
            // Of a former leadership: the next one may have waited for it.
            self.reconsider_role();
        } else if lost && self.role.term().is_some() {
            if matches!(self.role, Role::Activating { .. }) {
                self.refused = self.refused.saturating_add(1);
            }
            self.depose("a batch was not accepted");
        }
    }

    pub(super) fn on_timer(&mut self, txn: TxnId, timer: ConductorTimer) {
        match timer {
            ConductorTimer::Vote => {
                self.conduct(|conductor, _, out| conductor.on_vote_timeout(txn, out));
            }
            ConductorTimer::Resend => {
                self.conduct(|conductor, _, out| {
                    conductor.on_resend(txn, out);
                    // What was proposed in this leadership is applied or ends it: proposing it once
                    // more would only pile up records while a majority is out of reach.
                    out.propose.clear();
                });
                if let Role::Leading(leading) = &mut self.role {
                    leading.timers.settle(txn);
                }
            }
        }
    }
}
