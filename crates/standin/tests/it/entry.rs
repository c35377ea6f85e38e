//! Headers, credentials, and the form of every answer.

use offpeak_anthropic::{Reading, disposition};
use serde_json::{Value, json};

use crate::desk::{Desk, KEY, VERSION, client, items, params};

const LIST: &str = "/v1/messages/batches";

#[tokio::test]
async fn both_auth_headers_and_both_versions() {
    let desk = Desk::with(|options| options.keys = vec!["sk-ant-one".to_owned()]).await;
    let bearer = ("authorization", "Bearer sk-ant-one");
    for (headers, expected) in [
        (vec![KEY, VERSION], 200),
        (vec![bearer, VERSION], 200),
        (vec![KEY, ("anthropic-version", "2023-06-01")], 200),
        (
            vec![KEY, ("authorization", "Bearer nonsense"), VERSION],
            200,
        ),
        (vec![VERSION], 401),
        (vec![("x-api-key", "sk-ant-two"), bearer, VERSION], 401),
        (vec![KEY], 400),
        (vec![KEY, ("anthropic-version", "2024-01-01")], 400),
        (
            vec![
                KEY,
                VERSION,
                (
                    "anthropic-beta",
                    "message-batches-2024-09-24,other-2026-01-01",
                ),
            ],
            200,
        ),
        (vec![KEY, VERSION, ("anthropic-beta", "nonsense")], 400),
    ] {
        let (status, answer, body) = desk
            .call("GET", &format!("{LIST}?beta=true"), &headers, &Value::Null)
            .await;
        assert_eq!(status, expected, "{headers:?}: {body}");
        let id = answer["request-id"].to_str().unwrap();
        assert!(id.starts_with("req_standin_"), "{id}");
        assert_eq!(answer.contains_key("anthropic-workspace-id"), status != 401);
        assert_eq!(
            answer.contains_key("anthropic-organization-id"),
            status != 401
        );
        if status != 200 {
            assert_eq!(body["type"], "error");
            assert_eq!(body["request_id"], id);
        }
    }
    let error = client(&desk.base, "sk-ant-two")
        .batches(20, None, None)
        .await
        .unwrap_err();
    let paused = Reading::Paused(disposition::Pause::Authentication);
    assert_eq!(disposition::of_read(&error), paused);
}

#[tokio::test]
async fn what_is_not_there_is_said_in_the_same_form() {
    let desk = Desk::start().await;
    for (method, path, expected) in [
        ("GET", "/v1/nothing", 404),
        ("GET", "/", 404),
        ("GET", "/v1/messages/batches/msgbatch_none", 404),
        ("GET", "/v1/messages/batches/msgbatch_none/results", 404),
        ("PUT", "/v1/messages", 405),
        ("GET", "/v1/messages/batches?limit=0", 400),
        ("GET", "/v1/messages/batches?limit=1001", 400),
        ("GET", "/v1/messages/batches?after_id=none", 400),
        ("GET", "/v1/messages/batches?after_id=a&before_id=b", 400),
        ("GET", "/v1/models/none", 404),
    ] {
        let (status, _, body) = desk.call(method, path, &[KEY, VERSION], &Value::Null).await;
        assert_eq!(
            (status, &body["type"]),
            (expected, &json!("error")),
            "{method} {path}: {body}"
        );
    }
}

#[tokio::test]
async fn results_are_where_the_client_came_from() {
    let desk = Desk::start().await;
    let batch = desk.create(&items(1)).await;
    desk.end(&batch.id).await;
    let path = format!("{LIST}/{}", batch.id);
    let host = ("host", "standin.example:81");
    let (_, headers, body) = desk
        .call("GET", &path, &[KEY, VERSION, host], &Value::Null)
        .await;
    assert_eq!(headers["date"], "Sun, 22 Nov 2026 16:10:00 GMT");
    let url = body["results_url"].as_str().unwrap();
    assert_eq!(url, format!("http://standin.example:81{path}/results"));
    assert_eq!(body["type"], "message_batch");
    assert_eq!(body["created_at"], "2026-11-22T16:00:00.123456Z");
    let results = format!("{path}/results");
    let (_, headers, _) = desk
        .call("GET", &results, &[KEY, VERSION], &Value::Null)
        .await;
    assert_eq!(headers["content-type"], "application/x-jsonl");
}

#[tokio::test]
async fn calls_are_limited_by_the_minute() {
    let desk = Desk::with(|options| options.limits.calls_per_minute = Some(2)).await;
    for _ in 0..2 {
        desk.client.batches(20, None, None).await.unwrap();
    }
    let error = desk.client.batches(20, None, None).await.unwrap_err();
    let Reading::After(Some(wait)) = disposition::of_read(&error) else {
        panic!("{error:?}")
    };
    client(&desk.base, "sk-ant-two")
        .batches(20, None, None)
        .await
        .unwrap();
    desk.clock.advance(wait);
    desk.client.batches(20, None, None).await.unwrap();
}

#[tokio::test]
async fn models_and_token_counts() {
    let desk = Desk::start().await;
    let page = desk.client.models(5, None).await.unwrap().value;
    assert_eq!((page.data.len(), page.has_more), (5, true));
    let next = desk
        .client
        .models(1000, page.last_id.as_deref())
        .await
        .unwrap()
        .value;
    assert!(!next.has_more);
    assert!(
        !next
            .data
            .iter()
            .any(|model| Some(&model.id) == page.last_id.as_ref())
    );
    let model = desk.client.model("claude-haiku-4-5").await.unwrap();
    assert_eq!(
        (model.id.as_str(), model.supports("batch")),
        ("claude-haiku-4-5-20251001", Some(true))
    );

    let mut counted = params("12345678");
    counted.as_object_mut().unwrap().remove("max_tokens");
    assert_eq!(
        desk.client
            .count_tokens(counted.to_string().into())
            .await
            .unwrap(),
        2
    );
    let error = desk
        .client
        .count_tokens(params("x").to_string().into())
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "invalid_request_error (status 400)");
}

#[tokio::test]
async fn own_endpoints_steer_it_but_not_from_a_browser() {
    let desk = Desk::start().await;
    let advance = json!({ "seconds": 60 });
    let (status, _, body) = desk
        .call("POST", "/_standin/clock/advance", &[], &advance)
        .await;
    assert_eq!(
        (status, body["now"].as_i64()),
        (200, Some(desk.clock.now().unix_timestamp()))
    );
    let turnaround = json!({ "min_ms": 1000, "max_ms": 1000 });
    desk.call("POST", "/_standin/turnaround", &[], &turnaround)
        .await;
    let batch = desk.create(&items(2)).await;
    desk.clock.advance(std::time::Duration::from_secs(1));
    let (_, _, state) = desk.call("GET", "/_standin/state", &[], &Value::Null).await;
    assert_eq!(state["turnaround"], turnaround);
    assert_eq!(state["batches"][0]["batch"]["id"], batch.id);
    assert_eq!(state["batches"][0]["batch"]["processing_status"], "ended");
    let (status, _, journal) = desk
        .call("GET", "/_standin/journal", &[], &Value::Null)
        .await;
    assert_eq!(
        (status, journal.as_str().unwrap().lines().count()),
        (200, 2)
    );
    let (status, _, _) = desk
        .call("POST", "/_standin/faults", &[], &json!({ "typo": 1 }))
        .await;
    assert_eq!(status, 400);
    let page = [("origin", "https://evil.example")];
    let (status, _, _) = desk
        .call("GET", "/_standin/journal", &page, &Value::Null)
        .await;
    assert_eq!(status, 403);
}
