//! What each timer is for, as states from which it is the one that gets a branch in doubt out of it.
//! A state is enough: messages stay under way, so that what one step would do was not done by another.

use triumvir_protocol::{
    Action as Job, Answer, Ballot, Branch, BranchState, Conductor, Epoch, ParticipantId,
};

use crate::model::World;
use crate::network::{Body, Envelope};
use crate::shared::Shared;
use crate::state::{State, TXN};

/// T1: a branch that was never fenced is about to learn its outcome from the answer to its poll.
pub(crate) fn told_by_peer(world: &World, state: &State) -> bool {
    state.network.iter().any(|envelope| {
        let outcome = matches!(
            envelope.body,
            Body::Answer(
                Answer::No { .. } | Answer::Aborted | Answer::Decided | Answer::Committed { .. }
            )
        );
        let Some(to) = envelope.to.filter(|_| outcome) else {
            return false;
        };
        unfenced(state, to) && decides(world, state, to, envelope)
    })
}

/// T1: what a replica answers to an inquiry is about to end a doubt, and no leader has said it.
pub(crate) fn told_when_asked(world: &World, state: &State) -> bool {
    state.network.iter().any(|envelope| {
        let (Body::Inquiry(_), Some(from)) = (&envelope.body, envelope.from) else {
            return false;
        };
        let (digest, rules) = (envelope.digest, world.bounds.rules);
        let Some(request) = Conductor::evidence(&state.head, rules, TXN, digest) else {
            return false;
        };
        let said = |message: &Envelope| {
            let outcome = Body::Request(Epoch(0), request.clone());
            (message.to, &message.body) == (Some(from), &outcome)
        };
        let answer = Shared::new(Envelope {
            from: None,
            to: Some(from),
            digest,
            body: Body::Request(Epoch(0), request.clone()),
        });
        !state.network.iter().any(|message| said(message)) && decides(world, state, from, &answer)
    })
}

/// Resend: all else is lost, and the leader's repeated word ends a doubt.
pub(crate) fn told_again(world: &World, state: &State) -> bool {
    let doubt = |at| state.branch(at).is_some_and(Branch::is_in_doubt);
    (0..state.nodes.len()).any(doubt) && world.resent(state)
}

/// T3: all else is lost, and the word of one that has pre-committed ends every doubt.
pub(crate) fn finished_alone(world: &World, state: &State) -> bool {
    world.finished(state)
}

fn unfenced(state: &State, id: ParticipantId) -> bool {
    let branch = state.branch(id.0 as usize - 1);
    let promised = branch.map(|branch| &branch.state);
    matches!(promised, Some(BranchState::Prepared { promised, .. }) if *promised == Ballot::ZERO)
}

/// Whether `envelope` would make `to` carry out an outcome.
fn decides(world: &World, state: &State, to: ParticipantId, envelope: &Shared<Envelope>) -> bool {
    let at = to.0 as usize - 1;
    let in_doubt = state.branch(at).is_some_and(Branch::is_in_doubt);
    let outcome = |job: &Job| matches!(job, Job::Commit | Job::Abort);
    let step = world.hears(state, at, envelope).filter(|_| in_doubt);
    step.is_some_and(|step| step.jobs.iter().any(outcome))
}
