//! Answers, judged by the schema that their request carries.

use serde_json::{Value, json};

use super::compiled;
use crate::job_type::{Mismatch, OutputChecker, check_output_against};

#[test]
fn an_answer_is_judged_by_its_own_request() {
    let compiled = compiled("classify");
    let input = json!({ "text": "x", "categories": ["a", "b"] });
    let body = compiled.render(&input).unwrap();
    let mut checker = OutputChecker::new();
    let mut verdict = |text: &str| match checker.check(&body, text) {
        Some(Ok(())) => "fits".to_owned(),
        Some(Err(mismatch)) => mismatch.to_string(),
        None => "no schema".to_owned(),
    };
    let answers = [
        r#"{"category":"a"}"#,
        r#"{"category":"c"}"#,
        r#"{"category":"a","sure":true}"#,
        "{}",
        "a",
        r#"{"category":"a"#,
    ];
    let table = answers.map(|answer| format!("{answer:<30} {}", verdict(answer)));
    insta::assert_snapshot!(table.join("\n"), @r#"
    {"category":"a"}               fits
    {"category":"c"}               the answer breaks the rule "enum" of its schema
    {"category":"a","sure":true}   the answer breaks the rule "additionalProperties" of its schema
    {}                             the answer breaks the rule "required" of its schema
    a                              the answer is not JSON: not valid JSON (line 1, column 1)
    {"category":"a                 the answer is not JSON: the JSON ends too early (line 1, column 14)
    "#);
    for answer in answers {
        let one_by_one = check_output_against(&body, answer).unwrap();
        assert_eq!(one_by_one, compiled.check_output(&input, answer));
    }
}

#[test]
fn a_checker_follows_from_one_schema_to_the_next() {
    let compiled = compiled("classify");
    let body = |categories| {
        compiled
            .render(&json!({ "text": "x", "categories": categories }))
            .unwrap()
    };
    let (ab, cd) = (body(["a", "b"]), body(["c", "d"]));
    let mut checker = OutputChecker::new();
    for _ in 0..2 {
        assert_eq!(checker.check(&ab, r#"{"category":"a"}"#), Some(Ok(())));
        assert!(checker.check(&cd, r#"{"category":"a"}"#).unwrap().is_err());
    }
}

#[test]
fn without_a_schema_there_is_nothing_to_check() {
    let compiled = compiled("summarize");
    let input = json!({ "text": "x" });
    let body = compiled.render(&input).unwrap();
    assert_eq!(check_output_against(&body, "any text"), None);
    assert_eq!(compiled.check_output(&input, "any text"), Ok(()));
    assert_eq!(check_output_against(b"not even JSON", "{}"), None);
}

/// A body that a tenant wrote may hold any schema; none may stop a worker.
#[test]
fn a_schema_that_would_never_end_is_not_followed() {
    let body = |schema: Value| {
        serde_json::to_vec(&json!({ "output_config": { "format": { "schema": schema } } })).unwrap()
    };
    let doubling: serde_json::Map<String, Value> = (0..60)
        .map(|n| {
            let next = json!({ "$ref": format!("#/$defs/s{}", n + 1) });
            (format!("s{n}"), json!({ "allOf": [next, next] }))
        })
        .chain([("s60".to_owned(), json!({ "type": "object" }))])
        .collect();
    let endless = [
        json!({ "$ref": "#/$defs/s0", "$defs": doubling }),
        json!({ "$ref": "#" }),
        json!({ "$ref": "#/$defs/a", "$defs": { "a": { "anyOf": [{ "$ref": "#/$defs/a" }] } } }),
        json!({
            "$ref": "#/$defs/a",
            "$defs": { "a": { "$ref": "#/$defs/b" }, "b": { "$ref": "#/$defs/a" } },
        }),
        json!({ "$dynamicRef": "#x", "$dynamicAnchor": "x" }),
        json!({ "$ref": "https://example.com/schema" }),
        json!({ "type": 7 }),
    ];
    let table = endless.map(|schema| {
        let verdict = check_output_against(&body(schema), "{}").unwrap();
        assert!(
            matches!(verdict, Err(Mismatch::Schema { .. })),
            "{verdict:?}"
        );
        verdict.unwrap_err().to_string()
    });
    insta::assert_snapshot!(table.join("\n"), @r#"
    the output schema is too large when its references are followed
    the output schema is recursive, which is not supported
    the output schema is recursive, which is not supported
    the output schema is recursive, which is not supported
    the output schema uses "$dynamicRef", which is not supported
    the output schema has a $ref to something outside itself
    the output schema is not a valid JSON Schema: value is not valid under any of the schemas listed in the 'anyOf' keyword
    "#);
    let twice = json!({
        "properties": { "a": { "$ref": "#/$defs/s" }, "b": { "$ref": "#/$defs/s" } },
        "$defs": { "s": { "type": "string" } },
    });
    assert_eq!(
        check_output_against(&body(twice), r#"{"a":"x","b":"y"}"#),
        Some(Ok(()))
    );
}
