//! The shipped job types as they go out.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Compiled, JobType, shipped};
use crate::params;

mod answers;
mod sharing;
mod tenants_own;

fn compiled(name: &str) -> Compiled {
    let job_type = shipped()
        .unwrap()
        .into_iter()
        .find(|job_type| job_type.name == name);
    Compiled::new(job_type.unwrap()).unwrap()
}

fn rendered(compiled: &Compiled, input: &Value) -> Value {
    compiled.check_input(input).unwrap();
    let body = compiled.render(input).unwrap();
    assert_eq!(
        params::check(&body).unwrap().model,
        compiled.job_type().model
    );
    serde_json::from_slice(&body).unwrap()
}

fn content(compiled: &Compiled, input: &Value) -> String {
    rendered(compiled, input)["messages"][0]["content"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn summarize_as_it_goes_out() {
    let body = rendered(
        &compiled("summarize"),
        &json!({ "text": "Ducks\nswim.", "max_words": 20 }),
    );
    assert_eq!(body["model"], "claude-haiku-5-5");
    assert_eq!(body.get("output_config"), None);
    insta::assert_snapshot!(body["messages"][0]["content"].as_str().unwrap(), @r"
    <document>
    Ducks
    swim.
    </document>

    Summarize the document in at most 20 words.
    ");
}

#[test]
fn a_default_is_taken_where_the_input_has_none() {
    let content = content(&compiled("summarize"), &json!({ "text": "x" }));
    assert!(content.ends_with("in at most 120 words."), "{content}");
}

#[test]
fn classify_as_it_goes_out() {
    let input = json!({
        "text": "Permission is hereby granted…",
        "categories": ["permissive", "copyleft"],
        "hint": "Copyleft means that derived works keep the licence.",
    });
    let body = rendered(&compiled("classify"), &input);
    insta::assert_snapshot!(body["messages"][0]["content"].as_str().unwrap(), @r"
    <document>
    Permission is hereby granted…
    </document>

    <categories>
    <category>permissive</category>
    <category>copyleft</category>
    </categories>

    <hint>
    Copyleft means that derived works keep the licence.
    </hint>

    Which one of these categories fits the document best?
    ");
    insta::assert_snapshot!(body["output_config"].to_string(), @r#"{"format":{"type":"json_schema","schema":{"type":"object","properties":{"category":{"description":"The category that fits best, exactly as the list has it.","type":"string","enum":["permissive","copyleft"]}},"required":["category"],"additionalProperties":false}}}"#);
    let mut without = input;
    without.as_object_mut().unwrap().remove("hint");
    let without = content(&compiled("classify"), &without);
    assert!(
        without.ends_with("</categories>\n\nWhich one of these categories fits the document best?")
    );
}

#[test]
fn analyze_policy_as_it_goes_out() {
    let input = json!({ "text": "Leave is 30 days.", "questions": ["How long?", "Is it paid?"] });
    let body = rendered(&compiled("analyze_policy"), &input);
    insta::assert_snapshot!(body["messages"][0]["content"].as_str().unwrap(), @r#"
    <document>
    Leave is 30 days.
    </document>

    <questions>
    <question number="1">How long?</question>
    <question number="2">Is it paid?</question>
    </questions>

    Answer each question from the document alone.
    "#);
    let finding = &body["output_config"]["format"]["schema"]["properties"]["findings"]["items"];
    let order: Vec<&String> = finding["properties"].as_object().unwrap().keys().collect();
    assert_eq!(
        order,
        ["question", "quotes", "status", "answer"],
        "it quotes before it judges"
    );
    assert_eq!(
        finding["properties"]["question"]["enum"],
        json!(["How long?", "Is it paid?"])
    );
}

/// Anthropic's structured outputs want every object closed and every property
/// required, and take no bounds on lengths and numbers.
#[test]
fn shipped_output_schemas_suit_structured_outputs() {
    fn check(schema: &Value) {
        if schema["type"] == "object" {
            assert_eq!(schema["additionalProperties"], false);
            let names: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
            let required: Vec<&str> = schema["required"]
                .as_array()
                .unwrap()
                .iter()
                .filter_map(Value::as_str)
                .collect();
            assert_eq!(names, required);
            schema["properties"]
                .as_object()
                .unwrap()
                .values()
                .for_each(check);
        }
        if schema["type"] == "array" {
            check(&schema["items"]);
        }
        for bound in [
            "minLength",
            "maxLength",
            "minItems",
            "maxItems",
            "minimum",
            "maximum",
        ] {
            assert_eq!(schema.get(bound), None);
        }
    }
    for job_type in shipped().unwrap() {
        job_type.output_schema.iter().for_each(check);
    }
}

#[test]
fn a_hopeless_input_has_a_short_answer() {
    let input = json!({ "text": "x", "categories": (0..90).collect::<Vec<u32>>() });
    let faults = compiled("classify").check_input(&input).unwrap_err();
    assert_eq!(faults.len(), 20);
}

#[test]
fn shipped_types_survive_json() {
    for job_type in shipped().unwrap() {
        let text = serde_json::to_string(&job_type).unwrap();
        let read: JobType = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        Compiled::new(read).unwrap();
    }
}

#[test]
fn a_bad_input_is_told_field_by_field() {
    let secret = "SECRET".repeat(10);
    let inputs = [
        ("classify", json!({})),
        ("classify", json!({ "text": "", "categories": [secret] })),
        (
            "classify",
            json!({ "text": 1, "categories": [secret, secret, 7], "colour": secret }),
        ),
        ("classify", json!([secret])),
        ("summarize", json!({ "text": secret, "max_words": 5 })),
        ("summarize", json!({ "text": secret, "max_words": "many" })),
        ("summarize", json!({ "text": secret, "max_words": 12.5 })),
        (
            "analyze_policy",
            json!({ "text": secret, "questions": vec!["?"; 21] }),
        ),
    ];
    let table: Vec<String> = inputs
        .iter()
        .map(|(name, input)| {
            let faults = compiled(name).check_input(input).unwrap_err();
            faults
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("\n")
        })
        .collect();
    assert!(!table.concat().contains("SECRET"));
    insta::assert_snapshot!(table.join("\n\n"), @r"
    /text: is required
    /categories: is required

    /text: must not be empty
    /categories: must have at least 2 items

    /text: must be of type string
    /categories: must not have the same item twice
    /categories/2: must be of type string
    has unknown fields: colour

    must be of type object

    /max_words: must be at least 10

    /max_words: must be of type integer

    /max_words: must be of type integer

    /questions: must have at most 20 items
    /questions: must not have the same item twice
    ");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Text stays text: what looks like a template, a tag or an escape comes
    /// out as it went in, once.
    #[test]
    fn values_are_inserted_once_and_never_read(text in "(\\{\\{|\\}\\}|\\{%|%\\}|<|>|&|\"|\\\\|text|\\PC){1,30}") {
        let compiled = compiled("summarize");
        let content = content(&compiled, &json!({ "text": text }));
        let expected = format!(
            "<document>\n{text}\n</document>\n\nSummarize the document in at most 120 words."
        );
        prop_assert_eq!(content, expected);
    }
}
