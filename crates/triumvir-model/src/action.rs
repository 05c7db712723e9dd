//! What may happen. Plain values: what an action does is in `step`.

use triumvir_protocol::{ConductorTimer, ParticipantTimer};

/// What a client asks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Ask {
    /// Commit the content with this index.
    Commit(usize),
    /// How did it end?
    Outcome,
    /// The same; without a record it is to be aborted.
    Decide,
    /// Abort.
    Abort,
}

/// How a resource answers a prepare.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Vote {
    /// It changed something.
    Yes,
    /// It changed nothing.
    Read,
    /// It refused.
    No,
}

/// One step. Seats are counted from 0 in the order of their activations, participants from 0; a
/// message or record is named by its hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Action {
    /// The next leader starts to act.
    Activate,
    /// A client asks a seat.
    Ask(usize, Ask),
    /// A record that someone proposed enters the log.
    Append(u64),
    /// A seat applies the next record that it has not applied.
    Apply(usize),
    /// A record that changes nothing enters the log, and a seat that has applied all else sees it.
    Idle(usize),
    /// A seat receives a message. The seat after the last is a replica that does not lead.
    Receive(usize, u64),
    /// A conductor's timer.
    Timeout(usize, ConductorTimer),
    /// A seat proposes that the horizon pass the transaction.
    Want(usize),
    /// A participant receives a message.
    Deliver(usize, u64),
    /// A participant receives a message and crashes before its force.
    Tear(usize, u64),
    /// A frame carries the horizon to a participant.
    Learn(usize),
    /// The resource finishes its oldest job; a prepare like this.
    Work(usize, Vote),
    /// The application does an operation before it asks to commit.
    Operate(usize),
    /// A participant's timer.
    Fire(usize, ParticipantTimer),
    /// T1 goes off twice in a row.
    Pair(usize),
    /// T1 goes off, answers to polls arrive, if any are named, and T2 goes off.
    Round(usize, [Option<u64>; 2]),
    /// A participant restarts with what it has forced.
    Restart(usize),
}
