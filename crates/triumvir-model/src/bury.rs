//! What is said to a participant when its branch is over.

use triumvir_protocol::{Answer, BranchState, Request, Value};

use crate::model::World;
use crate::network::{Body, Envelope};
use crate::shared::hash;
use crate::state::State;

impl World {
    /// Drops messages that nobody will ever heed, as long as nothing can be forgotten: answers to a
    /// branch that is over, and requests to it whose answer is under way for good.
    pub(crate) fn bury(&self, state: &mut State) {
        if self.bounds.horizon {
            return;
        }
        let last = |at: usize| {
            let branch = state.branch(at)?;
            let committed = branch.state == BranchState::Committed;
            let answer = match &branch.state {
                BranchState::Committed => Answer::Committed { results: None },
                BranchState::Aborted => Answer::Aborted,
                BranchState::Refused(reason) => Answer::No {
                    reason: reason.clone(),
                },
                _ => return None,
            };
            Some((branch.digest, answer, committed))
        };
        let last: Vec<_> = (0..state.nodes.len()).map(last).collect();
        if last.iter().all(Option::is_none) {
            return;
        }
        let answers = state.network.clone();
        state.network.retain(|envelope| {
            let Some(to) = envelope.to else {
                return true;
            };
            let Some((digest, answer, committed)) = &last[to.0 as usize - 1] else {
                return true;
            };
            let request = match &envelope.body {
                Body::Request(_, request) => request,
                Body::Answer(_) | Body::Inquiry(_) => return false,
            };
            let plain = match request {
                Request::CanCommit { .. } => !committed,
                Request::DoCommit => *committed,
                Request::Abort => !committed,
                Request::Accept { value, .. } => !committed || *value == Value::Commit,
                Request::Fence { .. } | Request::Poll => true,
                Request::Horizon(_) => false,
            };
            let reply = Envelope {
                from: Some(to),
                to: envelope.from,
                digest: *digest,
                body: Body::Answer(answer.clone()),
            };
            let dead = plain && envelope.digest == *digest && answers.contains(hash(&reply));
            !dead
        });
    }
}
