//! The two signals that end a process. How they come in (a signal, a test) is not known here.

use tokio_util::sync::CancellationToken;

/// Tells a running replica to stop, first politely and then at once. Clones are the same signal.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    drain: CancellationToken,
    stop: CancellationToken,
}

impl Shutdown {
    /// A signal that has not been given.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The first signal: begin nothing new, finish what is under way, hand on the leadership, end.
    pub fn drain(&self) {
        self.drain.cancel();
    }

    /// The second signal: end at once.
    pub fn stop(&self) {
        self.stop.cancel();
        self.drain.cancel();
    }

    /// Whether the first signal was given.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.drain.is_cancelled()
    }

    /// Waits for the first signal.
    pub(crate) async fn draining(&self) {
        self.drain.cancelled().await;
    }

    /// Waits for the second signal.
    pub(crate) async fn stopping(&self) {
        self.stop.cancelled().await;
    }
}
