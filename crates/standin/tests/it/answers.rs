//! Answers, as the job types ask for them.

use offpeak_anthropic::shape::{ResultLine, StopReason, Succeeded};
use serde_json::{Value, json};

use crate::desk::{DEADLINE, Desk, params};

const POLICY: &str = "Staff may work from home on two days a week. Expenses over 50 euros need\napproval. Data is kept for 90 days.";

fn structured(text: &str, schema: &Value) -> Value {
    let mut params = params(text);
    params["output_config"] = json!({ "format": { "type": "json_schema", "schema": schema } });
    params
}

#[tokio::test]
async fn structured_outputs_satisfy_their_schema() {
    let desk = Desk::start().await;
    let classify = json!({
        "type": "object",
        "properties": { "category": { "type": "string", "enum": ["MIT", "Apache-2.0", "BSD", "other"] } },
        "required": ["category"],
        "additionalProperties": false,
    });
    let analyze = json!({
        "type": "object",
        "properties": { "findings": { "type": "array", "minItems": 1, "items": { "$ref": "#/$defs/finding" } } },
        "required": ["findings"],
        "additionalProperties": false,
        "$defs": { "finding": {
            "type": "object",
            "properties": {
                "question": { "type": "string" },
                "answer": { "type": "string", "maxLength": 60 },
                "certainty": { "type": "number", "minimum": 0, "maximum": 1 },
                "quotes": { "type": "array", "items": { "type": "string" }, "maxItems": 2 },
                "remark": { "anyOf": [{ "type": "string" }, { "type": "null" }] },
            },
            "required": ["question", "answer", "certainty", "quotes", "remark"],
            "additionalProperties": false,
        } },
    });
    let licence = "Classify:\n<document>\nMIT License\n\nPermission is hereby granted, free of charge, to any person\n</document>\nCategories: MIT, Apache-2.0, BSD, other";
    let policy = format!("Questions:\n1. How long is data kept?\n<policy>\n{POLICY}\n</policy>");
    let batch = desk
        .create(&[
            json!({ "custom_id": "classify", "params": structured(licence, &classify) }),
            json!({ "custom_id": "analyze", "params": structured(&policy, &analyze) }),
            json!({ "custom_id": "impossible", "params": structured("x", &json!({ "type": "string", "pattern": "^\\d{9}$" })) }),
        ])
        .await;
    let batch = desk.end(&batch.id).await;
    assert_eq!(
        (batch.request_counts.succeeded, batch.request_counts.errored),
        (2, 1)
    );
    for line in desk.results(&batch).await {
        let line = ResultLine::parse(&line).unwrap();
        let text = line.text().unwrap_or_default();
        match line.custom_id.as_ref() {
            "classify" => assert_eq!(text, r#"{"category":"MIT"}"#),
            "analyze" => {
                let value: Value = serde_json::from_str(&text).unwrap();
                assert!(jsonschema::is_valid(&analyze, &value), "{value}");
                let finding = &value["findings"][0];
                assert_eq!(finding["answer"], "Data is kept for 90 days.");
                assert!(
                    POLICY.contains(finding["quotes"][0].as_str().unwrap()),
                    "{value}"
                );
            }
            _ => assert_eq!(text, ""),
        }
    }
}

#[tokio::test]
async fn a_direct_message_is_answered_and_journaled() {
    let desk = Desk::start().await;
    let answer = desk
        .client
        .message(
            params("Summarize in at most 6 words:\n\nFoxes jump over dogs. Dogs sleep.")
                .to_string()
                .into(),
            DEADLINE,
        )
        .await
        .unwrap();
    let message = Succeeded::parse(&answer.value).unwrap();
    assert_eq!(
        message.text().as_deref(),
        Some("Foxes jump over dogs. Dogs sleep.")
    );
    assert_eq!(message.stop_reason, Some(StopReason::EndTurn));
    let journal = desk.standin.journal().unwrap();
    assert_eq!(journal.len(), 1);
    assert_eq!(
        (&journal[0].batch_id, &journal[0].usage),
        (&None, &message.usage)
    );
    assert_eq!(
        message.usage.service_tier.as_ref().unwrap().as_str(),
        "standard"
    );
}

#[tokio::test]
async fn cut_off_and_refused_are_told() {
    let desk = Desk::start().await;
    let mut short = params("Foxes jump over dogs.");
    short["max_tokens"] = json!(2);
    let refusing = params("ANTHROPIC_MAGIC_STRING_TRIGGER_REFUSAL_1");
    let batch = desk
        .create(&[
            json!({ "custom_id": "short", "params": short }),
            json!({ "custom_id": "refused", "params": refusing }),
        ])
        .await;
    let batch = desk.end(&batch.id).await;
    assert_eq!(batch.request_counts.succeeded, 2);
    for line in desk.results(&batch).await {
        let line = ResultLine::parse(&line).unwrap();
        let offpeak_anthropic::shape::ResultKind::Succeeded(message) = &line.result else {
            panic!()
        };
        let cut = line.custom_id == "short";
        let expected = if cut {
            StopReason::MaxTokens
        } else {
            StopReason::Refusal
        };
        assert_eq!(
            (&message.stop_reason, message.content_empty),
            (&Some(expected), !cut)
        );
    }
    let billed: Vec<_> = desk
        .standin
        .journal()
        .unwrap()
        .into_iter()
        .filter_map(|e| e.custom_id)
        .collect();
    assert_eq!(
        billed,
        ["short"],
        "a refusal without content is not charged"
    );
}
