//! When each commit was acknowledged, for whoever asks how long none was.

use std::time::{Duration, Instant};

use tokio::sync::watch;

/// Moments counted from one instant, rising. Shared by all clients.
#[derive(Debug)]
pub(super) struct Moments {
    began: Instant,
    acknowledged: watch::Sender<Vec<Duration>>,
}

impl Moments {
    /// Begins now.
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            acknowledged: watch::Sender::new(Vec::new()),
        }
    }

    /// The time since the beginning.
    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// A commit is acknowledged now.
    pub(super) fn note(&self) {
        // Read under the lock, so that the moments rise.
        self.acknowledged
            .send_modify(|moments| moments.push(self.began.elapsed()));
    }

    /// Waits until `count` more commits are acknowledged.
    pub(super) async fn more(&self, count: usize) {
        let wanted = self.acknowledged.borrow().len() + count;
        let mut watched = self.acknowledged.subscribe();
        // The sender lives as long as this does.
        let _ = watched.wait_for(|moments| moments.len() >= wanted).await;
    }

    /// All of them so far.
    pub(super) fn all(&self) -> Vec<Duration> {
        self.acknowledged.borrow().clone()
    }
}
