//! Submitting one job, and every way in which that is refused.

use std::time::Duration;

use anyhow::Result;
use futures_util::future::join_all;
use offpeak_store::job;
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::api::{Api, raw_job};

const SUMMARIZE: &str = r#"{"type":"summarize","input":{"text":"One. Two."},"user":"ada",
    "priority":"high","metadata":{"file": "a.txt",  "n": 1.50}}"#;

#[tokio::test]
async fn what_was_accepted_is_shown_and_listed() -> Result<()> {
    let api = Api::new().await?;
    let accepted = api.post("/v1/jobs", SUMMARIZE).await?;
    assert_eq!(accepted.status, 202, "{accepted:?}");
    let id = accepted.at("/id");
    assert_eq!(accepted.header("location"), format!("/v1/jobs/{id}"));
    let shown = api.get(&format!("/v1/jobs/{id}")).await?;
    // One alone knows what goes before it.
    let mut job = shown.json();
    let ahead = job.as_object_mut().and_then(|job| job.remove("ahead"));
    assert!(ahead.is_some(), "{}", shown.text);
    assert_eq!(job, accepted.json());
    for (field, value) in [
        ("state", json!("queued")),
        ("detail", json!("waiting")),
        ("type", json!("summarize")),
        ("type_version", json!(1)),
        ("user", json!("ada")),
        ("priority", json!("high")),
        ("lane", json!("batch")),
        ("attempt", json!(1)),
        ("expected_by", json!(null)),
    ] {
        assert_eq!(job[field], value, "{field}");
    }
    assert!(
        shown
            .text
            .contains(r#""metadata":{"file":"a.txt","n":1.50}"#),
        "{}",
        shown.text
    );
    assert!(
        !shown.text.contains("One. Two."),
        "no prompt in a job's head"
    );
    let listed = api
        .get("/v1/jobs?state=queued&type=summarize&user=ada")
        .await?;
    assert_eq!(listed.json()["data"], json!([job]));
    assert_eq!(
        api.get("/v1/jobs?user=eve").await?.json()["data"],
        json!([])
    );
    Ok(())
}

/// The answer to a submit is made without reading the job back. What goes before a job
/// is said where it is read.
#[tokio::test]
async fn an_answer_is_what_a_read_shows() -> Result<()> {
    let api = Api::new().await?;
    let keyed =
        |key: &str, body: &str| body.replacen('{', &format!(r#"{{"idempotency_key":"{key}","#), 1);
    for body in [
        SUMMARIZE.to_owned(),
        // By now the key and the type's newest version are remembered.
        SUMMARIZE.to_owned(),
        keyed("run-1", SUMMARIZE),
        raw_job("x"),
        keyed("run-2", &raw_job("x")).replacen('{', r#"{"priority":"low","#, 1),
    ] {
        let accepted = api.post("/v1/jobs", body).await?;
        assert_eq!(accepted.status, 202, "{accepted:?}");
        let shown = api.get(&format!("/v1/jobs/{}", accepted.at("/id"))).await?;
        let ahead = shown
            .json()
            .get("ahead")
            .map_or(String::new(), |ahead| format!(r#","ahead":{ahead}"#));
        assert_eq!(shown.text.replacen(&ahead, "", 1), accepted.text);
    }
    // Each id is a UUIDv7 of the database's own time.
    let dated = "SELECT count(*) FROM offpeak.ready
                  WHERE id::text LIKE '________-____-7___-%'
                    AND left(replace(id::text, '-', ''), 12)
                        = lpad(to_hex(floor(extract(epoch FROM not_before) * 1000)::bigint), 12, '0')
                    AND not_before BETWEEN clock_timestamp() - interval '1 hour'
                                       AND clock_timestamp()";
    assert_eq!(api.world.number(dated).await?, 5);
    Ok(())
}

#[tokio::test]
async fn raw_params_go_on_byte_for_byte() -> Result<()> {
    let api = Api::new().await?;
    let params = r#"{ "max_tokens":16,"model" : "claude-haiku-5-5","messages":
        [{"role":"user","content":"\u00e9 \\ \u0041"}] }"#;
    let accepted = api
        .post("/v1/jobs", format!(r#"{{"params":{params}}}"#))
        .await?;
    assert_eq!(accepted.status, 202, "{accepted:?}");
    let mut tx = api.world.tenants.begin(api.world.tenant).await?;
    let stored = job::params(&mut tx, accepted.at("/id").parse()?).await?;
    assert_eq!(String::from_utf8(stored)?, params);
    Ok(())
}

#[tokio::test]
async fn a_key_makes_one_job() -> Result<()> {
    let api = Api::new().await?;
    let key = ("idempotency-key", "run-1");
    let first = api.post_with("/v1/jobs", key, SUMMARIZE).await?;
    let again = api.post_with("/v1/jobs", key, SUMMARIZE).await?;
    assert_eq!((first.status, again.status), (202, 200));
    assert_eq!(first.at("/id"), again.at("/id"));
    assert_eq!(again.at("/replayed"), "true");
    let other = api.post_with("/v1/jobs", key, raw_job("x")).await?;
    assert_eq!(other.problem(), "422 idempotency_key_reused");
    let bulk = api.post_with("/v1/jobs/bulk", key, raw_job("x")).await?;
    assert_eq!(bulk.problem(), "422 idempotency_key_reused");

    let mut in_body = json!({"idempotency_key": "run-2"});
    in_body["params"] = serde_json::from_str::<serde_json::Value>(&raw_job("x"))?["params"].take();
    let first = api.post("/v1/jobs", in_body.to_string()).await?;
    let again = api.post("/v1/jobs", in_body.to_string()).await?;
    assert_eq!((first.status, again.status), (202, 200), "{first:?}");
    let both = api.post_with("/v1/jobs", key, in_body.to_string()).await?;
    assert_eq!(
        both.problem(),
        r#"422 invalid_input "/idempotency_key" "conflicting_fields""#
    );
    assert_eq!(
        api.world.number("SELECT count(*) FROM offpeak.job").await?,
        2
    );
    Ok(())
}

#[tokio::test]
async fn a_key_makes_one_job_also_when_all_come_at_once() -> Result<()> {
    let api = Api::new().await?;
    let key = ("idempotency-key", "run-1");
    let all = join_all((0..8).map(|_| api.post_with("/v1/jobs", key, SUMMARIZE))).await;
    let mut ids = Vec::new();
    let mut accepted = 0;
    for answer in all {
        let answer = answer?;
        accepted += u32::from(answer.status == 202);
        ids.push(answer.at("/id"));
    }
    ids.dedup();
    assert_eq!((accepted, ids.len()), (1, 1));
    assert_eq!(
        api.world
            .number("SELECT count(*) FROM offpeak.ready")
            .await?,
        1
    );
    Ok(())
}

#[tokio::test]
async fn what_is_wrong_is_named_and_nothing_stored() -> Result<()> {
    let api = Api::new().await?;
    let params = |more: &str| {
        format!(
            r#"{{"params":{{"model":"claude-haiku-5-5","max_tokens":9,
                "messages":[{{"role":"user","content":"a"}}]{more}}}}}"#
        )
    };
    let typed = |input: &str| format!(r#"{{"type":"classify","input":{input}}}"#);
    let cases = [
        ("no JSON", "{\"type\": \"a\",}".into()),
        ("nothing", String::new()),
        ("an array", "[1]".into()),
        ("neither", "{}".into()),
        (
            "both",
            r#"{"type":"summarize","params":{},"input":{}}"#.into(),
        ),
        (
            "unknown field",
            r#"{"type":"summarize","deadline":"1h"}"#.into(),
        ),
        ("wrong type", r#"{"type":5,"input":{}}"#.into()),
        (
            "priority",
            r#"{"type":"summarize","priority":"asap"}"#.into(),
        ),
        ("unknown type", r#"{"type":"translate","input":{}}"#.into()),
        ("odd type", "{\"type\":\"a\\u0000\",\"input\":{}}".into()),
        ("no input", r#"{"type":"summarize"}"#.into()),
        ("schema: missing", typed(r#"{"text":"a"}"#)),
        ("schema: type", typed(r#"{"text":"a","categories":"b"}"#)),
        (
            "schema: extra",
            typed(r#"{"text":"a","categories":["b","c"],"x":1}"#),
        ),
        (
            "surrogate",
            r#"{"type":"summarize","input":{"text":"\ud800"}}"#.into(),
        ),
        (
            "unknown model",
            params(r#","x":1"#).replace("haiku-5-5", "haiku-99"),
        ),
        ("temperature", params(r#","temperature":0"#)),
        ("stream", params(r#","stream":true"#)),
        (
            "input beside params",
            params("").replacen('{', r#"{"input":{},"#, 1),
        ),
        ("user", params("").replacen('{', r#"{"user":"a\u0000","#, 1)),
        (
            "long user",
            params("").replacen('{', &format!(r#"{{"user":"{}","#, "é".repeat(257)), 1),
        ),
        (
            "metadata",
            params("").replacen('{', r#"{"metadata":[1],"#, 1),
        ),
    ];
    let mut seen = Vec::new();
    for (what, body) in cases {
        let answer = api.post("/v1/jobs", body).await?;
        seen.push(format!("{what}: {}", answer.problem()));
    }
    insta::assert_snapshot!(seen.join("\n"), @r#"
    no JSON: 400 invalid_json "" "invalid_json"
    nothing: 400 invalid_json "" "invalid_json"
    an array: 422 invalid_input "" "wrong_type"
    neither: 422 invalid_input "" "missing_field"
    both: 422 invalid_input "/params" "conflicting_fields"
    unknown field: 422 invalid_input "/deadline" "unknown_field"
    wrong type: 422 invalid_input "/type" "wrong_type"
    priority: 422 invalid_input "/priority" "wrong_type"
    unknown type: 422 unknown_job_type "/type" "unknown_job_type"
    odd type: 422 unknown_job_type "/type" "unknown_job_type"
    no input: 422 invalid_input "/input" "missing_field"
    schema: missing: 422 invalid_input "/input/categories" "schema_violation"
    schema: type: 422 invalid_input "/input/categories" "schema_violation"
    schema: extra: 422 invalid_input "/input" "schema_violation"
    surrogate: 422 invalid_input "/input/text" "invalid_text"
    unknown model: 422 unknown_model "/params/model" "unknown_model"
    temperature: 422 invalid_input "/params/temperature" "invalid_params"
    stream: 422 invalid_input "/params/stream" "invalid_params"
    input beside params: 422 invalid_input "/input" "conflicting_fields"
    user: 422 invalid_input "/user" "invalid_text"
    long user: 422 invalid_input "/user" "too_long"
    metadata: 422 invalid_input "/metadata" "wrong_type"
    "#);
    assert_eq!(
        api.world.number("SELECT count(*) FROM offpeak.job").await?,
        0
    );
    assert_eq!(
        api.world
            .number("SELECT count(*) FROM offpeak.delta")
            .await?,
        0
    );
    Ok(())
}

#[tokio::test]
async fn a_body_of_the_wrong_kind_or_length_is_refused() -> Result<()> {
    let api = Api::new().await?;
    let kind = ("content-type", "application/x-www-form-urlencoded");
    let form = api.post_with("/v1/jobs", kind, SUMMARIZE).await?;
    assert_eq!(form.problem(), "415 wrong_media_type");
    let zipped = api
        .post_with("/v1/jobs", ("content-encoding", "gzip"), SUMMARIZE)
        .await?;
    assert_eq!(zipped.problem(), "415 wrong_media_type");
    let long = raw_job(&"x".repeat(32_000_000));
    assert_eq!(api.post("/v1/jobs", long).await?.problem(), "413 too_large");
    let key = "k".repeat(256);
    let key = api
        .post_with("/v1/jobs", ("idempotency-key", &key), SUMMARIZE)
        .await?;
    assert_eq!(
        key.problem(),
        r#"400 invalid_header "idempotency-key" "invalid_value""#
    );
    Ok(())
}

/// A client that sends all of its body before it looks at the answer.
#[tokio::test]
async fn a_refusal_reaches_who_is_still_sending() -> Result<()> {
    let api = Api::new().await?;
    let body = vec![b'x'; 40_000_000];
    for (path, key, status) in [
        ("/v1/jobs", "x", "413"),
        ("/v1/jobs", api.key.as_str(), "413"),
        ("/v1/jobs/bulk", "x", "401"),
        ("/v1/nothing", "x", "413"),
    ] {
        let mut socket = TcpStream::connect(api.url.trim_start_matches("http://")).await?;
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        socket.write_all(head.as_bytes()).await?;
        socket.write_all(&body).await?;
        let mut answer = [0; 12];
        socket.read_exact(&mut answer).await?;
        assert_eq!(
            String::from_utf8_lossy(&answer),
            format!("HTTP/1.1 {status}")
        );
    }
    Ok(())
}

/// A client that waits for the answer to what it announced.
#[tokio::test]
async fn a_body_that_is_announced_too_long_is_refused_unsent() -> Result<()> {
    let api = Api::new().await?;
    let mut socket = TcpStream::connect(api.url.trim_start_matches("http://")).await?;
    let head = format!(
        "POST /v1/jobs HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-length: 32000001\r\n\r\n",
        api.key
    );
    socket.write_all(head.as_bytes()).await?;
    let mut answer = [0; 12];
    let read = socket.read_exact(&mut answer);
    // Without the check the server waits for the body until the test gives up.
    tokio::time::timeout(Duration::from_secs(10), read).await??;
    assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 413");
    Ok(())
}

#[tokio::test]
async fn requests_have_ids_and_paths_have_methods() -> Result<()> {
    let api = Api::new().await?;
    let own = api
        .send(
            Method::GET,
            "/v1/jobs/x",
            &api.key,
            &[("x-request-id", "mine-7")],
            "",
        )
        .await?;
    assert_eq!(own.problem(), "404 not_found");
    assert_eq!(
        (own.header("x-request-id"), own.at("/request_id").as_str()),
        ("mine-7", "mine-7")
    );
    let odd = api
        .send(
            Method::GET,
            "/healthz",
            "",
            &[("x-request-id", "a b{}")],
            "",
        )
        .await?;
    assert_eq!(odd.status, 200);
    assert!(odd.header("x-request-id").starts_with("req_"), "{odd:?}");

    assert_eq!(api.get("/v2/jobs").await?.problem(), "404 no_route");
    assert_eq!(api.get("/v1/nothing").await?.problem(), "404 no_route");
    let method = api
        .send(Method::DELETE, "/v1/jobs", &api.key, &[], "")
        .await?;
    assert_eq!(method.problem(), "405 method_not_allowed");
    assert_eq!(method.header("allow"), "POST,GET,HEAD");
    Ok(())
}

#[tokio::test]
async fn a_list_refuses_what_it_does_not_know() -> Result<()> {
    let api = Api::new().await?;
    let mut seen = Vec::new();
    for query in [
        "limit=0",
        "limit=201",
        "state=done",
        "stat=failed",
        "group=x",
        "cursor=AAAA",
    ] {
        let answer = api.get(&format!("/v1/jobs?{query}")).await?;
        seen.push(format!("{query}: {}", answer.problem()));
    }
    for query in [
        "from=yesterday",
        "by=color",
        "from=2026-02-02&to=2026-02-01",
    ] {
        let answer = api.get(&format!("/v1/usage?{query}")).await?;
        seen.push(format!("{query}: {}", answer.problem()));
    }
    insta::assert_snapshot!(seen.join("\n"), @r#"
    limit=0: 400 invalid_query "limit" "invalid_value"
    limit=201: 400 invalid_query "limit" "invalid_value"
    state=done: 400 invalid_query "state" "invalid_value"
    stat=failed: 400 invalid_query "stat" "unknown_parameter"
    group=x: 400 invalid_query "group" "invalid_value"
    cursor=AAAA: 400 invalid_cursor "cursor" "invalid_cursor"
    from=yesterday: 400 invalid_query "from" "invalid_value"
    by=color: 400 invalid_query "by" "invalid_value"
    from=2026-02-02&to=2026-02-01: 400 invalid_query "from" "invalid_value"
    "#);
    Ok(())
}
