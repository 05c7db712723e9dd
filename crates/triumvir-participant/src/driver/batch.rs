//! What has gathered since the last submission, and its way to the disk and out. Nothing is decided
//! here; the order that the core states is kept by construction: messages leave only from the
//! writer's completion callback.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;
use triumvir_protocol::{BranchState, Force, Target, TxnId};
use triumvir_storage::{Journal, JournalEntry, Writer, encode_branch};

use crate::Write;
use crate::frames::Envelope;
use crate::outbox::Outbox;

/// Records, the resource's writes and messages of one or many calls of the core.
#[derive(Default)]
pub(super) struct Batch {
    journal: Vec<JournalEntry>,
    writes: Vec<Write>,
    send: Vec<(Target, Envelope)>,
    /// A record is in it that must not be lost, or a write that somebody waits for.
    urgent: bool,
    size_bytes: usize,
}

impl Batch {
    pub(super) fn force(&mut self, force: &Force) {
        let entry = match force {
            Force::Branch(txn, branch) => {
                // Nobody is told of a release; if it is lost, the outcome is asked for again.
                self.urgent |= !matches!(branch.state, BranchState::Read { released: true, .. });
                JournalEntry::Branch(*txn, encode_branch(branch))
            }
            Force::Horizon(horizon) => JournalEntry::Horizon(*horizon),
            Force::Forget(txn) => JournalEntry::Forget(*txn),
        };
        self.size_bytes += entry.size_bytes();
        self.journal.push(entry);
    }

    pub(super) fn write(&mut self, write: Write) {
        self.urgent |= !write.can_wait();
        self.size_bytes += write.size_bytes();
        self.writes.push(write);
    }

    pub(super) fn send(&mut self, target: Target, envelope: Envelope) {
        self.send.push((target, envelope));
    }
}

/// Hands batches to the writer.
pub(super) struct Submitter {
    writer: Writer,
    outbox: Arc<Outbox>,
    in_flight: Arc<InFlight>,
    in_flight_max: usize,
}

#[derive(Default)]
struct InFlight {
    count: AtomicUsize,
    landed: Notify,
}

impl Submitter {
    pub(super) fn new(writer: Writer, outbox: Arc<Outbox>, in_flight_max: usize) -> Self {
        Self {
            writer,
            outbox,
            in_flight: Arc::default(),
            in_flight_max,
        }
    }

    /// Whether so much waits for the disk that nothing more should be taken on.
    pub(super) fn is_full(&self) -> bool {
        self.in_flight.count.load(Ordering::Acquire) >= self.in_flight_max
    }

    /// Waits until a submission has landed.
    pub(super) async fn landed(&self) {
        self.in_flight.landed.notified().await;
    }

    /// Submits what has gathered. What the horizon lets be forgotten and released READ votes ride along
    /// with the next force; messages without a record wait for the records before them.
    pub(super) fn submit(&self, batch: Batch) {
        let Batch {
            journal,
            writes,
            send,
            urgent,
            size_bytes,
        } = batch;
        let has_writes = !journal.is_empty() || !writes.is_empty();
        if !has_writes && send.is_empty() {
            return;
        }
        let (applies, durables): (Vec<_>, Vec<_>) =
            writes.into_iter().map(Write::into_parts).unzip();
        let write = move |write: &triumvir_storage::WriteTransaction| {
            if !journal.is_empty() {
                Journal::append(write, journal)?;
            }
            applies.into_iter().try_for_each(|apply| apply(write))
        };
        if send.is_empty() && !urgent {
            return self.writer.submit_lazy(size_bytes, write);
        }
        let queued = self.in_flight.count.fetch_add(1, Ordering::AcqRel) + 1;
        metrics::gauge!("triumvir_participant_submissions_in_flight").set(queued as f64);
        let (outbox, in_flight) = (self.outbox.clone(), self.in_flight.clone());
        let done = move |result: Result<(), _>| {
            // A failed force stops the process: nothing that it was to cover is said.
            if result.is_ok() {
                for durable in durables.into_iter().flatten() {
                    durable();
                }
                outbox.deliver(send);
            }
            in_flight.count.fetch_sub(1, Ordering::AcqRel);
            in_flight.landed.notify_one();
        };
        if has_writes {
            self.writer.submit(size_bytes, write, done);
        } else {
            self.writer.barrier(done);
        }
    }
}

/// Whether `forces` make a live branch of `txn` durable: then its resource's write goes with them.
pub(super) fn stands(forces: &[Force], txn: TxnId) -> bool {
    forces
        .iter()
        .any(|force| matches!(force, Force::Branch(of, branch) if *of == txn && branch.is_live()))
}
