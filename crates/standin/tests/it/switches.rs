//! What the documentation leaves open, both ways, and what faults make of a batch.

use std::time::Duration;

use offpeak_anthropic::shape::{ProcessingStatus, ResultKind, ResultLine};
use serde_json::{Value, json};

use crate::desk::{Desk, KEY, TURNAROUND, VERSION, item, items};

const LIST: &str = "/v1/messages/batches";

async fn call(desk: &Desk, method: &str, path: &str) -> u16 {
    desk.call(method, path, &[KEY, VERSION], &Value::Null)
        .await
        .0
}

#[tokio::test]
async fn cancel_delete_and_early_results() {
    let desk = Desk::start().await;
    let switched = json!({ "cancel_again": 409, "cancel_ended": 200, "delete_unended": 409, "results_early": 404 });
    for (switches, again, ended, delete, early) in [
        (json!({}), 200, 400, 400, 400),
        (switched, 409, 200, 409, 404),
    ] {
        desk.set("behavior", switches).await;
        let batch = desk.create(&items(2)).await;
        let path = format!("{LIST}/{}", batch.id);
        let cancel = format!("{path}/cancel");
        assert_eq!(call(&desk, "GET", &format!("{path}/results")).await, early);
        assert_eq!(call(&desk, "DELETE", &path).await, delete);
        assert_eq!(call(&desk, "POST", &cancel).await, 200);
        assert_eq!(call(&desk, "POST", &cancel).await, again);
        desk.end(&batch.id).await;
        assert_eq!(call(&desk, "POST", &cancel).await, ended);
        assert_eq!(call(&desk, "DELETE", &path).await, 200);
    }
    desk.set("behavior", json!({ "delete_unended": 200 })).await;
    let batch = desk.create(&items(2)).await;
    assert_eq!(
        call(&desk, "DELETE", &format!("{LIST}/{}", batch.id)).await,
        200
    );
    desk.clock.advance(TURNAROUND);
    desk.standin.settle_due().await;
    let entries = desk.standin.journal().unwrap();
    assert!(
        entries
            .iter()
            .all(|entry| entry.batch_id.as_ref() != Some(&batch.id))
    );
}

#[tokio::test]
async fn cursors_and_the_archive() {
    let desk = Desk::start().await;
    let old = desk.create(&items(1)).await;
    let new = desk.create(&items(1)).await;
    let both = format!("{LIST}?after_id={}&before_id={}", new.id, old.id);
    assert_eq!(call(&desk, "GET", &both).await, 400);
    desk.set("behavior", json!({ "both_cursors": 200 })).await;
    let (_, _, page) = desk.get(&both).await;
    assert_eq!(page["data"][0]["id"], old.id);

    desk.end(&old.id).await;
    desk.clock.advance(Duration::from_hours(29 * 24));
    let results = format!("{LIST}/{}/results", old.id);
    for (switches, status, url) in [
        (json!({}), 404, false),
        (
            json!({ "results_archived": 410, "archived_url": true }),
            410,
            true,
        ),
        (json!({ "results_archived": 200 }), 200, true),
    ] {
        desk.set("behavior", switches).await;
        assert_eq!(call(&desk, "GET", &results).await, status);
        let shown = desk.client.batch(&old.id).await.unwrap();
        assert!(shown.archived_at.is_some());
        assert_eq!(shown.results_url.is_some(), url);
    }
}

#[tokio::test]
async fn early_or_late_checks() {
    let desk = Desk::start().await;
    let mut stream = item("a", "Foxes jump.");
    stream["params"]["stream"] = true.into();
    let twice = [item("a", "Foxes jump."), item("a", "Foxes rest.")];
    let big = [item("a", &"Foxes jump. ".repeat(50))];
    let switched = json!({ "batch_params": "at_create", "duplicate_id": "late", "max_item_bytes": 500, "item_too_large": "at_create" });
    let late = desk.create(&[stream.clone()]).await;
    assert_eq!(desk.end(&late.id).await.request_counts.errored, 1);
    assert!(desk.try_create(&twice).await.is_err());

    desk.set("behavior", switched).await;
    assert!(desk.try_create(&[stream]).await.is_err());
    assert!(desk.try_create(&big).await.is_err());
    let batch = desk.create(&twice).await;
    let batch = desk.end(&batch.id).await;
    let counts = batch.request_counts;
    assert_eq!((counts.succeeded, counts.errored), (1, 1));
    assert_eq!(desk.standin.journal().unwrap().len(), 1);

    desk.set("behavior", json!({ "item_too_large": "late" }))
        .await;
    let batch = desk.create(&big).await;
    assert_eq!(desk.end(&batch.id).await.request_counts.errored, 1);
}

#[tokio::test]
async fn counts_queue_headers_and_idempotency() {
    let desk = Desk::with(|options| options.limits.max_queued = 10).await;
    let batch = desk.create(&items(10)).await;
    let path = format!("{LIST}/{}", batch.id);
    desk.clock.advance(TURNAROUND / 2);
    let counts = desk.get(&path).await.2["request_counts"].clone();
    assert_eq!(
        (&counts["processing"], &counts["succeeded"]),
        (&json!(10), &json!(0))
    );
    desk.set("behavior", json!({ "early_counts": true })).await;
    let counts = desk.get(&path).await.2["request_counts"].clone();
    assert_eq!(
        (&counts["processing"], &counts["succeeded"]),
        (&json!(5), &json!(5))
    );

    let body = json!({ "requests": items(1) });
    let create = async |headers: &[(&str, &str)]| {
        let mut all = vec![KEY, VERSION];
        all.extend_from_slice(headers);
        desk.call("POST", LIST, &all, &body).await
    };
    let (status, headers, _) = create(&[]).await;
    assert_eq!((status, headers.contains_key("retry-after")), (429, false));
    desk.set("behavior", json!({ "queue_retry_after": 30 }))
        .await;
    let (_, headers, _) = create(&[]).await;
    assert_eq!(headers["retry-after"], "30");
    assert!(headers.contains_key("anthropic-ratelimit-requests-remaining"));
    desk.set("behavior", json!({ "batch_rate_headers": false }))
        .await;
    let (_, headers, _) = desk.get(&path).await;
    assert!(!headers.contains_key("anthropic-ratelimit-requests-remaining"));

    desk.end(&batch.id).await;
    let once = [("idempotency-key", "k")];
    let ids = [create(&once).await, create(&once).await].map(|(_, _, body)| body["id"].clone());
    assert_ne!(ids[0], ids[1], "ignored");
    desk.set("behavior", json!({ "idempotency_key": true }))
        .await;
    let ids = [create(&once).await, create(&once).await].map(|(_, _, body)| body["id"].clone());
    assert_eq!(ids[0], ids[1]);
}

#[tokio::test]
async fn results_tell_type_and_length() {
    let desk = Desk::start().await;
    let batch = desk.create(&items(3)).await;
    desk.end(&batch.id).await;
    let path = format!("{LIST}/{}/results", batch.id);
    let (_, headers, _) = desk.get(&path).await;
    assert_eq!(headers["content-type"], "application/x-jsonl");
    assert!(!headers.contains_key("content-length"));
    let switched = json!({ "results_type": "binary/octet-stream", "results_length": true });
    desk.set("behavior", switched).await;
    let (_, headers, body) = desk.get(&path).await;
    assert_eq!(headers["content-type"], "binary/octet-stream");
    let length = body.as_str().unwrap().len().to_string();
    assert_eq!(headers["content-length"], length.as_str());
    let (status, _, _) = desk
        .call(
            "POST",
            "/_standin/behavior",
            &[],
            &json!({ "colour": "red" }),
        )
        .await;
    assert_eq!(status, 400);
}

async fn planned(desk: &Desk, plan: Value) -> String {
    desk.rule(json!({ "on": ["create"], "fault": { "batch": plan } }))
        .await;
    desk.create(&items(200)).await.id
}

#[tokio::test]
async fn a_batch_that_never_ends() {
    let desk = Desk::start().await;
    let id = planned(&desk, json!({ "never_ends": true })).await;
    desk.clock.advance(Duration::from_hours(48));
    let desk = desk.restart().await;
    assert_eq!(
        desk.end(&id).await.processing_status,
        ProcessingStatus::InProgress
    );
    desk.client.cancel_batch(&id).await.unwrap();
    assert_eq!(
        desk.end(&id).await.processing_status,
        ProcessingStatus::Canceling
    );
    desk.set("release", Value::Null).await;
    assert_eq!(
        desk.end(&id).await.processing_status,
        ProcessingStatus::Ended
    );
}

#[tokio::test]
async fn a_mix_of_ends() {
    let desk = Desk::start().await;
    let plan = json!({
        "expired": 0.2, "errored": { "overloaded_error": 0.2, "api_error": 0.1 },
        "refused": 0.2, "broken_off": 0.1, "turnaround_ms": 1_000,
    });
    let id = planned(&desk, plan).await;
    desk.clock.advance(Duration::from_secs(1));
    desk.standin.settle_due().await;
    let batch = desk.client.batch(&id).await.unwrap();
    let counts = batch.request_counts;
    assert_eq!(counts.total(), 200);
    assert!((25..=55).contains(&counts.expired), "{counts:?}");
    assert!((40..=80).contains(&counts.errored), "{counts:?}");
    let (mut empty, mut partial, mut overloaded) = (0, 0, 0);
    for line in desk.results(&batch).await {
        match ResultLine::parse(&line).unwrap().result {
            ResultKind::Succeeded(message)
                if line.windows(9).any(|part| part == br#""refusal""#) =>
            {
                if message.content_empty {
                    empty += 1;
                } else {
                    partial += 1;
                }
            }
            ResultKind::Errored(error) if error.error_type.to_string() == "overloaded_error" => {
                overloaded += 1;
            }
            _ => {}
        }
    }
    assert!((25..=55).contains(&empty), "{empty}");
    assert!((8..=34).contains(&partial), "{partial}");
    assert!((25..=55).contains(&overloaded), "{overloaded}");
    let billed = desk.standin.journal().unwrap().len() as u64;
    assert_eq!(billed, counts.succeeded - empty, "an empty refusal is free");

    let id = planned(&desk, json!({ "expired": 1 })).await;
    assert_eq!(desk.end(&id).await.request_counts.expired, 200);
}

#[tokio::test]
async fn a_cancel_that_comes_too_late() {
    let desk = Desk::start().await;
    for (late, canceled) in [(true, 0), (false, 200)] {
        let id = planned(&desk, json!({ "cancel_completes": late })).await;
        desk.client.cancel_batch(&id).await.unwrap();
        let batch = desk.end(&id).await;
        assert!(batch.cancel_initiated_at.is_some());
        let counts = batch.request_counts;
        assert!(counts.canceled.abs_diff(canceled) <= 30, "{counts:?}");
        assert_eq!(counts.succeeded + counts.canceled, 200);
    }
}
