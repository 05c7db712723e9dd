//! What the processes of a test are told when they start. Nothing is started here.

use triumvir_testkit::{ClusterConfig, Limits, Who};

use crate::{DEADLINE, FIRST, PARTICIPANTS, shell};

/// So long that no timer of this kind ends anything in a test.
const NEVER: &str = "1h";

/// Describes the cluster of a test.
#[derive(Debug)]
pub struct Setup {
    pub(crate) config: ClusterConfig,
}

impl Setup {
    /// Three replicas and two participants with default settings.
    ///
    /// # Panics
    ///
    /// `TRIUMVIR_BIN` is not set, which names the binary under test: `cargo xtask test` sets it.
    #[must_use]
    pub fn new() -> Self {
        let mut config = ClusterConfig::new(shell::binary()).with_participants(PARTICIPANTS);
        config.deadline = DEADLINE;
        Self { config }
    }

    /// Nothing is given up for having taken long: no vote times out, no work does, and participants
    /// neither ask nor start a fence round by themselves. What then ends a transaction is what the
    /// cluster says, however slow the machine is.
    #[must_use]
    pub fn patient() -> Self {
        Self::asking().participants_with(&["--timers-inquire", NEVER, "--timers-repeat-max", NEVER])
    }

    /// The same, but participants in doubt ask after the usual time.
    #[must_use]
    pub fn asking() -> Self {
        Self::new()
            .replicas_with(&["--vote-timeout", NEVER])
            .participants_with(&["--timers-fence", NEVER, "--timers-work", NEVER])
    }

    /// Participants soon finish among themselves what no coordinator ends. For tests in which they
    /// must.
    #[must_use]
    pub fn hasty() -> Self {
        Self::new()
            .participants_with(&["--timers-inquire", "500ms", "--timers-finish", "500ms"])
            .participants_with(&["--timers-fence", "1s", "--timers-fence-rank", "300ms"])
    }

    /// With failpoints in one process, `name=actions` with `;` between them.
    #[must_use]
    pub fn failpoints(mut self, who: Who, points: &str) -> Self {
        self.config.failpoints.insert(who, points.to_owned());
        self
    }

    /// With limits of the system for one process, until it is started anew.
    #[must_use]
    pub fn limits(mut self, who: Who, limits: Limits) -> Self {
        self.config.limits.insert(who, limits);
        self
    }

    /// With gates between the replicas, so that they can be parted.
    #[must_use]
    pub fn gates(mut self) -> Self {
        self.config.gates = true;
        self
    }

    /// With flags for every replica.
    #[must_use]
    pub fn replicas_with(mut self, flags: &[&str]) -> Self {
        self.config
            .replica_args
            .extend(flags.iter().map(Into::into));
        self
    }

    /// With flags for every participant.
    #[must_use]
    pub fn participants_with(mut self, flags: &[&str]) -> Self {
        self.config
            .participant_args
            .extend(flags.iter().map(Into::into));
        self
    }

    /// Whether the test depends on who leads.
    pub(crate) fn wants_first(&self) -> bool {
        self.config.failpoints.contains_key(&FIRST)
    }
}

impl Default for Setup {
    fn default() -> Self {
        Self::new()
    }
}
