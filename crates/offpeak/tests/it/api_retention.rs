//! Retention over HTTP: who may set it, and how what is gone answers.

use std::time::Duration;

use anyhow::Result;
use offpeak_domain::scope::Role;
use offpeak_worker::Loop;
use reqwest::Method;

use crate::api::{Api, raw_job};
use crate::api_people::browser;

const DAY: Duration = Duration::from_hours(24);

#[tokio::test]
async fn a_tenant_sets_its_own_times_within_bounds() -> Result<()> {
    let mut api = Api::new().await?;
    let (_, other) = api.tenant("globex").await?;
    let first = api.get("/v1/retention").await?;
    assert_eq!(
        first.json(),
        serde_json::json!({
            "inputs_days": 30, "results_days": 30, "own_inputs": false, "own_results": false,
            "delete_upstream": false,
        })
    );
    let set = |body: &'static str| api.send(Method::PUT, "/v1/retention", &api.key, &[], body);
    for (body, problem) in [
        (
            r#"{"inputs_days":0}"#,
            r#"422 invalid_input "/inputs_days" "invalid_value""#,
        ),
        (
            r#"{"results_days":401}"#,
            r#"422 invalid_input "/results_days" "invalid_value""#,
        ),
        (
            r#"{"inputs_days":31}"#,
            r#"422 invalid_input "/inputs_days" "invalid_value""#,
        ),
        (
            r#"{"results_days":7}"#,
            r#"422 invalid_input "/inputs_days" "invalid_value""#,
        ),
        (
            r#"{"inputs_days":"7"}"#,
            r#"422 invalid_input "/inputs_days" "wrong_type""#,
        ),
        (
            r#"{"days":7}"#,
            r#"422 invalid_input "/days" "unknown_field""#,
        ),
    ] {
        assert_eq!(set(body).await?.problem(), problem, "{body}");
    }
    let answer = set(r#"{"inputs_days":2,"results_days":90,"delete_upstream":true}"#).await?;
    assert_eq!(
        (answer.status, answer.at("/inputs_days")),
        (200, "2".into())
    );
    let shown = api.get("/v1/retention").await?;
    assert_eq!(shown.at("/results_days"), "90");
    assert_eq!(shown.at("/own_inputs"), "true");
    assert_eq!(shown.at("/delete_upstream"), "true");
    // Nobody else's.
    let theirs = api
        .send(Method::GET, "/v1/retention", &other, &[], "")
        .await?;
    assert_eq!(theirs.text, first.text);
    // The whole of it: what is left out is the deployment's.
    assert_eq!(set("{}").await?.at("/results_days"), "30");

    let member = browser(&api, "ada", Role::Member).await?;
    let refused = api
        .as_page(Method::PUT, "/v1/retention", &member, "{}")
        .await?;
    assert_eq!(refused.problem(), "403 missing_scope");
    let seen = api
        .as_page(Method::GET, "/v1/retention", &member, "")
        .await?;
    assert_eq!(seen.status, 200);
    Ok(())
}

#[tokio::test]
async fn what_is_gone_answers_that_it_is() -> Result<()> {
    let mut api = Api::new().await?;
    let own = r#"{"inputs_days":1,"results_days":3}"#;
    api.send(Method::PUT, "/v1/retention", &api.key, &[], own)
        .await?;
    let body = raw_job("a secret").replacen('{', r#"{"metadata":{"n":1},"#, 1);
    let job = api.post("/v1/jobs", body).await?.at("/id");
    let lines = format!("{}\n", raw_job("in a group"));
    let group = api
        .post_with(
            "/v1/jobs/bulk",
            ("content-type", "application/x-ndjson"),
            lines,
        )
        .await?
        .at("/group");
    api.world.run_out().await?;
    let paths = ["", "/request", "/result", "/attempts"].map(|end| format!("/v1/jobs/{job}{end}"));
    for path in &paths {
        assert_eq!(api.get(path).await?.status, 200, "{path}");
    }

    api.world.pass(DAY * 2);
    while api.world.worker.tick(Loop::Purge).await?.done > 0 {}
    assert_eq!(api.get(&paths[1]).await?.problem(), "410 input_gone");
    for path in [&paths[0], &paths[2], &paths[3]] {
        let answer = api.get(path).await?;
        assert_eq!(answer.status, 200, "{path}");
        assert!(!answer.text.contains("metadata"), "{answer:?}");
    }
    let again = format!("/v1/jobs/{job}/retry?completed=true");
    assert_eq!(api.post(&again, "").await?.problem(), "410 input_gone");

    api.world.pass(DAY * 2);
    while api.world.worker.tick(Loop::Purge).await?.done > 0 {}
    assert_eq!(api.get(&paths[2]).await?.problem(), "410 result_gone");
    let shown = api.get(&paths[0]).await?;
    assert_eq!(
        (shown.status, shown.at("/state")),
        (200, "completed".into())
    );
    assert_eq!(api.get(&paths[3]).await?.status, 200);
    // As a line among others it says so.
    let results = api.get(&format!("/v1/groups/{group}/results")).await?;
    assert_eq!(results.lines()[0]["gone"], true);
    assert!(results.lines()[0]["text"].is_null());
    // What never was is still not there.
    let none = format!("/v1/jobs/job_{}/result", "0".repeat(26));
    assert_eq!(api.get(&none).await?.problem(), "404 not_found");
    api.world.check_invariants().await
}
