//! Bulk uploads: all or nothing, again under a key, and on after a break.

use anyhow::Result;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use reqwest::{Body, Method};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::api::{Answer, Api, raw_job};

const KEY: (&str, &str) = ("idempotency-key", "upload-1");

fn lines(n: usize) -> String {
    (1..=n)
        .map(|i| raw_job(&format!("Text {i}.")) + "\n")
        .collect()
}

async fn jobs(api: &Api) -> Result<i64> {
    api.world.number("SELECT count(*) FROM offpeak.job").await
}

async fn ready(api: &Api) -> Result<i64> {
    api.world.number("SELECT count(*) FROM offpeak.ready").await
}

#[tokio::test]
async fn every_line_becomes_a_job_of_the_group() -> Result<()> {
    let api = Api::new().await?;
    // Chunks, blank lines, a Windows line end, and no line end at the last.
    let body = lines(1_200) + "\n  \r\n" + &lines(1_100) + &raw_job("last");
    let accepted = api.post("/v1/jobs/bulk?name=first", body).await?;
    assert_eq!(accepted.status, 202, "{accepted:?}");
    let group = accepted.at("/group");
    assert_eq!(
        accepted.json(),
        json!({"group": group, "jobs": 2_301, "skipped": 0, "lines": 2_303, "replayed": false})
    );

    let shown = api.get(&format!("/v1/groups/{group}")).await?;
    assert_eq!(
        (shown.at("/name"), shown.at("/jobs")),
        ("first".into(), "2301".into())
    );
    assert_eq!(shown.at("/counts/queued"), "2301");
    assert_eq!(shown.at("/done"), "false");
    assert_eq!(api.get("/v1/groups").await?.json()["data"][0], shown.json());

    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = api
            .get(&format!("/v1/jobs?group={group}&limit=200&cursor={cursor}"))
            .await?;
        for job in page.json()["data"].as_array().expect("rows") {
            seen.push(job["id"].as_str().expect("an id").to_owned());
        }
        match page.json()["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen.len(), 2_301);
    assert!(seen.is_sorted_by(|a, b| a > b), "newest first, none twice");
    Ok(())
}

/// They do not fit into one statement, and one does not fit into any.
#[tokio::test]
async fn long_lines_are_stored_whole() -> Result<()> {
    let api = Api::plain().await?;
    let lengths = [300_000, 300_000, 300_000, 900_000, 10, 799_000];
    let body: String = (0_u8..)
        .zip(lengths)
        .map(|(i, length)| raw_job(&char::from(b'a' + i).to_string().repeat(length)) + "\n")
        .collect();
    let accepted = api.post("/v1/jobs/bulk", body).await?;
    assert_eq!(
        (accepted.status, accepted.at("/jobs")),
        (202, "6".into()),
        "{accepted:?}"
    );
    let stored = api
        .world
        .texts(
            "SELECT length(content) || left(content, 1) || (j.bytes = octet_length(p.params))
               FROM offpeak.job j
               JOIN offpeak.payload p USING (tenant_id, id),
                    LATERAL (SELECT convert_from(p.params, 'UTF8')::jsonb
                                    #>> '{messages,0,content}' AS content) AS message
              ORDER BY id",
        )
        .await?;
    assert_eq!(
        stored,
        [
            "300000atrue",
            "300000btrue",
            "300000ctrue",
            "900000dtrue",
            "10etrue",
            "799000ftrue"
        ]
    );
    Ok(())
}

#[tokio::test]
async fn one_bad_line_in_ten_thousand_refuses_all() -> Result<()> {
    let api = Api::new().await?;
    let bad = raw_job("x").replace(r#""max_tokens":256"#, r#""max_tokens":256,"temperature":1"#);
    let body = lines(4_999) + &bad + "\n" + &lines(4_999) + "{\"type\":\n";
    let refused = api.post_with("/v1/jobs/bulk", KEY, body).await?;
    assert_eq!(
        refused.problem(),
        r#"422 invalid_lines line 5000 "/params/temperature" "invalid_params""#
    );
    let errors = refused.json()["errors"].clone();
    assert_eq!(
        (errors.as_array().map(Vec::len), &errors[1]["line"]),
        (Some(2), &json!(10_000))
    );
    assert_eq!(errors[1]["code"], "invalid_json");

    assert_eq!(ready(&api).await?, 0);
    assert_eq!(api.get("/v1/jobs").await?.json()["data"], json!([]));
    assert_eq!(api.get("/v1/groups").await?.json()["data"], json!([]));
    // What was refused has left no mark on its key.
    let mended = api.post_with("/v1/jobs/bulk", KEY, lines(3)).await?;
    assert_eq!((mended.status, mended.at("/jobs")), (202, "3".into()));
    assert_eq!(ready(&api).await?, 3);
    Ok(())
}

#[tokio::test]
async fn partial_keeps_the_good_lines() -> Result<()> {
    let api = Api::new().await?;
    let body = lines(2) + "{}\n\n" + &lines(1) + "nonsense";
    let answer = api
        .post_with("/v1/jobs/bulk?partial=true", KEY, body.clone())
        .await?;
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_eq!(
        (answer.at("/jobs"), answer.at("/skipped")),
        ("3".into(), "2".into())
    );
    assert_eq!(
        (answer.at("/errors/0/line"), answer.at("/errors/1/line")),
        ("3".into(), "6".into())
    );
    assert_eq!(ready(&api).await?, 3);
    let again = api
        .post_with("/v1/jobs/bulk?partial=true", KEY, body.clone())
        .await?;
    assert_eq!((again.status, again.at("/skipped")), (200, "2".into()));
    let strict = api.post_with("/v1/jobs/bulk", KEY, body).await?;
    assert_eq!(strict.problem(), "422 idempotency_key_reused");

    let none = api.post("/v1/jobs/bulk?partial=true", "{}\n").await?;
    assert_eq!(
        none.problem(),
        r#"422 invalid_lines line 1 "" "missing_field""#
    );
    for empty in ["", "\n \n"] {
        assert_eq!(
            api.post("/v1/jobs/bulk", empty).await?.problem(),
            "422 no_jobs"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_line_has_no_key_of_its_own() -> Result<()> {
    let api = Api::new().await?;
    let line = raw_job("x").replacen('{', r#"{"idempotency_key":"k","#, 1);
    let refused = api.post("/v1/jobs/bulk", line).await?;
    assert_eq!(
        refused.problem(),
        r#"422 invalid_lines line 1 "/idempotency_key" "not_allowed""#
    );
    Ok(())
}

#[tokio::test]
async fn the_same_upload_again_makes_nothing_new() -> Result<()> {
    let api = Api::new().await?;
    let body = lines(1_500);
    let first = api.post_with("/v1/jobs/bulk", KEY, body.clone()).await?;
    let again = api.post_with("/v1/jobs/bulk", KEY, body.clone()).await?;
    assert_eq!((first.status, again.status), (202, 200), "{again:?}");
    let mut expected = first.json();
    expected["replayed"] = Value::Bool(true);
    assert_eq!(again.json(), expected);
    for other in [
        body.clone() + &lines(1),
        lines(1_499),
        body.replacen("Text 7.", "Text 8.", 1),
        body.replacen("Text 1500.", "Text 1501.", 1),
    ] {
        let refused = api.post_with("/v1/jobs/bulk", KEY, other).await?;
        assert_eq!(refused.problem(), "422 idempotency_key_reused");
    }
    let single = api.post_with("/v1/jobs", KEY, raw_job("x")).await?;
    assert_eq!(single.problem(), "422 idempotency_key_reused");
    assert_eq!((jobs(&api).await?, ready(&api).await?), (1_500, 1_500));
    Ok(())
}

#[tokio::test]
async fn a_chunk_is_read_while_the_one_before_is_written() -> Result<()> {
    let api = Api::new().await?;
    let typed = r#"{"type":"summarize","input":{"text":"last"}}"#;
    let body = lines(1_000) + typed;
    let held = api
        .world
        .hold(
            "LOCK TABLE offpeak.payload IN SHARE MODE;
             LOCK TABLE offpeak.job_type IN ACCESS EXCLUSIVE MODE",
        )
        .await?;
    let (answer, waiting) = futures_util::join!(api.post("/v1/jobs/bulk", body), async {
        // The first chunk is being written, and the line after it being read.
        let waiting = until(
            &api,
            "SELECT count(DISTINCT relation::regclass) FROM pg_locks
              WHERE NOT granted AND database = (SELECT oid FROM pg_database
                                                 WHERE datname = current_database())",
            2,
        )
        .await;
        drop(held);
        waiting
    });
    waiting?;
    let answer = answer?;
    assert_eq!(
        (answer.status, answer.at("/jobs")),
        (202, "1001".into()),
        "{answer:?}"
    );
    assert_eq!((jobs(&api).await?, ready(&api).await?), (1_001, 1_001));
    Ok(())
}

/// Sends the beginning of a body, and breaks off when so many jobs are staged.
pub(crate) async fn broken_upload(api: &Api, sent: String, jobs: i64) -> Result<()> {
    let (cut, is_cut) = oneshot::channel::<()>();
    let frames = stream::once(async { Ok(Bytes::from(sent)) }).chain(stream::once(async {
        is_cut.await.ok();
        Err(std::io::Error::other("the cable was pulled"))
    }));
    let upload = api.post_with("/v1/jobs/bulk", KEY, Body::wrap_stream(frames));
    let (answer, staged) = futures_util::join!(upload, async {
        let staged = staged(api, jobs).await;
        cut.send(()).ok();
        staged
    });
    staged?;
    match answer {
        Err(_) => Ok(()),
        Ok(answer) => anyhow::bail!("a broken body was answered: {answer:?}"),
    }
}

/// Waits until so many jobs are staged.
async fn staged(api: &Api, jobs: i64) -> Result<()> {
    let staged = "SELECT coalesce(max(jobs), 0) FROM offpeak.job_group";
    until(api, staged, jobs).await
}

/// Waits until a statement gives this number, or more.
async fn until(api: &Api, sql: &'static str, number: i64) -> Result<()> {
    for _ in 0..10_000 {
        if api.world.number(sql).await? >= number {
            return Ok(());
        }
    }
    anyhow::bail!("it never came to {number}: {sql}")
}

#[tokio::test]
async fn a_broken_upload_goes_on_where_it_was() -> Result<()> {
    let api = Api::plain().await?;
    let body = lines(2_500);
    let cut = body.match_indices('\n').nth(1_700).map_or(0, |(at, _)| at) + 20;
    broken_upload(&api, body[..cut].to_owned(), 1_000).await?;
    assert_eq!((jobs(&api).await?, ready(&api).await?), (1_000, 0));
    // Staged is not there: neither listed, nor found, nor canceled.
    let id = api
        .world
        .texts("SELECT id::text FROM offpeak.job LIMIT 1")
        .await?
        .remove(0);
    let id = offpeak_domain::id::JobId::from_uuid(id.parse()?);
    assert_eq!(api.get("/v1/jobs").await?.json()["data"], json!([]));
    assert_eq!(
        api.get(&format!("/v1/jobs/{id}")).await?.problem(),
        "404 not_found"
    );
    let canceled = api.post(&format!("/v1/jobs/{id}/cancel"), "").await?;
    assert_eq!(canceled.problem(), "404 not_found");

    let other = body.replacen("Text 9.", "Text 0.", 1);
    let refused = api.post_with("/v1/jobs/bulk", KEY, other).await?;
    assert_eq!(refused.problem(), "422 idempotency_key_reused");
    let resumed = api.post_with("/v1/jobs/bulk", KEY, body).await?;
    assert_eq!(
        (resumed.status, resumed.at("/jobs")),
        (202, "2500".into()),
        "{resumed:?}"
    );
    assert_eq!((jobs(&api).await?, ready(&api).await?), (2_500, 2_500));
    let texts = "SELECT count(DISTINCT convert_from(params, 'UTF8')) FROM offpeak.payload";
    assert_eq!(api.world.number(texts).await?, 2_500, "every line once");
    Ok(())
}

#[tokio::test]
async fn an_upload_stores_nothing_more_once_its_key_is_revoked() -> Result<()> {
    let api = Api::new().await?;
    let made = api.post("/v1/keys", r#"{"scopes":["jobs:write"]}"#).await?;
    let (id, key) = (made.at("/id"), made.at("/key"));
    let body = lines(2_500);
    let cut = body.match_indices('\n').nth(1_700).map_or(0, |(at, _)| at) + 20;
    let (sent, rest) = (body[..cut].to_owned(), body[cut..].to_owned());
    let (go_on, goes_on) = oneshot::channel::<()>();
    let frames =
        stream::once(async { std::io::Result::Ok(Bytes::from(sent)) }).chain(stream::once(async {
            goes_on.await.ok();
            Ok(Bytes::from(rest))
        }));
    let upload = api.send(
        Method::POST,
        "/v1/jobs/bulk",
        &key,
        &[KEY],
        Body::wrap_stream(frames),
    );
    let (answer, revoked) = futures_util::join!(upload, async {
        staged(&api, 1_000).await?;
        let path = format!("/v1/keys/{id}");
        let own = api.key.clone();
        let revoked = api.send(Method::DELETE, &path, &own, &[], "").await?;
        go_on.send(()).ok();
        anyhow::Ok(revoked.status)
    });
    assert_eq!(revoked?, 204);
    assert_eq!(answer?.problem(), "401 unauthenticated");
    assert_eq!((jobs(&api).await?, ready(&api).await?), (1_000, 0));
    Ok(())
}

#[tokio::test]
async fn of_two_uploads_at_once_under_one_key_one_counts() -> Result<()> {
    let api = Api::new().await?;
    let body = lines(2_500);
    let send = || api.post_with("/v1/jobs/bulk", KEY, body.clone());
    let (a, b, c) = futures_util::join!(send(), send(), send());
    let all: Vec<Answer> = vec![a?, b?, c?];
    let statuses: Vec<u16> = all.iter().map(|answer| answer.status).collect();
    assert_eq!(
        statuses.iter().filter(|status| **status == 202).count(),
        1,
        "{statuses:?}"
    );
    for answer in all.iter().filter(|answer| answer.status >= 400) {
        assert_eq!(answer.problem(), "409 idempotency_key_in_use");
    }
    assert_eq!((jobs(&api).await?, ready(&api).await?), (2_500, 2_500));
    Ok(())
}
