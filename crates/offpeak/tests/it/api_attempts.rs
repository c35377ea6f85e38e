//! One job in detail: what was tried, what was asked, what it cost; and how it is
//! found among others.

use std::time::Duration;

use anyhow::Result;
use reqwest::Method;
use serde_json::{Value, json};

use crate::api::{Api, raw_job};

#[tokio::test]
async fn an_attempt_tells_its_way_and_its_bill() -> Result<()> {
    let mut api = Api::new().await?;
    let id = api
        .post("/v1/jobs", raw_job("One fine day."))
        .await?
        .at("/id");
    let attempts = format!("/v1/jobs/{id}/attempts");
    let waiting = api.get(&attempts).await?;
    assert_eq!(
        (
            waiting.at("/attempts/0/number"),
            waiting.at("/attempts/0/outcome")
        ),
        ("1".into(), "null".into())
    );
    assert_ne!(waiting.at("/attempts/0/waits_from"), "null");

    api.world.pass(Duration::from_secs(10));
    api.world.worker.settle_down().await?;
    let sent = api.get(&attempts).await?;
    assert_eq!(sent.at("/attempts/0/batch_state"), "in_progress");
    assert_eq!(sent.at("/attempts/0/lane"), "batch");
    assert_ne!(sent.at("/attempts/0/upstream_batch"), "null");

    api.world.run_out().await?;
    let ended = api.get(&attempts).await?;
    assert_eq!(ended.json()["attempts"].as_array().map(Vec::len), Some(1));
    let one = &ended.json()["attempts"][0];
    assert_eq!(
        (&one["outcome"], &one["is_result"]),
        (&json!("completed"), &json!(true))
    );
    for time in [
        "grouped_at",
        "sent_at",
        "created_at",
        "answered_at",
        "ended_at",
    ] {
        assert!(one[time].is_string(), "{time}: {one}");
    }
    let job = api.get(&format!("/v1/jobs/{id}")).await?;
    assert_eq!(one["batch"], job.json()["batch"]);
    assert_eq!(one["bill"]["cost"], job.json()["cost"]);
    assert_eq!(one["bill"]["cost_sync"], job.json()["cost_sync"]);
    let items: Vec<Value> = one["bill"]["lines"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|line| json!([line["item"], line["units"], line["each"].is_string()]))
        .collect();
    let used = job.json()["usage"].clone();
    assert_eq!(
        items,
        [
            json!(["input", used["input_tokens"], true]),
            json!(["output", used["output_tokens"], true]),
        ]
    );
    Ok(())
}

#[tokio::test]
async fn what_was_set_aside_stays_beside_what_counts() -> Result<()> {
    let mut api = Api::new().await?;
    let id = api.post("/v1/jobs", raw_job("One.")).await?.at("/id");
    api.world.run_out().await?;
    let again = format!("/v1/jobs/{id}/retry?completed=true");
    assert_eq!(api.post(&again, "").await?.status, 200);
    api.world.run_out().await?;
    let both = api.get(&format!("/v1/jobs/{id}/attempts")).await?.json()["attempts"].clone();
    let told: Vec<Value> = both
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| {
            json!([
                one["number"],
                one["is_result"],
                one["bill"]["cost"].is_string()
            ])
        })
        .collect();
    assert_eq!(told, [json!([1, false, true]), json!([2, true, true])]);

    // Canceled on its way: it is paid for all the same.
    let late = api.post("/v1/jobs", raw_job("Two.")).await?.at("/id");
    api.world.pass(Duration::from_secs(10));
    api.world.worker.settle_down().await?;
    api.post(&format!("/v1/jobs/{late}/cancel"), "").await?;
    let one = api.get(&format!("/v1/jobs/{late}/attempts")).await?;
    assert_eq!(one.at("/attempts/0/outcome"), "canceled");
    assert_eq!(one.at("/attempts/0/still_at_anthropic"), "true");
    Ok(())
}

#[tokio::test]
async fn the_request_is_what_is_sent() -> Result<()> {
    let mut api = Api::new().await?;
    let raw = raw_job("One.");
    let id = api.post("/v1/jobs", raw.clone()).await?.at("/id");
    let request = api.get(&format!("/v1/jobs/{id}/request")).await?;
    assert_eq!(request.header("content-type"), "application/json");
    let sent: Value = serde_json::from_str(&raw)?;
    assert_eq!(request.json(), sent["params"]);
    let typed = r#"{"type":"summarize","input":{"text":"A wolf."}}"#;
    let id = api.post("/v1/jobs", typed).await?.at("/id");
    let rendered = api.get(&format!("/v1/jobs/{id}/request")).await?;
    assert!(rendered.text.contains("A wolf."), "{rendered:?}");

    let (_, spy) = api.tenant("spy").await?;
    for path in ["request", "attempts"] {
        let path = format!("/v1/jobs/{id}/{path}");
        let theirs = api.send(Method::GET, &path, &spy, &[], "").await?;
        assert_eq!(theirs.problem(), "404 not_found");
    }
    Ok(())
}

#[tokio::test]
async fn jobs_are_found_by_time_label_and_batch() -> Result<()> {
    let mut api = Api::new().await?;
    let early = api.post("/v1/jobs", raw_job("Early.")).await?;
    // Too short an answer is cut off.
    let cut = raw_job("Tell me everything about wolves.").replace("256", "1");
    let cut = api.post("/v1/jobs", cut).await?.at("/id");
    let (early, at) = (early.at("/id"), early.at("/created_at"));
    api.world.run_out().await?;
    let late = api.post("/v1/jobs", raw_job("Late.")).await?.at("/id");

    let found = async |api: &Api, filter: &str| -> Result<Vec<String>> {
        let page = api.get(&format!("/v1/jobs?{filter}")).await?.json();
        let rows = page["data"].as_array().cloned().unwrap_or_default();
        Ok(rows
            .iter()
            .filter_map(|row| row["id"].as_str().map(str::to_owned))
            .collect())
    };
    let batch = api.get(&format!("/v1/jobs/{cut}")).await?;
    let (batch, label) = (batch.at("/batch"), batch.at("/label"));
    let both = vec![cut.clone(), early.clone()];
    assert_eq!(found(&api, &format!("batch={batch}")).await?, both);
    assert_eq!(
        found(&api, &format!("batch={batch}&state=completed")).await?,
        std::slice::from_ref(&early)
    );
    let labeled = found(&api, &format!("label={label}")).await?;
    assert_eq!(labeled, std::slice::from_ref(&cut));
    assert!(
        found(&api, &format!("label={label}&state=queued"))
            .await?
            .is_empty()
    );
    assert!(found(&api, "label=refused").await?.is_empty());
    assert_eq!(
        found(&api, &format!("since={at}")).await?,
        [late.clone(), cut, early]
    );
    assert!(found(&api, &format!("until={at}")).await?.is_empty());
    let moment = api
        .get(&format!("/v1/jobs/{late}"))
        .await?
        .at("/created_at");
    assert_eq!(found(&api, &format!("since={moment}")).await?, [late]);
    assert_eq!(found(&api, &format!("until={moment}")).await?, both);

    // A cursor belongs to one filter.
    let page = api.get("/v1/jobs?limit=1").await?.json();
    let cursor = page["next_cursor"].as_str().unwrap_or_default().to_owned();
    let other = api
        .get(&format!("/v1/jobs?limit=1&cursor={cursor}&batch={batch}"))
        .await?;
    assert_eq!(
        other.problem(),
        r#"400 invalid_cursor "cursor" "invalid_cursor""#
    );
    let (_, spy) = api.tenant("spy").await?;
    let path = format!("/v1/jobs?batch={batch}");
    let theirs = api.send(Method::GET, &path, &spy, &[], "").await?;
    assert_eq!(theirs.json()["data"], json!([]));
    Ok(())
}
