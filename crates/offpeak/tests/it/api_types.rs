//! Job types over HTTP, and what stands beside the tenants' own paths.

use anyhow::Result;
use reqwest::Method;
use serde_json::{Value, json};

use crate::api::Api;

fn greeting() -> Value {
    json!({
        "name": "greet",
        "description": "Greets somebody.",
        "model": "claude-haiku-5-5",
        "max_tokens": 64,
        "template": "Greet {{ who }}.",
        "input_schema": {
            "type": "object",
            "properties": {"who": {"type": "string"}},
            "required": ["who"],
            "additionalProperties": false,
        },
    })
}

/// Another process may have stored it: this one remembers the old version.
#[tokio::test]
async fn a_new_version_holds_for_the_next_job() -> Result<()> {
    let api = Api::new().await?;
    api.post("/v1/job-types", greeting().to_string()).await?;
    let job = json!({"type": "greet", "input": {"who": "Ada"}}).to_string();
    let wider = json!({"type": "greet", "input": {"who": "Ada", "how": "low"}}).to_string();
    assert_eq!(
        api.post("/v1/jobs", job.clone()).await?.at("/type_version"),
        "1"
    );
    assert_eq!(api.post("/v1/jobs", wider.clone()).await?.status, 422);

    api.world
        .meddle(
            r#"INSERT INTO offpeak.job_type (tenant_id, name, version, definition)
               SELECT tenant_id, name, 2, jsonb_set(jsonb_set(definition::jsonb,
                          '{input_schema,properties,how}', '{"type": "string"}'),
                          '{version}', '2')::text
                 FROM offpeak.job_type WHERE name = 'greet'"#,
        )
        .await?;
    for body in [wider, job] {
        let accepted = api.post("/v1/jobs", body).await?;
        assert_eq!(accepted.at("/type_version"), "2", "{accepted:?}");
    }

    // A tenant's own goes before the shipped one.
    let shipped = r#"{"type":"summarize","input":{"text":"One. Two."}}"#;
    assert_eq!(
        api.post("/v1/jobs", shipped).await?.at("/type_version"),
        "1"
    );
    api.world
        .meddle(
            r#"INSERT INTO offpeak.job_type (tenant_id, name, version, definition)
               SELECT own.tenant_id, 'summarize', 2,
                      (own.definition::jsonb || '{"name": "summarize", "version": 2}')::text
                 FROM offpeak.job_type own WHERE own.name = 'greet' AND own.version = 1"#,
        )
        .await?;
    let hidden = api.post("/v1/jobs", shipped).await?;
    assert_eq!(
        hidden.problem(),
        r#"422 invalid_input "/input" "schema_violation""#
    );
    Ok(())
}

#[tokio::test]
async fn a_tenant_adds_versions_of_its_own() -> Result<()> {
    let mut api = Api::new().await?;
    let first = api.post("/v1/job-types", greeting().to_string()).await?;
    assert_eq!(
        (first.status, first.at("/version")),
        (201, "1".into()),
        "{first:?}"
    );
    let job = json!({"type": "greet", "input": {"who": "Ada"}}).to_string();
    let old = api.post("/v1/jobs", job.clone()).await?;
    assert_eq!(old.at("/type_version"), "1");

    let mut changed = greeting();
    changed["template"] = json!("Say hello to {{ who }}.");
    let second = api.post("/v1/job-types", changed.to_string()).await?;
    assert_eq!(second.at("/version"), "2");
    assert_eq!(api.post("/v1/jobs", job).await?.at("/type_version"), "2");
    assert_eq!(
        api.get(&format!("/v1/jobs/{}", old.at("/id")))
            .await?
            .at("/type_version"),
        "1"
    );
    assert_eq!(api.get("/v1/job-types/greet").await?.json(), second.json());
    assert_eq!(
        api.get("/v1/job-types/greet?version=1").await?.json(),
        first.json()
    );
    assert_eq!(
        api.get("/v1/job-types/greet?version=3").await?.problem(),
        "404 not_found"
    );

    // One of its own hides a shipped one, and never shares a version with it.
    let mut own = greeting();
    own["name"] = json!("classify");
    assert_eq!(
        api.post("/v1/job-types", own.to_string())
            .await?
            .at("/version"),
        "2"
    );
    assert_eq!(
        api.get("/v1/job-types/classify").await?.at("/shipped"),
        "false"
    );
    assert_eq!(
        api.get("/v1/job-types/classify?version=1")
            .await?
            .at("/shipped"),
        "true"
    );
    let names = |list: Value| {
        let rows = list["data"].as_array().cloned().unwrap_or_default();
        rows.iter()
            .map(|row| row["name"].as_str().unwrap_or("").to_owned())
            .collect::<Vec<_>>()
    };
    let mine = names(api.get("/v1/job-types").await?.json());
    assert_eq!(mine, ["analyze_policy", "classify", "greet", "summarize"]);
    let (_, other) = api.tenant("other").await?;
    let list = api
        .send(Method::GET, "/v1/job-types", &other, &[], "")
        .await?;
    assert_eq!(
        names(list.json()),
        ["analyze_policy", "classify", "summarize"]
    );
    assert_eq!(list.at("/data/1/shipped"), "true");
    Ok(())
}

#[tokio::test]
async fn a_job_type_that_cannot_work_is_refused() -> Result<()> {
    let api = Api::new().await?;
    let mut seen = Vec::new();
    for (field, value) in [
        ("name", json!("Greet")),
        ("model", json!("claude-haiku-99")),
        ("model", json!(null)),
        ("max_tokens", json!(-1)),
        ("max_tokens", json!(0)),
        ("template", json!("{{ whom }}")),
        ("template", json!("{{ who ")),
        ("input_schema", json!("x")),
        ("input_schema", json!({"type": "odd"})),
        ("output_schema", json!([])),
        ("extra", json!(1)),
    ] {
        let mut body = greeting();
        body[field] = value.clone();
        let answer = api.post("/v1/job-types", body.to_string()).await?;
        seen.push(format!("{field} {value}: {}", answer.problem()));
    }
    insta::assert_snapshot!(seen.join("\n"), @r#"
    name "Greet": 422 invalid_input "/name" "invalid_job_type"
    model "claude-haiku-99": 422 unknown_model "/model" "unknown_model"
    model null: 422 invalid_input "/model" "wrong_type"
    max_tokens -1: 422 invalid_input "/max_tokens" "wrong_type"
    max_tokens 0: 422 invalid_input "/max_tokens" "invalid_job_type"
    template "{{ whom }}": 422 invalid_input "/template" "invalid_job_type"
    template "{{ who ": 422 invalid_input "/template" "invalid_job_type"
    input_schema "x": 422 invalid_input "/input_schema" "invalid_job_type"
    input_schema {"type":"odd"}: 422 invalid_input "/input_schema" "invalid_job_type"
    output_schema []: 422 invalid_input "/output_schema" "invalid_job_type"
    extra 1: 422 invalid_input "/extra" "unknown_field"
    "#);
    Ok(())
}

#[tokio::test]
async fn what_needs_no_key() -> Result<()> {
    let api = Api::new().await?;
    let open = |path: &'static str| api.send(Method::GET, path, "", &[], "");
    assert_eq!(open("/healthz").await?.at("/status"), "ok");
    let ready = open("/readyz").await?;
    assert_eq!((ready.status, ready.at("/ready")), (200, "true".into()));
    assert!(
        ready.json()["partition_days"]
            .as_u64()
            .is_some_and(|days| days >= 7),
        "{ready:?}"
    );
    assert_eq!(open("/").await?.status, 200);
    api.get("/v1/me").await?;
    assert_eq!(open("/metrics").await?.problem(), "404 no_route");
    let metrics = api.metrics().await?;
    let line = r#"offpeak_http_requests_total{method="GET",route="/v1/me",status="200"} 1"#;
    assert!(metrics.contains(line), "{metrics}");
    assert!(metrics.ends_with("# EOF\n"));
    Ok(())
}

#[tokio::test]
async fn no_room_for_today_is_said_before_and_at_a_submit() -> Result<()> {
    let api = Api::new().await?;
    api.world
        .meddle(
            "DO $$ DECLARE t text; BEGIN
                 FOR t IN SELECT inhrelid::regclass::text FROM pg_inherits
                           WHERE inhparent = 'offpeak.job'::regclass
                 LOOP EXECUTE 'DROP TABLE ' || t; END LOOP;
             END $$",
        )
        .await?;
    let ready = api.send(Method::GET, "/readyz", "", &[], "").await?;
    assert_eq!(
        (ready.status, ready.at("/partition_days")),
        (503, "0".into())
    );
    let refused = api.post("/v1/jobs", crate::api::raw_job("x")).await?;
    assert_eq!(refused.problem(), "503 unavailable");
    assert_eq!(refused.header("retry-after"), "1");
    Ok(())
}

#[tokio::test]
async fn a_lost_database_is_a_503_that_says_when_to_come_back() -> Result<()> {
    let api = Api::new().await?;
    assert_eq!(api.get("/v1/me").await?.status, 200);
    api.world.tenants.close().await;
    let refused = api.post("/v1/jobs", crate::api::raw_job("x")).await?;
    assert_eq!(refused.problem(), "503 unavailable");
    assert_eq!(refused.header("retry-after"), "1");
    let ready = api.send(Method::GET, "/readyz", "", &[], "").await?;
    assert_eq!((ready.status, ready.at("/database")), (503, "false".into()));
    let alive = api.send(Method::GET, "/healthz", "", &[], "").await?;
    assert_eq!(alive.status, 200);
    Ok(())
}

#[tokio::test]
async fn me_says_who_and_where_to() -> Result<()> {
    let api = Api::new().await?;
    let me = api.get("/v1/me").await?;
    assert_eq!(
        (me.at("/name"), me.at("/tenant")),
        ("acme".into(), api.world.tenant.to_string())
    );
    assert_eq!(me.at("/upstream/standin"), "true");
    assert!(me.at("/key").ends_with(&api.key[api.key.len() - 4..]) && !me.text.contains(&api.key));
    Ok(())
}
