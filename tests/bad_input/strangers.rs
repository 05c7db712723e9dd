//! Strangers: processes of another cluster, and handshakes in another version. Each is refused with
//! its code, by the one who is spoken to, and nothing that it says is heard.

use anyhow::{Context as _, ensure};
use futures::stream;
use tonic::transport::{Channel, Endpoint};
use triumvir_protocol::DiskId;
use triumvir_testkit::Who;
use triumvir_tests::{System, orders, refused, replicas, run, stock};
use triumvir_wire::v1::cluster_client::ClusterClient;
use triumvir_wire::v1::participants_client::ParticipantsClient;
use triumvir_wire::v1::peers_client::PeersClient;
use triumvir_wire::v1::replication_client::ReplicationClient;
use triumvir_wire::{Applied, Code, ids, limits, v1};

/// The name of a cluster that does not run here.
const OTHER: &str = "another-cluster";
/// Any address of this machine.
const ANYWHERE: &str = "127.0.0.1:0";
/// A term that no election of these tests comes to.
const CLAIMED_TERM: u64 = 1 << 40;

/// What is wrong with a handshake.
#[derive(Clone, Copy)]
struct Claim<'a> {
    cluster: &'a str,
    version: u32,
    code: Code,
}

/// A cluster that is another, and versions that are older and newer.
fn claims(own: &str, version: u32) -> [Claim<'_>; 3] {
    let claim = |cluster, version, code| Claim {
        cluster,
        version,
        code,
    };
    [
        claim(OTHER, version, Code::WrongCluster),
        claim(own, version - 1, Code::UnsupportedVersion),
        claim(own, version + 1, Code::UnsupportedVersion),
    ]
}

fn channel(system: &System, who: &Who) -> anyhow::Result<Channel> {
    let address = system.cluster.seat(who)?.address();
    Ok(Endpoint::from_shared(format!("http://{address}"))?.connect_lazy())
}

/// Proves: a participant and a replica of another cluster that are pointed at this one end by
/// themselves, and say why; the cluster never hears of them.
#[tokio::test(flavor = "multi_thread")]
async fn processes_of_another_cluster_end_and_say_why() -> anyhow::Result<()> {
    let system = System::start().await?;
    let addresses = system.cluster.coordinators();
    let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    let coordinators = addresses.join(",");
    let folder = system.cluster.folder().join("stranger");
    let folder = folder.to_string_lossy();
    let place = ["--cluster", OTHER, "--listen", ANYWHERE, "--data-dir"];
    let participant = ["participant", "kv", "--name", "stranger"];
    let known = ["--coordinators", &coordinators];
    let line = [&participant[..], &known, &place, &[&folder]].concat();
    run(&line).await?.expect(1, "TV0016", None)?;

    let members = format!("1={},2={},9=127.0.0.1:9", addresses[0], addresses[1]);
    let replica = ["server", "--node-id", "9", "--initial-cluster", &members];
    let own = format!("{folder}-replica");
    let line = [&replica[..], &["--http-listen", ANYWHERE], &place, &[&own]].concat();
    run(&line).await?.expect(1, "TV0016", None)?;
    let known = system.cluster.status(&Who::Replica(1)).await?;
    ensure!(known.members.len() == 3 && known.participants.len() == 2);
    system.commits().await
}

/// Proves: a data folder of one cluster is not used in another, and is as it was when it is back.
#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_of_another_cluster_is_refused() -> anyhow::Result<()> {
    let mut system = System::start().await?;
    let third = Who::Replica(3);
    for who in [third.clone(), stock()] {
        system.cluster.kill(&who).await?;
        let folder = system.cluster.seat(&who)?.folder().to_string_lossy();
        let place = ["--cluster", OTHER, "--listen", ANYWHERE];
        let place = [&place[..], &["--data-dir", &folder]].concat();
        let line: &[&str] = match who {
            Who::Replica(_) => &[
                "server",
                "--http-listen",
                ANYWHERE,
                "--node-id",
                "3",
                "--initial-cluster",
                "3=127.0.0.1:9",
            ],
            Who::Participant(_) => &["participant", "kv", "--name", "stock"],
        };
        let ran = run(&[line, &place].concat()).await?;
        let told = ran.expect(1, "TV0016", None);
        let told = told.with_context(|| format!("{who}"))?;
        ensure!(told.message.contains(OTHER), "{who}: {told:?}");
    }
    system.restart_missing().await?;
    system.commits().await
}

/// Proves: registrations and sessions of another cluster, or in another version, are refused by every
/// replica.
#[tokio::test(flavor = "multi_thread")]
async fn a_strange_participant_gets_no_session() -> anyhow::Result<()> {
    let system = System::start().await?;
    let own = system.cluster.status(&Who::Replica(1)).await?.cluster;
    for who in replicas() {
        let mut client = ParticipantsClient::new(channel(&system, &who)?);
        for claim in claims(&own, limits::SESSION_VERSION) {
            let (version, cluster) = (claim.version, claim.cluster.to_owned());
            let register = v1::RegisterRequest {
                version,
                cluster: cluster.clone(),
                name: "stranger".to_owned(),
                disk: vec![7; 16].into(),
                nonce: vec![8; 16].into(),
                address: ANYWHERE.to_owned(),
                ..v1::RegisterRequest::default()
            };
            let none = Applied::NotApplied;
            refused(client.register(register).await, claim.code, none)?;
            // It claims to be the first participant, whose session stands.
            let hello = v1::ParticipantHello {
                version,
                cluster,
                participant: 1,
                incarnation: u64::MAX,
                disk: vec![7; 16].into(),
            };
            let first = v1::ParticipantFrame {
                hello: Some(hello),
                messages: Vec::new(),
            };
            let opened = client.session(stream::iter([first])).await;
            refused(opened.map(drop_stream), claim.code, none)?;
        }
    }
    system.commits().await
}

/// Proves: participants do not talk to one of another cluster, or in another version.
#[tokio::test(flavor = "multi_thread")]
async fn a_strange_peer_gets_no_exchange() -> anyhow::Result<()> {
    let system = System::start().await?;
    let own = system.cluster.status(&Who::Replica(1)).await?.cluster;
    for who in [orders(), stock()] {
        let mut client = PeersClient::new(channel(&system, &who)?);
        for claim in claims(&own, limits::PEER_VERSION) {
            let hello = v1::PeerHello {
                version: claim.version,
                cluster: claim.cluster.to_owned(),
                participant: 1,
            };
            let first = v1::PeerFrame {
                hello: Some(hello),
                messages: Vec::new(),
            };
            let opened = client.exchange(stream::iter([first])).await;
            refused(opened.map(drop_stream), claim.code, Applied::NotApplied)?;
        }
        let silent = client
            .exchange(stream::iter([v1::PeerFrame::default()]))
            .await;
        let none = Applied::NotApplied;
        refused(silent.map(drop_stream), Code::Malformed, none)?;
    }
    system.commits().await
}

/// Proves: Raft hears nobody of another cluster, or in another format: a claim to lead, for a term
/// far ahead, changes no term.
#[tokio::test(flavor = "multi_thread")]
async fn a_strange_replica_is_not_heard() -> anyhow::Result<()> {
    let system = System::start().await?;
    let own = system.cluster.status(&Who::Replica(1)).await?.cluster;
    for to_node in 1..=3 {
        let who = Who::Replica(to_node);
        let mut client = ReplicationClient::new(channel(&system, &who)?);
        for claim in claims(&own, 1) {
            let envelope = Some(v1::ReplicaEnvelope {
                format: claim.version,
                cluster: claim.cluster.to_owned(),
                from_node: to_node % 3 + 1,
                to_node,
                ..v1::ReplicaEnvelope::default()
            });
            let vote = Some(v1::RaftVote {
                term: CLAIMED_TERM,
                node: to_node % 3 + 1,
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
                to_node,
                last: None,
            };
            let snapshot = v1::SnapshotPiece {
                envelope,
                ..v1::SnapshotPiece::default()
            };
            let none = Applied::NotApplied;
            refused(client.vote(ask.clone()).await, claim.code, none)?;
            refused(client.pre_vote(ask).await, claim.code, none)?;
            refused(client.append(append.clone()).await, claim.code, none)?;
            let opened = client.stream_append(stream::iter([append])).await;
            refused(opened.map(drop_stream), claim.code, none)?;
            refused(client.transfer_leader(transfer).await, claim.code, none)?;
            let sent = client.install_snapshot(stream::iter([snapshot])).await;
            refused(sent, claim.code, none)?;
        }
        let joining = v1::JoinRequest {
            cluster: OTHER.to_owned(),
            replica: to_node,
            disk: ids::disk_bytes(DiskId(7)),
        };
        let mut members = ClusterClient::new(channel(&system, &who)?);
        let joined = members.join(joining).await;
        refused(joined, Code::WrongCluster, Applied::NotApplied)?;
        let term = system.cluster.status(&who).await?.term;
        ensure!(term < CLAIMED_TERM, "{who} is in term {term}");
    }
    system.commits().await
}

/// An answer that should not have come, without what cannot be shown.
fn drop_stream<T>(_: tonic::Response<T>) {}
