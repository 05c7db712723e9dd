//! What participants call: registration, and the session that carries everything else.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use triumvir_protocol::{Incarnation, Record, Register, RegistrationRefused};
use triumvir_wire::v1::participants_client::ParticipantsClient;
use triumvir_wire::v1::participants_server::Participants;
use triumvir_wire::{Code, Failure, WireError, ids, limits, v1};

use super::forward::{Call, Leader, status};
use crate::owner::{Hello, Input, Opened, SessionRefused};
use crate::shared::Shared;

/// How long a participant may take to say hello, and a replica to apply its registration.
const HELLO_TIME: Duration = Duration::from_secs(5);

type Frames = mpsc::Sender<Result<v1::CoordinatorFrame, Status>>;

/// Serves participants at one replica.
#[derive(Clone, Debug)]
pub(crate) struct ParticipantsService {
    shared: Arc<Shared>,
}

impl ParticipantsService {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    async fn register(
        &self,
        call: Call,
        request: v1::RegisterRequest,
    ) -> Result<v1::RegisterResponse, Failure> {
        let shared = &*self.shared;
        self.check(request.version, &request.cluster)?;
        let register = Register {
            name: request.name.as_str().into(),
            disk: ids::disk("disk", &request.disk)?,
            previous: Incarnation(request.previous),
            nonce: ids::number("nonce", &request.nonce)?,
            address: request.address.as_str().into(),
            replace: request.replace,
        };
        Record::Register(register.clone())
            .check()
            .map_err(|error| Failure::new(Code::Malformed, error.to_string()))?;
        let (request, register) = (&request, &register);
        let local = || async move {
            let register = register.clone();
            let registered = shared
                .ask(|reply| Input::Register { register, reply })
                .await?;
            Some(
                registered
                    .map_err(refused)
                    .map(|(participant, incarnation)| v1::RegisterResponse {
                        participant: participant.0,
                        incarnation: incarnation.0,
                        directory: Some(shared.view().directory.wire.clone()),
                    }),
            )
        };
        let remote = |leader: Leader| async move {
            let forwarded = leader.request(request.clone());
            let mut client = ParticipantsClient::new(leader.channel.clone())
                .max_decoding_message_size(limits::FRAME_BYTES_MAX);
            client.register(forwarded).await.map(Response::into_inner)
        };
        call.at_leader(shared, local, remote).await
    }

    fn check(&self, version: u32, cluster: &str) -> Result<(), Failure> {
        if version != limits::SESSION_VERSION {
            let own = limits::SESSION_VERSION;
            let detail = format!("the participant speaks version {version}, this replica {own}");
            return Err(Failure::new(Code::UnsupportedVersion, detail));
        }
        let own = &self.shared.config.cluster;
        if cluster != own {
            let detail = format!("the participant is of {cluster:?}, this replica of {own:?}");
            return Err(Failure::new(Code::WrongCluster, detail));
        }
        Ok(())
    }

    fn hello(&self, frame: &v1::ParticipantFrame) -> Result<Hello, Failure> {
        let hello = frame
            .hello
            .as_ref()
            .ok_or(WireError::Missing { field: "hello" })?;
        self.check(hello.version, &hello.cluster)?;
        Ok(Hello {
            participant: ids::participant("hello.participant", hello.participant)?,
            incarnation: Incarnation(hello.incarnation),
            disk: ids::disk("hello.disk", &hello.disk)?,
        })
    }

    /// Opens the session; a registration that is not applied here yet is waited for.
    async fn open(&self, hello: Hello, frames: &Frames) -> Result<Opened, Failure> {
        let until = Instant::now() + HELLO_TIME;
        let mut view = self.shared.view.clone();
        loop {
            view.borrow_and_update();
            let frames = frames.clone();
            let opened = self
                .shared
                .ask(|reply| Input::Open {
                    hello,
                    frames,
                    reply,
                })
                .await;
            match opened.ok_or(Failure::from(Code::Stopped))? {
                Ok(opened) => return Ok(opened),
                Err(SessionRefused::Unknown) => {}
                Err(refusal) => return Err(session_refused(refusal)),
            }
            let changed = timeout_at(until, view.changed()).await;
            if !matches!(changed, Ok(Ok(()))) {
                return Err(session_refused(SessionRefused::Unknown));
            }
        }
    }

    /// Reads one session until either side ends it.
    async fn read(
        self,
        hello: Hello,
        opened: Opened,
        first: Vec<v1::ParticipantMessage>,
        mut frames: Streaming<v1::ParticipantFrame>,
    ) {
        let Opened { serial, closed } = opened;
        let participant = hello.participant;
        let mut messages = first;
        while self.pass_on(hello, serial, messages).await {
            let frame = tokio::select! {
                frame = frames.message() => frame,
                () = closed.cancelled() => break,
            };
            messages = match frame {
                Ok(Some(frame)) => frame.messages,
                Ok(None) => break,
                Err(status) => {
                    tracing::debug!(%participant, %status, "a session broke");
                    break;
                }
            };
        }
        let _ = self
            .shared
            .inbox
            .send(Input::Closed {
                participant,
                serial,
            })
            .await;
    }

    /// False: the owner is gone, or the participant says what cannot be read.
    async fn pass_on(
        &self,
        hello: Hello,
        serial: u64,
        messages: Vec<v1::ParticipantMessage>,
    ) -> bool {
        let participant = hello.participant;
        let read: Result<Vec<_>, WireError> = messages.into_iter().map(TryInto::try_into).collect();
        match read {
            Ok(messages) => {
                let input = Input::Frame {
                    participant,
                    serial,
                    messages,
                };
                self.shared.inbox.send(input).await.is_ok()
            }
            Err(error) => {
                tracing::warn!(%participant, %error, "a frame that cannot be read ends a session");
                false
            }
        }
    }
}

fn refused(refusal: RegistrationRefused) -> Failure {
    let code = match refusal {
        RegistrationRefused::OtherDisk { .. } => Code::OtherDisk,
        RegistrationRefused::OldCopy { .. } => Code::OldCopy,
        RegistrationRefused::Replaced { .. } => Code::DiskReplaced,
        RegistrationRefused::Removed { .. } => Code::ParticipantRemoved,
    };
    Failure::new(code, refusal.to_string())
}

fn session_refused(refusal: SessionRefused) -> Failure {
    match refusal {
        SessionRefused::Unknown => Failure::from(Code::NotRegistered),
        SessionRefused::OtherDisk => Failure::from(Code::OtherDisk),
        SessionRefused::Superseded => Failure::from(Code::Superseded),
        SessionRefused::Removed => Failure::from(Code::ParticipantRemoved),
        SessionRefused::Draining => Failure::from(Code::Draining),
    }
}

#[tonic::async_trait]
impl Participants for ParticipantsService {
    async fn register(
        &self,
        request: Request<v1::RegisterRequest>,
    ) -> Result<Response<v1::RegisterResponse>, Status> {
        let default = self.shared.config.call_timeout;
        let call = Call::new(request.metadata(), default, Code::NoAnswer);
        let registered = Self::register(self, call, request.into_inner()).await;
        registered
            .map(Response::new)
            .map_err(|failure| status(&self.shared, failure))
    }

    type SessionStream = ReceiverStream<Result<v1::CoordinatorFrame, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<v1::ParticipantFrame>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let fail = |failure| status(&self.shared, failure);
        let mut incoming = request.into_inner();
        let first = match timeout(HELLO_TIME, incoming.message()).await {
            Ok(first) => first?.unwrap_or_default(),
            Err(_) => return Err(fail(Failure::new(Code::Malformed, "no hello came in time"))),
        };
        let hello = self.hello(&first).map_err(fail)?;
        let (frames, outgoing) = mpsc::channel(self.shared.config.session_queue_max);
        let opened = self.open(hello, &frames).await.map_err(fail)?;
        drop(frames);
        let this = self.clone();
        tokio::spawn(this.read(hello, opened, first.messages, incoming));
        Ok(Response::new(ReceiverStream::new(outgoing)))
    }
}
