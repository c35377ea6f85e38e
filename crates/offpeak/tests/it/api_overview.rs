//! The first screen: what one cheap answer says of a tenant's work.

#![expect(clippy::expect_used, reason = "a test ends where it cannot go on")]

use std::time::Duration;

use anyhow::Result;
use offpeak_worker::Loop;
use reqwest::Method;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::api::{Api, raw_job};

fn sum(series: &Value) -> u64 {
    let numbers = series.as_array().expect("a series").iter();
    numbers.filter_map(Value::as_u64).sum()
}

#[tokio::test]
async fn what_was_done_stands_in_one_answer() -> Result<()> {
    let mut api = Api::new().await?;
    let empty = api.get("/v1/overview").await?;
    assert_eq!(empty.at("/waiting_since"), "null");
    assert_eq!(empty.at("/spend_today/cost"), "0");
    let pace = empty.json()["pace"].clone();
    assert_eq!(pace["accepted"], json!(vec![0; 60]));
    assert_eq!(
        [&empty.json()["batches"], &empty.json()["time_to_result"]],
        [&json!([]), &json!([])]
    );

    let typed = r#"{"type":"summarize","input":{"text":"One. Two."}}"#;
    let body = [typed, &raw_job("Three."), &raw_job("Four.")].join("\n");
    api.post("/v1/jobs/bulk", body).await?;
    api.world.worker.tick(Loop::Fold).await?;
    let queued = api.get("/v1/overview").await?;
    assert_eq!(queued.at("/jobs/queued"), "3");
    assert_ne!(queued.at("/waiting_since"), "null");
    assert_eq!(sum(&queued.json()["pace"]["accepted"]), 3);

    api.world.pass(Duration::from_secs(10));
    api.world.worker.settle_down().await?;
    let sent = api.get("/v1/overview").await?;
    assert_eq!(sent.at("/waiting_since"), "null");
    let at_anthropic: Vec<Value> = sent.json()["batches"]
        .as_array()
        .expect("batches")
        .iter()
        .filter(|one| one["state"] == "in_progress")
        .map(|one| one["items"].clone())
        .collect();
    assert_eq!(at_anthropic, [json!(3)]);

    api.world.run_out().await?;
    let ended = api.get("/v1/overview?window=24h").await?;
    assert_eq!(ended.at("/jobs/completed"), "3");
    assert_eq!(ended.json()["batches"], json!([]));
    let pace = &ended.json()["pace"];
    assert_eq!(pace["step_seconds"], 900);
    assert_eq!(
        ["accepted", "completed", "failed"].map(|series| sum(&pace[series])),
        [3, 3, 0]
    );
    // Three of them say nothing about a half.
    assert_eq!(
        ended.json()["time_to_result"],
        json!([
            {"type": null, "results": 2, "p50_seconds": null, "p95_seconds": null},
            {"type": "summarize", "results": 1, "p50_seconds": null, "p95_seconds": null},
        ])
    );
    assert!(!ended.header("offpeak-cursor").is_empty());
    let wrong = api.get("/v1/overview?window=2h").await?;
    assert_eq!(
        wrong.problem(),
        r#"400 invalid_query "window" "invalid_value""#
    );
    Ok(())
}

#[tokio::test]
async fn a_series_is_the_same_folded_or_not_and_a_retry_takes_nothing_back() -> Result<()> {
    let mut api = Api::new().await?;
    let id = api.post("/v1/jobs", raw_job("One.")).await?.at("/id");
    api.post(&format!("/v1/jobs/{id}/cancel"), "").await?;
    api.post(&format!("/v1/jobs/{id}/retry"), "").await?;
    let series = async |api: &Api| -> Result<[u64; 3]> {
        let pace = api.get("/v1/overview").await?.json()["pace"].clone();
        Ok(["accepted", "canceled", "completed"].map(|name| sum(&pace[name])))
    };
    assert_eq!(series(&api).await?, [1, 1, 0]);
    api.world.worker.tick(Loop::Fold).await?;
    assert_eq!(series(&api).await?, [1, 1, 0]);
    api.world.run_out().await?;
    assert_eq!(series(&api).await?, [1, 1, 1]);
    assert_eq!(
        api.world
            .number("SELECT count(*) FROM offpeak.delta")
            .await?,
        0
    );
    Ok(())
}

#[tokio::test]
async fn twenty_results_say_how_long_they_took() -> Result<()> {
    let mut api = Api::new().await?;
    let body: Vec<String> = (0..20).map(|n| raw_job(&format!("Number {n}."))).collect();
    api.post("/v1/jobs/bulk", body.join("\n")).await?;
    api.world.run_out().await?;
    let took = api.get("/v1/overview").await?.json()["time_to_result"][0].clone();
    assert_eq!(took["results"], 20);
    let (half, most) = (took["p50_seconds"].as_u64(), took["p95_seconds"].as_u64());
    // The stand-in takes a minute, and the loops look every half.
    assert!(half.is_some_and(|half| (60..300).contains(&half)), "{took}");
    assert!(half <= most, "{took}");
    Ok(())
}

#[tokio::test]
async fn what_goes_wrong_is_told_to_whom_it_concerns() -> Result<()> {
    let mut api = Api::new().await?;
    let (_, other) = api.tenant("other").await?;
    api.world
        .meddle(
            "INSERT INTO offpeak.incident (kind, at, upstream_id, subject_tenant, batch_id, detail,
                                           absorbed_pico)
             SELECT 'batch_overdue', now(), '00000000-0000-0000-0000-000000000000', id, id,
                    'it has not ended at Anthropic', 7
               FROM offpeak.tenant WHERE name = 'acme'",
        )
        .await?;
    api.world
        .meddle(
            "UPDATE offpeak.upstream
                SET paused_reason = 'a spend limit is reached', paused_until = now()",
        )
        .await?;
    let mine = api.get("/v1/overview").await?;
    assert_eq!(mine.at("/incidents/0/kind"), "batch_overdue");
    assert!(!mine.text.contains("absorbed"), "{mine:?}");
    assert_eq!(mine.at("/pause/reason"), "a spend limit is reached");
    let theirs = api
        .send(Method::GET, "/v1/overview", &other, &[], "")
        .await?;
    assert_eq!(theirs.json()["incidents"], json!([]));
    assert_eq!(theirs.at("/pause/reason"), "a spend limit is reached");

    api.world
        .meddle("UPDATE offpeak.incident SET resolved_at = now()")
        .await?;
    let settled = api.get("/v1/overview").await?;
    assert_eq!(settled.json()["incidents"], json!([]));
    Ok(())
}

#[tokio::test]
async fn a_batch_stands_beside_what_is_usual_once_twenty_were_measured() -> Result<()> {
    let mut api = Api::new().await?;
    api.post("/v1/jobs", raw_job("One.")).await?;
    api.world.run_out().await?;
    assert_eq!(api.get("/v1/batches").await?.at("/data/0/usual"), "null");
    api.world
        .meddle(
            "INSERT INTO offpeak.turnaround (upstream_id, lane, day, hour, size, bin, n)
             VALUES ('00000000-0000-0000-0000-000000000000', 'batch', now()::date, 3, 0, 40, 30),
                    ('00000000-0000-0000-0000-000000000000', 'batch', now()::date, 3, 2, 8, 30)",
        )
        .await?;
    // What was measured is remembered for half a minute.
    api.again(offpeak_domain::room::Queue::default()).await?;
    let usual = api.get("/v1/batches").await?.json()["data"][0]["usual"].clone();
    assert_eq!(usual["p50_seconds"], 1024);
    assert_eq!(usual["p90_seconds"], 1024);
    assert_eq!(usual["batches"], 31);
    Ok(())
}

fn at(moment: &Value) -> OffsetDateTime {
    let text = moment.as_str().expect("a moment");
    OffsetDateTime::parse(text, &Rfc3339).expect("RFC 3339")
}

#[tokio::test]
async fn past_batches_say_how_long_a_group_still_takes() -> Result<()> {
    let mut api = Api::new().await?;
    // Twenty of up to ten jobs, and one too few of up to a hundred: 1,024 seconds each.
    api.world
        .meddle(
            "INSERT INTO offpeak.turnaround (upstream_id, lane, day, hour, size, bin, n)
             VALUES ('00000000-0000-0000-0000-000000000000', 'batch', now()::date, 3, 0, 40, 20),
                    ('00000000-0000-0000-0000-000000000000', 'batch', now()::date, 3, 1, 40, 19)",
        )
        .await?;
    let bulk = |jobs: usize| vec![raw_job("One."); jobs].join("\n");
    let small = api.post("/v1/jobs/bulk", bulk(3)).await?.at("/group");
    let small = format!("/v1/groups/{small}");
    let shown = api.get(&small).await?.json();
    let (waiting, begun) = (shown["left"].clone(), at(&shown["created_at"]));
    assert!(
        at(&waiting["from"]) >= begun + Duration::from_secs(1024),
        "{waiting}"
    );
    assert_eq!(
        (&waiting["batches"], &waiting["late"]),
        (&20.into(), &false.into())
    );
    let (_, other) = api.tenant("other").await?;
    let theirs = api.send(Method::GET, &small, &other, &[], "").await?;
    assert_eq!(theirs.problem(), "404 not_found");

    // At Anthropic nothing waits to be sent any more.
    api.world.pass(Duration::from_secs(10));
    api.world.worker.settle_down().await?;
    let alone = api.get("/v1/groups").await?.json()["data"][0]["left"].clone();
    assert_eq!(alone["batches"], 20, "{alone}");
    let wide = |left: &Value| at(&left["to"]) - at(&left["from"]);
    assert!(wide(&alone) < wide(&waiting), "{alone}");
    let large = api.post("/v1/jobs/bulk", bulk(11)).await?.at("/group");
    let large = api.get(&format!("/v1/groups/{large}")).await?;
    assert_eq!(large.at("/left"), "null", "nineteen say nothing");

    api.world
        .meddle("UPDATE offpeak.batch SET created_at = created_at - interval '1 hour'")
        .await?;
    let late = api.get(&small).await?.json()["left"].clone();
    assert_eq!(late["late"], true, "{late}");
    assert!(at(&late["to"]) < begun, "{late}");
    api.world.run_out().await?;
    assert_eq!(api.get(&small).await?.at("/left"), "null");
    Ok(())
}
