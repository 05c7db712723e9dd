//! What the core itself costs: one failure-free transaction of two participants through all three
//! machines, and a batch of records through the codec. No I/O.
//!
//! `cargo bench -p triumvir-benches`

// criterion's macros make functions without documentation.
#![allow(missing_docs)]

use std::collections::{BTreeMap, VecDeque};
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use triumvir_protocol::{
    Action, Answer, Caller, Conductor, ConductorOutputs, Coordinator, Digest, Horizon, Incarnation,
    Limits, Message, Mode, Participant, ParticipantId, ParticipantOutputs, PrepareResult, Record,
    ReplicaId, Request, Rules, Source, Submission, Terms, TxnId, Work,
};
use triumvir_storage::{decode_records, encode_records};

/// A cluster in one value: every message and record is delivered at once.
struct World {
    index: u64,
    coordinator: Coordinator,
    conductor: Conductor,
    participants: BTreeMap<ParticipantId, Participant>,
}

impl World {
    fn new() -> Self {
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

    fn commit(&mut self, number: u64) {
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

fn walk(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("core");
    group.throughput(Throughput::Elements(1));
    let (mut world, mut number) = (World::new(), 0);
    group.bench_function("transaction", |bench| {
        bench.iter(|| {
            number += 1;
            world.commit(number);
        });
    });
    group.finish();
}

fn codec(criterion: &mut Criterion) {
    let parts = [1, 2].map(|id| (ParticipantId(id), Work::Payload([0; 64].into())));
    let terms = Terms::of(Mode::ThreePhase, &parts).expect("two participants");
    let record = |number| Record::PreCommit {
        txn: TxnId::at_millis(number),
        terms: terms.clone(),
        voters: terms.participants.clone(),
    };
    let batch: Vec<_> = (0..64).map(record).collect();
    let mut group = criterion.benchmark_group("codec");
    group.throughput(Throughput::Elements(64));
    group.bench_function("64 pre-commit records", |bench| {
        bench.iter(|| decode_records(&encode_records(black_box(&batch))).expect("just encoded"));
    });
    group.finish();
}

criterion_group!(benches, walk, codec);
criterion_main!(benches);
