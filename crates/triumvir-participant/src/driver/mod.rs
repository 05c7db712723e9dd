//! The one task that owns the branches. It takes in what has gathered, lets the core decide, and hands
//! on records and messages as one submission; while that is being forced, the next one gathers.
//! Nothing is decided here, and nothing waits here but for input.

mod batch;
mod calls;
mod timers;
mod watch;

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use triumvir_protocol::{
    Action, Force, Message, NoReason, Participant, ParticipantOutputs, ParticipantTimer,
    PrepareResult, Source, TxnId,
};
use triumvir_storage::Writer;
use triumvir_wire::limits::PAYLOAD_BYTES_MAX;

use self::batch::{Batch, Expired, Submitter};
use self::calls::{Calls, Done};
use self::timers::TimerQueue;
use self::watch::Watch;
use crate::Write;
use crate::config::Config;
use crate::member::Input;
use crate::outbox::Outbox;
use crate::resource::{Prepared, Refusal, Resource};

/// The most results, timers and confirmations each that go into one batch.
const GATHERED_MAX: usize = 4096;
/// The most frames that go into one batch.
const FRAMES_MAX: usize = 32;
/// Once a coordinator is there again, branches in doubt ask it within this time, spread evenly.
const RECONNECTED_MAX: Duration = Duration::from_millis(200);
const PUBLISH_EVERY: Duration = Duration::from_secs(1);

/// Drives a [`Participant`].
pub(crate) struct Driver<R> {
    participant: Participant,
    calls: Calls<R>,
    timers: TimerQueue,
    watch: Watch,
    batch: Batch,
    submitter: Submitter,
    /// Timers that had expired, once the records before that are durable.
    confirmations: mpsc::UnboundedReceiver<Expired>,
    inbox: mpsc::Receiver<Input>,
    /// The cluster has confirmed in this start that the folder is not an old copy.
    registered: bool,
}

impl<R: Resource> Driver<R> {
    /// The resource must have recovered its branches.
    pub(crate) fn new(
        participant: Participant,
        resource: Arc<R>,
        config: &Config,
        writer: Writer,
        outbox: Arc<Outbox>,
        inbox: mpsc::Receiver<Input>,
    ) -> Self {
        let watch = Watch::restore(participant.in_doubt());
        let in_flight_max = config.limits.submissions_in_flight_max;
        let (submitter, confirmations) = Submitter::new(writer, outbox, in_flight_max);
        Self {
            participant,
            calls: Calls::new(resource),
            timers: TimerQueue::new(config.timers.clone()),
            watch,
            batch: Batch::default(),
            submitter,
            confirmations,
            inbox,
            registered: false,
        }
    }

    /// Runs until `stop`; the writer may still hold what was submitted.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut out = ParticipantOutputs::default();
        self.participant.start(&mut out);
        self.absorb(out, None);
        self.submit();
        let mut publish = tokio::time::interval(PUBLISH_EVERY);
        publish.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut inputs = Vec::new();
        loop {
            let full = self.submitter.is_full();
            tokio::select! {
                () = stop.cancelled() => return,
                (txn, done) = std::future::poll_fn(|cx| self.calls.poll_done(cx)) => {
                    self.on_done(txn, done);
                }
                (txn, timer) = std::future::poll_fn(|cx| self.timers.poll_expired(cx)) => {
                    self.on_timer(txn, timer);
                }
                Some((txn, timer)) = self.confirmations.recv() => self.on_confirmed(txn, timer),
                count = self.inbox.recv_many(&mut inputs, FRAMES_MAX), if !full => {
                    if count == 0 {
                        return; // Nobody can say anything any more.
                    }
                }
                () = self.submitter.landed(), if full => {}
                _ = publish.tick() => self.watch.publish(self.calls.len()),
            }
            for input in inputs.drain(..) {
                self.on_input(input);
            }
            self.gather().await;
            self.submit();
        }
    }

    /// Takes in what is ready without waiting for more. Results are taken in the order in which the
    /// calls finished, so that a branch that got another's locks comes after it in the journal.
    async fn gather(&mut self) {
        // Other threads that are about to say something may do so first: at once when none can run,
        // and on a busy machine more goes with each submission.
        std::thread::yield_now();
        self.take_frames();
        for _ in 0..GATHERED_MAX {
            let next = std::future::poll_fn(|cx| Poll::Ready(self.calls.poll_done(cx))).await;
            match next {
                Poll::Ready((txn, done)) => self.on_done(txn, done),
                Poll::Pending => break,
            }
        }
        for _ in 0..GATHERED_MAX {
            let next = std::future::poll_fn(|cx| Poll::Ready(self.timers.poll_expired(cx))).await;
            match next {
                Poll::Ready((txn, timer)) => self.on_timer(txn, timer),
                Poll::Pending => break,
            }
        }
        for _ in 0..GATHERED_MAX {
            match self.confirmations.try_recv() {
                Ok((txn, timer)) => self.on_confirmed(txn, timer),
                Err(_) => break,
            }
        }
    }

    /// Takes in frames that are there, unless so much waits for the disk that they must wait too.
    fn take_frames(&mut self) {
        for _ in 0..FRAMES_MAX {
            if self.submitter.is_full() {
                return;
            }
            match self.inbox.try_recv() {
                Ok(input) => self.on_input(input),
                Err(_) => return,
            }
        }
    }

    fn submit(&mut self) {
        self.submitter.submit(std::mem::take(&mut self.batch));
    }

    fn on_input(&mut self, input: Input) {
        let mut out = ParticipantOutputs::default();
        match input {
            Input::Coordinator {
                replica,
                epoch,
                horizon,
                requests,
            } => {
                if epoch < self.participant.epoch() {
                    self.watch.late(replica, requests.len());
                }
                self.participant.on_epoch(epoch);
                if let Some(horizon) = horizon {
                    self.participant.on_horizon(horizon, &mut out);
                }
                let source = Source::Coordinator(replica, epoch);
                for (txn, digest, request) in requests {
                    self.participant
                        .handle_request(source, txn, digest, request, &mut out);
                }
            }
            Input::Registered => self.registered = true,
            Input::Connected => self
                .timers
                .hasten(ParticipantTimer::Inquire, RECONNECTED_MAX),
            Input::Disconnected => self.timers.renew(ParticipantTimer::Inquire),
            Input::Peer { from, messages } => {
                for (txn, digest, message) in messages {
                    if !self.may_answer(txn) {
                        continue;
                    }
                    let participant = &mut self.participant;
                    match message {
                        Message::Request(request) => {
                            let source = Source::Peer(from);
                            participant.handle_request(source, txn, digest, request, &mut out);
                        }
                        Message::Answer(answer) => {
                            participant.handle_answer(from, txn, digest, answer, &mut out);
                        }
                        // No frame of a peer holds one.
                        Message::Inquiry(_) => {}
                    }
                }
            }
        }
        self.absorb(out, None);
    }

    /// Whether this journal can be believed about `txn`. An old copy of the folder may lack branches,
    /// and would refuse them for good; what it holds, and that the horizon has passed, is true.
    fn may_answer(&self, txn: TxnId) -> bool {
        self.registered
            || self.participant.branches().contains_key(&txn)
            || self.participant.horizon().covers(txn)
    }

    fn on_timer(&mut self, txn: TxnId, timer: ParticipantTimer) {
        self.watch.expired(txn, timer);
        let mut out = ParticipantOutputs::default();
        match timer {
            ParticipantTimer::Work => self.participant.on_work_timeout(txn, &mut out),
            ParticipantTimer::Inquire => self.participant.on_inquire(txn, &mut out),
            // These may carry out an outcome for which there is no other evidence than what this
            // participant has accepted itself. That may still wait for the disk, and be lost.
            ParticipantTimer::Fence | ParticipantTimer::Finish => self.batch.confirm((txn, timer)),
        }
        self.absorb(out, None);
    }

    /// A timer has expired, and every record before that is durable.
    fn on_confirmed(&mut self, txn: TxnId, timer: ParticipantTimer) {
        let mut out = ParticipantOutputs::default();
        match timer {
            ParticipantTimer::Fence => self.participant.on_fence(txn, &mut out),
            ParticipantTimer::Finish => self.participant.on_finish(txn, &mut out),
            ParticipantTimer::Work | ParticipantTimer::Inquire => {}
        }
        self.absorb(out, None);
    }

    fn on_done(&mut self, txn: TxnId, done: Done) {
        let mut out = ParticipantOutputs::default();
        let write = match done {
            Done::Prepared(result) => {
                let (result, write) = match result {
                    Ok(Prepared::Yes { results, .. } | Prepared::Read { results, .. })
                        if results.len() > PAYLOAD_BYTES_MAX =>
                    {
                        self.calls.start(txn, Action::Abort);
                        (PrepareResult::No(too_large(results.len())), None)
                    }
                    Ok(Prepared::Yes { results, write }) => (PrepareResult::Yes { results }, write),
                    Ok(Prepared::Read { results, write }) => {
                        (PrepareResult::Read { results }, write)
                    }
                    Err(reason) => (PrepareResult::No(reason), None),
                };
                self.participant.on_prepared(txn, result, &mut out);
                self.timers.stop(txn, &[ParticipantTimer::Work]);
                // A vote that is not wanted any more leaves no trace.
                write.filter(|_| batch::stands(&out.force, txn))
            }
            Done::Applied(write) => {
                self.participant.on_applied(txn, &mut out);
                write
            }
            Done::Undone(write) => {
                self.participant.on_undone(txn, &mut out);
                write
            }
            Done::Released(write) => write,
            Done::Cancelled => None,
        };
        self.absorb(out, write);
    }

    /// Takes the effects of a call of the core, with the resource's part of them.
    fn absorb(&mut self, out: ParticipantOutputs, write: Option<Write>) {
        for force in &out.force {
            #[cfg(feature = "failpoints")]
            crate::failpoint::forcing(force);
            self.watch.forced(force);
            self.stop_timers(force);
            self.batch.force(force);
        }
        if let Some(write) = write {
            self.batch.write(write);
        }
        for (target, txn, digest, message) in out.send {
            self.watch.sent(target, txn, &message);
            self.batch.send(target, (txn, digest, message));
        }
        for (txn, action) in out.actions {
            if matches!(action, Action::Cancel) {
                self.timers.stop(txn, &[ParticipantTimer::Work]);
            }
            self.calls.start(txn, action);
        }
        for (txn, timer) in out.timers {
            self.timers.start(txn, timer, self.rank(txn));
        }
        for (txn, alarm) in out.alarms {
            self.watch.alarm(txn, alarm);
        }
    }

    /// Stops the timers that a branch's new state has no use for.
    fn stop_timers(&mut self, force: &Force) {
        use ParticipantTimer::{Fence, Finish, Inquire, Work};
        use triumvir_protocol::BranchState;
        match force {
            Force::Branch(txn, branch) => match &branch.state {
                BranchState::Prepared { .. } => {}
                BranchState::PreCommitted { .. } => self.timers.stop(*txn, &[Inquire, Fence]),
                BranchState::Read {
                    released: false, ..
                } => {}
                _ => self.timers.stop(*txn, &[Work, Inquire, Fence, Finish]),
            },
            Force::Forget(txn) => self.timers.stop(*txn, &[Work, Inquire, Fence, Finish]),
            Force::Horizon(_) => {}
        }
    }

    /// This participant's place in the list of `txn`.
    fn rank(&self, txn: TxnId) -> u32 {
        let live = self
            .participant
            .branches()
            .get(&txn)
            .and_then(|branch| branch.live());
        let place = live.and_then(|(terms, _)| {
            terms
                .participants
                .iter()
                .position(|listed| *listed == self.participant.id())
        });
        place
            .and_then(|place| u32::try_from(place).ok())
            .unwrap_or_default()
    }
}

/// The vote on a branch whose results no message could carry.
fn too_large(bytes: usize) -> NoReason {
    let detail = format!("{bytes} bytes of results exceed {PAYLOAD_BYTES_MAX}");
    Refusal::new("results-too-large", detail).into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use triumvir_protocol::{Horizon, Incarnation, ParticipantId, Rules};
    use triumvir_storage::{Database, Limits, Options};

    use super::*;
    use crate::resource::{BranchId, Recovered, ResourceError};

    /// Is never asked anything.
    struct Unasked;

    impl Resource for Unasked {
        async fn recover(&self, _: Vec<Recovered>) -> Result<Option<Write>, ResourceError> {
            unreachable!()
        }

        async fn prepare(
            &self,
            _: BranchId,
            _: triumvir_protocol::Payload,
        ) -> Result<Prepared, Refusal> {
            unreachable!()
        }

        async fn commit(&self, _: TxnId) -> Result<Option<Write>, ResourceError> {
            unreachable!()
        }

        async fn abort(&self, _: TxnId) -> Result<Option<Write>, ResourceError> {
            unreachable!()
        }
    }

    #[tokio::test]
    async fn frames_wait_while_too_much_waits_for_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path(), &Options::default()).unwrap();
        let writer = Writer::start(&database, Limits::default());
        let mut config = Config::default();
        config.limits.submissions_in_flight_max = 1;
        let (peers, _commands) = mpsc::channel(1);
        let (inputs, inbox) = mpsc::channel(8);
        let id = ParticipantId(1);
        let (incarnation, horizon) = (Incarnation(1), Horizon::default());
        let none = BTreeMap::new();
        let mut driver = Driver::new(
            Participant::restore(Rules::default(), id, incarnation, horizon, none),
            Arc::new(Unasked),
            &config,
            writer.clone(),
            Arc::new(Outbox::new(peers)),
            inbox,
        );
        let (go_on, held) = std::sync::mpsc::channel::<()>();
        let write = Write::new(0, move |_| {
            held.recv().unwrap();
            Ok(())
        });
        driver.batch.write(write.on_durable(|| {}));
        driver.submit();
        for _ in 0..3 {
            inputs.try_send(Input::Disconnected).unwrap();
        }
        driver.gather().await;
        assert_eq!(driver.inbox.len(), 3);
        go_on.send(()).unwrap();
        driver.submitter.landed().await;
        driver.gather().await;
        assert_eq!(driver.inbox.len(), 0);
        writer.shutdown();
    }
}
