//! A coordinator replica without a conductor: registration as the real one decides it, and sessions in
//! which the test speaks.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::{TcpListenerStream, UnboundedReceiverStream};
use tonic::{Request, Response, Status, Streaming};
use triumvir_protocol::{
    Answer, Coordinator, Digest, Effect, Epoch, Horizon, Message, ParticipantId, Record, Register,
    RegistrationRefused, ReplicaId, Request as Say, Rules, TxnId,
};
use triumvir_wire::v1::participants_server::{Participants, ParticipantsServer};
use triumvir_wire::{Code, Failure, ids, v1};

use crate::support::within;

type Frames = mpsc::UnboundedSender<Result<v1::CoordinatorFrame, Status>>;

/// The handle of a test.
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    server: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    coordinator: Coordinator,
    sessions: HashMap<ParticipantId, (u64, Frames)>,
    said: Vec<(ParticipantId, TxnId, Message)>,
    registrations: Vec<u128>,
    /// Registrations are applied, and their answers are lost.
    mute: bool,
    /// Registrations are not applied.
    leaderless: bool,
    epoch: u64,
    horizon: Horizon,
}

impl Fake {
    pub(crate) async fn start() -> Self {
        let shared = Arc::new(Shared::default());
        {
            let mut state = shared.state.lock().unwrap();
            state.coordinator = Coordinator::new(Rules::default());
            state.epoch = 1;
            state.horizon = Horizon(TxnId::at_millis(1));
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = ParticipantsServer::new(Service(shared.clone()));
        let server = tokio::spawn(async move {
            tonic::transport::Server::builder()
                .add_service(service)
                .serve_with_incoming(TcpListenerStream::new(listener))
                .await
                .unwrap();
        });
        Self {
            address,
            shared,
            server,
        }
    }

    /// Registrations are applied from now on, and their answers are lost.
    pub(crate) fn mute(&self, mute: bool) {
        self.shared.state.lock().unwrap().mute = mute;
    }

    /// Registrations are refused from now on, as by a replica that knows of no leader.
    pub(crate) fn lose_leader(&self) {
        self.shared.state.lock().unwrap().leaderless = true;
    }

    /// The marks of all registrations that were asked for.
    pub(crate) async fn registrations(&self, count: usize) -> Vec<u128> {
        let enough = |state: &mut State| {
            (state.registrations.len() >= count).then(|| state.registrations.clone())
        };
        self.wait(enough).await
    }

    /// Waits for a session of the participant that is called `name`.
    pub(crate) async fn session(&self, name: &str) -> ParticipantId {
        let up = |state: &mut State| {
            let id = state.coordinator.participant(name)?;
            state.sessions.contains_key(&id).then_some(id)
        };
        self.wait(up).await
    }

    /// Waits until the session with `id` has ended.
    pub(crate) async fn gone(&self, id: ParticipantId) {
        // A session whose stream is closed may not have noticed it yet.
        let gone = |state: &mut State| {
            let open = state
                .sessions
                .get(&id)
                .is_some_and(|session| !session.1.is_closed());
            (!open).then(|| state.sessions.remove(&id))
        };
        self.wait(gone).await;
    }

    /// Says something to a participant that has a session.
    pub(crate) fn say(&self, to: ParticipantId, txn: TxnId, digest: Digest, request: Say) {
        let state = self.shared.state.lock().unwrap();
        let frame = state.frame(vec![(txn, digest, request).into()]);
        state.sessions[&to].1.send(Ok(frame)).unwrap();
    }

    /// Tells a participant that has a session how far the horizon is.
    pub(crate) fn tell_horizon(&self, to: ParticipantId, horizon: Horizon) {
        let mut state = self.shared.state.lock().unwrap();
        state.horizon = horizon;
        let frame = state.frame(Vec::new());
        state.sessions[&to].1.send(Ok(frame)).unwrap();
    }

    /// Waits for what `from` says about `txn`, and takes it.
    pub(crate) async fn hear(&self, from: ParticipantId, txn: TxnId) -> Message {
        let about = |state: &mut State| {
            let found = state
                .said
                .iter()
                .position(|said| said.0 == from && said.1 == txn)?;
            Some(state.said.remove(found).2)
        };
        self.wait(about).await
    }

    /// Waits for the next answer of `from` about `txn`; inquiries on the way are left out.
    pub(crate) async fn answer(&self, from: ParticipantId, txn: TxnId) -> Answer {
        loop {
            if let Message::Answer(answer) = self.hear(from, txn).await {
                return answer;
            }
        }
    }

    /// Whether nothing was said about `txn` so far.
    pub(crate) fn is_silent(&self, txn: TxnId) -> bool {
        self.shared
            .state
            .lock()
            .unwrap()
            .said
            .iter()
            .all(|said| said.1 != txn)
    }

    /// Ends all sessions; they may be opened again.
    pub(crate) fn drop_sessions(&self) {
        self.shared.state.lock().unwrap().sessions.clear();
    }

    /// Goes away: sessions end, and nobody answers at the address any more.
    pub(crate) async fn stop(self) {
        self.shared.state.lock().unwrap().sessions.clear();
        self.server.abort();
        assert!(self.server.await.unwrap_err().is_cancelled());
    }

    async fn wait<T>(&self, mut look: impl FnMut(&mut State) -> Option<T>) -> T {
        let wait = async {
            loop {
                let changed = self.shared.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if let Some(found) = look(&mut self.shared.state.lock().unwrap()) {
                    return found;
                }
                changed.await;
            }
        };
        within(wait).await
    }
}

impl State {
    fn frame(&self, messages: Vec<v1::CoordinatorMessage>) -> v1::CoordinatorFrame {
        v1::CoordinatorFrame {
            hello: None,
            epoch: Epoch(self.epoch).0,
            horizon: ids::horizon_bytes(self.horizon),
            directory: Some(self.directory()),
            messages,
        }
    }

    fn directory(&self) -> v1::Directory {
        let entries =
            self.coordinator
                .participants()
                .iter()
                .map(|(id, entry)| v1::DirectoryEntry {
                    participant: id.0,
                    name: entry.name.to_string(),
                    address: entry.address.to_string(),
                    incarnation: entry.incarnation.0,
                });
        v1::Directory {
            entries: entries.collect(),
            replicas: None,
        }
    }
}

struct Service(Arc<Shared>);

#[tonic::async_trait]
impl Participants for Service {
    async fn register(
        &self,
        request: Request<v1::RegisterRequest>,
    ) -> Result<Response<v1::RegisterResponse>, Status> {
        let request = request.into_inner();
        let mut state = self.0.state.lock().unwrap();
        if state.leaderless {
            return Err(Failure::from(Code::NoLeader).into());
        }
        let nonce = ids::number("nonce", &request.nonce).unwrap();
        state.registrations.push(nonce);
        let record = Record::Register(Register {
            name: request.name.into(),
            disk: ids::disk("disk", &request.disk).unwrap(),
            previous: triumvir_protocol::Incarnation(request.previous),
            nonce,
            address: request.address.into(),
            replace: request.replace,
        });
        record.check().unwrap();
        let Effect::Registered { result, .. } = state.coordinator.apply(1, record) else {
            unreachable!()
        };
        self.0.changed.notify_waiters();
        if state.mute {
            return Err(Failure::from(Code::NoLeader).into());
        }
        let refused = |why: RegistrationRefused| {
            let code = match why {
                RegistrationRefused::OtherDisk { .. } => Code::OtherDisk,
                RegistrationRefused::OldCopy { .. } => Code::OldCopy,
                RegistrationRefused::Replaced { .. } => Code::DiskReplaced,
                RegistrationRefused::Removed { .. } => Code::ParticipantRemoved,
            };
            Failure::new(code, why.to_string())
        };
        let (id, incarnation) = result.map_err(refused)?;
        // Whoever runs under an older incarnation must go.
        let older = state
            .sessions
            .get(&id)
            .is_some_and(|session| session.0 < incarnation.0);
        if older && let Some((_, frames)) = state.sessions.remove(&id) {
            let superseded = Failure::new(Code::Superseded, format!("{incarnation} has started"));
            let _ = frames.send(Err(superseded.into()));
        }
        Ok(Response::new(v1::RegisterResponse {
            participant: id.0,
            incarnation: incarnation.0,
            directory: Some(state.directory()),
        }))
    }

    type SessionStream =
        Pin<Box<dyn futures::Stream<Item = Result<v1::CoordinatorFrame, Status>> + Send>>;

    async fn session(
        &self,
        request: Request<Streaming<v1::ParticipantFrame>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let mut incoming = request.into_inner();
        let hello = incoming
            .message()
            .await?
            .and_then(|frame| frame.hello)
            .unwrap();
        let id = ParticipantId(hello.participant);
        let (frames, outgoing) = mpsc::unbounded_channel();
        {
            let mut state = self.0.state.lock().unwrap();
            let Some(known) = state.coordinator.participants().get(&id) else {
                return Err(Failure::from(Code::NotRegistered).into());
            };
            let known = known.incarnation;
            if known.0 != hello.incarnation {
                let detail = format!("{known} has started");
                return Err(Failure::new(Code::Superseded, detail).into());
            }
            let mut first = state.frame(Vec::new());
            first.hello = Some(v1::CoordinatorHello {
                version: 1,
                replica: ReplicaId(1).0,
            });
            frames.send(Ok(first)).unwrap();
            state.sessions.insert(id, (hello.incarnation, frames));
        }
        self.0.changed.notify_waiters();
        let shared = self.0.clone();
        tokio::spawn(async move {
            while let Some(Ok(frame)) = incoming.next().await {
                let mut state = shared.state.lock().unwrap();
                for message in frame.messages {
                    let (txn, _, message): (TxnId, Digest, Message) = message.try_into().unwrap();
                    state.said.push((id, txn, message));
                }
                drop(state);
                shared.changed.notify_waiters();
            }
            let mut state = shared.state.lock().unwrap();
            if state
                .sessions
                .get(&id)
                .is_some_and(|session| session.1.is_closed())
            {
                state.sessions.remove(&id);
            }
            drop(state);
            shared.changed.notify_waiters();
        });
        Ok(Response::new(Box::pin(UnboundedReceiverStream::new(
            outgoing,
        ))))
    }
}
