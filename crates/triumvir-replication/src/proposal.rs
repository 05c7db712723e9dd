//! A proposal in flight and what can become of it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use openraft::errors::{ClientWriteError, Fatal};
use openraft::raft::ClientWriteResult;
use tokio::sync::oneshot;

use crate::types::TypeConfig;

/// What became of a proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is in the log for good, at this index, and the owner of the state has applied it.
    Applied {
        /// Its position in the log.
        index: u64,
    },
    /// It was refused before it was appended: it is certain that it will never be applied.
    NotLeader {
        /// Who leads, as far as is known.
        leader: Option<u64>,
        /// That node's address in the membership.
        address: Option<String>,
    },
    /// Leadership was lost after it was appended: it may or may not be applied, now or later.
    Unknown {
        /// Who leads now, as far as is known.
        leader: Option<u64>,
    },
    /// This replica has stopped. If the proposal was in flight, it may or may not be applied.
    Stopped,
}

/// A proposal in flight. Resolves to its [`Outcome`]; dropping it changes nothing about that.
#[derive(Debug)]
pub struct Proposal {
    state: State,
}

#[derive(Debug)]
enum State {
    Waiting(oneshot::Receiver<ClientWriteResult<TypeConfig>>),
    Refused,
}

impl Proposal {
    pub(crate) fn new(
        sent: Result<(), Fatal<TypeConfig>>,
        result: oneshot::Receiver<ClientWriteResult<TypeConfig>>,
    ) -> Self {
        let state = match sent {
            Ok(()) => State::Waiting(result),
            Err(_) => State::Refused,
        };
        Self { state }
    }
}

impl Future for Proposal {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        match &mut self.state {
            State::Refused => Poll::Ready(Outcome::Stopped),
            State::Waiting(result) => Pin::new(result).poll(context).map(outcome),
        }
    }
}

fn outcome(result: Result<ClientWriteResult<TypeConfig>, oneshot::error::RecvError>) -> Outcome {
    match result {
        Ok(Ok(response)) => Outcome::Applied {
            index: response.log_id.index,
        },
        Ok(Err(ClientWriteError::ForwardToLeader(to))) => Outcome::NotLeader {
            leader: to.leader_id,
            address: to.leader_node.map(|member| member.address),
        },
        Ok(Err(ClientWriteError::LogEntryDiscarded(to))) => Outcome::Unknown {
            leader: to.leader_id,
        },
        // Neither is an answer to a plain proposal; should one come, it claims nothing.
        Ok(Err(
            ClientWriteError::ChangeMembershipError(_) | ClientWriteError::PreconditionFailed(_),
        )) => Outcome::Unknown { leader: None },
        // Raft let go of it, which it does only when it stops.
        Err(_) => Outcome::Stopped,
    }
}
