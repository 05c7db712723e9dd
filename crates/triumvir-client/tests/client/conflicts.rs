//! Transactions that a participant refuses for now: retried when asked to be, under a new id and with
//! the age of the first attempt.

use super::fake::{Fake, Reaction, no};
use super::*;

#[tokio::test]
async fn a_conflict_is_retried_under_a_new_id_with_the_first_age() {
    let fake = Fake::start(|at, _| {
        if at < 3 {
            Reaction::Abort(no("inventory", "conflict", true))
        } else {
            Reaction::Commit
        }
    })
    .await;
    let txn = draw_txn();
    let committed = commit(purchase(&client(&[&fake])).id(txn).retry_conflicts())
        .await
        .unwrap();
    let asked = fake.asked();
    assert_eq!((committed.attempts, asked.len()), (4, 4));
    assert_eq!(asked[0].txn, ids::txn_bytes(txn));
    assert_eq!(asked[3].txn, ids::txn_bytes(committed.txn));
    assert!(
        asked.windows(2).all(|pair| pair[0].txn < pair[1].txn),
        "a new id each time"
    );
    assert!(asked[0].first_attempt.is_empty());
    assert!(
        asked[1..]
            .iter()
            .all(|request| request.first_attempt == asked[0].txn)
    );
    assert!(asked.iter().all(|request| request.parts == asked[0].parts));
}

#[tokio::test]
async fn an_age_that_was_given_is_kept_from_the_first_attempt_on() {
    let fake = Fake::start(|at, _| {
        if at < 1 {
            Reaction::Abort(no("inventory", "conflict", true))
        } else {
            Reaction::Commit
        }
    })
    .await;
    let age = draw_txn();
    let transaction = purchase(&client(&[&fake]))
        .first_attempt(age)
        .retry_conflicts();
    commit(transaction).await.unwrap();
    assert!(
        fake.asked()
            .iter()
            .all(|request| request.first_attempt == ids::txn_bytes(age))
    );
}

#[tokio::test]
async fn conflicts_are_not_retried_unasked_and_refusals_never() {
    let fake = Fake::start(|_, _| Reaction::Abort(no("inventory", "conflict", true))).await;
    let error = commit(purchase(&client(&[&fake]))).await.unwrap_err();
    assert!(error.is_retryable() && error.applied() == Applied::NotApplied);
    assert_eq!(fake.asked().len(), 1);

    let fake = Fake::start(|_, _| Reaction::Abort(no("inventory", "minimum", false))).await;
    let error = commit(purchase(&client(&[&fake])).retry_conflicts())
        .await
        .unwrap_err();
    let CommitError::Aborted {
        cause, attempts: 1, ..
    } = &error
    else {
        panic!("{error}")
    };
    assert!(!cause.is_retryable() && !error.is_retryable());
    assert_eq!(
        (cause.word(), cause.participant()),
        ("minimum", Some("inventory"))
    );
    assert_eq!(fake.asked().len(), 1);
}

#[tokio::test]
async fn conflicts_to_the_end_report_the_last_abort() {
    let fake = Fake::start(|_, _| Reaction::Abort(no("inventory", "conflict", true))).await;
    let transaction = purchase(&client(&[&fake]))
        .retry_conflicts()
        .timeout(ENOUGH);
    let error = commit(transaction).await.unwrap_err();
    let CommitError::Aborted { attempts, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(attempts as usize, fake.asked().len());
    assert!(attempts > 1);
}
