//! The one task that owns the replicated state and, while this replica leads, the conductor.
//!
//! Everything reaches it by messages. Each round takes what has gathered, then hands on: one batch
//! of records to replication, one frame to each participant. There is no lock, no task and no timer
//! per transaction, and no decision: those are the conductor's.

mod apply;
mod callers;
mod calls;
mod conduct;
mod debts;
mod input;
mod inspect;
mod lead;
mod proposals;
mod removal;
mod sessions;
mod timers;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
pub(crate) use input::{
    Answered, Hello, Input, ListQuery, Opened, Registered, Removal, SessionRefused, Whom,
};
use lead::Role;
use proposals::{Proposals, Proposed};
use sessions::{Heading, Sessions};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::{Interval, MissedTickBehavior};
use triumvir_protocol::{ConductorTimer, Coordinator, Epoch, ReplicaId, Rules, TxnId};
use triumvir_replication::{Leadership, MachineEvent, Replica};
use triumvir_wire::v1;

use self::callers::Callers;
use crate::history::History;
use crate::view::{Directory, View};
use crate::{Config, NodeError, Shutdown};

/// How many messages one round takes at most.
const ROUND_MESSAGES_MAX: usize = 4096;

/// How often what depends on no message is looked after.
const TICK: Duration = Duration::from_millis(250);

/// One outcome, as this replica has learnt it.
#[derive(Clone, Debug)]
pub(crate) struct Learnt {
    pub(crate) txn: TxnId,
    pub(crate) outcome: triumvir_protocol::Outcome,
    pub(crate) cause: Option<triumvir_protocol::AbortCause>,
    pub(crate) at_micros: u64,
}

/// The owner's ends of the channels.
pub(crate) struct Channels {
    pub(crate) machine: mpsc::Receiver<MachineEvent>,
    pub(crate) inbox: mpsc::Receiver<Input>,
    pub(crate) view: watch::Sender<View>,
    pub(crate) learnt: broadcast::Sender<Learnt>,
}

/// The task's state.
pub(crate) struct Owner {
    config: Arc<Config>,
    me: ReplicaId,
    rules: Rules,
    coordinator: Coordinator,
    role: Role,
    /// Counts leaderships, so that news of an old one are told from those of the present one.
    generation: u64,
    /// How many activations in a row were not accepted.
    refused: u32,
    replica: Option<Replica>,
    leadership: Option<watch::Receiver<Leadership>>,
    proposals: Proposals,
    callers: Callers,
    registering: HashMap<u128, Vec<oneshot::Sender<Registered>>>,
    removing: removal::Removing,
    debts: debts::Debts,
    sessions: Sessions,
    history: History,
    directory: Arc<Directory>,
    /// The members that the participants are told of.
    replicas: Option<v1::ReplicaDirectory>,
    shutdown: Shutdown,
    ticks: u64,
    channels: Channels,
}

/// Why the task wakes.
enum Wake {
    Machine(Option<MachineEvent>),
    Input(Option<Input>),
    Leadership,
    Proposed(Proposed),
    Timer(TxnId, ConductorTimer),
    Tick,
}

/// Whether the task goes on.
#[derive(PartialEq, Eq)]
enum Then {
    GoOn,
    End,
}

impl Owner {
    pub(crate) fn new(config: Arc<Config>, channels: Channels, shutdown: Shutdown) -> Self {
        let rules = Rules::default();
        Self {
            me: ReplicaId(config.node),
            rules,
            coordinator: Coordinator::new(rules),
            role: Role::Following,
            generation: 0,
            refused: 0,
            replica: None,
            leadership: None,
            proposals: Proposals::new(&config),
            callers: Callers::default(),
            registering: HashMap::new(),
            removing: removal::Removing::new(),
            debts: debts::Debts::default(),
            sessions: Sessions::default(),
            history: History::new(config.history_max),
            directory: Arc::default(),
            replicas: None,
            shutdown,
            ticks: 0,
            channels,
            config,
        }
    }

    /// Runs until replication has let go of this task, or the process of it.
    ///
    /// # Errors
    ///
    /// [`NodeError::State`] when an entry or a snapshot cannot be read: this replica cannot go on.
    pub(crate) async fn run(mut self) -> Result<(), NodeError> {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let wake = self.wake(&mut tick).await;
            if self.handle(wake)? == Then::End {
                return Ok(());
            }
            // Other threads that are about to say something may do so first: at once when none can
            // run, and on a busy machine more goes into each frame and each proposal.
            std::thread::yield_now();
            for _ in 1..ROUND_MESSAGES_MAX {
                let Some(wake) = self.wake(&mut tick).now_or_never() else {
                    break;
                };
                if self.handle(wake)? == Then::End {
                    return Ok(());
                }
            }
            self.hand_on().await;
            // The rest of the process runs, and the next round gathers.
            tokio::task::yield_now().await;
        }
    }

    async fn wake(&mut self, tick: &mut Interval) -> Wake {
        let leadership = async {
            let changed = match &mut self.leadership {
                Some(watched) => watched.changed().await.is_ok(),
                None => false,
            };
            if !changed {
                std::future::pending().await
            }
        };
        tokio::select! {
            biased;
            event = self.channels.machine.recv() => Wake::Machine(event),
            proposed = self.proposals.next() => Wake::Proposed(proposed),
            () = leadership => Wake::Leadership,
            (txn, timer) = self.role.next_timer() => Wake::Timer(txn, timer),
            _ = tick.tick() => Wake::Tick,
            input = self.channels.inbox.recv() => Wake::Input(input),
        }
    }

    fn handle(&mut self, wake: Wake) -> Result<Then, NodeError> {
        match wake {
            Wake::Machine(None) | Wake::Input(None) => return Ok(Then::End),
            Wake::Machine(Some(event)) => self.on_machine(event)?,
            Wake::Input(Some(input)) => self.on_input(input),
            Wake::Leadership => self.reconsider_role(),
            Wake::Proposed(proposed) => self.on_proposed(proposed),
            Wake::Timer(txn, timer) => self.on_timer(txn, timer),
            Wake::Tick => self.on_tick(),
        }
        Ok(Then::GoOn)
    }

    /// Hands on what this round has gathered.
    async fn hand_on(&mut self) {
        if self.is_draining() {
            self.proposals.hasten();
        }
        if let Some(replica) = &self.replica {
            self.proposals.hand_on(replica, self.generation).await;
        }
        self.sessions.hand_on(Heading {
            epoch: self.role.epoch().unwrap_or(Epoch(0)),
            horizon: self.role.horizon(&self.coordinator),
            directory: &self.directory,
        });
        self.show();
    }

    /// Shows what has changed to the rest of the process.
    fn show(&self) {
        let leading = self.role.epoch();
        let leader = self
            .leadership
            .as_ref()
            .and_then(|watched| watched.borrow().leader);
        let idle = self.is_draining() && self.is_idle();
        self.channels.view.send_if_modified(|view| {
            let same = view.leading == leading
                && view.leader == leader
                && view.idle == idle
                && view.directory.version == self.directory.version;
            if !same {
                (view.leading, view.leader, view.idle) = (leading, leader, idle);
                view.directory = self.directory.clone();
            }
            !same
        });
    }

    /// Whether nothing new may be begun.
    fn is_draining(&self) -> bool {
        self.shutdown.is_draining()
    }

    /// Nothing is under way that another leader would have to take up.
    fn is_idle(&self) -> bool {
        match &self.role {
            Role::Leading(leading) => {
                leading.conductor.is_idle() && self.callers.len() == 0 && self.proposals.is_idle()
            }
            Role::Following | Role::Activating { .. } => true,
        }
    }

    fn on_tick(&mut self) {
        self.ticks += 1;
        self.proposals.hasten();
        self.reconsider_role();
        self.heed_members();
        for (caller, txn) in self.callers.left() {
            self.role.leave(caller, txn);
        }
        self.forget_left_removals();
        self.registering.retain(|_, waiting| {
            waiting.retain(|reply| !reply.is_closed());
            !waiting.is_empty()
        });
        if self.ticks.is_multiple_of(4) {
            self.measure();
        }
    }
}
