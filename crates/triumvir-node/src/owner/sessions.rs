//! The participants' sessions: who is connected, and the one frame per participant and round that
//! carries what was gathered for it. What the messages mean is not known here.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use triumvir_protocol::{
    Digest, Epoch, Horizon, Incarnation, ParticipantId, Registration, Request, TxnId, Work,
};
use triumvir_wire::{Code, Failure, ids, limits, v1};

use super::input::{Hello, Opened, SessionRefused};
use crate::telemetry;
use crate::view::Directory;

type Frames = mpsc::Sender<Result<v1::CoordinatorFrame, Status>>;

/// One participant's session.
#[derive(Debug)]
struct Session {
    serial: u64,
    incarnation: Incarnation,
    frames: Frames,
    closed: CancellationToken,
    /// Said in the first frame.
    greeting: Option<v1::CoordinatorHello>,
    /// The directory's version that it was last sent.
    directory: Option<u64>,
    queue: Vec<(TxnId, Digest, Request)>,
}

/// All sessions of this replica.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    next_serial: u64,
    sessions: BTreeMap<ParticipantId, Session>,
    /// Sessions that a frame is due for.
    due: BTreeSet<ParticipantId>,
    /// When the last session of those that have none ended.
    ended: BTreeMap<ParticipantId, Instant>,
}

/// What every frame of a round carries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heading<'a> {
    /// The leader's activation, or 0.
    pub(super) epoch: Epoch,
    /// The applied horizon.
    pub(super) horizon: Horizon,
    pub(super) directory: &'a Directory,
}

impl Sessions {
    /// Opens a session for a participant with this `registration`, in the place of an older one.
    pub(super) fn open(
        &mut self,
        hello: Hello,
        registration: Option<&Registration>,
        frames: Frames,
        replica: u64,
    ) -> Result<Opened, SessionRefused> {
        let known = registration.ok_or(SessionRefused::Unknown)?;
        if known.disk != hello.disk {
            return Err(SessionRefused::OtherDisk);
        }
        if known.removed {
            return Err(SessionRefused::Removed);
        }
        if known.replaced || known.incarnation > hello.incarnation {
            return Err(SessionRefused::Superseded);
        }
        if known.incarnation < hello.incarnation {
            return Err(SessionRefused::Unknown);
        }
        let participant = hello.participant;
        self.supersede(participant, hello.incarnation);
        if let Some(former) = self.remove(participant) {
            // The same process has come back: nothing to be told.
            former.closed.cancel();
        }
        self.next_serial += 1;
        let (serial, closed) = (self.next_serial, CancellationToken::new());
        let session = Session {
            serial,
            incarnation: hello.incarnation,
            frames,
            closed: closed.clone(),
            greeting: Some(v1::CoordinatorHello {
                version: limits::SESSION_VERSION,
                replica,
            }),
            directory: None,
            queue: Vec::new(),
        };
        self.sessions.insert(participant, session);
        self.due.insert(participant);
        Ok(Opened { serial, closed })
    }

    /// Whether `serial` is the session of `participant` now.
    pub(super) fn hears(&self, participant: ParticipantId, serial: u64) -> bool {
        self.sessions
            .get(&participant)
            .is_some_and(|own| own.serial == serial)
    }

    /// The session `serial` has ended by itself.
    pub(super) fn ended(&mut self, participant: ParticipantId, serial: u64) {
        if self.hears(participant, serial) {
            self.remove(participant);
        }
    }

    /// Ends the session of `participant`, and tells it why if it still listens.
    pub(super) fn close(&mut self, participant: ParticipantId, code: Code, why: &str) {
        if let Some(session) = self.remove(participant) {
            tracing::info!(%participant, %code, why, "a session is closed");
            let _ = session.frames.try_send(Err(Failure::new(code, why).into()));
            session.closed.cancel();
        }
    }

    /// Ends every session.
    pub(super) fn close_all(&mut self, code: Code, why: &str) {
        for participant in self.sessions.keys().copied().collect::<Vec<_>>() {
            self.close(participant, code, why);
        }
    }

    /// Ends the session of an older process than `incarnation`.
    pub(super) fn supersede(&mut self, participant: ParticipantId, incarnation: Incarnation) {
        if self
            .sessions
            .get(&participant)
            .is_some_and(|own| own.incarnation < incarnation)
        {
            self.close(
                participant,
                Code::Superseded,
                "a newer process has registered",
            );
        }
    }

    /// Says `request` to `participant` in this round's frame, if it is connected.
    pub(super) fn say(
        &mut self,
        participant: ParticipantId,
        txn: TxnId,
        digest: Digest,
        request: Request,
    ) {
        if let Some(session) = self.sessions.get_mut(&participant) {
            session.queue.push((txn, digest, request));
            self.due.insert(participant);
        }
    }

    /// Sends every participant a frame in this round: the horizon, the epoch or the directory is
    /// new.
    pub(super) fn tell_all(&mut self) {
        self.due.extend(self.sessions.keys().copied());
    }

    /// Hands this round's frames on. A session whose queue is full is dropped: the participant
    /// comes back, and what it missed is said again.
    pub(super) fn hand_on(&mut self, heading: Heading<'_>) {
        for participant in std::mem::take(&mut self.due) {
            let Some(session) = self.sessions.get_mut(&participant) else {
                continue;
            };
            match session.hand_on(heading) {
                Ok(()) => {}
                Err(TrySendError::Closed(_)) => {
                    self.remove(participant);
                }
                Err(TrySendError::Full(_)) => {
                    tracing::warn!(%participant, "too slow for its frames: the session is dropped");
                    if let Some(session) = self.remove(participant) {
                        session.closed.cancel();
                    }
                }
            }
        }
    }

    /// Whether `participant` is connected here.
    pub(super) fn is_up(&self, participant: ParticipantId) -> bool {
        self.sessions.contains_key(&participant)
    }

    /// Since when `participant` is not connected here any more: no time while it is. None: it never
    /// was. A silent session lives by its keepalives, and ends without them.
    pub(super) fn last_seen(&self, participant: ParticipantId) -> Option<Duration> {
        if self.is_up(participant) {
            return Some(Duration::ZERO);
        }
        self.ended.get(&participant).map(Instant::elapsed)
    }

    fn remove(&mut self, participant: ParticipantId) -> Option<Session> {
        let session = self.sessions.remove(&participant)?;
        self.ended.insert(participant, Instant::now());
        Some(session)
    }
}

impl Session {
    fn hand_on(&mut self, heading: Heading<'_>) -> Result<(), TrySendError<()>> {
        let mut frame = v1::CoordinatorFrame {
            hello: self.greeting.take(),
            epoch: heading.epoch.0,
            horizon: ids::horizon_bytes(heading.horizon),
            ..v1::CoordinatorFrame::default()
        };
        if self.directory != Some(heading.directory.version) {
            self.directory = Some(heading.directory.version);
            frame.directory = Some(heading.directory.wire.clone());
        }
        let mut bytes = 0;
        for (txn, digest, request) in self.queue.drain(..) {
            let size = size_estimate(&request);
            let full = frame.messages.len() >= limits::FRAME_MESSAGES_MAX
                || bytes + size > limits::FRAME_BYTES_TARGET;
            if full && !frame.messages.is_empty() {
                let next = v1::CoordinatorFrame {
                    epoch: frame.epoch,
                    horizon: frame.horizon.clone(),
                    ..v1::CoordinatorFrame::default()
                };
                send(&self.frames, std::mem::replace(&mut frame, next))?;
                bytes = 0;
            }
            bytes += size;
            frame.messages.push((txn, digest, request).into());
        }
        send(&self.frames, frame)
    }
}

/// Queues a frame. One that finds no place is lost.
fn send(frames: &Frames, frame: v1::CoordinatorFrame) -> Result<(), TrySendError<()>> {
    if !frame.messages.is_empty() {
        telemetry::frame();
    }
    frames.try_send(Ok(frame)).map_err(|error| match error {
        TrySendError::Full(_) => TrySendError::Full(()),
        TrySendError::Closed(_) => TrySendError::Closed(()),
    })
}

/// About how many bytes a request takes.
fn size_estimate(request: &Request) -> usize {
    match request {
        Request::CanCommit { terms, work, .. } => {
            let payload = match work {
                Some(Work::Payload(payload)) => payload.len(),
                Some(Work::Done { .. }) | None => 0,
            };
            128 + 5 * terms.participants.len() + payload
        }
        _ => 96,
    }
}
