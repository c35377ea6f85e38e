//! What many jobs begin with, marked for Anthropic's cache where that pays.

use std::time::Duration;

use anyhow::Result;
use offpeak_standin::Behavior;
use reqwest::Method;
use serde_json::{Value, json};

use crate::api::{Api, raw_job};
use crate::books;

/// A job type with a system prompt of so many tokens, as the stand-in counts them.
pub(crate) async fn job_type(api: &Api, name: &str, tokens: usize) -> Result<()> {
    let definition = json!({
        "name": name,
        "model": "claude-haiku-5-5",
        "max_tokens": 64,
        "system": format!("{name:<4.4}").repeat(tokens),
        "template": "<text>{{ text }}</text>",
        "input_schema": {
            "type": "object",
            "properties": {"text": {"type": "string"}},
            "required": ["text"],
        },
    });
    let stored = api.post("/v1/job-types", definition.to_string()).await?;
    assert_eq!(stored.status, 201, "{stored:?}");
    Ok(())
}

pub(crate) fn jobs(name: &str, context: &[&str], count: usize) -> String {
    let line = |n| {
        json!({ "type": name, "context": context, "input": { "text": format!("Number {n}.") } })
            .to_string()
    };
    (0..count).map(|n| line(n) + "\n").collect()
}

pub(crate) async fn submit(api: &Api, lines: String) -> Result<()> {
    let kind = ("content-type", "application/x-ndjson");
    let accepted = api.post_with("/v1/jobs/bulk", kind, lines).await?;
    assert_eq!(accepted.status, 202, "{accepted:?}");
    Ok(())
}

pub(crate) fn found(api: &Api, cache_hit_rate: f64) {
    api.world.standin.set_behavior(Behavior {
        cache_hit_rate,
        ..Behavior::default()
    });
}

/// The hit rate that a decision came to; below none where it is not known.
fn real(decision: &str) -> f64 {
    let last = decision.rsplit(' ').next().unwrap_or_default();
    last.parse().unwrap_or(-1.0)
}

/// The batches, oldest first, each as `mark reason predicted real`.
pub(crate) async fn decisions(api: &Api) -> Result<Vec<String>> {
    let batches = api.get("/v1/batches").await?.json();
    let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let mut all: Vec<String> = batches["data"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|batch| {
            let cache = &batch["cache"];
            ["mark", "reason", "predicted_hit_rate", "real_hit_rate"]
                .map(|field| word(&cache[field]))
                .join(" ")
        })
        .collect();
    all.reverse();
    Ok(all)
}

#[tokio::test]
async fn what_is_shared_is_marked_measured_and_believed() -> Result<()> {
    let mut api = Api::new().await?;
    job_type(&api, "brief", 3_000).await?;
    found(&api, 0.8);
    submit(&api, jobs("brief", &[], 100)).await?;
    api.world.run_out().await?;
    let first = decisions(&api).await?;
    assert!(first[0].starts_with("5m pays_5m 0.297 "), "{first:?}");
    assert!((0.6..0.95).contains(&real(&first[0])), "{first:?}");

    let journal = api.world.standin.journal()?;
    let read = |item: &offpeak_standin::Billed| item.usage.cache_read_input_tokens.unwrap_or(0);
    assert_eq!(journal.len(), 100);
    assert!(journal.iter().filter(|item| read(item) == 3_000).count() > 60);
    // What was measured is what is expected next.
    submit(&api, jobs("brief", &[], 100)).await?;
    api.world.run_out().await?;
    let second = decisions(&api).await?;
    assert!(second[1].starts_with("5m pays_5m "), "{second:?}");
    let expected: f64 = second[1].split(' ').nth(2).unwrap_or("0").parse()?;
    assert!((0.55..0.9).contains(&expected), "{second:?}");
    assert!((0.6..0.95).contains(&real(&second[1])), "{second:?}");
    books::are_right(&api.world).await
}

#[tokio::test]
async fn where_nothing_is_found_marking_stops() -> Result<()> {
    let mut api = Api::new().await?;
    job_type(&api, "brief", 3_000).await?;
    found(&api, 0.0);
    for _ in 0..3 {
        submit(&api, jobs("brief", &[], 100)).await?;
        api.world.run_out().await?;
    }
    let made = decisions(&api).await?;
    assert_eq!(made[0], "5m pays_5m 0.297 0.000");
    assert!(made[1].starts_with("none would_not_pay"), "{made:?}");
    assert!(made[2].starts_with("none would_not_pay"), "{made:?}");
    books::are_right(&api.world).await
}

/// One batch for each beginning; what is too short to be cached stays together.
#[tokio::test]
async fn who_begins_alike_goes_together() -> Result<()> {
    let mut api = Api::new().await?;
    for (name, tokens) in [("one", 600), ("two", 600), ("tiny", 500), ("mini", 1)] {
        job_type(&api, name, tokens).await?;
    }
    submit(&api, jobs("one", &[], 40) + &jobs("two", &[], 40)).await?;
    submit(&api, jobs("tiny", &[], 2) + &jobs("mini", &[], 2)).await?;
    for text in ["Mine.", "Mine, too."] {
        assert_eq!(api.post("/v1/jobs", raw_job(text)).await?.status, 202);
    }
    // A single job of a type joins the others of it.
    let more = jobs("one", &[], 41);
    let single = more.lines().last().unwrap_or_default();
    assert_eq!(api.post("/v1/jobs", single.to_owned()).await?.status, 202);
    api.world.run_out().await?;
    let sizes = api.world.texts(
        "SELECT b.items || ' ' || b.cache_reason || ' ' || coalesce(p.tokens, 0)
           FROM offpeak.batch b
           LEFT JOIN offpeak.prefix p ON p.tenant_id = b.tenant_id AND p.bucket_id = b.bucket_id
          ORDER BY b.items, p.tokens",
    );
    assert_eq!(
        sizes.await?,
        ["6 too_short 0", "40 pays_5m 600", "41 pays_5m 600"]
    );
    books::are_right(&api.world).await
}

/// A body is announced with its length; the stand-in refuses another one.
#[tokio::test]
async fn the_announced_length_holds_with_marks_and_canceled_jobs() -> Result<()> {
    let mut api = Api::new().await?;
    job_type(&api, "brief", 600).await?;
    submit(&api, jobs("brief", &[], 60)).await?;
    api.world.worker.tick(offpeak_worker::Loop::Form).await?;
    let listed = api.get("/v1/jobs?limit=2").await?.json();
    for place in [0, 1] {
        let id = listed["data"][place]["id"].as_str().unwrap_or_default();
        let canceled = api.post(&format!("/v1/jobs/{id}/cancel"), "").await?;
        assert_eq!(canceled.status, 200, "{canceled:?}");
    }
    api.world.run_out().await?;
    let sent = api.world.texts(
        "SELECT state || ' ' || items || ' ' || cache_mark || ' ' || sends FROM offpeak.batch",
    );
    assert_eq!(sent.await?, ["ingested 58 5m 0"]);
    books::are_right(&api.world).await
}

#[tokio::test]
async fn a_context_is_stored_once_and_shared_by_jobs() -> Result<()> {
    let mut api = Api::plain().await?;
    job_type(&api, "brief", 10).await?;
    let text = "Our rules. ".repeat(400);
    let plain = [("content-type", "text/plain; charset=utf-8")];
    let key = api.key.clone();
    let post = |path: &'static str, text: String| api.send(Method::POST, path, &key, &plain, text);
    let stored = post("/v1/contexts?title=Rules", text.clone()).await?;
    assert_eq!(stored.status, 201, "{stored:?}");
    let id = stored.at("/id");
    assert_eq!(stored.header("location"), format!("/v1/contexts/{id}"));
    assert_eq!(stored.at("/title"), "Rules");
    assert_eq!(stored.at("/tokens"), "1100");
    let same = json!({ "text": text, "title": "Another" }).to_string();
    let again = api.post("/v1/contexts", same).await?;
    assert_eq!((again.status, again.json()), (200, stored.json()));
    let other = post("/v1/contexts", "Short.".into()).await?.at("/id");
    let listed = api.get("/v1/contexts?limit=1").await?;
    assert_eq!(listed.at("/data/0/id"), other, "the newest first");
    let next = format!("/v1/contexts?cursor={}", listed.at("/next_cursor"));
    assert_eq!(api.get(&next).await?.at("/data/0/id"), id);

    submit(&api, jobs("brief", &[&id, &other], 50)).await?;
    let single = jobs("brief", &[&id, &other], 1).trim().to_owned();
    assert_eq!(api.post("/v1/jobs", single).await?.status, 202);
    let gone = api
        .send(Method::DELETE, &format!("/v1/contexts/{id}"), &key, &[], "")
        .await?;
    assert_eq!((gone.status, gone.text.as_str()), (204, ""));
    let late = jobs("brief", &[&other, &id], 1).trim().to_owned();
    let late = api.post("/v1/jobs", late).await?;
    assert_eq!(
        late.problem(),
        r#"422 invalid_input "/context/1" "unknown_context""#
    );
    api.world.run_out().await?;
    let made = decisions(&api).await?;
    assert!(made[0].starts_with("5m pays_5m"), "{made:?}");
    let params: Vec<String> = api
        .world
        .texts(
            "SELECT DISTINCT convert_from(params, 'UTF8')::jsonb -> 'system' ->> 1
               FROM offpeak.payload",
        )
        .await?;
    assert_eq!(params.len(), 1, "in the order in which they are named");
    assert!(params[0].contains("Our rules. Our rules."));
    books::are_right(&api.world).await
}

#[tokio::test]
async fn another_tenants_context_is_none() -> Result<()> {
    let mut api = Api::new().await?;
    let (_, stranger) = api.tenant("globex").await?;
    let body = json!({ "text": "Ours alone." }).to_string();
    let ours = api.post("/v1/contexts", body.clone()).await?.at("/id");
    let theirs = api.send(Method::POST, "/v1/contexts", &stranger, &[], body);
    let theirs = theirs.await?;
    assert_eq!(theirs.status, 201, "the same text of another tenant is new");
    let path = format!("/v1/contexts/{ours}");
    for method in [Method::GET, Method::DELETE] {
        let answer = api.send(method, &path, &stranger, &[], "").await?;
        assert_eq!(answer.problem(), "404 not_found");
    }
    let job = json!({ "type": "summarize", "context": [ours], "input": { "text": "x" } });
    let job = job.to_string();
    let refused = api.send(Method::POST, "/v1/jobs", &stranger, &[], job.clone());
    assert_eq!(
        refused.await?.problem(),
        r#"422 invalid_input "/context/0" "unknown_context""#
    );
    assert_eq!(api.post("/v1/jobs", job).await?.status, 202);
    Ok(())
}

#[tokio::test]
async fn what_is_no_context_is_refused_by_name() -> Result<()> {
    let api = Api::new().await?;
    for (body, problem) in [
        (json!({}), r#"422 invalid_input "/text" "missing_field""#),
        (
            json!({ "text": " \n" }),
            r#"422 invalid_input "/text" "empty""#,
        ),
        (
            json!({ "text": "x", "title": "" }),
            r#"422 invalid_input "/title" "empty""#,
        ),
        (
            json!({ "text": "x", "name": "" }),
            r#"422 invalid_input "/name" "unknown_field""#,
        ),
        (json!({ "text": "x".repeat(4_000_001) }), "413 too_large"),
    ] {
        let refused = api.post("/v1/contexts", body.to_string()).await?;
        assert_eq!(refused.problem(), problem);
    }
    let nine = vec!["ctx_00000000000000000000000000"; 9];
    let job = jobs("summarize", &nine, 1).trim().to_owned();
    assert_eq!(
        api.post("/v1/jobs", job).await?.problem(),
        r#"422 invalid_input "/context" "too_many""#
    );
    let beside = raw_job("x").replacen('{', r#"{"context":[],"#, 1);
    assert_eq!(
        api.post("/v1/jobs", beside).await?.problem(),
        r#"422 invalid_input "/context" "conflicting_fields""#
    );
    let kind = ("content-type", "text/html");
    let html = api.post_with("/v1/contexts", kind, "<p>").await?;
    assert_eq!(html.problem(), "415 wrong_media_type");
    Ok(())
}

/// Urgent jobs that begin alike: from the third one in an hour on they are marked,
/// and the fourth finds what the third has written.
#[tokio::test]
async fn direct_calls_share_what_they_begin_with() -> Result<()> {
    let mut api = Api::new().await?;
    job_type(&api, "brief", 3_000).await?;
    let urgent = |n: usize| {
        let job = json!({"type": "brief", "input": {"text": format!("Number {n}.")},
            "deliver_within": "30s"});
        job.to_string()
    };
    for n in 0..5 {
        let accepted = api.post("/v1/jobs", urgent(n)).await?;
        assert_eq!(accepted.status, 202, "{accepted:?}");
        api.world.run_out().await?;
        api.world.pass(Duration::from_secs(1));
    }
    let marked = api
        .world
        .texts("SELECT cache_mark || ' ' || cache_reason FROM offpeak.call ORDER BY sent_at, id");
    assert_eq!(
        marked.await?,
        [
            "none too_few",
            "none would_not_pay",
            "1h pays_1h",
            "1h pays_1h",
            "1h pays_1h"
        ]
    );
    let booked = api.world.texts(
        "SELECT (l.cache_write_1h > 0) || ' ' || (l.cache_read_tokens > 0)
           FROM offpeak.ledger l JOIN offpeak.call c ON c.job_id = l.id
          ORDER BY c.sent_at",
    );
    assert_eq!(
        booked.await?,
        [
            "false false",
            "false false",
            "true false",
            "false true",
            "false true"
        ]
    );
    books::are_right(&api.world).await
}
