//! The one builder of transactions.

use std::time::{Duration, Instant};

use triumvir_protocol::{Mode, TxnId};
use triumvir_wire::{Code, Failure, limits, message, v1};
use uuid::Uuid;

use crate::commit::{self, Attempt};
use crate::{Client, CommitError, Committed, Part};

/// A new transaction id: a UUIDv7. Later calls in this process give larger ids.
pub fn draw_txn() -> TxnId {
    TxnId::from_u128(Uuid::now_v7().as_u128())
}

/// A transaction that is being described. Nothing is sent before [`Transaction::commit`].
#[derive(Clone, Debug)]
#[must_use = "a transaction does nothing before it is committed"]
pub struct Transaction {
    client: Client,
    parts: Vec<(String, Part)>,
    /// The first participant whose pieces cannot be joined.
    twice: Option<String>,
    mode: Mode,
    id: Option<TxnId>,
    /// Whether no earlier call can have had this id.
    fresh: bool,
    first_attempt: Option<TxnId>,
    deadline: Option<Instant>,
    retry_conflicts: bool,
}

impl Transaction {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            parts: Vec::new(),
            twice: None,
            mode: Mode::ThreePhase,
            id: None,
            fresh: true,
            first_attempt: None,
            deadline: None,
            retry_conflicts: false,
        }
    }

    /// Adds work at a participant, by its name. Operations for one participant are joined in the
    /// order in which they are added; a payload, or work that was done before, stands alone.
    pub fn at(mut self, participant: impl Into<String>, part: impl Into<Part>) -> Self {
        let participant = participant.into();
        match self.parts.iter_mut().find(|(name, _)| *name == participant) {
            Some((_, known)) => {
                if known.join(part.into()).is_err() {
                    self.twice.get_or_insert(participant);
                }
            }
            None => self.parts.push((participant, part.into())),
        }
        self
    }

    /// How the outcome is decided: [`Mode::ThreePhase`] unless it is said otherwise.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// The transaction's id, from [`draw_txn`]. Committing again with the same id and content is
    /// safe and answers the same; so whoever stores the id before committing can learn the outcome
    /// after a crash of its own. Without it, one is drawn.
    pub fn id(mut self, txn: TxnId) -> Self {
        (self.id, self.fresh) = (Some(txn), false);
        self
    }

    /// Like [`Transaction::id`], for an id that was drawn for this very call and was part of no other.
    /// So a refusal is certain, which after an earlier call with the same id it would not be.
    pub fn fresh_id(mut self, txn: TxnId) -> Self {
        (self.id, self.fresh) = (Some(txn), true);
        self
    }

    /// The id of the first attempt at the same work: the transaction keeps that age where it meets
    /// others, so that repeated attempts do not starve. [`Transaction::retry_conflicts`] does so by
    /// itself.
    pub fn first_attempt(mut self, txn: TxnId) -> Self {
        self.first_attempt = Some(txn);
        self
    }

    /// How long to try, instead of the client's timeout.
    pub fn timeout(self, timeout: Duration) -> Self {
        let now = Instant::now();
        // Too far away to be counted is as good as a year.
        let deadline = now
            .checked_add(timeout)
            .unwrap_or(now + Duration::from_secs(31_536_000));
        self.deadline(deadline)
    }

    /// Until when to try, instead of the client's timeout.
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// When the transaction is aborted for a cause that may pass ([`AbortCause::is_retryable`]: a lock
    /// conflict, above all), the same work is tried again under a new id with the age of the first
    /// attempt, after a short pause, until the deadline.
    ///
    /// [`AbortCause::is_retryable`]: crate::AbortCause::is_retryable
    pub fn retry_conflicts(mut self) -> Self {
        self.retry_conflicts = true;
        self
    }

    /// Commits: an `Ok` is a promise of the whole cluster.
    ///
    /// Attempts that are known to have had no effect are repeated, here or at another replica, until
    /// the deadline. An attempt whose effect is not known is repeated with the same id and content,
    /// which applies nothing twice. Dropping the future leaves the outcome unknown.
    ///
    /// # Errors
    ///
    /// See [`CommitError`]; each says whether anything was applied.
    pub async fn commit(self) -> Result<Committed, CommitError> {
        let client = self.client.clone();
        let deadline = self.deadline.map_or_else(|| client.deadline(), Into::into);
        let attempt = Attempt {
            txn: self.id.unwrap_or_else(draw_txn),
            drawn: self.fresh,
            first_attempt: self.first_attempt,
        };
        let retry = self.retry_conflicts;
        let request = self.into_request()?;
        commit::commit(client.replicas(), request, attempt, retry, deadline).await
    }

    /// The request, without its ids: what is too large or cannot be meant is refused here.
    fn into_request(self) -> Result<v1::CommitRequest, Failure> {
        if let Some(name) = self.twice {
            let what = format!("{name} has a payload or finished work, which stands alone");
            return Err(Failure::new(Code::ParticipantTwice, what));
        }
        if self.parts.is_empty() {
            return Err(Code::NoParticipants.into());
        }
        if self.parts.len() > limits::PARTICIPANTS_MAX {
            let (found, max) = (self.parts.len(), limits::PARTICIPANTS_MAX);
            let what = format!("{found} where {max} are allowed");
            return Err(Failure::new(Code::TooManyParticipants, what));
        }
        let mut size = 0;
        let mut parts = Vec::with_capacity(self.parts.len());
        for (participant, part) in self.parts {
            let work = part.into_wire();
            if let Some(v1::work::Kind::Payload(bytes)) = &work.kind {
                let (found, max) = (bytes.len(), limits::PAYLOAD_BYTES_MAX);
                if found > max {
                    let what = format!("{participant}: {found} bytes where {max} are allowed");
                    return Err(Failure::new(Code::PayloadTooLarge, what));
                }
                size += found;
            }
            size += participant.len() + PART_OVERHEAD_BYTES;
            parts.push(v1::Part {
                participant,
                work: Some(work),
            });
        }
        if size > limits::REQUEST_BYTES_MAX {
            let what = format!(
                "{size} bytes where {} are allowed",
                limits::REQUEST_BYTES_MAX
            );
            return Err(Failure::new(Code::RequestTooLarge, what));
        }
        let mode = message::mode_wire(self.mode);
        Ok(v1::CommitRequest {
            mode,
            parts,
            ..Default::default()
        })
    }
}

/// More than a part takes beside its payload and its name.
const PART_OVERHEAD_BYTES: usize = 64;
