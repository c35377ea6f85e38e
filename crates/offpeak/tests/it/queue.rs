//! The queue: fair turns while creates are short, backoff, and give-up.

use std::time::Duration;

use anyhow::Result;
use offpeak_domain::id::{Minter, TenantId};
use offpeak_standin::{Faults, ResultsCut};
use offpeak_store::upstream;
use offpeak_testkit::world::World;
use offpeak_worker::Loop;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::books;

fn texts(n: usize) -> Vec<String> {
    (0..n).map(|n| format!("Document number {n}.")).collect()
}

#[tokio::test]
async fn two_tenants_take_turns_while_creates_are_short() -> Result<()> {
    let mut options = offpeak_worker::Options::default();
    options.limits.max_items = 1;
    let mut world = World::with(options).await?;
    let url = world.standin_url.clone();
    upstream::register(&world.system, "stand-in", &url, 1, 200_000).await?;
    let mut tx = world.system.begin().await?;
    let other: TenantId = Minter::new(tx.now(), StdRng::seed_from_u64(4)).mint();
    offpeak_store::tenant::create(&mut tx, other, "globex").await?;
    tx.commit().await?;
    let texts = texts(20);
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    world.submit(&texts).await?;
    world.submit_as(other, None, &texts).await?;
    world.pass(Duration::from_mins(1));
    // Several looks for each create that a minute brings: the looks that find
    // no budget must not forget whose turn it is.
    for _ in 0..60 {
        world.pass(Duration::from_secs(20));
        for which in [Loop::Form, Loop::Submit, Loop::Relay] {
            world.worker.tick(which).await?;
        }
    }
    let sent = "SELECT t.name || ' ' || count(b.id) FROM offpeak.tenant t
                  LEFT JOIN offpeak.batch b ON b.tenant_id = t.id AND b.sent_at IS NOT NULL
                 GROUP BY t.name ORDER BY t.name";
    let sent = world.texts(sent).await?;
    assert!(
        sent == ["acme 10", "globex 10"] || sent == ["acme 10", "globex 9"],
        "{sent:?}"
    );
    Ok(())
}

#[tokio::test]
async fn jobs_in_backoff_fill_no_batch() -> Result<()> {
    let mut options = offpeak_worker::Options::default();
    options.limits.max_items = 10;
    let mut world = World::with(options).await?;
    let texts = texts(40);
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    world.submit(&texts).await?;
    world
        .meddle(
            "UPDATE offpeak.ready SET not_before = now() + interval '1 hour'
              WHERE id <> (SELECT max(id::text)::uuid FROM offpeak.ready)",
        )
        .await?;
    world.worker.tick(Loop::Form).await?;
    assert_eq!(
        world.number("SELECT count(*) FROM offpeak.batch").await?,
        0,
        "one is not ten"
    );
    world.pass(Duration::from_secs(10));
    world.worker.tick(Loop::Form).await?;
    let closed = "SELECT items || ' ' || close_reason FROM offpeak.batch";
    assert_eq!(world.texts(closed).await?, ["1 idle"]);
    world.pass(Duration::from_hours(1));
    world.run_out().await?;
    books::are_right(&world).await
}

#[tokio::test]
async fn broken_downloads_do_not_count_towards_giving_results_up() -> Result<()> {
    let mut world = World::new().await?;
    world.submit(&["a", "b", "c", "d"]).await?;
    world.pass(Duration::from_secs(10));
    world.worker.settle_down().await?;
    world.pass(Duration::from_mins(2));
    world.worker.tick(Loop::Poll).await?;
    let cut = ResultsCut {
        after_lines: 1,
        times: 7,
    };
    world.standin.set_faults(Faults {
        results_cut: Some(cut),
        ..Faults::default()
    });
    for _ in 0..7 {
        assert!(
            world.worker.tick(Loop::Ingest).await.is_err(),
            "the download breaks off"
        );
        // Five in a row, and reads wait for a while.
        world.pass(Duration::from_mins(6));
        world
            .meddle("UPDATE offpeak.batch SET ingest_until = NULL")
            .await?;
    }
    assert_eq!(
        world
            .number("SELECT short_reads::bigint FROM offpeak.batch")
            .await?,
        0
    );
    world.run_out().await?;
    books::are_right(&world).await
}

#[tokio::test]
async fn results_that_never_come_fail_their_jobs_after_several_whole_reads() -> Result<()> {
    let mut world = World::new().await?;
    world.submit(&["a", "b"]).await?;
    world.run_out().await?;
    // A third job claims to have been in the batch: its line does not exist.
    world.submit(&["c"]).await?;
    world
        .meddle(
            "WITH one AS (DELETE FROM offpeak.ready RETURNING *)
             INSERT INTO offpeak.inflight (tenant_id, batch_id, id, attempt, tries, bytes)
             SELECT one.tenant_id, b.id, one.id, one.attempt, one.tries, one.bytes
               FROM one, offpeak.batch b",
        )
        .await?;
    world
        .meddle("UPDATE offpeak.batch SET state = 'ended', ingested_at = NULL")
        .await?;
    for reads in 1..=5 {
        assert_eq!(world.open_jobs().await?, 1, "before read {reads}");
        world.worker.tick(Loop::Ingest).await?;
        world
            .meddle("UPDATE offpeak.batch SET ingest_until = NULL")
            .await?;
    }
    assert_eq!(
        world
            .texts("SELECT label FROM offpeak.result WHERE outcome = 'failed'")
            .await?,
        ["result_missing"]
    );
    assert_eq!(
        world.texts("SELECT state FROM offpeak.batch").await?,
        ["ingested"]
    );
    Ok(())
}

#[tokio::test]
async fn a_batch_that_is_gone_upstream_fails_its_jobs_two_days_later() -> Result<()> {
    let mut world = World::new().await?;
    world.submit(&["a", "b"]).await?;
    world.pass(Duration::from_secs(10));
    world.worker.settle_down().await?;
    // Ended, and deleted there before we looked.
    world.pass(Duration::from_mins(2));
    world.standin.settle_due().await;
    world.delete_listed().await?;
    world.pass(Duration::from_hours(40));
    world.worker.tick(Loop::Poll).await?;
    let state = "SELECT state FROM offpeak.batch";
    assert_eq!(
        world.texts(state).await?,
        ["in_progress"],
        "not found may pass"
    );
    world.pass(Duration::from_hours(9));
    for _ in 0..6 {
        world.worker.tick(Loop::Poll).await?;
        world.worker.tick(Loop::Ingest).await?;
        world
            .meddle("UPDATE offpeak.batch SET ingest_until = NULL")
            .await?;
    }
    assert_eq!(world.texts(state).await?, ["ingested"]);
    let failed = "SELECT label FROM offpeak.result";
    assert_eq!(
        world.texts(failed).await?,
        ["result_missing", "result_missing"]
    );
    Ok(())
}

#[tokio::test]
async fn open_jobs_are_not_handed_to_another_kind_of_upstream() -> Result<()> {
    let mut world = World::new().await?;
    world.submit(&["a"]).await?;
    let register = |name: &'static str| {
        let system = world.system.clone();
        async move { upstream::register(&system, name, "http://elsewhere", 1, 1).await }
    };
    let refused = register("Anthropic")
        .await
        .expect_err("the job was for the stand-in");
    assert!(refused.to_string().contains("stand-in"), "{refused}");
    register("stand-in").await?;
    world.meddle("DELETE FROM offpeak.ready").await?;
    register("Anthropic").await?;
    Ok(())
}

#[tokio::test]
async fn a_second_different_line_for_a_job_changes_nothing() -> Result<()> {
    let mut world = World::new().await?;
    world.submit(&["a", "b"]).await?;
    world.run_out().await?;
    let dump = "SELECT string_agg(r::text, chr(10) ORDER BY id) FROM offpeak.result r";
    world
        .meddle("UPDATE offpeak.result SET line_hash = sha256('another line')")
        .await?;
    let before = world.texts(dump).await?;
    world
        .meddle("UPDATE offpeak.batch SET state = 'ended', ingested_at = NULL")
        .await?;
    world.worker.settle_down().await?;
    assert_eq!(world.texts(dump).await?, before);
    Ok(())
}
