//! What goes before a job that waits for a batch or a call, and when it ends: counted and measured, or not said.

use anyhow::Result;
use offpeak_worker::Loop;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

use crate::api::{Api, raw_job};

/// A job of this priority.
fn with_priority(prompt: &str, priority: &str) -> Result<String> {
    let job: Value = serde_json::from_str(&raw_job(prompt))?;
    Ok(json!({"params": job["params"], "priority": priority}).to_string())
}

async fn submit(api: &Api, body: String) -> Result<String> {
    let made = api.post("/v1/jobs", body).await?;
    assert_eq!(made.status, 202, "{made:?}");
    Ok(made.at("/id").trim_matches('"').to_owned())
}

/// `ahead` and whether `left` is said.
async fn placed(api: &Api, id: &str) -> Result<(Value, bool)> {
    let shown = api.get(&format!("/v1/jobs/{id}")).await?.json();
    Ok((shown["ahead"].clone(), shown["left"].is_object()))
}

fn ahead(jobs: u64) -> Value {
    json!({"jobs": jobs, "more": false})
}

#[tokio::test]
async fn those_go_before_it_that_came_first_or_are_more_urgent() -> Result<()> {
    let mut api = Api::new().await?;
    // Others wait in queues of their own.
    let (_, neighbour) = api.tenant("neighbour").await?;
    api.send(Method::POST, "/v1/jobs", &neighbour, &[], raw_job("x"))
        .await?;
    let first = submit(&api, raw_job("a")).await?;
    let second = submit(&api, raw_job("b")).await?;
    let low = submit(&api, with_priority("c", "low")?).await?;
    let high = submit(&api, with_priority("d", "high")?).await?;
    for (id, before) in [(&high, 0), (&first, 1), (&second, 2), (&low, 3)] {
        // Nothing was measured: nothing is said of when.
        assert_eq!(placed(&api, id).await?, (ahead(before), false), "{id}");
    }
    // In a list nothing is counted.
    let listed = api.get("/v1/jobs").await?.json();
    assert!(listed["data"][0].get("ahead").is_none(), "{listed}");
    // Nor for the tenant's own users, of whom each would hear how many others there are.
    let labelled =
        json!({"params": serde_json::from_str::<Value>(&raw_job("e"))?["params"], "user": "bob"});
    let of_bob = submit(&api, labelled.to_string()).await?;
    let ticket = api
        .post("/v1/live/tickets", json!({"user": "bob"}).to_string())
        .await?
        .at("/ticket");
    let ticket = ticket.trim_matches('"');
    let path = format!("/v1/jobs/{of_bob}?ticket={ticket}");
    let seen = api.send(Method::GET, &path, "", &[], "").await?;
    assert_eq!(seen.status, 200, "{seen:?}");
    assert!(seen.json().get("ahead").is_none(), "{seen:?}");
    // On its way nothing goes before it any more.
    api.world.pass(Duration::from_mins(2));
    api.world.worker.tick(Loop::Form).await?;
    assert_eq!(placed(&api, &second).await?, (Value::Null, false));
    Ok(())
}

/// A job that is called for directly.
fn urgent(prompt: &str, within: &str) -> Result<String> {
    let job: Value = serde_json::from_str(&raw_job(prompt))?;
    Ok(json!({"params": job["params"], "deliver_within": within}).to_string())
}

#[tokio::test]
async fn those_are_called_for_before_it_that_are_wanted_earlier() -> Result<()> {
    let mut api = Api::new().await?;
    let (_, neighbour) = api.tenant("neighbour").await?;
    api.send(
        Method::POST,
        "/v1/jobs",
        &neighbour,
        &[],
        urgent("x", "5s")?,
    )
    .await?;
    // What waits for a batch is not in its way.
    submit(&api, raw_job("a")).await?;
    let minute = submit(&api, urgent("b", "20m")?).await?;
    let again = submit(&api, urgent("c", "20m")?).await?;
    let soon = submit(&api, urgent("d", "20s")?).await?;
    for (id, before) in [(&soon, 0), (&minute, 1), (&again, 2)] {
        let shown = api.get(&format!("/v1/jobs/{id}")).await?.json();
        assert_eq!(shown["lane"], "direct", "{shown}");
        assert_eq!((&shown["ahead"], shown.get("left")), (&ahead(before), None));
    }
    // One that waits for its time is called for after those that do not.
    api.world
        .meddle(
            "UPDATE offpeak.ready SET not_before = clock_timestamp() + interval '1 hour'
              WHERE lane = 'direct' AND deadline = (SELECT min(deadline) FROM offpeak.ready
                                                     WHERE lane = 'direct'
                                                       AND tenant_id = (SELECT id FROM offpeak.tenant
                                                                         WHERE name = 'acme'))",
        )
        .await?;
    assert_eq!(placed(&api, &minute).await?, (ahead(0), false));
    let lines: String = (0..1_001)
        .map(|n| Ok(urgent(&format!("e {n}"), "30s")? + "\n"))
        .collect::<Result<_>>()?;
    let group = api.post("/v1/jobs/bulk", lines).await?;
    assert_eq!(group.status, 202, "{group:?}");
    let many = json!({"jobs": 1_000, "more": true});
    assert_eq!(placed(&api, &again).await?, (many, false));
    Ok(())
}

#[tokio::test]
async fn a_time_is_said_once_twenty_were_measured_and_never_beyond_what_is_counted() -> Result<()> {
    let api = Api::new().await?;
    api.world
        .meddle(
            "INSERT INTO offpeak.turnaround (upstream_id, lane, day, hour, size, bin, n)
             SELECT id, 'batch', (clock_timestamp() AT TIME ZONE 'UTC')::date,
                    extract(hour FROM clock_timestamp() AT TIME ZONE 'UTC'), size, 40, 20
               FROM offpeak.upstream, generate_series(0, 6) AS size",
        )
        .await?;
    let early = submit(&api, raw_job("a")).await?;
    assert_eq!(placed(&api, &early).await?, (ahead(0), true));
    let lines: String = (0..1_001)
        .map(|n| raw_job(&format!("b {n}")) + "\n")
        .collect();
    let group = api.post("/v1/jobs/bulk", lines).await?;
    assert_eq!(group.status, 202, "{group:?}");
    let last = submit(&api, raw_job("c")).await?;
    let many = json!({"jobs": 1_000, "more": true});
    assert_eq!(placed(&api, &last).await?, (many, false));
    // While nothing is sent nobody can tell.
    api.world
        .meddle(
            "UPDATE offpeak.upstream
                SET paused_reason = 'billing', paused_until = clock_timestamp() + interval '1 hour'",
        )
        .await?;
    assert_eq!(placed(&api, &early).await?, (ahead(0), false));
    Ok(())
}
