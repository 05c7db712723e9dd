//! Requests that were meant for another cluster, group, node or disk, or in another format.

use bytes::Bytes;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use triumvir_wire::v1;
use triumvir_wire::v1::replication_client::ReplicationClient;

use crate::node::{Node, disk};

/// Sends one request of each kind.
async fn ask_all(
    client: &mut ReplicationClient<Channel>,
    envelope: &v1::ReplicaEnvelope,
) -> [Status; 6] {
    let envelope = Some(envelope.clone());
    let vote = Some(v1::RaftVote {
        term: 7,
        node: 2,
        granted: true,
    });
    let ask = v1::RaftVoteRequest {
        envelope: envelope.clone(),
        vote,
        ..v1::RaftVoteRequest::default()
    };
    let append = v1::AppendRequest {
        envelope: envelope.clone(),
        vote,
        ..v1::AppendRequest::default()
    };
    let transfer = v1::TransferLeaderRequest {
        envelope: envelope.clone(),
        from_leader: vote,
        ..v1::TransferLeaderRequest::default()
    };
    let piece = v1::SnapshotPiece {
        envelope,
        ..v1::SnapshotPiece::default()
    };
    [
        client.vote(ask.clone()).await.unwrap_err(),
        client.pre_vote(ask).await.unwrap_err(),
        client.append(append.clone()).await.unwrap_err(),
        client
            .stream_append(tokio_stream::once(append))
            .await
            .unwrap_err(),
        client.transfer_leader(transfer).await.unwrap_err(),
        client
            .install_snapshot(tokio_stream::once(piece))
            .await
            .unwrap_err(),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_meant_for_another_is_refused() {
    let node = Node::start(1, |_| {}).await;
    let endpoint = Endpoint::from_shared(format!("http://{}", node.address)).unwrap();
    let mut client = ReplicationClient::new(endpoint.connect_lazy());
    let right = v1::ReplicaEnvelope {
        format: 1,
        cluster: "test".to_owned(),
        group: 0,
        from_node: 2,
        to_node: 1,
        to_disk: Bytes::copy_from_slice(&disk(1).to_be_bytes()),
    };
    let mutations: [fn(&mut v1::ReplicaEnvelope); 6] = [
        |envelope| envelope.format = 2,
        |envelope| envelope.cluster = "other".to_owned(),
        |envelope| envelope.group = 1,
        |envelope| envelope.to_node = 3,
        |envelope| envelope.from_node = 1,
        |envelope| envelope.to_disk = Bytes::from_static(&[1; 16]),
    ];
    for mutate in mutations {
        let mut wrong = right.clone();
        mutate(&mut wrong);
        for refusal in ask_all(&mut client, &wrong).await {
            assert_eq!(refusal.code(), Code::FailedPrecondition, "{refusal:?}");
        }
    }
    assert!(node.replica.is_pristine().await.unwrap());
    assert_eq!(node.replica.status().leadership.term, 0);
    node.stop().await;
}
