//! Participants that finish among themselves, without any coordinator.

use triumvir_participant::Config;
use triumvir_protocol::{Answer, Ballot, ParticipantId, Request, Value};

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
