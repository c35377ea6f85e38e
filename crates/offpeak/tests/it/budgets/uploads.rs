//! Uploads: reserved for chunk by chunk, given back whole. And what is settled late.

use super::*;
use crate::api_bulk::broken_upload;

#[tokio::test]
async fn an_upload_that_does_not_fit_is_refused_whole_and_names_the_line() -> Result<()> {
    let api = Api::new().await?;
    let job = raw_job("One fine day.");
    let cost = cost_of(&api, &job).await?;
    // Beyond the first chunk.
    set(
        &api,
        json!({"scope": "tenant", "period": "day"}),
        1_200 * cost,
    )
    .await?;
    let lines = |jobs: usize| format!("\n{}", format!("{job}\n").repeat(jobs));
    for (path, key) in [("", None), ("", Some("k")), ("?partial=true", None)] {
        let path = format!("/v1/jobs/bulk{path}");
        let refused = match key {
            Some(key) => {
                api.post_with(&path, ("idempotency-key", key), lines(1_201))
                    .await?
            }
            None => api.post(&path, lines(1_201)).await?,
        };
        // The first line is blank.
        let place = r#"402 budget_exceeded line 1202 "" "budget_exceeded""#;
        assert_eq!(refused.problem(), place, "{path} {key:?}");
        assert_eq!(refused.at("/budget/left"), "0", "after the lines before it");
        assert_eq!(used(&api.world).await?, (0, 0), "all of it is given back");
    }
    // The same key goes on with what fits, from its beginning.
    let fits = api.post_with("/v1/jobs/bulk", ("idempotency-key", "k"), lines(1_200));
    let fits = fits.await?;
    assert_eq!(
        (fits.status, fits.at("/jobs")),
        (202, "1200".to_owned()),
        "{fits:?}"
    );
    assert_eq!(used(&api.world).await?.0, i64::try_from(1_200 * cost)?);
    assert_eq!(api.post("/v1/jobs", job).await?.status, 402);
    api.world.worker.tick(Loop::Tend).await?;
    api.world.check_invariants().await
}

#[tokio::test]
async fn an_upload_that_breaks_off_gives_back_when_it_is_tidied_away() -> Result<()> {
    let api = Api::new().await?;
    set(
        &api,
        json!({"scope": "tenant", "period": "day"}),
        1_000_000_000_000_000,
    )
    .await?;
    // A fault behind the first chunk: it is dropped at once.
    let bad = format!("{}{{\n", format!("{}\n", raw_job("One.")).repeat(1_500));
    let refused = api.post("/v1/jobs/bulk", bad.clone()).await?;
    assert_eq!(refused.status, 422, "{refused:?}");
    assert_eq!(used(&api.world).await?, (0, 0));
    for _ in 0..4 {
        api.world.worker.tick(Loop::Tend).await?;
    }
    api.world.check_invariants().await?;
    // Under a key, what was staged before the client went away waits for it.
    let sent = format!("{}\n", raw_job("One.")).repeat(1_500);
    broken_upload(&api, sent, 1_000).await?;
    assert!(used(&api.world).await?.0 > 0);
    api.world.check_invariants().await?;
    api.world.pass(Duration::from_hours(2));
    for _ in 0..4 {
        api.world.worker.tick(Loop::Tend).await?;
    }
    assert_eq!(used(&api.world).await?, (0, 0));
    settled(&api.world).await
}

#[tokio::test]
async fn what_a_version_without_budgets_has_ended_is_settled_later() -> Result<()> {
    let api = Api::new().await?;
    let all = json!({"scope": "tenant", "period": "month"});
    set(&api, all, 1_000_000_000_000).await?;
    for _ in 0..2 {
        api.post("/v1/jobs", raw_job("One fine day.")).await?;
    }
    let ended = "WITH gone AS (
                     DELETE FROM offpeak.ready
                      WHERE id = (SELECT id FROM offpeak.ready ORDER BY id LIMIT 1)
                     RETURNING tenant_id, id),
                 booked AS (
                     INSERT INTO offpeak.ledger (tenant_id, batch_id, id, attempt, at, day, model,
                            lane, input_tokens, output_tokens, cache_write_5m, cache_write_1h,
                            cache_read_tokens, web_searches, cost_pico, sync_pico)
                     SELECT tenant_id, tenant_id, id, 1, now(), current_date, 'm', 'batch', 1, 1, 0,
                            0, 0, 0, 7, 14 FROM gone)
                 INSERT INTO offpeak.result (tenant_id, id, outcome, label, model, batch_id, attempt,
                                             ended_at, cost_pico)
                 SELECT tenant_id, id, 'failed', 'truncated', 'm', tenant_id, 1, now(), 7 FROM gone";
    api.world.meddle(ended).await?;
    api.world.worker.tick(Loop::Tend).await?;
    let open = "SELECT sum(pico)::bigint FROM offpeak.reservation";
    let open = api.world.number(open).await?;
    assert!(open > 0, "one of them is open");
    assert_eq!(used(&api.world).await?, (open, 7));
    Ok(())
}
