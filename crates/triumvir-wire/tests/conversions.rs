//! Properties of the conversions: whatever the core can say comes back as it was, and no rubbish
//! makes anything panic or passes as something that the core's types forbid.

use std::collections::BTreeSet;

use bytes::Bytes;
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use prost::Message as _;
use triumvir_protocol::{
    Accepted, Answer, Ballot, Digest, Horizon, Incarnation, Inquiry, Message, Mode, NoReason,
    ParticipantId, Payload, Request, Terms, TxnId, Value, Work,
};
use triumvir_wire::{Failure, WireError, limits, message, v1};

type About<T> = (TxnId, Digest, T);

fn txn() -> impl Strategy<Value = TxnId> {
    any::<u128>().prop_map(TxnId::from_u128)
}

fn mode() -> impl Strategy<Value = Mode> {
    prop_oneof![Just(Mode::ThreePhase), Just(Mode::TwoPhase)]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![Just(Value::Commit), Just(Value::Abort)]
}

fn ballot() -> impl Strategy<Value = Ballot> {
    any::<(u32, u32)>().prop_map(|(round, owner)| Ballot { round, owner })
}

fn accepted() -> impl Strategy<Value = Accepted> {
    (ballot(), value()).prop_map(|(ballot, value)| Accepted { ballot, value })
}

fn payload() -> impl Strategy<Value = Payload> {
    vec(any::<u8>(), 0..64).prop_map(Payload::from)
}

fn work() -> impl Strategy<Value = Work> {
    prop_oneof![
        payload().prop_map(Work::Payload),
        any::<(u64, u64)>().prop_map(|(incarnation, operations)| Work::Done {
            incarnation: Incarnation(incarnation),
            operations
        }),
    ]
}

fn list() -> impl Strategy<Value = BTreeSet<u32>> {
    btree_set(1..=u32::MAX, 1..=limits::PARTICIPANTS_MAX)
}

fn terms(digest: [u8; 32]) -> impl Strategy<Value = Terms> {
    (mode(), list()).prop_map(move |(mode, list)| {
        Terms::from_parts(mode, Digest(digest), list.into_iter().map(ParticipantId)).unwrap()
    })
}

fn reason() -> impl Strategy<Value = NoReason> {
    prop_oneof![
        ("[a-z-]{0,40}", ".{0,80}", any::<bool>()).prop_map(|(code, detail, retryable)| {
            NoReason::Resource {
                code: code.into(),
                detail: detail.into(),
                retryable,
            }
        }),
        Just(NoReason::Overtaken),
        Just(NoReason::Timeout),
        Just(NoReason::WorkLost),
        Just(NoReason::OtherContent),
    ]
}

fn request(digest: [u8; 32]) -> impl Strategy<Value = Request> {
    prop_oneof![
        (terms(digest), option::of(work()), txn())
            .prop_map(|(terms, work, age)| Request::CanCommit { terms, work, age }),
        (ballot(), value()).prop_map(|(ballot, value)| Request::Accept { ballot, value }),
        ballot().prop_map(|ballot| Request::Fence { ballot }),
        Just(Request::DoCommit),
        Just(Request::Abort),
        Just(Request::Poll),
        txn().prop_map(|txn| Request::Horizon(Horizon(txn))),
    ]
}

fn answer() -> impl Strategy<Value = Answer> {
    let standing = || (ballot(), option::of(accepted()));
    prop_oneof![
        payload().prop_map(|results| Answer::Yes { results }),
        payload().prop_map(|results| Answer::Read { results }),
        reason().prop_map(|reason| Answer::No { reason }),
        Just(Answer::NeedPayload),
        ballot().prop_map(|ballot| Answer::Ack { ballot }),
        standing().prop_map(|(ballot, accepted)| Answer::Promise { ballot, accepted }),
        standing().prop_map(|(promised, accepted)| Answer::Refuse { promised, accepted }),
        standing().prop_map(|(promised, accepted)| Answer::Prepared { promised, accepted }),
        Just(Answer::Decided),
        option::of(payload()).prop_map(|results| Answer::Committed { results }),
        Just(Answer::Aborted),
        txn().prop_map(|txn| Answer::Forgotten {
            horizon: Horizon(txn)
        }),
    ]
}

fn said() -> impl Strategy<Value = About<Message>> {
    (txn(), any::<[u8; 32]>()).prop_flat_map(|(txn, digest)| {
        let message = prop_oneof![
            request(digest).prop_map(Message::Request),
            answer().prop_map(Message::Answer),
            terms(digest).prop_map(|terms| Message::Inquiry(Inquiry { terms })),
        ];
        (Just(txn), Just(Digest(digest)), message)
    })
}

fn asked() -> impl Strategy<Value = About<Request>> {
    (txn(), any::<[u8; 32]>())
        .prop_flat_map(|(txn, digest)| (Just(txn), Just(Digest(digest)), request(digest)))
}

/// What a coordinator may say, restated.
fn fits_a_coordinator(request: &Request) -> bool {
    match request {
        Request::Poll => false,
        Request::Accept { ballot, .. } | Request::Fence { ballot } => ballot.owner == 0,
        _ => true,
    }
}

/// What a peer may ask, restated.
fn fits_a_peer(request: &Request) -> bool {
    match request {
        Request::CanCommit { .. } | Request::Horizon(_) => false,
        Request::Accept { ballot, value } => ballot.owner != 0 && *value == Value::Abort,
        Request::Fence { ballot } => ballot.owner != 0,
        _ => true,
    }
}

fn through_bytes<M: prost::Message + Default>(message: &M) -> M {
    M::decode(Bytes::from(message.encode_to_vec())).unwrap()
}

proptest! {
    #[test]
    fn what_a_coordinator_says_comes_back(said in asked()) {
        let wire = through_bytes(&v1::CoordinatorMessage::from(said.clone()));
        let back = About::<Request>::try_from(wire);
        if fits_a_coordinator(&said.2) {
            prop_assert_eq!(back, Ok(said));
        } else {
            let refused = matches!(back, Err(WireError::Misplaced { .. }));
            prop_assert!(refused);
        }
    }

    #[test]
    fn what_a_participant_says_comes_back(said in said()) {
        let wire = v1::ParticipantMessage::try_from(said.clone());
        if matches!(said.2, Message::Request(_)) {
            let refused = matches!(wire, Err(WireError::Misplaced { .. }));
            prop_assert!(refused);
        } else {
            let back = About::<Message>::try_from(through_bytes(&wire.unwrap()));
            prop_assert_eq!(back, Ok(said));
        }
    }

    #[test]
    fn what_a_peer_says_comes_back(said in said()) {
        let wire = v1::PeerMessage::try_from(said.clone());
        let fits = match &said.2 {
            Message::Request(request) => fits_a_peer(request),
            Message::Answer(_) => true,
            Message::Inquiry(_) => {
                prop_assert!(wire.is_err());
                return Ok(());
            }
        };
        let back = About::<Message>::try_from(through_bytes(&wire.unwrap()));
        if fits {
            prop_assert_eq!(back, Ok(said));
        } else {
            let refused = matches!(back, Err(WireError::Misplaced { .. }));
            prop_assert!(refused);
        }
    }

    #[test]
    fn terms_come_back(terms in any::<[u8; 32]>().prop_flat_map(terms)) {
        prop_assert_eq!(Terms::try_from(through_bytes(&v1::Terms::from(&terms))), Ok(terms));
    }

    #[test]
    fn rubbish_never_panics(bytes in vec(any::<u8>(), 0..256)) {
        let bytes = Bytes::from(bytes);
        if let Ok(wire) = v1::CoordinatorMessage::decode(bytes.clone()) {
            let _ = About::<Request>::try_from(wire);
        }
        if let Ok(wire) = v1::ParticipantMessage::decode(bytes.clone()) {
            let _ = About::<Message>::try_from(wire);
        }
        if let Ok(wire) = v1::PeerMessage::decode(bytes) {
            let _ = About::<Message>::try_from(wire);
        }
    }

    /// Rubbish that is close to the truth: a real message with one byte changed.
    #[test]
    fn a_damaged_message_is_refused_or_well_formed(
        said in asked(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = v1::CoordinatorMessage::from(said).encode_to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let Ok(wire) = v1::CoordinatorMessage::decode(Bytes::from(bytes)) else { return Ok(()) };
        if let Ok((_, digest, Request::CanCommit { terms, .. })) = About::<Request>::try_from(wire) {
            let ascending = terms.participants.windows(2).all(|pair| pair[0] < pair[1]);
            prop_assert!(ascending && !terms.participants.is_empty());
            prop_assert!(!terms.lists(ParticipantId(0)));
            prop_assert_eq!(terms.digest, digest);
        }
    }

    #[test]
    fn any_status_becomes_a_failure(code in 0i32..20, text in ".{0,40}", applied in "[a-z-]{0,12}") {
        let mut status = tonic::Status::new(tonic::Code::from(code), text);
        status.metadata_mut().insert("triumvir-applied", applied.parse().unwrap());
        let _ = Failure::from_status(&status).to_string();
        status.metadata_mut().insert("triumvir-code", "TV0003".parse().unwrap());
        let _ = Failure::from_status(&status).to_string();
    }
}

#[test]
fn lists_that_no_transaction_has_are_refused() {
    let digest = Digest([7; 32]);
    let mode = v1::Mode::ThreePhase as i32;
    for list in [vec![], vec![0], vec![3, 3], (1..=65).collect()] {
        let inquiry = v1::Inquiry {
            participants: list.clone(),
            mode,
        };
        assert!(message::inquiry(inquiry, digest).is_err(), "{list:?}");
    }
    let unspecified = v1::Inquiry {
        participants: vec![1],
        mode: 0,
    };
    assert_eq!(
        message::inquiry(unspecified, digest),
        Err(WireError::Unknown {
            field: "mode",
            value: 0
        })
    );
}

#[test]
fn an_oversized_explanation_is_cut_where_it_is_sent_and_refused_where_it_arrives() {
    let long = "\u{e9}".repeat(limits::NO_DETAIL_BYTES_MAX);
    let reason = NoReason::Resource {
        code: "minimum".into(),
        detail: long.as_str().into(),
        retryable: false,
    };
    let mut wire = v1::NoVote::from(reason);
    assert!(wire.detail.len() <= limits::NO_DETAIL_BYTES_MAX && long.starts_with(&wire.detail));
    assert!(NoReason::try_from(wire.clone()).is_ok());
    wire.detail = long;
    assert!(NoReason::try_from(wire).is_err());
}

#[test]
fn a_payload_over_the_limit_is_refused() {
    let bytes = Bytes::from(vec![0; limits::PAYLOAD_BYTES_MAX + 1]);
    assert!(message::payload("work.payload", &bytes).is_err());
    assert!(message::payload("work.payload", &bytes.slice(1..)).is_ok());
}
