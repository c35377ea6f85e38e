//! Refused uploads of several chunks. What they staged nobody ever sees, and
//! upkeep leaves nothing of it.

use std::time::Duration;

use anyhow::Result;
use offpeak_store::tend;

use super::send;
use crate::api::{Answer, Api, raw_job};

const LINES: usize = 2_500;
const KEY: &str = "idempotency-key: k\r\n";
/// What the worker waits for an upload that may go on.
const PATIENCE: Duration = Duration::from_hours(1);

/// A body whose line of that number, from 1, is broken.
fn broken_at(line: usize) -> String {
    let mut lines = vec![raw_job("x"); LINES];
    lines[line - 1].truncate(10);
    lines.join("\n")
}

/// A world with one job: a tenant's first job of a model, staged or not, makes
/// the row of its bucket, and that stays.
async fn world() -> Result<Api> {
    let api = Api::new().await?;
    let accepted = api.post("/v1/jobs", raw_job("x")).await?;
    assert_eq!(accepted.status, 202, "{accepted:?}");
    Ok(api)
}

async fn upload(api: &Api, headers: &str, body: &str, missing: usize) -> Result<Answer> {
    let (key, length) = (&api.key, body.len() + missing);
    let text = format!(
        "POST /v1/jobs/bulk HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         authorization: Bearer {key}\r\n{headers}content-length: {length}\r\n\r\n{body}"
    );
    send::raw(api, text.as_bytes(), missing > 0).await
}

/// Everything, once upkeep has nothing left to do for uploads.
async fn tidied(api: &Api, later: Duration) -> Result<String> {
    let system = &api.world.system;
    let now = system.now().await? + later;
    while tend::purge_unopened(system, now, PATIENCE, 1_000).await? > 0 {}
    api.world.everything().await
}

/// What stands where a client or a worker could find it.
async fn seen(api: &Api) -> Result<String> {
    let groups = api.get("/v1/groups").await?.text;
    let ready = api
        .world
        .number("SELECT count(*) FROM offpeak.ready")
        .await?;
    let deltas = api
        .world
        .number("SELECT count(*) FROM offpeak.delta")
        .await?;
    Ok(format!("{groups} {ready} {deltas}"))
}

#[tokio::test]
async fn a_refused_upload_leaves_nothing() -> Result<()> {
    let api = world().await?;
    let (before, shown) = (api.world.everything().await?, seen(&api).await?);
    for headers in ["", KEY] {
        for line in [1, 1_700, LINES] {
            let refused = upload(&api, headers, &broken_at(line), 0).await?;
            assert_eq!(
                refused.problem(),
                format!("422 invalid_lines line {line} \"\" \"invalid_json\"")
            );
            assert_eq!(seen(&api).await?, shown);
            assert_eq!(tidied(&api, Duration::ZERO).await?, before);
        }
        let endless = (raw_job("x") + "\n").repeat(1_200) + &"\n".repeat(1_000_000);
        let refused = upload(&api, headers, &endless, 0).await?;
        assert_eq!(refused.problem(), "413 too_large");
        assert_eq!(seen(&api).await?, shown);
        assert_eq!(tidied(&api, Duration::ZERO).await?, before);
    }
    Ok(())
}

#[tokio::test]
async fn a_cut_upload_leaves_nothing_unless_it_may_go_on() -> Result<()> {
    let api = world().await?;
    let (before, shown) = (api.world.everything().await?, seen(&api).await?);
    let body = vec![raw_job("x"); LINES].join("\n");
    let cut = upload(&api, "", &body, 9).await?;
    assert_eq!(cut.problem(), "400 body_broken");
    assert_eq!(seen(&api).await?, shown);
    assert_eq!(tidied(&api, Duration::ZERO).await?, before);

    let cut = upload(&api, KEY, &body, 9).await?;
    assert_eq!(cut.problem(), "400 body_broken");
    assert_eq!(seen(&api).await?, shown);
    assert_ne!(tidied(&api, Duration::ZERO).await?, before, "it may go on");
    assert_eq!(tidied(&api, PATIENCE * 2).await?, before, "nobody did");
    Ok(())
}
