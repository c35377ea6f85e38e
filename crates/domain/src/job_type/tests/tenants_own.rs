//! Job types that a tenant wrote: what is refused, and what cannot do harm.

use std::time::Duration;

use serde_json::{Value, json};

use super::{compiled, rendered};
use crate::job_type::{Compiled, Invalid, JobType, RenderError};

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
        deliver_within: None,
        on_late: None,
        on_unknown: None,
        reuse_for: None,
        coalesce: None,
    }
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
fn what_is_reused_is_shared_and_for_a_time() {
    let reused = |reuse_for: &str, coalesce| JobType {
        reuse_for: Some(reuse_for.to_owned()),
        coalesce,
        ..own()
    };
    let compiled = Compiled::new(reused("2h", Some(true))).unwrap();
    assert_eq!(compiled.reuse_for(), Some(Duration::from_hours(2)));
    assert_eq!(Compiled::new(own()).unwrap().reuse_for(), None);
    assert_eq!(
        faults(Compiled::new(reused("0s", None))),
        r#"/reuse_for: is shorter than "1s""#
    );
    assert_eq!(
        faults(Compiled::new(reused("2h", Some(false)))),
        "/reuse_for: says how old a result may be that is shared, and `coalesce` that none is"
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
    assert!(quotes(15_900_000).is_ok());
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
            "properties": {
                "a": { "enum": { "$input": "/mood/list/1" } },
                "b": { "const": { "$input": "/mood", "with": "more" } },
            },
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
    let const_b = &schema["properties"]["b"]["const"];
    assert_eq!(
        const_b["$input"], "/mood",
        "with company it is no placeholder"
    );
    let missing = compiled.render(&json!({ "who": "x" })).unwrap_err();
    insta::assert_snapshot!(missing, @"the output schema needs the input's /mood/list/1, and the input has none");
}
