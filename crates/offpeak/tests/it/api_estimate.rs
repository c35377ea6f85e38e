//! What jobs would cost, over HTTP; and the versions of a job type.

use anyhow::Result;
use serde_json::{Value, json};

use crate::api::{Api, raw_job};
use crate::budgets;

#[tokio::test]
async fn an_estimate_stores_nothing_and_is_what_a_budget_reserves() -> Result<()> {
    let api = Api::new().await?;
    let one: Value = serde_json::from_str(&raw_job("One fine day."))?;
    let typed = json!({"type": "summarize", "input": {"text": "A wolf."}});
    let ask = json!({"jobs": [one, typed]}).to_string();
    let before = api.world.everything().await?;
    let told = api.post("/v1/estimate", ask.clone()).await?;
    assert_eq!(told.status, 200, "{told:?}");
    assert_eq!(api.world.everything().await?, before);

    let jobs = told.json()["jobs"].clone();
    assert_eq!(jobs[1]["type"], "summarize");
    assert_eq!(jobs[1]["answer_basis"], "words");
    let dollars = |value: &Value| -> f64 {
        value
            .as_str()
            .and_then(|text| text.parse().ok())
            .unwrap_or(f64::NAN)
    };
    for job in [&jobs[0], &jobs[1], &told.json()["total"]] {
        let (batch, direct) = (dollars(&job["cost_batch"]), dollars(&job["cost_direct"]));
        assert!(batch > 0.0 && (direct - 2.0 * batch).abs() < 1e-12, "{job}");
    }
    assert_eq!(told.at("/jobs/0/correction"), "1.000");
    assert_eq!(told.at("/total/cost"), told.at("/total/cost_batch"));

    // What the submit reserves is the same.
    let all = json!({"scope": "tenant", "period": "day"});
    budgets::set(&api, all, 1_000_000_000_000).await?;
    let job = raw_job("One fine day.");
    assert_eq!(api.post("/v1/jobs", job).await?.status, 202);
    let reserved = api
        .get("/v1/budgets")
        .await?
        .at("/budgets/0/uses/0/reserved");
    assert_eq!(jobs[0]["cost_batch"], reserved);
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_estimated_says_where() -> Result<()> {
    let api = Api::new().await?;
    let one: Value = serde_json::from_str(&raw_job("One."))?;
    let none = json!({"type": "nothing", "input": {}});
    let odd = json!({"type": "summarize", "inputs": {}});
    let told = api
        .post(
            "/v1/estimate",
            json!({"jobs": [one, none, odd]}).to_string(),
        )
        .await?;
    let json = told.json();
    let fields: Vec<&Value> = json["errors"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|fault| &fault["field"])
        .collect();
    assert_eq!(fields, ["/jobs/1/type", "/jobs/2/inputs"], "{told:?}");
    let many = json!({"jobs": vec![one; 101]}).to_string();
    let refused = api.post("/v1/estimate", many).await?;
    assert_eq!(
        refused.problem(),
        r#"422 invalid_input "/jobs" "invalid_value""#
    );
    Ok(())
}

#[tokio::test]
async fn every_version_is_listed_newest_first() -> Result<()> {
    let mut api = Api::new().await?;
    let of = |template: &str| {
        json!({"name": "classify", "model": "claude-haiku-5-5", "max_tokens": 9,
            "template": template, "input_schema": {"type": "object"}})
        .to_string()
    };
    for template in ["One.", "Two."] {
        assert_eq!(api.post("/v1/job-types", of(template)).await?.status, 201);
    }
    let list = api.get("/v1/job-types/classify/versions").await?.json();
    let told: Vec<Value> = list["data"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| json!([one["version"], one["shipped"]]))
        .collect();
    assert_eq!(
        told,
        [json!([3, false]), json!([2, false]), json!([1, true])]
    );
    let first = api.get("/v1/job-types/classify/versions?limit=2").await?;
    let rest = format!(
        "/v1/job-types/classify/versions?limit=2&cursor={}",
        first.at("/next_cursor")
    );
    assert_eq!(api.get(&rest).await?.json()["data"][0], list["data"][2]);

    let (_, spy) = api.tenant("spy").await?;
    let path = "/v1/job-types/classify/versions";
    let theirs = api.send(reqwest::Method::GET, path, &spy, &[], "").await?;
    assert_eq!(theirs.json()["data"].as_array().map(Vec::len), Some(1));
    let none = api.get("/v1/job-types/nothing/versions").await?;
    assert_eq!(none.problem(), "404 not_found");
    Ok(())
}
