//! What the benchmarks time and the tests count: the core without I/O. Nothing here measures.

use std::collections::{BTreeMap, VecDeque};
use std::hint::black_box;

use triumvir_protocol::{
    Action, Answer, Caller, Conductor, ConductorOutputs, Coordinator, Digest, Horizon, Incarnation,
    Limits, Message, Mode, Participant, ParticipantId, ParticipantOutputs, PrepareResult, Record,
    ReplicaId, Request, Rules, Source, Submission, Terms, TxnId, Work,
};

/// A cluster in one value: every message and record is delivered at once.
#[derive(Debug)]
pub struct World {
    index: u64,
    coordinator: Coordinator,
    conductor: Conductor,
    participants: BTreeMap<ParticipantId, Participant>,
}

impl World {
    /// Nothing has happened yet.
    #[must_use]
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        let rules = Rules::default();
        let mut coordinator = Coordinator::new(rules);
        coordinator.apply(
            1,
            Record::Activate {
                replica: ReplicaId(1),
                nonce: 1,
            },
        );
        let limits = Limits {
            inflight_max: 100,
            open_max: 100,
        };
        let mut out = ConductorOutputs::default();
        let conductor = Conductor::new(rules, limits, &coordinator, &mut out);
        let participant = |id| {
            let (incarnation, horizon) = (Incarnation(1), Horizon::default());
            (
                id,
                Participant::restore(rules, id, incarnation, horizon, BTreeMap::new()),
            )
        };
        let participants = [1, 2].map(ParticipantId).map(participant).into();
        Self {
            index: 1,
            coordinator,
            conductor,
            participants,
        }
    }

    /// Commits transaction `number`, of two participants. Numbers ascend; at every thousandth the
    /// horizon passes what is over.
    ///
    /// # Panics
    ///
    /// When the transaction does not come to its end.
    pub fn commit(&mut self, number: u64) {
        let txn = TxnId::at_millis(number);
        let parts = [1, 2].map(|id| (ParticipantId(id), Work::Payload([0; 64].into())));
        let terms = Terms::of(Mode::ThreePhase, &parts).expect("two participants");
        let submission = Submission {
            txn,
            terms,
            work: parts.into(),
            age: txn,
        };
        let mut out = ConductorOutputs::default();
        self.conductor
            .handle_commit(&self.coordinator, Caller(number), submission, &mut out);
        let mut answers = VecDeque::new();
        loop {
            for (to, txn, digest, request) in out.send.split_off(0) {
                self.ask(to, txn, digest, request, &mut answers);
            }
            if let Some(record) = out.propose.pop() {
                self.index += 1;
                self.coordinator.apply(self.index, record);
                self.conductor.on_applied(&self.coordinator, txn, &mut out);
            } else if let Some((from, txn, digest, answer)) = answers.pop_front() {
                let state = &self.coordinator;
                self.conductor
                    .handle_answer(state, from, txn, digest, answer, &mut out);
            } else {
                break;
            }
        }
        assert_eq!(self.conductor.flights().count(), 0, "the walk is complete");
        if number.is_multiple_of(1_000) {
            self.index += 1;
            self.coordinator
                .apply(self.index, Record::Horizon(Horizon(txn)));
            let mut out = ParticipantOutputs::default();
            for participant in self.participants.values_mut() {
                participant.on_horizon(Horizon(txn), &mut out);
            }
        }
    }

    fn ask(
        &mut self,
        to: ParticipantId,
        txn: TxnId,
        digest: Digest,
        request: Request,
        answers: &mut VecDeque<(ParticipantId, TxnId, Digest, Answer)>,
    ) {
        let participant = self.participants.get_mut(&to).expect("it is listed");
        let source = Source::Coordinator(ReplicaId(1), self.conductor.epoch());
        let mut out = ParticipantOutputs::default();
        participant.handle_request(source, txn, digest, request, &mut out);
        for (txn, action) in out.actions.split_off(0) {
            match action {
                Action::Prepare { .. } => {
                    let result = PrepareResult::Yes { results: [].into() };
                    participant.on_prepared(txn, result, &mut out);
                }
                Action::Commit => participant.on_applied(txn, &mut out),
                _ => unreachable!("nothing fails here"),
            }
        }
        black_box(&out.force);
        for (_, txn, digest, message) in out.send {
            if let Message::Answer(answer) = message {
                answers.push_back((to, txn, digest, answer));
            }
        }
    }
}

/// The pre-commit record of transaction `number`, of two participants.
///
/// # Panics
///
/// Never: the list is a good one.
#[must_use]
pub fn record(number: u64) -> Record {
    let parts = [1, 2].map(|id| (ParticipantId(id), Work::Payload([0; 64].into())));
    let terms = Terms::of(Mode::ThreePhase, &parts).expect("two participants");
    let voters = terms.participants.clone();
    Record::PreCommit {
        txn: TxnId::at_millis(number),
        terms,
        voters,
    }
}
