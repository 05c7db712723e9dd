//! What an exploration leaves out as nothing comes of it within the bounds, and which may still be what
//! blocks those that hear it: ballots beyond them.

use triumvir_protocol::{Answer, Ballot, Branch, BranchState, Mode, ParticipantId};

use super::{Cast, Leader};
use crate::network::{Body, Envelope};
use crate::shared::Shared;
use crate::step::Step;

/// What everybody hears from each of its peers.
#[derive(Clone, Copy, Hash)]
pub(super) enum Overtaken {
    /// A refusal by a promise beyond the bounds. The leader hears it, too.
    Refused,
    /// An answer to a poll, with such a promise.
    Polled,
}

/// Whether fences and refusals of higher ballots can concern it.
pub(super) fn has_ballots(branch: Option<&Branch>) -> bool {
    branch.is_some_and(|branch| match &branch.state {
        BranchState::Prepared { terms, .. } => terms.mode == Mode::ThreePhase,
        _ => false,
    })
}

/// Everybody hears that each of its peers has promised a ballot beyond `rounds`; of a refusal, so does the
/// leader.
pub(super) fn overtake(step: &mut Step<'_>, cast: Cast<'_>, how: Overtaken, rounds: u32) {
    let leader = matches!(cast.led, Some(Leader::Last)).then(|| cast.leader(&step.state));
    for &at in cast.parties {
        let Some(branch) = step.state.branch(at).cloned() else {
            continue;
        };
        let (true, Some((terms, _))) = (has_ballots(Some(&branch)), branch.live()) else {
            continue;
        };
        let own = ParticipantId(at as u32 + 1);
        let answer = |from: ParticipantId, to| {
            let (promised, accepted) = (Ballot::peer(rounds + 1, from), None);
            let answer = match how {
                Overtaken::Refused => Answer::Refuse { promised, accepted },
                Overtaken::Polled => Answer::Prepared { promised, accepted },
            };
            let (from, digest, body) = (Some(from), branch.digest, Body::Answer(answer));
            Shared::new(Envelope {
                from,
                to,
                digest,
                body,
            })
        };
        for &peer in terms.participants.iter().filter(|peer| **peer != own) {
            step.deliver(at, &answer(peer, Some(own)));
        }
        if let (Some(leader), Overtaken::Refused) = (leader, how) {
            step.receive(leader, &answer(own, None));
        }
    }
    step.state.network = Default::default();
}
