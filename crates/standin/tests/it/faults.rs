//! Faults that are asked for, as the client meets them.

use std::time::Duration;

use offpeak_anthropic::disposition::{Absence, Pause, Refusal, of_create};
use offpeak_anthropic::shape::ProcessingStatus;
use offpeak_anthropic::{Disposition, Error};
use serde_json::{Value, json};

use crate::desk::{Desk, items};

async fn set(desk: &Desk, faults: Value) {
    let (status, _, body) = desk.call("POST", "/_standin/faults", &[], &faults).await;
    assert_eq!(status, 200, "{body}");
}

async fn stored(desk: &Desk) -> usize {
    desk.client
        .batches(100, None, None)
        .await
        .unwrap()
        .value
        .data
        .len()
}

#[tokio::test]
async fn create_is_answered_with_an_error_before_or_after_it_was_stored() {
    let desk = Desk::start().await;
    let wait = Some(Duration::from_secs(7));
    for (fault, expected) in [
        (
            json!({ "status": 529 }),
            Disposition::NotCreated(Absence::Overloaded),
        ),
        (
            json!({ "status": 529, "html": true }),
            Disposition::Uncertain,
        ),
        (
            json!({ "status": 429, "retry_after": "7" }),
            Disposition::RetryAfter(wait),
        ),
        (json!({ "status": 429 }), Disposition::RetryAfter(None)),
        (
            json!({ "status": 429, "code": "enforced_spend_limit_reached" }),
            Disposition::Paused(Pause::SpendLimit),
        ),
        (
            json!({ "status": 413, "html": true }),
            Disposition::Refused(Refusal::TooLarge),
        ),
        (json!({ "status": 504 }), Disposition::Uncertain),
    ] {
        set(&desk, json!({ "create_status": fault })).await;
        let error = desk.try_create(&items(3)).await.unwrap_err();
        assert_eq!(of_create(&error), expected, "{fault}: {error:?}");
    }
    assert_eq!(stored(&desk).await, 0);

    set(
        &desk,
        json!({ "create_status": { "status": 504, "stored": true, "times": 2 } }),
    )
    .await;
    for _ in 0..2 {
        let error = desk.try_create(&items(3)).await.unwrap_err();
        assert_eq!(of_create(&error), Disposition::Uncertain);
    }
    desk.create(&items(3)).await;
    assert_eq!(stored(&desk).await, 3);
}

#[tokio::test]
async fn a_dropped_answer_leaves_a_stored_batch() {
    let desk = Desk::start().await;
    set(&desk, json!({ "drop_create_answer": 1 })).await;
    let error = desk.try_create(&items(3)).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Transport {
                body_sent: true,
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(of_create(&error), Disposition::Uncertain);
    assert_eq!(stored(&desk).await, 1);
    desk.create(&items(3)).await;
    assert_eq!(stored(&desk).await, 2);
}

#[tokio::test]
async fn results_break_off_after_some_lines() {
    let desk = Desk::start().await;
    let batch = desk.create(&items(20)).await;
    let batch = desk.end(&batch.id).await;
    let whole = desk.results(&batch).await;
    for after in [0, 1, 13] {
        set(&desk, json!({ "results_cut": { "after_lines": after } })).await;
        let mut results = desk.client.results(&batch).await.unwrap();
        let mut lines = 0;
        let error = loop {
            match results.next_line().await {
                Ok(Some(_)) => lines += 1,
                Ok(None) => panic!("the end came after {lines} lines"),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, Error::Transport { .. }), "{error:?}");
        assert_eq!(lines, after);
        assert_eq!(desk.results(&batch).await, whole);
    }
}

#[tokio::test]
async fn a_held_batch_waits_for_its_release() {
    let desk = Desk::start().await;
    set(&desk, json!({ "hold": 2 })).await;
    let released = desk.create(&items(5)).await;
    let desk = desk.restart().await;
    let ended = desk.end(&released.id).await;
    assert_eq!(
        ended.processing_status,
        ProcessingStatus::InProgress,
        "held over the restart too"
    );
    let (_, _, body) = desk
        .call("POST", "/_standin/release", &[], &Value::Null)
        .await;
    assert_eq!(body["released"], 1);
    desk.clock.advance(Duration::from_secs(599));
    let waiting = desk.client.batch(&released.id).await.unwrap();
    assert_eq!(waiting.processing_status, ProcessingStatus::InProgress);
    let ended = desk.end(&released.id).await;
    assert_eq!(ended.request_counts.succeeded, 5);

    set(&desk, json!({ "hold": 1 })).await;
    let expired = desk.create(&items(5)).await;
    desk.clock.advance(Duration::from_hours(24));
    let expired = desk.client.batch(&expired.id).await.unwrap();
    assert_eq!(expired.request_counts.expired, 5);
}
