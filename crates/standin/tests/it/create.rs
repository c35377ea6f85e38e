//! What a create checks at once, and what it leaves for later.

use offpeak_anthropic::Disposition;
use offpeak_anthropic::disposition::{Refusal, of_create};
use serde_json::{Value, json};

use crate::desk::{Desk, KEY, VERSION, item, items, params, read};

const CREATE: &str = "/v1/messages/batches";

async fn refused(desk: &Desk, body: Value) -> (u16, String) {
    let (status, _, body) = desk.call("POST", CREATE, &[KEY, VERSION], &body).await;
    assert_eq!(body["type"], "error", "{body}");
    (
        status,
        body["error"]["message"].as_str().unwrap().to_owned(),
    )
}

#[tokio::test]
async fn ids_and_shape_are_checked_at_once() {
    let desk = Desk::with(|options| options.limits.max_items = 3).await;
    let long = "x".repeat(65);
    let cases = [
        (
            json!([item("", "a")]),
            "requests.0.custom_id: String should have at least 1 character",
        ),
        (
            json!([item(&long, "a")]),
            "requests.0.custom_id: String should have at most 64 characters",
        ),
        (
            json!([item("a b", "a")]),
            "requests.0.custom_id: String should match pattern '^[a-zA-Z0-9_-]{1,64}$'",
        ),
        (
            json!([item("a", "a"), item("a", "b")]),
            "requests.1.custom_id: custom_id must be unique within a batch",
        ),
        (
            json!([{ "params": {} }]),
            "requests.0.custom_id: Field required",
        ),
        (
            json!([{ "custom_id": 7, "params": {} }]),
            "requests.0.custom_id: Input should be a valid string",
        ),
        (
            json!([{ "custom_id": "a" }]),
            "requests.0.params: Field required",
        ),
        (
            json!([{ "custom_id": "a", "params": [] }]),
            "requests.0.params: Input should be a valid dictionary",
        ),
        (
            json!([{ "custom_id": "a", "params": {}, "extra": 1 }]),
            "requests.0.extra: Extra inputs are not permitted",
        ),
        (
            json!([]),
            "requests: List should have at least 1 item after validation, not 0",
        ),
        (
            json!(items(4)),
            "requests: List should have at most 3 items after validation",
        ),
    ];
    for (requests, expected) in cases {
        let (status, message) = refused(&desk, json!({ "requests": requests })).await;
        assert_eq!((status, message.as_str()), (400, expected));
    }
    let error = desk.try_create(&[item("a b", "a")]).await.unwrap_err();
    assert_eq!(of_create(&error), Disposition::Refused(Refusal::Invalid));
    assert!(
        desk.client
            .batches(20, None, None)
            .await
            .unwrap()
            .value
            .data
            .is_empty()
    );
    let left = std::fs::read_dir(desk.folder.path().join("standin/incoming"))
        .unwrap()
        .count();
    assert_eq!(left, 0, "nothing of a refused create stays on disk");
}

#[tokio::test]
async fn bytes_and_queued_items_have_limits() {
    let desk = Desk::with(|options| {
        options.limits.max_bytes = 3_000;
        options.limits.max_queued = 15;
    })
    .await;
    let error = desk.try_create(&items(100)).await.unwrap_err();
    assert_eq!(
        of_create(&error),
        Disposition::Refused(Refusal::TooLarge),
        "{error:?}"
    );
    let first = desk.create(&items(10)).await;
    let error = desk.try_create(&items(10)).await.unwrap_err();
    assert_eq!(
        of_create(&error),
        Disposition::RetryAfter(None),
        "{error:?}"
    );
    // The queue is each workspace's own.
    let other = ("x-api-key", "sk-ant-two");
    let body = json!({ "requests": items(10) });
    let (status, _, answer) = desk.call("POST", CREATE, &[other, VERSION], &body).await;
    assert_eq!(status, 200, "{answer}");
    desk.end(&first.id).await;
    desk.create(&items(10)).await;
}

#[tokio::test]
async fn params_are_checked_late_and_cost_nothing() {
    let desk = Desk::start().await;
    let wrong = |id: &str, field: &str, value: Value| {
        let mut params = params("Foxes jump.");
        params[field] = value;
        json!({ "custom_id": id, "params": params })
    };
    let batch = desk
        .create(&[
            item("good", "Foxes jump."),
            wrong("temperature", "temperature", json!(1.0)),
            wrong("model", "model", json!("claude-2")),
            wrong("stream", "stream", json!(true)),
            wrong("tokens", "max_tokens", json!(0)),
            json!({ "custom_id": "empty", "params": {} }),
        ])
        .await;
    let batch = desk.end(&batch.id).await;
    assert_eq!(
        (batch.request_counts.succeeded, batch.request_counts.errored),
        (1, 5)
    );
    let read = read(&desk.results(&batch).await);
    let expected = [
        ("empty", "invalid_request_error: model: Field required"),
        ("good", "Foxes jump."),
        ("model", "not_found_error: model: claude-2"),
        (
            "stream",
            "invalid_request_error: stream: Streaming is not supported here",
        ),
        (
            "temperature",
            "invalid_request_error: temperature: Extra inputs are not permitted",
        ),
        (
            "tokens",
            "invalid_request_error: max_tokens: Input should be greater than or equal to 1",
        ),
    ];
    assert_eq!(
        read,
        expected.map(|(id, how)| (id.to_owned(), how.to_owned()))
    );
    let billed: Vec<_> = desk
        .standin
        .journal()
        .unwrap()
        .into_iter()
        .filter_map(|entry| entry.custom_id)
        .collect();
    assert_eq!(billed, ["good"]);
}

#[tokio::test]
async fn items_are_judged_by_the_version_of_their_create() {
    let desk = Desk::start().await;
    let mut params = params("Foxes jump.");
    params["model"] = json!("claude-opus-4-6");
    params["temperature"] = json!(0.2);
    let body = json!({ "requests": [{ "custom_id": "a", "params": params }] });
    let old = ("anthropic-version", "2023-06-01");
    let (status, _, created) = desk.call("POST", CREATE, &[KEY, old], &body).await;
    assert_eq!(status, 200, "{created}");
    let batch = desk.end(created["id"].as_str().unwrap()).await;
    assert_eq!(batch.request_counts.succeeded, 1);
    // The same body is refused at once where nothing is checked late.
    let (status, _, _) = desk
        .call(
            "POST",
            "/v1/messages",
            &[KEY, old],
            &body["requests"][0]["params"],
        )
        .await;
    assert_eq!(status, 200);
    let (status, _, answer) = desk
        .call(
            "POST",
            "/v1/messages",
            &[KEY, VERSION],
            &body["requests"][0]["params"],
        )
        .await;
    assert_eq!(status, 400);
    assert_eq!(
        answer["error"]["message"],
        "temperature: Extra inputs are not permitted"
    );
}
