//! A participant for tests: it keeps its branches in memory and answers over the real session, to
//! every replica. How it votes can be changed while it runs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use triumvir_protocol::{Answer, Digest, NoReason, Request, TxnId, Value};
use triumvir_wire::v1::participants_client::ParticipantsClient;
use triumvir_wire::{Failure, ids, v1};

use crate::cluster::{Cluster, eventually};

/// How it votes when it is asked for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vote {
    Yes,
    Read,
    No,
    /// Not at all.
    Silent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Branch {
    Yes,
    Read,
    Accepted,
    Committed,
    Aborted,
}

#[derive(Debug)]
struct State {
    vote: Vote,
    /// Whether pre-commit is acknowledged.
    acks: bool,
    branches: BTreeMap<(TxnId, Digest), Branch>,
    seen: Vec<&'static str>,
}

/// The running participant; dropping it ends it.
pub(crate) struct Fake {
    state: Arc<Mutex<State>>,
    hello: v1::ParticipantHello,
    sessions: JoinSet<()>,
}

pub(crate) fn registration(name: &str, disk: u128) -> v1::RegisterRequest {
    v1::RegisterRequest {
        version: 1,
        cluster: "test".to_owned(),
        name: name.to_owned(),
        disk: ids::number_bytes(disk),
        nonce: ids::number_bytes(uuid::Uuid::new_v4().as_u128()),
        previous: 0,
        address: format!("{name}.test:1"),
        replace: false,
    }
}

pub(crate) async fn register(
    channel: Channel,
    request: v1::RegisterRequest,
) -> Result<v1::RegisterResponse, Failure> {
    let answer = ParticipantsClient::new(channel).register(request).await;
    answer
        .map(tonic::Response::into_inner)
        .map_err(|status| Failure::from_status(&status))
}

pub(crate) fn hello(registered: &v1::RegisterResponse, disk: u128) -> v1::ParticipantHello {
    v1::ParticipantHello {
        version: 1,
        cluster: "test".to_owned(),
        participant: registered.participant,
        incarnation: registered.incarnation,
        disk: ids::number_bytes(disk),
    }
}

impl Fake {
    /// Registers `name` and keeps a session to every replica, also when replicas come and go.
    pub(crate) async fn start(cluster: &Cluster, name: &str) -> Self {
        let disk = uuid::Uuid::new_v4().as_u128();
        let follower = cluster.follower().await;
        let request = registration(name, disk);
        let registered = register(cluster.nodes[follower].channel(), request)
            .await
            .expect("it registers");
        let state = Arc::new(Mutex::new(State {
            vote: Vote::Yes,
            acks: true,
            branches: BTreeMap::new(),
            seen: Vec::new(),
        }));
        let mut sessions = JoinSet::new();
        for node in &cluster.nodes {
            let (state, hello) = (state.clone(), hello(&registered, disk));
            sessions.spawn(keep_session(node.channel(), hello, state));
        }
        let this = Self {
            state,
            hello: hello(&registered, disk),
            sessions,
        };
        eventually("the participant has its sessions", || async {
            for node in &cluster.nodes {
                let status = node.status().await?;
                let own = status.participants.iter().find(|p| p.name == name)?;
                own.session.then_some(())?;
            }
            Some(())
        })
        .await;
        this
    }

    pub(crate) fn set_vote(&self, vote: Vote) {
        self.state.lock().unwrap().vote = vote;
    }

    pub(crate) fn set_acks(&self, acks: bool) {
        self.state.lock().unwrap().acks = acks;
    }

    /// Breaks all its sessions and opens new ones.
    pub(crate) async fn reconnect(&mut self, cluster: &Cluster) {
        self.sessions.shutdown().await;
        for node in &cluster.nodes {
            let (state, hello) = (self.state.clone(), self.hello.clone());
            self.sessions
                .spawn(keep_session(node.channel(), hello, state));
        }
    }

    /// Waits until it has been told `what`.
    pub(crate) async fn has_seen(&self, what: &'static str) {
        eventually(what, || async {
            self.state
                .lock()
                .unwrap()
                .seen
                .contains(&what)
                .then_some(())
        })
        .await;
    }

    /// How the branch of `txn` ended here, once it has.
    pub(crate) async fn ended(&self, txn: &Bytes) -> Value {
        let txn = ids::txn("txn", txn).unwrap();
        eventually("the branch has ended", || async {
            let state = self.state.lock().unwrap();
            state
                .branches
                .iter()
                .find(|((own, _), _)| *own == txn)
                .and_then(|(_, b)| match b {
                    Branch::Committed => Some(Value::Commit),
                    Branch::Aborted => Some(Value::Abort),
                    Branch::Yes | Branch::Read | Branch::Accepted => None,
                })
        })
        .await
    }
}

async fn keep_session(channel: Channel, hello: v1::ParticipantHello, state: Arc<Mutex<State>>) {
    loop {
        let _ = session(channel.clone(), hello.clone(), &state).await;
        sleep(Duration::from_millis(50)).await;
    }
}

async fn session(
    channel: Channel,
    hello: v1::ParticipantHello,
    state: &Mutex<State>,
) -> Result<(), tonic::Status> {
    let (frames, outgoing) = mpsc::channel(1024);
    let first = v1::ParticipantFrame {
        hello: Some(hello),
        messages: Vec::new(),
    };
    frames.send(first).await.expect("there is room");
    let answer = ParticipantsClient::new(channel)
        .session(ReceiverStream::new(outgoing))
        .await?;
    let mut incoming = answer.into_inner();
    let mut directory = false;
    while let Some(frame) = incoming.message().await? {
        directory |= frame.directory.is_some();
        assert!(directory, "the directory comes before any message");
        let messages: Vec<_> = frame
            .messages
            .into_iter()
            .filter_map(|m| answer_to(state, m))
            .collect();
        if !messages.is_empty() {
            let frame = v1::ParticipantFrame {
                hello: None,
                messages,
            };
            if frames.send(frame).await.is_err() {
                break;
            }
        }
    }
    Ok(())
}

fn answer_to(
    state: &Mutex<State>,
    message: v1::CoordinatorMessage,
) -> Option<v1::ParticipantMessage> {
    let (txn, digest, request) = message.try_into().expect("a replica says what can be read");
    let answer = state.lock().unwrap().answer(txn, digest, request)?;
    Some((txn, digest, answer).into())
}

impl State {
    fn answer(&mut self, txn: TxnId, digest: Digest, request: Request) -> Option<Answer> {
        let results = || b"results".as_slice().into();
        let acks = self.acks;
        let branch = self.branches.entry((txn, digest));
        match request {
            Request::CanCommit { work, .. } => {
                self.seen.push("can-commit");
                let branch = match branch {
                    std::collections::btree_map::Entry::Occupied(branch) => *branch.get(),
                    std::collections::btree_map::Entry::Vacant(_) if work.is_none() => {
                        return Some(Answer::NeedPayload);
                    }
                    std::collections::btree_map::Entry::Vacant(vacant) => {
                        *vacant.insert(match self.vote {
                            Vote::Yes => Branch::Yes,
                            Vote::Read => Branch::Read,
                            Vote::No => Branch::Aborted,
                            Vote::Silent => return None,
                        })
                    }
                };
                Some(match branch {
                    Branch::Yes | Branch::Accepted => Answer::Yes { results: results() },
                    Branch::Read => Answer::Read { results: results() },
                    Branch::Committed => Answer::Committed {
                        results: Some(results()),
                    },
                    Branch::Aborted => Answer::No {
                        reason: NoReason::Resource {
                            code: "minimum".into(),
                            detail: "too little".into(),
                            retryable: false,
                        },
                    },
                })
            }
            Request::Accept {
                ballot,
                value: Value::Commit,
            } => {
                self.seen.push("pre-commit");
                if !acks {
                    return None;
                }
                let branch = branch.or_insert(Branch::Yes);
                if *branch == Branch::Committed {
                    return Some(Answer::Committed { results: None });
                }
                *branch = Branch::Accepted;
                Some(Answer::Ack { ballot })
            }
            Request::DoCommit => {
                self.seen.push("do-commit");
                *branch.or_insert(Branch::Committed) = Branch::Committed;
                Some(Answer::Committed { results: None })
            }
            Request::Abort => {
                self.seen.push("abort");
                *branch.or_insert(Branch::Aborted) = Branch::Aborted;
                Some(Answer::Aborted)
            }
            Request::Horizon(_) => {
                self.seen.push("horizon");
                None
            }
            Request::Accept { .. } | Request::Fence { .. } | Request::Poll => None,
        }
    }
}
