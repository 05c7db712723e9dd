//! The table of errors. A code never changes its meaning and is never given away again; each has a
//! page under docs/errors.

use std::fmt;

/// Whether anything of the transaction that was asked for is or will be applied.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Applied {
    /// Nothing is, and by this call nothing will be.
    NotApplied,
    /// It is, or is sure to be.
    Applied,
    /// Nobody here can tell.
    Unknown,
}

impl Applied {
    /// The word that travels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotApplied => "not-applied",
            Self::Applied => "applied",
            Self::Unknown => "unknown",
        }
    }

    /// The meaning of the word that travels.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::NotApplied, Self::Applied, Self::Unknown]
            .into_iter()
            .find(|applied| applied.as_str() == word)
    }

    /// The sentence for a person.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::NotApplied => "nothing was applied",
            Self::Applied => "the transaction is applied",
            Self::Unknown => "whether it was applied is unknown",
        }
    }
}

impl fmt::Display for Applied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a row of the table says.
struct Row {
    code: &'static str,
    grpc: tonic::Code,
    applied: Applied,
    retryable: bool,
    title: &'static str,
    next: &'static str,
}

macro_rules! table {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $grpc:ident, $applied:ident, $retry:ident,
        $title:literal, $next:literal;)*) => {
        /// What went wrong, by stable code.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Code {
            $($(#[$doc])* $name,)*
        }

        impl Code {
            const ALL: &'static [Self] = &[$(Self::$name,)*];

            const fn row(self) -> Row {
                match self {
                    $(Self::$name => Row {
                        code: $code,
                        grpc: tonic::Code::$grpc,
                        applied: Applied::$applied,
                        retryable: table!(@$retry),
                        title: $title,
                        next: $next,
                    },)*
                }
            }
        }
    };
    (@repeat) => { true };
    (@stop) => { false };
}

table! {
    /// No leader is known, or this replica could not reach it.
    NoLeader = "TV0001", Unavailable, NotApplied, repeat,
        "no leader can be reached", "repeat the call, at any replica; if it persists, see that a \
        majority of the replicas runs and can talk";
    /// The call's deadline passed, or the leader was lost, while the outcome was open.
    OutcomeUnknown = "TV0002", DeadlineExceeded, Unknown, repeat,
        "the outcome is not known", "repeat Commit with the same id and content: it answers with \
        the outcome and applies nothing twice";
    /// The id belongs to a transaction with other content.
    IdInUse = "TV0003", AlreadyExists, NotApplied, stop,
        "the transaction id belongs to a transaction with other content",
        "use a new id for new content";
    /// The id is at or below the horizon.
    IdExpired = "TV0004", FailedPrecondition, Unknown, stop,
        "the transaction id is older than the outcomes that are kept",
        "look into the participants' data for what became of it; a new transaction needs a new id, \
        and the clock that made this one may be slow";
    /// The id's clock reading is far in the future.
    IdAhead = "TV0005", FailedPrecondition, NotApplied, stop,
        "the transaction id was made by a clock that is far ahead",
        "set the clock of the client right and use a new id";
    /// A part names a participant that never registered.
    UnknownParticipant = "TV0006", NotFound, NotApplied, stop,
        "the cluster does not know a participant of this name",
        "compare the name with `triumvir cluster status`, or start the participant";
    /// Two parts name the same participant.
    ParticipantTwice = "TV0007", InvalidArgument, NotApplied, stop,
        "the transaction names a participant twice",
        "put all of a participant's operations into one part";
    /// A transaction without parts.
    NoParticipants = "TV0008", InvalidArgument, NotApplied, stop,
        "the transaction has no part", "give it at least one";
    /// More participants than a transaction may have.
    TooManyParticipants = "TV0009", InvalidArgument, NotApplied, stop,
        "the transaction has too many participants", "split it, or merge participants";
    /// A part is larger than is allowed.
    PayloadTooLarge = "TV0010", InvalidArgument, NotApplied, stop,
        "a participant's part is too large",
        "make it smaller, or store large data first and commit a reference to it";
    /// The whole request is larger than is allowed.
    RequestTooLarge = "TV0011", InvalidArgument, NotApplied, stop,
        "the request is too large",
        "make it smaller, or store large data first and commit a reference to it";
    /// The request is not one that this version understands.
    Malformed = "TV0012", InvalidArgument, NotApplied, stop,
        "the request cannot be understood", "mend the field that it names";
    /// Too many transactions are not yet decided.
    Busy = "TV0013", ResourceExhausted, NotApplied, repeat,
        "too many transactions are in flight",
        "repeat it after a pause; if it persists, lower the load or raise `inflight-max`";
    /// Too many records have not ended.
    TooManyOpen = "TV0014", ResourceExhausted, NotApplied, repeat,
        "too many transactions wait for a participant to confirm their outcome",
        "find the participant that is down with `triumvir cluster status` and start it";
    /// The replica is about to stop and takes no new transactions.
    Draining = "TV0015", Unavailable, NotApplied, repeat,
        "the replica is about to stop", "repeat the call at another replica";
    /// The caller belongs to another cluster.
    WrongCluster = "TV0016", FailedPrecondition, NotApplied, stop,
        "this is another cluster", "compare the cluster names and the addresses of both sides";
    /// The caller speaks a version that is not spoken here.
    UnsupportedVersion = "TV0017", FailedPrecondition, NotApplied, stop,
        "this version is not spoken here", "bring both sides to versions that fit together";
    /// A newer process runs under the same participant name.
    Superseded = "TV0018", FailedPrecondition, NotApplied, stop,
        "a newer process has taken this participant's place",
        "run one process per name; this one must stop";
    /// The participant's name belongs to another data folder.
    OtherDisk = "TV0019", FailedPrecondition, NotApplied, stop,
        "the participant's name belongs to another data folder",
        "start it on its own folder, or under another name; only if the folder is lost for good, \
        start it once with `--replace-lost-disk`";
    /// The data folder is older than what the cluster has seen of it.
    OldCopy = "TV0020", FailedPrecondition, NotApplied, stop,
        "the data folder is an old copy",
        "start the participant on the newest copy; only if that is lost for good, start it on an \
        empty folder with `--replace-lost-disk`";
    /// The data folder was declared lost.
    DiskReplaced = "TV0021", FailedPrecondition, NotApplied, stop,
        "the data folder was declared lost and its name was given to another",
        "do not use this folder any more";
    /// The participant or replica has not registered, or under another disk.
    NotRegistered = "TV0022", FailedPrecondition, NotApplied, stop,
        "the participant is not registered like this", "register before a session is opened";
    /// The replica has stopped, by order or because its disk failed.
    Stopped = "TV0023", Unavailable, Unknown, repeat,
        "the replica has stopped", "repeat the call at another replica, and see this one's log";
    /// A broken expectation inside a process.
    Internal = "TV0024", Internal, Unknown, repeat,
        "an internal error", "repeat the call with the same id and content, keep the logs of the \
        replica, and report it";
    /// A read waited for a key of an undecided transaction until the call's deadline.
    KeyInDoubt = "TV0025", DeadlineExceeded, NotApplied, repeat,
        "a key is held by a transaction that is not decided",
        "repeat the read; if it persists, look at the transaction with `triumvir describe`";
    /// The operations of a part cannot be understood.
    MalformedOperations = "TV0026", InvalidArgument, NotApplied, stop,
        "the operations cannot be understood", "mend the operation that it names";
    /// The call has no deadline, or one that is too short or too long to be served.
    BadDeadline = "TV0027", InvalidArgument, NotApplied, stop,
        "the call's deadline cannot be served", "give the call a deadline of some seconds";
    /// The call never reached a replica.
    Unreachable = "TV0028", Unavailable, NotApplied, repeat,
        "no replica could be reached", "check the addresses and that the replicas run";
    /// The connection was lost, or an answer came that is none of ours.
    Transport = "TV0029", Unavailable, Unknown, repeat,
        "the connection failed before the answer came",
        "repeat the call with the same id and content: it applies nothing twice";
    /// The transaction was aborted. An outcome, not a failure: only programs that show outcomes and
    /// errors alike use this code.
    Aborted = "TV0030", Aborted, NotApplied, stop,
        "the transaction was aborted", "look at the cause; a new attempt needs a new id";
    /// The client's own settings cannot be used.
    BadSettings = "TV0031", InvalidArgument, NotApplied, stop,
        "the client's settings cannot be used", "mend the setting that it names";
    /// A deadline passed on a call that changes nothing.
    NoAnswer = "TV0032", DeadlineExceeded, NotApplied, repeat,
        "no answer came before the deadline", "repeat the call; it changes nothing";
    /// What the operations returned cannot be read, although the transaction is committed.
    UnreadableResults = "TV0033", Internal, Applied, stop,
        "the transaction is committed, and its results cannot be read",
        "do not repeat it under a new id; read the data instead";
    /// Another content is under way under the id, and not recorded.
    IdContested = "TV0034", Aborted, NotApplied, repeat,
        "another content is under way under this transaction id",
        "use a new id for new content; repeating the call tells which of the two stands";
    /// A process has stopped since its disk refused to read or to write.
    DiskFailed = "TV0035", Unavailable, Unknown, stop,
        "the disk failed", "make room on the disk or mend it, and start the process again on the \
        same data folder: it goes on with what was written";
    /// A data folder has something else than what was written to it.
    DataDamaged = "TV0036", DataLoss, NotApplied, stop,
        "the data folder is damaged",
        "keep the folder as it is; give the process its disk back, or replace it under a new id";
    /// The id for a new replica is or was a member's.
    ReplicaIdUsed = "TV0037", AlreadyExists, NotApplied, stop,
        "the replica id was used before",
        "choose the id that it names: an id is never given to a second data folder";
    /// No member has this replica id.
    NotAMember = "TV0038", NotFound, NotApplied, stop,
        "no member of the cluster has this replica id",
        "compare the id with `triumvir cluster status`; a new replica is made a member by \
        `triumvir cluster add`";
    /// The replica was removed from the cluster.
    ReplicaRemoved = "TV0039", FailedPrecondition, NotApplied, stop,
        "the replica was removed from the cluster",
        "do not start it again; a new replica needs a new id and an empty folder: \
        `triumvir cluster add`";
    /// A learner that has not caught up cannot vote.
    NotCaughtUp = "TV0040", FailedPrecondition, NotApplied, stop,
        "the learner has not caught up",
        "see that its process runs, wait until its lag is small in `triumvir cluster status`, and \
        repeat the call";
    /// Without the replica no majority of the voters would answer.
    MajorityAtRisk = "TV0041", FailedPrecondition, NotApplied, stop,
        "the cluster would lose its majority",
        "bring the voters back that do not answer, or remove one of those first; `--force` does it \
        all the same, and nothing commits until a majority answers";
    /// Another change of the members is under way.
    MembersChanging = "TV0042", Unavailable, NotApplied, repeat,
        "another change of the members is under way", "repeat the call after a pause";
    /// The leader was lost, or a majority, while the members were changed.
    MembersUnknown = "TV0043", DeadlineExceeded, Unknown, repeat,
        "it is not known whether the members were changed",
        "repeat the call: a change that was made is not made twice; `triumvir cluster status` \
        shows the members";
    /// The replica's id belongs to another data folder.
    ReplicaOtherDisk = "TV0044", FailedPrecondition, NotApplied, stop,
        "the replica's id belongs to another data folder",
        "start it on its own folder; if that is lost, remove the id with `triumvir cluster remove` \
        and add a new one";
    /// Another member has the address.
    AddressTaken = "TV0045", AlreadyExists, NotApplied, stop,
        "another member has this address", "give the new replica an address of its own";
    /// An operator has removed the participant from the cluster for good.
    ParticipantRemoved = "TV0046", FailedPrecondition, NotApplied, stop,
        "the participant was removed from the cluster for good",
        "do not use this folder any more: start the participant on an empty one, and look into the \
        folder's data for work that others have finished without it";
}

impl Code {
    /// Every code, ascending.
    pub const fn all() -> &'static [Self] {
        Self::ALL
    }

    /// The stable code, such as `TV0013`.
    pub const fn as_str(self) -> &'static str {
        self.row().code
    }

    /// The code with this stable text.
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text)
    }

    /// Its gRPC code.
    pub const fn grpc(self) -> tonic::Code {
        self.row().grpc
    }

    /// What it says of the transaction that was asked for, unless a [`Failure`](super::Failure) says
    /// otherwise.
    pub const fn applied(self) -> Applied {
        self.row().applied
    }

    /// Whether the same call, at this or another replica, may go better after a pause. Where the
    /// outcome is unknown this takes the same id and content.
    pub const fn is_retryable(self) -> bool {
        self.row().retryable
    }

    /// What it means, in a few words.
    pub const fn title(self) -> &'static str {
        self.row().title
    }

    /// What to do next.
    pub const fn next(self) -> &'static str {
        self.row().next
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_numbered_without_gaps_and_read_back() {
        for (at, code) in Code::all().iter().enumerate() {
            assert_eq!(code.as_str(), format!("TV{:04}", at + 1));
            assert_eq!(Code::from_text(code.as_str()), Some(*code));
            assert!(!code.title().is_empty() && !code.next().is_empty());
        }
        assert_eq!(Code::from_text("TV9999"), None);
    }

    #[test]
    fn every_code_has_a_page_that_says_the_same() {
        let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors");
        let index = std::fs::read_to_string(docs.join("README.md")).unwrap();
        for code in Code::all() {
            let page = std::fs::read_to_string(docs.join(format!("{code}.md"))).unwrap();
            assert!(page.contains(code.title()), "{code}: the title");
            let applied = format!("**Applied:** {}", code.applied());
            assert!(page.contains(&applied), "{code}: {applied}");
            assert!(
                index.contains(&format!("[{code}]({code}.md)")),
                "{code}: the index"
            );
        }
    }
}
