use offpeak_anthropic::API_VERSION_2023;
use serde_json::json;

use super::*;

fn verdict(version: &str, in_batch: bool, change: &Value) -> String {
    let mut params = json!({
        "model": "claude-haiku-5-5",
        "max_tokens": 100,
        "messages": [{ "role": "user", "content": "Hi" }],
    });
    for (field, value) in change.as_object().unwrap() {
        params[field] = value.clone();
    }
    let betas = ["output-300k-2026-03-24".to_owned()];
    let terms = Terms {
        version,
        betas: &betas,
        in_batch,
    };
    match message(&params, terms) {
        Ok(_) => "ok".to_owned(),
        Err(refusal) => format!("{}: {}", refusal.kind, refusal.message),
    }
}

#[test]
fn versions_differ_in_sampling_documents_and_citations() {
    let extra =
        |field: &str| format!("invalid_request_error: {field}: Extra inputs are not permitted");
    for field in SAMPLING {
        assert_eq!(
            verdict(API_VERSION, true, &json!({ field: 1 })),
            extra(field)
        );
        assert_eq!(
            verdict(
                API_VERSION_2023,
                true,
                &json!({ field: 1, "model": "claude-opus-4-6" })
            ),
            "ok"
        );
    }
    assert_eq!(
        verdict(API_VERSION_2023, true, &json!({ "temperature": 1.0 })),
        "ok"
    );
    assert_ne!(
        verdict(API_VERSION_2023, true, &json!({ "temperature": 0.5 })),
        "ok"
    );
    assert_ne!(
        verdict(API_VERSION_2023, true, &json!({ "top_k": 5 })),
        "ok"
    );
    let document = json!({ "messages": [
        { "role": "user", "content": "Hi" },
        { "role": "assistant", "content": [{ "type": "document", "source": {} }] },
        { "role": "user", "content": "And?" },
    ] });
    let cited = json!({ "messages": [
        { "role": "user", "content": [{ "type": "text", "text": "Hi", "citations": [{}] }] },
    ] });
    for change in [document, cited] {
        assert_ne!(verdict(API_VERSION, false, &change), "ok");
        assert_eq!(verdict(API_VERSION_2023, false, &change), "ok");
    }
}

#[test]
fn a_batch_refuses_what_a_direct_message_takes() {
    for change in [
        json!({ "max_tokens": 0 }),
        json!({ "speed": "fast" }),
        json!({ "fallbacks": [] }),
        json!({ "billing_policy": { "bill_to": "user_profile" } }),
    ] {
        assert_ne!(verdict(API_VERSION, true, &change), "ok", "{change}");
        assert_eq!(verdict(API_VERSION, false, &change), "ok", "{change}");
    }
    assert_eq!(
        verdict(API_VERSION, true, &json!({ "max_tokens": 300_000 })),
        "ok"
    );
    assert_ne!(
        verdict(API_VERSION, true, &json!({ "max_tokens": 300_001 })),
        "ok"
    );
    assert_ne!(
        verdict(API_VERSION, false, &json!({ "max_tokens": 300_000 })),
        "ok"
    );
}

#[test]
fn each_fault_is_named() {
    let cases = [
        (json!({ "model": "gpt" }), "not_found_error: model: gpt"),
        (
            json!({ "model": 7 }),
            "invalid_request_error: model: Input should be a valid string",
        ),
        (
            json!({ "extra_body": {} }),
            "invalid_request_error: extra_body: Extra inputs are not permitted",
        ),
        (
            json!({ "max_tokens": "many" }),
            "invalid_request_error: max_tokens: Input should be a valid integer",
        ),
        (
            json!({ "messages": [] }),
            "invalid_request_error: messages: at least one message is required",
        ),
        (
            json!({ "messages": [{ "role": "assistant", "content": "Hi" }] }),
            "invalid_request_error: messages: first message must use the \"user\" role",
        ),
        (
            json!({ "messages": [{ "role": "user", "content": [{ "type": "text", "text": "" }] }] }),
            "invalid_request_error: messages.0.content.0: text content blocks must be non-empty",
        ),
        (
            json!({ "messages": [{ "role": "user", "content": "Hi" }, { "role": "assistant", "content": "{" }] }),
            "invalid_request_error: messages: the conversation must end with a user message",
        ),
        (
            json!({ "thinking": { "type": "enabled", "budget_tokens": 2048 } }),
            "invalid_request_error: thinking.type: \"enabled\" is not supported by claude-haiku-5-5",
        ),
        (
            json!({ "stream": true }),
            "invalid_request_error: stream: Streaming is not supported here",
        ),
        (
            json!({ "output_config": { "format": { "type": "json_object" } } }),
            "invalid_request_error: output_config.format.type: Input should be 'json_schema'",
        ),
    ];
    for (change, expected) in cases {
        assert_eq!(verdict(API_VERSION, true, &change), expected, "{change}");
    }
    let long = "x".repeat(4_000_100);
    assert_eq!(
        verdict(
            API_VERSION,
            true,
            &json!({ "messages": [{ "role": "user", "content": long }] })
        ),
        "invalid_request_error: prompt is too long: 1000025 tokens > 1000000 maximum"
    );
}
