//! What has gathered since the last submission, and its way to the disk and out. Nothing is decided
//! here; the order that the core states is kept by construction: messages leave only from the
//! writer's completion callback.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Notify, mpsc};
use triumvir_protocol::{BranchState, Force, ParticipantTimer, Target, TxnId};
use triumvir_storage::{Haste, Journal, JournalEntry, Writer, encode_branch};

use crate::Write;
use crate::frames::Envelope;
use crate::outbox::Outbox;

/// A branch's timer that has expired.
pub(super) type Expired = (TxnId, ParticipantTimer);

/// Records, the resource's writes and messages of one or many calls of the core.
#[derive(Default)]
pub(super) struct Batch {
    journal: Vec<JournalEntry>,
    writes: Vec<Write>,
    send: Vec<(Target, Envelope)>,
    /// Timers that have expired and wait for the records so far.
    confirm: Vec<Expired>,
    /// When it is forced.
    haste: Haste,
    size_bytes: usize,
}

impl Batch {
    pub(super) fn force(&mut self, force: &Force) {
        let entry = match force {
            Force::Branch(txn, branch) => {
                let haste = match branch.state {
                    // Nobody is told of a release; if it is lost, the outcome is asked for again.
                    BranchState::Read { released: true, .. } => Haste::Lazy,
                    // An outcome is carried out, and no client waits for that.
                    BranchState::Committed | BranchState::Aborted => Haste::Patient,
                    // A vote, an acknowledgement or a refusal waits for it.
                    _ => Haste::Urgent,
                };
                self.haste = self.haste.max(haste);
                JournalEntry::Branch(*txn, encode_branch(branch))
            }
            Force::Horizon(horizon) => JournalEntry::Horizon(*horizon),
            Force::Forget(txn) => JournalEntry::Forget(*txn),
        };
        self.size_bytes += entry.size_bytes();
        self.journal.push(entry);
    }

    pub(super) fn write(&mut self, write: Write) {
        if !write.can_wait() {
            self.haste = self.haste.max(Haste::Patient);
        }
        self.size_bytes += write.size_bytes();
        self.writes.push(write);
    }

    pub(super) fn send(&mut self, target: Target, envelope: Envelope) {
        self.send.push((target, envelope));
    }

    /// `expired` is to come back once every record up to here is durable.
    pub(super) fn confirm(&mut self, expired: Expired) {
        self.confirm.push(expired);
    }
}

/// Hands batches to the writer.
pub(super) struct Submitter {
    writer: Writer,
    outbox: Arc<Outbox>,
    in_flight: Arc<InFlight>,
    in_flight_max: usize,
    /// Bounded by the branches: each of its timers is in it once, for it is started again only when it
    /// has come back.
    confirmed: mpsc::UnboundedSender<Expired>,
}

#[derive(Default)]
struct InFlight {
    count: AtomicUsize,
    landed: Notify,
}

impl Submitter {
    /// What batches want confirmed comes back through the receiver.
    pub(super) fn new(
        writer: Writer,
        outbox: Arc<Outbox>,
        in_flight_max: usize,
    ) -> (Self, mpsc::UnboundedReceiver<Expired>) {
        let (confirmed, confirmations) = mpsc::unbounded_channel();
        let submitter = Self {
            writer,
            outbox,
            in_flight: Arc::default(),
            in_flight_max,
            confirmed,
        };
        (submitter, confirmations)
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
            confirm,
            haste,
            size_bytes,
        } = batch;
        let has_writes = !journal.is_empty() || !writes.is_empty();
        let confirms_nothing = confirm.is_empty();
        let silent = send.is_empty() && confirms_nothing;
        if !has_writes && silent {
            return;
        }
        let (applies, durables): (Vec<_>, Vec<_>) =
            writes.into_iter().map(Write::into_parts).unzip();
        let write = move |write: &mut triumvir_storage::WriteBatch<'_>| {
            if !journal.is_empty() {
                Journal::append(write, journal)?;
            }
            applies.into_iter().try_for_each(|apply| apply(write))
        };
        if silent && haste == Haste::Lazy {
            return self.writer.submit_lazy(size_bytes, write);
        }
        let queued = self.in_flight.count.fetch_add(1, Ordering::AcqRel) + 1;
        metrics::gauge!("triumvir_participant_submissions_in_flight").set(queued as f64);
        let (outbox, in_flight) = (self.outbox.clone(), self.in_flight.clone());
        let confirmed = self.confirmed.clone();
        let done = move |result: Result<(), _>| {
            // A failed force stops the process: nothing that it was to cover is said.
            if result.is_ok() {
                for durable in durables.into_iter().flatten() {
                    durable();
                }
                #[cfg(feature = "failpoints")]
                let send = {
                    let mut send = send;
                    crate::failpoint::saying(&mut send);
                    send
                };
                outbox.deliver(send);
                for expired in confirm {
                    // Nobody acts on it any more when the process is about to stop.
                    let _ = confirmed.send(expired);
                }
            }
            let left = in_flight.count.fetch_sub(1, Ordering::AcqRel) - 1;
            metrics::gauge!("triumvir_participant_submissions_in_flight").set(left as f64);
            in_flight.landed.notify_one();
        };
        match haste {
            _ if !has_writes => self.writer.barrier(done),
            Haste::Patient if confirms_nothing => {
                self.writer.submit_patient(size_bytes, write, done)
            }
            _ => self.writer.submit(size_bytes, write, done),
        }
    }
}

/// Whether `forces` make a live branch of `txn` durable: then its resource's write goes with them.
pub(super) fn stands(forces: &[Force], txn: TxnId) -> bool {
    forces
        .iter()
        .any(|force| matches!(force, Force::Branch(of, branch) if *of == txn && branch.is_live()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use triumvir_storage::{Database, Limits, Options};

    #[test]
    fn nothing_is_confirmed_before_what_was_submitted_earlier_is_durable() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path(), &Options::default()).unwrap();
        let writer = Writer::start(&database, Limits::default());
        let (peers, _commands) = mpsc::channel(1);
        let outbox = Arc::new(Outbox::new(peers));
        let (submitter, mut confirmations) = Submitter::new(writer.clone(), outbox, 9);
        let (go_on, held) = std::sync::mpsc::channel::<()>();
        let mut earlier = Batch::default();
        earlier.write(
            Write::new(0, move |_| {
                held.recv().unwrap();
                Ok(())
            })
            .on_durable(|| {}),
        );
        submitter.submit(earlier);
        let mut batch = Batch::default();
        let expired = (TxnId::from_u128(1), ParticipantTimer::Finish);
        batch.confirm(expired);
        submitter.submit(batch);
        assert!(confirmations.try_recv().is_err());
        go_on.send(()).unwrap();
        assert_eq!(confirmations.blocking_recv(), Some(expired));
        writer.shutdown();
    }
}
