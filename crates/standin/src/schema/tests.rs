use serde_json::json;

use super::*;

const POLICY: &str = "Staff may work from home on two days a week. Expenses over 50 euros need\napproval by a manager. Data is kept for 90 days.";

fn brief() -> Brief {
    Brief {
        document: POLICY.to_owned(),
        instructions: "Answer:\n- How long is data kept?\n- Who gives approval for expenses?"
            .to_owned(),
    }
}

fn fill(schema: &Value) -> Value {
    Schemas::default()
        .fill(schema, &brief())
        .unwrap_or_else(|refusal| panic!("{refusal:?} for {schema}"))
}

#[test]
fn every_keyword_is_satisfied() {
    let leaves = [
        json!({ "type": "string" }),
        json!({ "type": "string", "maxLength": 7 }),
        json!({ "type": "string", "minLength": 300, "maxLength": 310 }),
        json!({ "type": "string", "format": "date-time" }),
        json!({ "type": ["null", "string"] }),
        json!({ "type": "integer", "minimum": 7, "maximum": 9 }),
        json!({ "type": "integer", "exclusiveMinimum": -9, "maximum": -3, "multipleOf": 4 }),
        json!({ "type": "integer", "multipleOf": 5 }),
        json!({ "type": "number", "minimum": 0, "maximum": 1 }),
        json!({ "type": "number", "exclusiveMinimum": 0.25, "exclusiveMaximum": 0.5 }),
        json!({ "type": "boolean" }),
        json!({ "type": "null" }),
        json!({ "const": { "a": [1] } }),
        json!({ "enum": [3, "expenses", null] }),
        json!({ "anyOf": [{ "type": "null" }, { "type": "integer" }] }),
        json!({ "type": "array", "items": { "type": "string" }, "minItems": 5, "maxItems": 6 }),
        json!({ "type": "array", "items": { "enum": ["a", "b", "c"] }, "minItems": 3, "uniqueItems": true }),
        json!({ "type": "array", "prefixItems": [{ "type": "string" }, { "type": "integer" }], "items": false }),
        json!({ "allOf": [
            { "type": "object", "properties": { "a": { "type": "string" } }, "required": ["a"] },
            { "type": "object", "properties": { "b": { "type": "null" } }, "required": ["b"] },
        ] }),
        json!({}),
    ];
    for leaf in &leaves {
        fill(leaf);
    }
    let mut properties = Map::new();
    for (at, leaf) in leaves.iter().enumerate() {
        properties.insert(format!("p{at}"), leaf.clone());
    }
    let names: Vec<&String> = properties.keys().collect();
    fill(&json!({
        "type": "object",
        "required": names,
        "properties": properties,
        "additionalProperties": false,
    }));
}

#[test]
fn a_recursive_schema_ends() {
    let made = fill(&json!({
        "$ref": "#/$defs/tree",
        "$defs": { "tree": {
            "type": "object",
            "required": ["name", "children"],
            "properties": {
                "name": { "type": "string" },
                "children": { "type": "array", "items": { "$ref": "#/$defs/tree" } },
                "parent": { "$ref": "#/$defs/tree" },
            },
        } },
    }));
    assert!(made["name"].is_string());
}

#[test]
fn what_cannot_be_satisfied_is_an_error() {
    let endless = json!({
        "$ref": "#/$defs/a",
        "$defs": { "a": { "type": "object", "required": ["a"], "properties": { "a": { "$ref": "#/$defs/a" } } } },
    });
    let refused = |schema: &Value| Schemas::default().fill(schema, &brief()).unwrap_err();
    assert_eq!(refused(&endless).status, 500);
    assert_eq!(
        refused(&json!({ "type": "string", "pattern": "^[0-9]{40}$" })).status,
        500
    );
    assert_eq!(refused(&json!({ "type": "strong" })).status, 400);
}

#[test]
fn findings_answer_the_questions_with_exact_quotes() {
    let made = fill(&json!({
        "type": "object",
        "required": ["findings"],
        "properties": { "findings": { "type": "array", "items": {
            "type": "object",
            "required": ["question", "answer", "quotes"],
            "properties": {
                "question": { "type": "string" },
                "answer": { "type": "string" },
                "quotes": { "type": "array", "items": { "type": "string" } },
            },
        } } },
    }));
    let findings = made["findings"].as_array().unwrap();
    let read = |at: usize, field: &str| findings[at][field].as_str().unwrap().to_owned();
    assert_eq!(findings.len(), 2);
    assert_eq!(read(0, "question"), "How long is data kept?");
    assert_eq!(read(0, "answer"), "Data is kept for 90 days.");
    assert_eq!(
        read(1, "answer"),
        "Expenses over 50 euros need approval by a manager."
    );
    for finding in findings {
        let quote = finding["quotes"][0].as_str().unwrap();
        assert!(POLICY.contains(quote), "{quote}");
    }
}

#[test]
fn a_verdict_follows_from_the_document() {
    let made = fill(&json!({
        "type": "array",
        "items": {
            "type": "object",
            "required": ["question", "quotes", "status", "answer"],
            "properties": {
                "question": { "enum": ["How long is data kept?", "Are there pets in the office?"] },
                "quotes": { "type": "array", "items": { "type": "string" } },
                "status": { "enum": ["found", "unclear", "not_found"] },
                "answer": { "type": "string" },
            },
        },
    }));
    assert_eq!(
        made,
        json!([
            {
                "question": "How long is data kept?",
                "quotes": ["Data is kept for 90 days."],
                "status": "found",
                "answer": "Data is kept for 90 days.",
            },
            {
                "question": "Are there pets in the office?",
                "quotes": [],
                "status": "not_found",
                "answer": "The document does not speak of it.",
            },
        ])
    );
}

#[test]
fn questions_listed_in_the_schema_are_each_answered_once() {
    let made = fill(&json!({
        "type": "array",
        "items": {
            "type": "object",
            "required": ["question"],
            "properties": { "question": { "enum": ["Home?", "Money?", "Data?"] } },
        },
    }));
    assert_eq!(
        made,
        json!([{ "question": "Home?" }, { "question": "Money?" }, { "question": "Data?" }])
    );
}
