//! The shipped job types as they go out, and what a tenant's may not be.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    Compiled, Invalid, JobType, Mismatch, OutputChecker, RenderError, check_output_against, shipped,
};
use crate::params;

fn compiled(name: &str) -> Compiled {
    let job_type = shipped()
        .unwrap()
        .into_iter()
        .find(|job_type| job_type.name == name);
    Compiled::new(job_type.unwrap()).unwrap()
}

/// A small type of a tenant's own.
fn own() -> JobType {
    JobType {
        name: "greet".to_owned(),
        version: 1,
        description: String::new(),
        model: "claude-haiku-5-5".to_owned(),
        max_tokens: 100,
        system: String::new(),
        template: "Greet {{ who }}{% if mood %}, {{ mood|upper }}{% endif %}.".to_owned(),
        input_schema: json!({
            "type": "object",
            "properties": { "who": { "type": "string" }, "mood": { "type": "string" } },
            "required": ["who"],
        }),
        output_schema: None,
    }
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

fn faults(result: Result<Compiled, Invalid>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(invalid) => invalid
            .errors
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n"),
    }
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
    {"category":"c"}               the answer breaks its schema: /category: must be one of ["a","b"]
    {"category":"a","sure":true}   the answer breaks its schema: has unknown fields: sure
    {}                             the answer breaks its schema: /category: is required
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
    let loops = [
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
    let table = loops.map(|schema| {
        let verdict = check_output_against(&body(schema), "{}").unwrap();
        assert!(
            matches!(verdict, Err(Mismatch::Schema { .. })),
            "{verdict:?}"
        );
        verdict.unwrap_err().to_string()
    });
    insta::assert_snapshot!(table.join("\n"), @r#"
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

#[test]
fn a_bad_job_type_is_told_whole() {
    assert_eq!(faults(Compiled::new(own())), "ok");
    let bad = JobType {
        name: "Greet".to_owned(),
        version: 0,
        model: String::new(),
        max_tokens: 0,
        template: "{{ whom }}".to_owned(),
        input_schema: json!({ "type": "string" }),
        output_schema: Some(json!({ "type": "array", "items": { "enum": { "$input": "/x" } } })),
        ..own()
    };
    insta::assert_snapshot!(faults(Compiled::new(bad)), @r#"
    /name: must be a lowercase letter and up to 62 of a-z, 0-9 and _
    /version: must be at least 1
    /model: must be the name of a model
    /max_tokens: must be from 1 to 300000
    /input_schema: must be the schema of an object
    /template: uses "whom", which the input schema does not have
    /output_schema: must be the schema of an object
    /output_schema: refers to "/x", which the input does not have
    "#);
}

#[test]
fn what_is_no_template_for_this_input() {
    let templates = [
        "{{ who",
        "{% if who %}",
        "{% include 'other' %}",
        "{{ whom }}",
        "{% for who in crowd %}{{ who }}{% endfor %}",
        "{% for n in range(3) %}{{ n }}{{ who }}{{ mood|default('-') }}{% endfor %}",
    ];
    let table = templates.map(|template| {
        let job_type = JobType {
            template: template.to_owned(),
            ..own()
        };
        format!("{template}\n  {}", faults(Compiled::new(job_type)))
    });
    insta::assert_snapshot!(table.join("\n"), @r#"
    {{ who
      /template: has a syntax error in line 1: unexpected end of input, expected end of variable block
    {% if who %}
      /template: has a syntax error in line 1: unexpected end of input, expected end of block
    {% include 'other' %}
      /template: has a syntax error in line 1: unknown statement include
    {{ whom }}
      /template: uses "whom", which the input schema does not have
    {% for who in crowd %}{{ who }}{% endfor %}
      /template: uses "crowd", which the input schema does not have
    {% for n in range(3) %}{{ n }}{{ who }}{{ mood|default('-') }}{% endfor %}
      ok
    "#);
}

#[test]
fn what_the_input_lacks_can_be_asked_for_but_not_inserted() {
    let with = |template: &str, input: Value| {
        let job_type = JobType {
            template: template.to_owned(),
            ..own()
        };
        Compiled::new(job_type).unwrap().render(&input).map(|body| {
            let body: Value = serde_json::from_slice(&body).unwrap();
            body["messages"][0]["content"].as_str().unwrap().to_owned()
        })
    };
    let ann = json!({ "who": "Ann" });
    assert_eq!(with(&own().template, ann.clone()).unwrap(), "Greet Ann.");
    assert_eq!(with("{{ mood|default('-') }}", ann.clone()).unwrap(), "-");
    assert!(with("{{ mood }}", ann).is_err());
    let glad = json!({ "who": "Ann", "mood": "glad" });
    assert_eq!(with(&own().template, glad).unwrap(), "Greet Ann, GLAD.");
}

/// A tenant's template can neither run for ever nor ask for all memory, and
/// what it says about its failure does not quote the input.
#[test]
fn rendering_stops_at_its_bounds() {
    let templates = [
        "{% for a in who %}{% for b in who %}{% for c in who %}.{% endfor %}{% endfor %}{% endfor %}",
        "{% for a in who %}{{ who }}{% endfor %}",
        "{{ 'x' * 1000000000 }}",
        "{% set x = 'x' * 1000000 %}{% for a in who %}{% set x = x ~ x %}{% endfor %}{{ x ~ x }}",
        "{{ who.secret.secret }}",
        "{{ who|nothing_known }}",
        "{{ who[0]|int }}",
    ];
    let input = json!({ "who": vec!["SECRET ".repeat(100); 2_000] });
    let table = templates.map(|template| {
        let job_type = JobType {
            template: template.to_owned(),
            input_schema: json!({ "type": "object", "properties": { "who": {} } }),
            ..own()
        };
        let result = Compiled::new(job_type).unwrap().render(&input);
        result.map_or_else(
            |error| error.to_string(),
            |body| format!("{} bytes", body.len()),
        )
    });
    assert!(!table.concat().contains("SECRET"));
    insta::assert_snapshot!(table.join("\n"), @r"
    the template of the job type fails for this input: engine ran out of fuel in line 1
    the template of the job type fails for this input: engine ran out of fuel in line 1
    the template of the job type fails for this input: engine ran out of fuel in line 1
    the template of the job type fails for this input: engine ran out of fuel in line 1
    the template of the job type fails for this input: undefined value in line 1
    the template of the job type fails for this input: unknown filter in line 1
    the template of the job type fails for this input: invalid operation in line 1
    ");
}

#[test]
fn a_request_is_no_longer_than_anthropic_takes() {
    let compiled = compiled("summarize");
    let quotes = |n: usize| compiled.render(&json!({ "text": "\"".repeat(n) }));
    assert!(quotes(14_000_000).is_ok());
    assert_eq!(
        quotes(16_000_000),
        Err(RenderError::TooLong),
        "each is two bytes in JSON"
    );
    assert_eq!(
        compiled.render(&json!("no object")),
        Err(RenderError::NotAnObject)
    );
}

#[test]
fn a_placeholder_needs_its_value() {
    let job_type = JobType {
        output_schema: Some(json!({
            "type": "object",
            "properties": { "a": { "enum": { "$input": "/mood/list/1" } } },
        })),
        input_schema: json!({ "type": "object", "properties": { "who": {}, "mood": {} } }),
        template: "{{ who }}".to_owned(),
        ..own()
    };
    let compiled = Compiled::new(job_type).unwrap();
    let body = rendered(
        &compiled,
        &json!({ "who": "x", "mood": { "list": [1, ["y", "z"]] } }),
    );
    let schema = &body["output_config"]["format"]["schema"];
    assert_eq!(schema["properties"]["a"]["enum"], json!(["y", "z"]));
    let missing = compiled.render(&json!({ "who": "x" })).unwrap_err();
    insta::assert_snapshot!(missing, @"the output schema needs the input's /mood/list/1, and the input has none");
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
