//! What reaches the owner task from the rest of the process. Messages only: none of them decides.

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use triumvir_protocol::{
    Digest, DiskId, Ended, Incarnation, Message, ParticipantId, Register, RegistrationRefused,
    Reply, Submission, TxnId,
};
use triumvir_replication::Replica;
use triumvir_wire::v1;

/// What a caller is told. A sender that is dropped instead: this replica does not lead, or leads no
/// longer; whatever had begun goes on under the next leader.
#[derive(Debug)]
pub(crate) enum Answered {
    /// The conductor's word.
    Reply(Reply),
    /// The applied log's word on what is over.
    Ended(Ended),
    /// Too many records have not ended; nothing was begun.
    TooManyOpen,
    /// The process is about to stop; nothing was begun.
    Draining,
    /// Too many wait for answers, and the transaction is known to be under way or over: how it ends
    /// is for a later call to ask.
    Crowded,
}

/// How a registration went.
pub(crate) type Registered = Result<(ParticipantId, Incarnation), RegistrationRefused>;

/// Whom an operator means.
#[derive(Clone, Debug)]
pub(crate) enum Whom {
    /// The one that has this name now.
    Name(String),
    /// The one with this id.
    Id(ParticipantId),
}

/// What is, or was, given up with a participant.
#[derive(Clone, Debug)]
pub(crate) struct Removal {
    pub(crate) participant: ParticipantId,
    pub(crate) name: String,
    /// Open records that it has not confirmed.
    pub(crate) records: usize,
    /// The oldest of them.
    pub(crate) oldest: Option<TxnId>,
    pub(crate) session: bool,
    pub(crate) removed: bool,
}

/// A participant's first words in a session, of this version and cluster.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hello {
    pub(crate) participant: ParticipantId,
    pub(crate) incarnation: Incarnation,
    pub(crate) disk: DiskId,
}

/// Why a session is not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionRefused {
    /// This replica has not (yet) applied such a registration.
    Unknown,
    /// The participant's data folder is another one.
    OtherDisk,
    /// A newer process has registered, or has a session.
    Superseded,
    /// An operator has removed the participant.
    Removed,
    /// The process is about to stop.
    Draining,
}

/// A session that is open.
#[derive(Debug)]
pub(crate) struct Opened {
    /// Its number here.
    pub(crate) serial: u64,
    /// Given when the owner has let go of it.
    pub(crate) closed: CancellationToken,
}

/// Which transactions are listed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ListQuery {
    pub(crate) ended: bool,
    pub(crate) limit: usize,
    pub(crate) after: Option<TxnId>,
}

/// What the owner knows of the cluster's state.
#[derive(Debug, Default)]
pub(crate) struct OwnStatus {
    pub(crate) epoch: u64,
    pub(crate) horizon: TxnId,
    pub(crate) undecided: usize,
    pub(crate) open: usize,
    pub(crate) ended: usize,
    pub(crate) oldest_in_doubt_millis: Option<u64>,
    pub(crate) participants: Vec<v1::ParticipantStatus>,
}

/// One message to the owner.
#[derive(Debug)]
pub(crate) enum Input {
    /// Replication runs.
    Started(Replica),
    /// A client wants to commit.
    Commit {
        submission: Submission,
        reply: oneshot::Sender<Answered>,
    },
    /// A client asks for an outcome.
    Outcome {
        txn: TxnId,
        decide: bool,
        reply: oneshot::Sender<Answered>,
    },
    /// A client wants to abort.
    Abort {
        txn: TxnId,
        reply: oneshot::Sender<Answered>,
    },
    /// A participant's process has started.
    Register {
        register: Register,
        reply: oneshot::Sender<Registered>,
    },
    /// An operator asks what waits for a participant, or with `force` removes it. The answer is none
    /// where there is no such participant.
    Remove {
        whom: Whom,
        force: bool,
        reply: oneshot::Sender<Option<Removal>>,
    },
    /// What is known of one transaction.
    Describe {
        txn: TxnId,
        reply: oneshot::Sender<v1::TransactionDescription>,
    },
    /// What is known of many.
    List {
        query: ListQuery,
        reply: oneshot::Sender<v1::ListResponse>,
    },
    /// What is known of the cluster.
    Status { reply: oneshot::Sender<OwnStatus> },
    /// A participant opens a session.
    Open {
        hello: Hello,
        frames: mpsc::Sender<Result<v1::CoordinatorFrame, Status>>,
        reply: oneshot::Sender<Result<Opened, SessionRefused>>,
    },
    /// A participant speaks.
    Frame {
        participant: ParticipantId,
        serial: u64,
        messages: Vec<(TxnId, Digest, Message)>,
    },
    /// A participant's session has ended.
    Closed {
        participant: ParticipantId,
        serial: u64,
    },
    /// The median of the replicas' clocks: milliseconds since the Unix epoch.
    Clock { median_millis: u64 },
    /// The signal to stop was given: begin nothing new.
    Drain,
    /// End all sessions.
    EndSessions,
}
