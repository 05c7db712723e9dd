//! Participants that finish among themselves, without any coordinator.

use tokio_stream::StreamExt as _;
use triumvir_participant::{Config, DataFolder};
use triumvir_protocol::{Answer, Ballot, Digest, Message, ParticipantId, Request, TxnId, Value};
use triumvir_wire::v1;
use triumvir_wire::v1::peers_client::PeersClient;

use crate::coordinator::Fake;
use crate::support::*;

struct Pair {
    fake: Fake,
    folders: [tempfile::TempDir; 2],
    nodes: [Node; 2],
    ids: [ParticipantId; 2],
    job: Job,
}

impl Pair {
    /// Two participants with one transaction that both have voted YES on.
    async fn prepared() -> Self {
        let fake = Fake::start().await;
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let orders = Node::start(config("orders", folders[0].path(), fake.address)).await;
        let orders_id = fake.session("orders").await;
        let stock = Node::start(config("stock", folders[1].path(), fake.address)).await;
        let ids = [orders_id, fake.session("stock").await];
        let job = Job::new(&[
            (ids[0], payload(&[put("order", 1)])),
            (ids[1], payload(&[add("left", 9)])),
        ]);
        for id in ids {
            fake.say(id, job.txn, job.terms.digest, job.can_commit(id));
            assert!(matches!(fake.answer(id, job.txn).await, Answer::Yes { .. }));
        }
        Self {
            fake,
            folders,
            nodes: [orders, stock],
            ids,
            job,
        }
    }
}

#[tokio::test]
async fn a_fence_round_aborts_what_nobody_can_have_committed() {
    let Pair {
        fake,
        nodes: [orders, stock],
        ..
    } = Pair::prepared().await;
    fake.stop().await;
    orders.unlocked().await;
    stock.unlocked().await;
    assert_eq!(orders.get(&["order"]).await, [None]);
    assert_eq!(stock.get(&["left"]).await, [None]);
    orders.stop().await;
    stock.stop().await;
}

#[tokio::test]
async fn one_that_has_seen_pre_commit_commits_and_tells_the_other() {
    let Pair {
        fake,
        nodes: [orders, stock],
        ids,
        job,
        ..
    } = Pair::prepared().await;
    let (ballot, value) = (Ballot::ZERO, Value::Commit);
    fake.say(
        ids[1],
        job.txn,
        job.terms.digest,
        Request::Accept { ballot, value },
    );
    while fake.answer(ids[1], job.txn).await != (Answer::Ack { ballot }) {}
    fake.stop().await;
    orders.unlocked().await;
    stock.unlocked().await;
    assert_eq!(orders.get(&["order"]).await, [Some(1)]);
    assert_eq!(stock.get(&["left"]).await, [Some(9)]);
    orders.stop().await;
    stock.stop().await;
}

#[tokio::test]
async fn they_finish_after_a_restart_of_all_with_no_coordinator_left() {
    let Pair {
        fake,
        folders,
        nodes,
        ..
    } = Pair::prepared().await;
    let images = [
        crash_image(folders[0].path()),
        crash_image(folders[1].path()),
    ];
    let (coordinator, listen) = (fake.address, [nodes[0].address, nodes[1].address]);
    fake.stop().await;
    for node in nodes {
        node.stop().await;
    }
    // Where the other one is, each knows from its own journal; one address has changed.
    let orders = Config {
        listen: listen[0],
        ..config("orders", images[0].path(), coordinator)
    };
    let orders = Node::start(orders).await;
    assert_eq!(orders.locks().await, [("order".to_owned(), true)]);
    let address = orders.address.to_string();
    let peer_addresses = [("orders".to_owned(), address)].into();
    let stock = Config {
        peer_addresses,
        ..config("stock", images[1].path(), coordinator)
    };
    let stock = Node::start(stock).await;
    orders.unlocked().await;
    stock.unlocked().await;
    assert_eq!(orders.get(&["order"]).await, [None]);
    assert_eq!(stock.get(&["left"]).await, [None]);
    orders.stop().await;
    stock.stop().await;
}

#[tokio::test]
async fn before_it_has_registered_it_says_nothing_about_what_it_does_not_know() {
    let Pair {
        fake,
        folders,
        nodes: [orders, stock],
        ids,
        job,
    } = Pair::prepared().await;
    let image = crash_image(folders[0].path());
    let coordinator = fake.address;
    fake.stop().await;
    orders.stop().await;
    stock.stop().await;
    // For all it knows, the folder may be an old copy.
    let orders_config = config("orders", image.path(), coordinator);
    let orders = Node::start(orders_config.clone()).await;
    let mut peer = PeersClient::connect(format!("http://{}", orders.address))
        .await
        .unwrap();
    let unknown = txn();
    let poll = |txn: TxnId, digest: Digest| {
        v1::PeerMessage::try_from((txn, digest, Message::Request(Request::Poll))).unwrap()
    };
    let hello = v1::PeerHello {
        version: 1,
        cluster: "test".to_owned(),
        participant: ids[1].0,
    };
    let frame = v1::PeerFrame {
        hello: Some(hello),
        messages: vec![
            poll(unknown, Digest([7; 32])),
            poll(job.txn, job.terms.digest),
        ],
    };
    let frames = tokio_stream::once(frame).chain(tokio_stream::pending());
    let mut answers = peer.exchange(frames).await.unwrap().into_inner();
    'known: loop {
        let frame = within(answers.message()).await.unwrap().unwrap();
        for message in frame.messages {
            let (of, _, message): (TxnId, Digest, Message) = message.try_into().unwrap();
            assert_eq!(of, job.txn);
            if let Message::Answer(answer) = message {
                assert!(matches!(answer, Answer::Prepared { .. }), "{answer:?}");
                break 'known;
            }
        }
    }
    orders.stop().await;
    let folder = DataFolder::open(&orders_config).unwrap();
    let journal = triumvir_storage::Journal::load(folder.database()).unwrap();
    assert!(!journal.branches.contains_key(&unknown));
}
