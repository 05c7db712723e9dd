//! A leader's place: its activation, what it has applied since, and its conductor. A seat whose leader
//! is deposed is one that does nothing any more, which every execution may choose. What an event does
//! to it depends on nothing else.

use triumvir_protocol::{
    Caller, Conductor, ConductorOutputs, ConductorTimer, Coordinator, Effect, Epoch, Limits,
    Record, Reply, Rules, Submission,
};

use crate::network::{Body, Envelope};
use crate::shared::Shared;
use crate::state::TXN;
use crate::{Ask, Content};

const LIMITS: Limits = Limits {
    inflight_max: 8,
    open_max: 8,
};

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Seat {
    /// What it has applied.
    pub(crate) coordinator: Shared<Coordinator>,
    /// None once it has applied a later activation.
    pub(crate) conductor: Option<Shared<Conductor>>,
    /// Appended and not applied here, up to the next activation.
    pub(crate) behind: Vec<Shared<Record>>,
    /// One bit for each of the run's asks that was answered here.
    pub(crate) answered: u8,
}

/// What happens at a seat. A message or record is named by its hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum SeatEvent {
    /// The asks are those of the run, by number.
    Ask(usize, Ask),
    Apply(u64),
    /// A record that changes nothing is applied.
    Idle,
    Receive(u64),
    Timeout(ConductorTimer),
    Want,
}

/// What an event is about, where it is named by hash.
#[derive(Clone, Copy)]
pub(crate) enum About<'a> {
    Nothing,
    Contents(&'a [Content]),
    Record(&'a Record),
    Message(&'a Envelope),
}

/// What came of an event.
#[derive(Clone, Debug)]
pub(crate) struct SeatStep {
    pub(crate) coordinator: Shared<Coordinator>,
    pub(crate) conductor: Shared<Conductor>,
    pub(crate) propose: Vec<Shared<Record>>,
    pub(crate) send: Vec<Shared<Envelope>>,
    /// By the number of the ask.
    pub(crate) replies: Vec<(usize, Reply)>,
}

impl SeatStep {
    /// A leader is activated; `epoch` is what its frames carry.
    pub(crate) fn activate(rules: Rules, coordinator: &Shared<Coordinator>, epoch: Epoch) -> Self {
        let mut out = ConductorOutputs::default();
        let conductor = Conductor::new(rules, LIMITS, coordinator, &mut out);
        Self::absorb(coordinator.clone(), conductor, epoch, out)
    }

    /// What `event` does to a conductor and its state.
    pub(crate) fn of(
        coordinator: &Shared<Coordinator>,
        conductor: &Shared<Conductor>,
        epoch: Epoch,
        event: SeatEvent,
        about: About<'_>,
    ) -> Self {
        let mut next = (**conductor).clone();
        let mut state = coordinator.clone();
        let mut out = ConductorOutputs::default();
        match (event, about) {
            (SeatEvent::Ask(number, ask), About::Contents(contents)) => {
                let caller = Caller(number as u64);
                Self::ask(&mut next, &state, caller, ask, contents, &mut out);
            }
            (SeatEvent::Apply(_), About::Record(record)) => {
                let mut after = (*state).clone();
                let effect = after.apply(0, record.clone());
                state = Shared::new(after);
                match effect {
                    Effect::Transaction(txn) => next.on_applied(&state, txn, &mut out),
                    Effect::Horizon(_) => next.on_horizon(&state, &mut out),
                    _ => {}
                }
            }
            (SeatEvent::Receive(_), About::Message(envelope)) => {
                Self::receive(&mut next, &state, envelope, &mut out);
            }
            (SeatEvent::Idle, _) => next.on_applied(&state, TXN, &mut out),
            (SeatEvent::Timeout(ConductorTimer::Vote), _) => next.on_vote_timeout(TXN, &mut out),
            (SeatEvent::Timeout(ConductorTimer::Resend), _) => next.on_resend(TXN, &mut out),
            (SeatEvent::Want, _) => next.propose_horizon(&state, TXN, &mut out),
            (event, _) => unreachable!("{event:?} is about something else"),
        }
        Self::absorb(state, next, epoch, out)
    }

    fn ask(
        conductor: &mut Conductor,
        state: &Coordinator,
        caller: Caller,
        ask: Ask,
        contents: &[Content],
        out: &mut ConductorOutputs,
    ) {
        match ask {
            Ask::Commit(index) => {
                let submission = Submission {
                    txn: TXN,
                    terms: contents[index].terms.clone(),
                    work: contents[index].work.clone(),
                    age: TXN,
                };
                conductor.handle_commit(state, caller, submission, out);
            }
            Ask::Outcome => conductor.handle_outcome(state, caller, TXN, false, out),
            Ask::Decide => conductor.handle_outcome(state, caller, TXN, true, out),
            Ask::Abort => conductor.handle_abort(state, caller, TXN, out),
        }
    }

    fn receive(
        conductor: &mut Conductor,
        state: &Coordinator,
        envelope: &Envelope,
        out: &mut ConductorOutputs,
    ) {
        let (digest, from) = (envelope.digest, envelope.from);
        let from = from.expect("coordinators replicate, they do not talk");
        match envelope.body.clone() {
            Body::Answer(answer) => {
                conductor.handle_answer(state, from, TXN, digest, answer, out);
            }
            Body::Inquiry(inquiry) => {
                conductor.handle_inquiry(state, from, TXN, inquiry, out);
            }
            Body::Request(..) => unreachable!("nobody asks a coordinator like that"),
        }
    }

    fn absorb(
        coordinator: Shared<Coordinator>,
        conductor: Conductor,
        epoch: Epoch,
        out: ConductorOutputs,
    ) -> Self {
        let sound = |record: &Record| record.check().expect("only sound records are proposed");
        out.propose.iter().for_each(sound);
        let send = out.send.into_iter();
        let send = send.map(|(to, _, digest, request)| {
            Shared::new(Envelope {
                from: None,
                to: Some(to),
                digest,
                body: Body::Request(epoch, request),
            })
        });
        let replies = out.replies.into_iter();
        let number = |caller: Caller| usize::try_from(caller.0).expect("a small number");
        Self {
            coordinator,
            conductor: Shared::new(conductor),
            propose: out.propose.into_iter().map(Shared::new).collect(),
            send: send.collect(),
            replies: replies
                .map(|(caller, _, reply)| (number(caller), reply))
                .collect(),
        }
    }
}
