//! The one request that goes ahead of a batch: sent once, booked, and never what
//! a batch waits for in vain.

use std::time::Duration;

use anyhow::Result;
use offpeak_standin::{Call, Fault, Faults, Rule, Status};
use offpeak_worker::Loop;

use crate::api::Api;
use crate::books;
use crate::budgets;
use crate::caching::{decisions, found, job_type, jobs, submit};

/// A world in which batches are known to be quick, and so a try costs little:
/// with a batch that is planned and has one request ahead of it.
async fn planned() -> Result<Api> {
    let mut api = Api::new().await?;
    let all = serde_json::json!({"scope": "tenant", "period": "month"});
    budgets::set(&api, all, 1_000_000_000_000_000).await?;
    job_type(&api, "brief", 3_000).await?;
    found(&api, 0.9);
    submit(&api, jobs("brief", &[], 60)).await?;
    api.world.run_out().await?;
    // Until nothing is warm any more.
    api.world.pass(Duration::from_mins(10));
    submit(&api, jobs("brief", &[], 400)).await?;
    api.world.pass(Duration::from_secs(10));
    api.world.worker.tick(Loop::Form).await?;
    assert_eq!(primes(&api).await?, ["planned -"]);
    Ok(api)
}

/// Batches with a request ahead of them: their state, and what came of it.
async fn primes(api: &Api) -> Result<Vec<String>> {
    api.world
        .texts(
            "SELECT state || ' ' || coalesce(prime_outcome, '-')
               FROM offpeak.batch WHERE prime ORDER BY id",
        )
        .await
}

/// Direct messages that the stand-in billed.
fn direct(api: &Api) -> Result<usize> {
    let journal = api.world.standin.journal()?;
    Ok(journal
        .iter()
        .filter(|item| item.batch_id.is_none())
        .count())
}

#[tokio::test]
async fn one_request_goes_ahead_and_is_booked() -> Result<()> {
    let mut api = planned().await?;
    api.world.run_out().await?;
    assert_eq!(primes(&api).await?, ["ingested primed"]);
    let made = decisions(&api).await?;
    assert!(made[1].starts_with("5m trial 0."), "{made:?}");
    let journal = api.world.standin.journal()?;
    let ahead: Vec<_> = journal
        .iter()
        .filter(|item| item.batch_id.is_none())
        .collect();
    assert_eq!(ahead.len(), 1);
    assert_eq!(ahead[0].usage.cache_writes(), (3_000, 0));
    assert_eq!(ahead[0].usage.output_tokens, 0);
    let before = "SELECT count(*) FROM offpeak.batch
                   WHERE prime AND prime_sent_at <= prime_ended_at AND prime_ended_at <= sent_at";
    assert_eq!(
        api.world.number(before).await?,
        1,
        "the batch waited for it"
    );
    let booked = api.world.texts(
        // By itself it saves nothing: the same tokens unmarked would be cheaper.
        "SELECT lane || ' ' || cache_write_5m || ' ' || (saved_cache_pico < 0)
           FROM offpeak.ledger WHERE id = batch_id",
    );
    assert_eq!(booked.await?, ["direct 3000 true"]);
    // 3,000 tokens written at 0.125 dollars a million, and one read at 0.1.
    let shown = api.get("/v1/batches?limit=1").await?;
    assert_eq!(shown.at("/data/0/cache/prime_outcome"), "primed");
    assert_eq!(shown.at("/data/0/cache/prime_cost"), "0.0003751");
    // It is no job's, and the tenant's.
    budgets::settled(&api.world).await?;
    books::are_right(&api.world).await
}

#[tokio::test]
async fn a_refused_one_costs_nothing_and_holds_nothing_up() -> Result<()> {
    let mut api = planned().await?;
    let refused = Status {
        status: 429,
        ..Status::default()
    };
    api.world.standin.set_faults(Faults {
        rules: vec![Rule::new([Call::Messages], Fault::Status(refused))],
        ..Faults::default()
    });
    api.world.run_out().await?;
    assert_eq!(primes(&api).await?, ["ingested refused"]);
    assert_eq!(direct(&api)?, 0);
    books::are_right(&api.world).await
}

#[tokio::test]
async fn a_lost_answer_is_the_deployments_own_cost() -> Result<()> {
    let mut api = planned().await?;
    api.world.standin.set_faults(Faults {
        rules: vec![Rule::new([Call::Messages], Fault::Half { framed: false })],
        ..Faults::default()
    });
    api.world.run_out().await?;
    assert_eq!(direct(&api)?, 1);
    absorbed(&api).await
}

/// It was billed or not: what it would have cost is absorbed, with an incident,
/// and it is in no tenant's ledger.
async fn absorbed(api: &Api) -> Result<()> {
    assert_eq!(primes(api).await?, ["ingested unknown"]);
    let rows = "SELECT custom_id || ' ' || cache_write_5m || ' ' || (cost_pico = 375000000)
                  FROM offpeak.absorbed";
    assert_eq!(api.world.texts(rows).await?, ["prime 3000 true"]);
    let noted = "SELECT kind || ' ' || absorbed_pico FROM offpeak.incident ORDER BY 1";
    assert_eq!(api.world.texts(noted).await?, ["prime_unknown 375000000"]);
    let booked = "SELECT count(*) FROM offpeak.ledger WHERE id = batch_id";
    assert_eq!(api.world.number(booked).await?, 0);
    let completed = "SELECT count(*) FROM offpeak.result WHERE outcome = 'completed'";
    assert_eq!(api.world.number(completed).await?, 460);
    api.world.check_invariants().await
}

/// Whoever dies with it under way has sent it, for all that anybody knows: it is
/// not sent again, and the batch goes without.
#[tokio::test]
async fn one_that_somebody_died_with_is_not_sent_again() -> Result<()> {
    let mut api = planned().await?;
    api.world
        .meddle(
            "UPDATE offpeak.batch
                SET primer = gen_random_uuid(), prime_sent_at = planned_at,
                    prime_deadline = planned_at + interval '1 minute'
              WHERE prime",
        )
        .await?;
    api.world.run_out().await?;
    assert_eq!(direct(&api)?, 0);
    absorbed(&api).await
}

/// While another process is at it, nobody sends it a second time, nor the batch.
#[tokio::test]
async fn one_that_is_under_way_is_waited_for() -> Result<()> {
    let mut api = planned().await?;
    api.world
        .meddle(
            "WITH other AS (
                 INSERT INTO offpeak.lease (name, holder, epoch, expires_at)
                 VALUES ('process/other', gen_random_uuid(), 1, now() + interval '1 hour')
                 RETURNING holder)
             UPDATE offpeak.batch
                SET primer = other.holder, prime_sent_at = planned_at,
                    prime_deadline = planned_at + interval '1 hour'
               FROM other
              WHERE prime",
        )
        .await?;
    for _ in 0..3 {
        api.world.worker.tick(Loop::Submit).await?;
        api.world.pass(Duration::from_secs(10));
    }
    assert_eq!(primes(&api).await?, ["planned -"]);
    let gone = "DELETE FROM offpeak.lease WHERE name = 'process/other'";
    api.world.meddle(gone).await?;
    api.world.run_out().await?;
    assert_eq!(direct(&api)?, 0);
    absorbed(&api).await
}
