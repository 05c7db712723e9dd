//! The stream of commits to one server: what callers have gathered goes out as one frame, and no
//! caller costs a call of its own. Every commit is answered; when the stream breaks, with how it did.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prost::Message as _;
use tokio::sync::mpsc::error::SendError;
use tokio::sync::{mpsc, oneshot};
use tonic::transport::Channel;
use tonic::{Response, Status, Streaming};
use triumvir_wire::status::LEADER_METADATA;
use triumvir_wire::v1::numbered_answer::Result as Answered;
use triumvir_wire::{Code, Failure, v1};

use crate::client::transactions;

/// Commits that wait for the stream.
const WAITING_MAX: usize = 1024;
/// Frames that wait for the connection.
const FRAMES_MAX: usize = 4;
/// A larger request goes alone, by a call of its own: it would hold the others up.
const REQUEST_BYTES_MAX: usize = 64 << 10;
/// The most commits of one frame: 8 MiB of the largest, which every server takes.
const COMMITS_MAX: usize = 128;

type Answer = Result<Response<v1::CommitResponse>, Status>;

#[derive(Debug)]
struct Waiting {
    request: v1::CommitRequest,
    time: Duration,
    answer: oneshot::Sender<Answer>,
}

/// The way to one server. The stream is opened when it is needed, and again after it broke.
#[derive(Debug, Default)]
pub(crate) struct Pipe {
    waiting: Mutex<Option<mpsc::Sender<Waiting>>>,
}

impl Pipe {
    /// Commits at the server at the other end of `channel`, which may take `time`. Needs a runtime.
    pub(crate) async fn commit(
        &self,
        channel: Channel,
        request: v1::CommitRequest,
        time: Duration,
    ) -> Answer {
        if request.encoded_len() > REQUEST_BYTES_MAX {
            let request = crate::call::timed(request, time);
            return transactions(channel).commit(request).await;
        }
        let (answer, answered) = oneshot::channel();
        let mut waiting = Waiting {
            request,
            time,
            answer,
        };
        while let Err(SendError(unsent)) = self.sender(channel.clone()).send(waiting).await {
            waiting = unsent; // The stream ended a moment ago: the next one takes it.
        }
        let lost = || Status::from(Failure::from(Code::Transport));
        answered.await.unwrap_or_else(|_| Err(lost()))
    }

    fn sender(&self, channel: Channel) -> mpsc::Sender<Waiting> {
        let mut known = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = known.as_ref().filter(|sender| !sender.is_closed()) {
            return sender.clone();
        }
        let (sender, waiting) = mpsc::channel(WAITING_MAX);
        tokio::spawn(Stream::default().run(channel, waiting));
        known.insert(sender).clone()
    }
}

/// An open stream: who waits for which answer.
#[derive(Debug, Default)]
struct Stream {
    next: u64,
    callers: HashMap<u64, oneshot::Sender<Answer>>,
}

impl Stream {
    async fn run(mut self, channel: Channel, mut waiting: mpsc::Receiver<Waiting>) {
        let broken = match self.talk(channel, &mut waiting).await {
            Ok(()) => return,
            Err(status) => status,
        };
        // A caller whose time is over does not wait any more.
        for (_, caller) in self.callers {
            let _ = caller.send(Err(broken.clone()));
        }
        waiting.close();
        while let Some(unsent) = waiting.recv().await {
            let failure = Failure::new(Code::Unreachable, broken.message());
            let _ = unsent.answer.send(Err(failure.into()));
        }
    }

    /// Ends well when nobody can have anything to commit any more.
    async fn talk(
        &mut self,
        channel: Channel,
        waiting: &mut mpsc::Receiver<Waiting>,
    ) -> Result<(), Status> {
        let mut gathered = Vec::new();
        if waiting.recv_many(&mut gathered, COMMITS_MAX).await == 0 {
            return Ok(());
        }
        // The first frame goes before the stream is open: the server has nothing to say before.
        let (frames, outgoing) = mpsc::channel(FRAMES_MAX);
        let closed = |_| Status::unavailable("the stream is closed");
        frames
            .send(self.frame(&mut gathered))
            .await
            .map_err(closed)?;
        let outgoing = futures::stream::unfold(outgoing, |mut outgoing| async move {
            let frame = outgoing.recv().await?;
            Some((frame, outgoing))
        });
        let mut client = transactions(channel);
        let mut answers = client.commit_many(outgoing).await?.into_inner();
        let mut ended = false;
        while !(ended && self.callers.is_empty()) {
            tokio::select! {
                answer = Self::next(&mut answers) => self.answer(answer?),
                count = waiting.recv_many(&mut gathered, COMMITS_MAX), if !ended => {
                    ended = count == 0;
                    if !ended {
                        let frame = self.frame(&mut gathered);
                        self.send(&frames, frame, &mut answers).await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Sends a frame, and takes answers while there is no room for it.
    async fn send(
        &mut self,
        frames: &mpsc::Sender<v1::CommitFrame>,
        frame: v1::CommitFrame,
        answers: &mut Streaming<v1::CommitAnswers>,
    ) -> Result<(), Status> {
        loop {
            tokio::select! {
                room = frames.reserve() => {
                    let closed = |_| Status::unavailable("the stream is closed");
                    room.map_err(closed)?.send(frame);
                    return Ok(());
                }
                answer = Self::next(answers) => self.answer(answer?),
            }
        }
    }

    async fn next(answers: &mut Streaming<v1::CommitAnswers>) -> Result<v1::CommitAnswers, Status> {
        let ended = || Status::unavailable("the server has ended the stream");
        answers.message().await?.ok_or_else(ended)
    }

    fn frame(&mut self, gathered: &mut Vec<Waiting>) -> v1::CommitFrame {
        let numbered = gathered.drain(..).map(|waiting| {
            let number = self.next;
            self.next += 1;
            self.callers.insert(number, waiting.answer);
            let millis = waiting.time.as_millis().max(1);
            v1::NumberedCommit {
                number,
                request: Some(waiting.request),
                timeout_millis: u64::try_from(millis).unwrap_or(u64::MAX),
            }
        });
        v1::CommitFrame {
            commits: numbered.collect(),
        }
    }

    fn answer(&mut self, frame: v1::CommitAnswers) {
        let leader = frame
            .leader
            .parse()
            .ok()
            .filter(|_| !frame.leader.is_empty());
        for answer in frame.answers {
            let Some(caller) = self.callers.remove(&answer.number) else {
                continue;
            };
            let result = match answer.result {
                Some(Answered::Response(response)) => {
                    let mut response = Response::new(response);
                    if let Some(leader) = &leader {
                        let metadata = response.metadata_mut();
                        metadata.insert(
                            LEADER_METADATA,
                            tonic::metadata::MetadataValue::clone(leader),
                        );
                    }
                    Ok(response)
                }
                Some(Answered::Refusal(refusal)) => Err(Failure::from(refusal).into()),
                None => Err(Status::internal("the answer says nothing")),
            };
            // A caller whose time is over does not wait any more.
            let _ = caller.send(result);
        }
    }
}
