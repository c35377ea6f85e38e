//! Many jobs at once: what can be done is done, and why not is said of the rest.

use std::time::Duration;

use anyhow::Result;
use reqwest::Method;
use serde_json::{Value, json};

use crate::api::{Answer, Api, raw_job};

const NOBODYS: &str = "job_00000000000000000000000000";

/// Ids that were left as they are, with why.
fn left(answer: &Answer) -> Vec<Value> {
    let json = answer.json();
    let rows = json["not_done"].as_array().cloned().unwrap_or_default();
    rows.iter()
        .map(|row| json!([row["id"], row["code"]]))
        .collect()
}

#[tokio::test]
async fn a_cancel_of_many_says_why_others_stay() -> Result<()> {
    let mut api = Api::new().await?;
    let ended = api.post("/v1/jobs", raw_job("Zero.")).await?.at("/id");
    api.world.run_out().await?;
    let at_anthropic = api.post("/v1/jobs", raw_job("One.")).await?.at("/id");
    api.world.pass(Duration::from_secs(10));
    api.world.worker.settle_down().await?;
    let queued = api.post("/v1/jobs", raw_job("Two.")).await?.at("/id");
    let (_, other) = api.tenant("other").await?;
    let theirs = api
        .send(Method::POST, "/v1/jobs", &other, &[], raw_job("Three."))
        .await?
        .at("/id");

    let ids = json!({"ids": [ended, at_anthropic, queued, queued, theirs, NOBODYS, "x"]});
    let done = api.post("/v1/jobs/cancel", ids.to_string()).await?;
    assert_eq!(done.at("/canceled"), "2", "{done:?}");
    assert_eq!(
        left(&done),
        [
            json!(["x", "not_found"]),
            json!([NOBODYS, "not_found"]),
            json!([theirs, "not_found"]),
            json!([ended, "job_ended"]),
        ]
    );
    let state = api.get(&format!("/v1/jobs/{at_anthropic}")).await?;
    assert_eq!(state.at("/state"), "canceled");
    let untouched = format!("/v1/jobs/{theirs}");
    let untouched = api.send(Method::GET, &untouched, &other, &[], "").await?;
    assert_eq!(untouched.at("/state"), "queued");
    api.world.run_out().await?;
    api.world.check_invariants().await
}

#[tokio::test]
async fn a_retry_of_many_says_why_others_stay() -> Result<()> {
    let mut api = Api::new().await?;
    let completed = api.post("/v1/jobs", raw_job("Zero.")).await?.at("/id");
    api.world.run_out().await?;
    let at_anthropic = api.post("/v1/jobs", raw_job("One.")).await?.at("/id");
    api.world.pass(Duration::from_secs(10));
    api.world.worker.settle_down().await?;
    let canceled = api.post("/v1/jobs", raw_job("Two.")).await?.at("/id");
    let queued = api.post("/v1/jobs", raw_job("Three.")).await?.at("/id");
    let both = json!({"ids": [at_anthropic, canceled]}).to_string();
    assert_eq!(
        api.post("/v1/jobs/cancel", both).await?.at("/canceled"),
        "2"
    );

    let ids = json!({"ids": [completed, at_anthropic, canceled, queued, NOBODYS]});
    let done = api.post("/v1/jobs/retry", ids.to_string()).await?;
    assert_eq!(done.at("/retried"), "1", "{done:?}");
    assert_eq!(
        left(&done),
        [
            json!([NOBODYS, "not_found"]),
            json!([completed, "already_completed"]),
            json!([at_anthropic, "job_in_flight"]),
            json!([queued, "job_not_ended"]),
        ]
    );
    let ids = json!({"ids": [completed], "completed": true}).to_string();
    assert_eq!(api.post("/v1/jobs/retry", ids).await?.at("/retried"), "1");
    api.world.run_out().await?;
    for id in [completed, canceled, queued] {
        let job = api.get(&format!("/v1/jobs/{id}")).await?;
        assert_eq!(job.at("/state"), "completed");
    }
    api.world.check_invariants().await
}

#[tokio::test]
async fn a_thousand_are_done_in_one_call() -> Result<()> {
    let api = Api::new().await?;
    let body: Vec<String> = (0..1_000).map(|n| raw_job(&format!("{n}"))).collect();
    api.post("/v1/jobs/bulk", body.join("\n")).await?;
    let ids = api
        .world
        .texts("SELECT id::text FROM offpeak.job ORDER BY id")
        .await?;
    let ids: Vec<String> = ids
        .iter()
        .filter_map(|id| Some(offpeak_domain::id::JobId::from_uuid(id.parse().ok()?).to_string()))
        .collect();
    let all = json!({"ids": ids}).to_string();
    let canceled = api.post("/v1/jobs/cancel", all.clone()).await?;
    assert_eq!(canceled.at("/canceled"), "1000");
    assert_eq!(
        api.post("/v1/jobs/cancel", all.clone())
            .await?
            .at("/canceled"),
        "0"
    );
    assert_eq!(
        api.post("/v1/jobs/retry", all).await?.at("/retried"),
        "1000"
    );
    api.world.check_invariants().await
}

/// Two that meet in the same batches would wait for each other, if each began with
/// whichever row stands first on its page.
#[tokio::test]
async fn a_cancel_locks_batches_in_the_order_of_their_ids() -> Result<()> {
    let api = Api::new().await?;
    let mut jobs = Vec::new();
    for text in ["One.", "Two."] {
        jobs.push(api.post("/v1/jobs", raw_job(text)).await?.at("/id"));
        api.world.pass(Duration::from_secs(10));
        api.world.worker.settle_down().await?;
    }
    // The older row moves behind the younger one.
    api.world
        .meddle(
            "UPDATE offpeak.batch SET next_poll_at = next_poll_at
              WHERE id = (SELECT id FROM offpeak.batch ORDER BY id LIMIT 1)",
        )
        .await?;
    // So few rows are read as they stand, once it is known how few.
    api.world.meddle("ANALYZE offpeak.batch").await?;
    let younger = "SELECT FROM offpeak.batch WHERE id = (SELECT id FROM offpeak.batch
                    ORDER BY id DESC LIMIT 1) FOR UPDATE";
    let held = api.world.hold(younger).await?;
    let ids = json!({ "ids": jobs }).to_string();
    let canceling = async { api.post("/v1/jobs/cancel", ids).await };
    let looking = async {
        let waits = "SELECT count(*) FROM pg_stat_activity
                      WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while api.world.number(waits).await? == 0 {
            tokio::task::yield_now().await;
        }
        let free = "SELECT count(*) FROM (SELECT FROM offpeak.batch ORDER BY id LIMIT 1
                       FOR UPDATE SKIP LOCKED) AS older";
        let free = api.world.number(free).await?;
        drop(held);
        anyhow::Ok(free)
    };
    let (canceled, free) = tokio::join!(canceling, looking);
    assert_eq!(
        free?, 0,
        "it waits for the younger one and has the older one"
    );
    assert_eq!(canceled?.at("/canceled"), "2");
    Ok(())
}
