//! Who may take part, and what a session opens with.

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};
use triumvir_wire::v1::participants_client::ParticipantsClient;
use triumvir_wire::{Code, v1};

use crate::cluster::{Cluster, Node, failure};
use crate::participant::{hello, register, registration};

type Frames = mpsc::Sender<v1::ParticipantFrame>;

async fn open(
    node: &Node,
    hello: v1::ParticipantHello,
) -> Result<(Frames, Streaming<v1::CoordinatorFrame>), Status> {
    let (frames, outgoing) = mpsc::channel(8);
    frames
        .send(v1::ParticipantFrame {
            hello: Some(hello),
            messages: vec![],
        })
        .await
        .unwrap();
    let mut client = ParticipantsClient::new(node.channel());
    let answer = client.session(ReceiverStream::new(outgoing)).await?;
    Ok((frames, answer.into_inner()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn registration_is_repeatable_and_keeps_to_the_disk() {
    let cluster = Cluster::start(|_| {}).await;
    let channel = || cluster.nodes[0].channel();
    let first = registration("a", 1);
    let registered = register(channel(), first.clone()).await.unwrap();
    assert_eq!(
        register(channel(), first.clone()).await.unwrap(),
        registered,
        "the same start"
    );
    assert_eq!(registered.directory.unwrap().entries[0].name, "a");

    let again = v1::RegisterRequest {
        previous: 1,
        ..registration("a", 1)
    };
    assert_eq!(register(channel(), again).await.unwrap().incarnation, 2);
    let wrong = [
        (registration("a", 1), Code::OldCopy),
        (registration("a", 2), Code::OtherDisk),
        (
            v1::RegisterRequest {
                version: 9,
                ..registration("b", 3)
            },
            Code::UnsupportedVersion,
        ),
        (
            v1::RegisterRequest {
                cluster: "other".to_owned(),
                ..registration("b", 3)
            },
            Code::WrongCluster,
        ),
        (registration("", 3), Code::Malformed),
    ];
    for (request, code) in wrong {
        assert_eq!(register(channel(), request).await.unwrap_err().code, code);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_says_hello_and_where_everyone_is() {
    let cluster = Cluster::start(|_| {}).await;
    let (leader, follower) = (cluster.leader().await, cluster.follower().await);
    let registered = register(cluster.nodes[0].channel(), registration("a", 1))
        .await
        .unwrap();
    for (place, leads) in [(leader, true), (follower, false)] {
        let node = &cluster.nodes[place];
        let (_frames, mut incoming) = open(node, hello(&registered, 1)).await.unwrap();
        let first = incoming.message().await.unwrap().unwrap();
        assert_eq!(first.hello.unwrap().replica, node.config.node);
        assert_eq!(
            first.directory.unwrap().entries.len(),
            1 + usize::from(!leads)
        );
        assert_eq!(first.epoch > 0, leads, "only a leader has an epoch");
        if leads {
            register(node.channel(), registration("b", 2))
                .await
                .unwrap();
            let entries = loop {
                let frame = incoming.message().await.unwrap().unwrap();
                if let Some(directory) = frame.directory {
                    break directory.entries;
                }
            };
            assert_eq!(entries[1].name, "b", "told of the newcomer unasked");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newer_process_wins_and_the_older_is_told() {
    let cluster = Cluster::start(|_| {}).await;
    let node = &cluster.nodes[0];
    let older = register(node.channel(), registration("a", 1))
        .await
        .unwrap();
    let (_frames, mut incoming) = open(node, hello(&older, 1)).await.unwrap();
    incoming.message().await.unwrap().unwrap();
    let next = v1::RegisterRequest {
        previous: 1,
        ..registration("a", 1)
    };
    let newer = register(node.channel(), next).await.unwrap();
    let (_newer_frames, mut newer_incoming) = open(node, hello(&newer, 1)).await.unwrap();
    newer_incoming.message().await.unwrap().unwrap();
    let ended = loop {
        match incoming.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("ended without a word"),
            Err(status) => break failure(&status),
        }
    };
    assert_eq!(ended.code, Code::Superseded);
    let late = open(node, hello(&older, 1)).await.unwrap_err();
    assert_eq!(failure(&late).code, Code::Superseded);
    let other = open(node, hello(&newer, 2)).await.unwrap_err();
    assert_eq!(failure(&other).code, Code::OtherDisk);
    let mut stranger = hello(&newer, 1);
    stranger.cluster = "other".to_owned();
    let stranger = open(node, stranger).await.unwrap_err();
    assert_eq!(failure(&stranger).code, Code::WrongCluster);
}
