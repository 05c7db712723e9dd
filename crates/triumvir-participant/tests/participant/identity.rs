//! Whose folder is whose, and who may run under a name.

use std::error::Error as _;

use triumvir_participant::{Config, DataFolder, RunError, StartError};
use triumvir_storage::IdentityError;
use triumvir_wire::Code;

use crate::coordinator::Fake;
use crate::support::*;

#[tokio::test]
async fn a_folder_of_another_cluster_or_participant_is_refused() {
    let (fake, data) = (Fake::start().await, tempfile::tempdir().unwrap());
    let right = config("orders", data.path(), fake.address);
    let node = Node::start(right.clone()).await;
    fake.session("orders").await;
    assert!(
        matches!(DataFolder::open(&right), Err(StartError::Open(_))),
        "it is in use"
    );
    node.stop().await;

    let cluster = "other".to_owned();
    let error = DataFolder::open(&Config {
        cluster,
        ..right.clone()
    })
    .unwrap_err();
    let StartError::Identity {
        source: IdentityError::OtherCluster { .. },
        ..
    } = error
    else {
        panic!("{error:?}")
    };
    let error = DataFolder::open(&Config {
        name: "stock".to_owned(),
        ..right
    })
    .unwrap_err();
    let StartError::Identity {
        source: IdentityError::OtherOwner { .. },
        ..
    } = &error
    else {
        panic!("{error:?}")
    };
    assert!(error.source().unwrap().to_string().contains("orders"));
}

#[tokio::test]
async fn an_empty_folder_gets_a_known_name_only_by_the_operators_word() {
    let (fake, data) = (Fake::start().await, tempfile::tempdir().unwrap());
    let node = Node::start(config("orders", data.path(), fake.address)).await;
    let id = fake.session("orders").await;
    node.stop().await;
    fake.gone(id).await;

    let empty = tempfile::tempdir().unwrap();
    let config = config("orders", empty.path(), fake.address);
    let error = Node::start(config.clone()).await.end().await;
    let RunError::Refused(failure) = error else {
        panic!("{error:?}")
    };
    assert_eq!(failure.code, Code::OtherDisk);

    let node = Node::start(Config {
        replace_lost_disk: true,
        ..config.clone()
    })
    .await;
    assert_ne!(fake.session("orders").await, id);
    node.stop().await;
    // The folder that was declared lost is not taken any more.
    let old = Config {
        data: data.path().to_owned(),
        ..config
    };
    let RunError::Refused(failure) = Node::start(old).await.end().await else {
        panic!()
    };
    assert_eq!(failure.code, Code::DiskReplaced);
}

#[tokio::test]
async fn the_older_of_two_processes_stops() {
    let (fake, data) = (Fake::start().await, tempfile::tempdir().unwrap());
    let older = Node::start(config("orders", data.path(), fake.address)).await;
    let id = fake.session("orders").await;
    let copy = crash_image(data.path());
    let newer = Node::start(config("orders", copy.path(), fake.address)).await;
    let error = older.end().await;
    assert!(matches!(&error, RunError::Superseded(failure) if failure.code == Code::Superseded));
    assert_eq!(fake.session("orders").await, id);
    newer.stop().await;

    // The folder that fell behind is an old copy now.
    let error = Node::start(config("orders", data.path(), fake.address))
        .await
        .end()
        .await;
    assert!(matches!(&error, RunError::Refused(failure) if failure.code == Code::OldCopy));
}

#[tokio::test]
async fn a_registration_whose_answer_was_lost_is_known_again() {
    let (fake, data) = (Fake::start().await, tempfile::tempdir().unwrap());
    fake.mute(true);
    let config = config("orders", data.path(), fake.address);
    let node = Node::start(config.clone()).await;
    let first = fake.registrations(2).await;
    assert_eq!(first[0], first[1]);
    node.stop().await;

    // The next start asks under the same mark, for it has no answer to the last one.
    fake.mute(false);
    let node = Node::start(config.clone()).await;
    let id = fake.session("orders").await;
    node.stop().await;
    fake.gone(id).await;
    let node = Node::start(config).await;
    fake.session("orders").await;
    node.stop().await;
    let marks = fake.registrations(4).await;
    let [second, third] = marks[marks.len() - 2..] else {
        unreachable!()
    };
    assert_eq!(second, first[0]);
    assert_ne!(third, first[0]);
}
