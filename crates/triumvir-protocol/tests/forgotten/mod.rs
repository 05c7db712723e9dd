//! Everything at or below the horizon: whatever is asked, a participant without a branch says
//! FORGOTTEN with its horizon, forces nothing and prepares nothing.

use std::collections::BTreeMap;

use triumvir_protocol::{
    Answer, Ballot, Epoch, Horizon, Incarnation, Message, Mode, Participant, ParticipantId,
    ParticipantOutputs, ReplicaId, Request, Rules, Source, Terms, TxnId, Value, Work,
};

#[test]
fn every_request_at_or_below_the_horizon_is_answered_forgotten() {
    let horizon = Horizon(TxnId::at_millis(7));
    let me = ParticipantId(1);
    let parts = [1, 2].map(|id| (ParticipantId(id), Work::Payload([].into())));
    let terms = Terms::of(Mode::ThreePhase, &parts).unwrap();
    let ballot = Ballot::coordinator(1);
    let can_commit = |work| Request::CanCommit {
        terms: terms.clone(),
        work,
        age: horizon.0,
    };
    let requests = [
        can_commit(Some(Work::Payload([].into()))),
        can_commit(None),
        Request::Accept {
            ballot: Ballot::ZERO,
            value: Value::Commit,
        },
        Request::Accept {
            ballot,
            value: Value::Abort,
        },
        Request::Fence { ballot },
        Request::DoCommit,
        Request::Abort,
        Request::Poll,
    ];
    let leader = Source::Coordinator(ReplicaId(1), Epoch(1));
    for source in [leader, Source::Peer(ParticipantId(2))] {
        for txn in [horizon.0, TxnId::at_millis(3)] {
            for request in &requests {
                let branches = BTreeMap::new();
                let rules = Rules::default();
                let mut participant =
                    Participant::restore(rules, me, Incarnation(1), horizon, branches);
                let before = participant.clone();
                let mut out = ParticipantOutputs::default();
                participant.handle_request(source, txn, terms.digest, request.clone(), &mut out);
                let forgotten = Message::Answer(Answer::Forgotten { horizon });
                let said = vec![(source.into(), txn, terms.digest, forgotten)];
                let expected = ParticipantOutputs {
                    send: said,
                    ..ParticipantOutputs::default()
                };
                assert_eq!(out, expected, "{request:?} from {source:?}");
                assert_eq!(participant, before);
            }
        }
    }
}
