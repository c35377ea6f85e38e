//! The loops against the real PostgreSQL and the stand-in: what may go wrong
//! on the way of a batch, and that nothing is lost or paid twice by it.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use offpeak_domain::job::State;
use offpeak_standin::{Faults, ResultsCut};
use offpeak_store::{cancel, job, retry};
use offpeak_testkit::world::World;
use offpeak_worker::Loop;

use crate::books;
use crate::faults::{dropped, refusal};

const TEXTS: [&str; 5] = [
    "One fine day.",
    "Two cats.",
    "Three boats.",
    "Four winds.",
    "Five.",
];

#[tokio::test]
async fn a_job_goes_all_the_way() -> Result<()> {
    let mut world = World::new().await?;
    let ids = world.submit(&TEXTS).await?;
    let state = |world: &World, id| {
        let (tenants, tenant) = (world.tenants.clone(), world.tenant);
        async move {
            let mut tx = tenants.begin(tenant).await?;
            anyhow::Ok(job::get(&mut tx, id).await?.state)
        }
    };
    assert_eq!(state(&world, ids[0]).await?, State::Queued);
    world.pass(Duration::from_secs(10));
    world.worker.settle_down().await?;
    assert_eq!(state(&world, ids[0]).await?, State::Submitted);
    world.run_out().await?;
    assert_eq!(state(&world, ids[0]).await?, State::Completed);

    assert_eq!(
        world.texts("SELECT state FROM offpeak.batch").await?,
        ["ingested"]
    );
    assert_eq!(
        world
            .texts("SELECT close_reason FROM offpeak.batch")
            .await?,
        ["idle"]
    );
    assert_eq!(
        world.number("SELECT count(*) FROM offpeak.output").await?,
        5
    );
    assert_eq!(
        world
            .number("SELECT count(*) FROM offpeak.inflight")
            .await?,
        0
    );
    books::are_right(&world).await
}

#[tokio::test]
async fn a_lost_answer_is_adopted_and_never_sent_again() -> Result<()> {
    let mut world = World::new().await?;
    world.standin.set_faults(dropped(1));
    world.submit(&TEXTS).await?;
    world.pass(Duration::from_secs(10));
    world.worker.tick(Loop::Form).await?;
    world.worker.tick(Loop::Submit).await?;
    assert_eq!(
        world.texts("SELECT state FROM offpeak.batch").await?,
        ["uncertain"]
    );
    world.worker.tick(Loop::Rescue).await?;
    assert_eq!(
        world.texts("SELECT state FROM offpeak.batch").await?,
        ["in_progress"]
    );
    assert_eq!(
        world
            .number("SELECT count(*) FROM offpeak.batch WHERE NOT verified")
            .await?,
        1
    );
    world.run_out().await?;
    assert_eq!(
        world
            .number("SELECT count(*) FROM offpeak.batch WHERE verified")
            .await?,
        1
    );
    assert_eq!(world.standin.journal()?.len(), 5);
    books::are_right(&world).await
}

#[tokio::test]
async fn two_lost_answers_that_look_alike_wait_until_results_name_them() -> Result<()> {
    let mut world = World::new().await?;
    world.standin.set_faults(dropped(2));
    for texts in [["One fine day."], ["Two cats."]] {
        world.submit(&texts).await?;
        world.pass(Duration::from_secs(10));
        world.worker.tick(Loop::Form).await?;
        world.worker.tick(Loop::Submit).await?;
    }
    let uncertain = "SELECT count(*) FROM offpeak.batch WHERE state = 'uncertain'";
    assert_eq!(world.number(uncertain).await?, 2);
    world.worker.tick(Loop::Rescue).await?;
    assert_eq!(world.number(uncertain).await?, 2, "either could be either");
    world.run_out().await?;
    assert_eq!(world.standin.journal()?.len(), 2);
    books::are_right(&world).await
}

#[tokio::test]
async fn a_create_that_stored_nothing_is_refuted_before_its_jobs_go_again() -> Result<()> {
    let mut world = World::new().await?;
    world.standin.set_faults(refusal(502, 1));
    world.submit(&TEXTS).await?;
    world.pass(Duration::from_secs(10));
    world.worker.settle_down().await?;
    assert_eq!(
        world.texts("SELECT state FROM offpeak.batch").await?,
        ["uncertain"]
    );
    // Long after the send, but the settle time is not over.
    world.pass(Duration::from_mins(10));
    world.worker.settle_down().await?;
    assert_eq!(
        world.texts("SELECT state FROM offpeak.batch").await?,
        ["uncertain"]
    );
    world.run_out().await?;
    assert_eq!(
        world
            .texts("SELECT state FROM offpeak.batch ORDER BY planned_at")
            .await?,
        ["refuted", "ingested"]
    );
    let attempts = "SELECT count(*) FROM offpeak.attempt WHERE outcome = 'refuted'";
    assert_eq!(world.number(attempts).await?, 5);
    assert_eq!(world.standin.journal()?.len(), 5);
    books::are_right(&world).await
}

#[tokio::test]
async fn overload_costs_no_try_and_no_second_batch() -> Result<()> {
    let mut world = World::new().await?;
    world.standin.set_faults(refusal(529, 3));
    world.submit(&TEXTS).await?;
    world.run_out().await?;
    assert_eq!(
        world.texts("SELECT state FROM offpeak.batch").await?,
        ["ingested"]
    );
    assert_eq!(
        world
            .number("SELECT sends::bigint FROM offpeak.batch")
            .await?,
        3
    );
    assert_eq!(
        world.number("SELECT count(*) FROM offpeak.attempt").await?,
        0
    );
    books::are_right(&world).await
}

#[tokio::test]
async fn a_refused_batch_is_halved_down_to_the_one_job() -> Result<()> {
    let mut world = World::new().await?;
    // Five together, then 2, 2 and 1: the fourth meets a job that is alone.
    world.standin.set_faults(refusal(400, 4));
    world.submit(&TEXTS).await?;
    world.run_out().await?;
    let failed = "SELECT label FROM offpeak.result WHERE outcome = 'failed'";
    assert_eq!(world.texts(failed).await?, ["rejected_alone"]);
    let completed = "SELECT count(*) FROM offpeak.result WHERE outcome = 'completed'";
    assert_eq!(world.number(completed).await?, 4);
    books::are_right(&world).await
}

#[tokio::test]
async fn a_download_that_breaks_off_is_read_again_and_changes_nothing_twice() -> Result<()> {
    let options = offpeak_worker::Options {
        chunk_lines: 2,
        ..Default::default()
    };
    let mut world = World::with(options).await?;
    world.standin.set_faults(Faults {
        results_cut: Some(ResultsCut {
            after_lines: 3,
            times: 2,
        }),
        ..Faults::default()
    });
    world.submit(&TEXTS).await?;
    for _ in 0..20 {
        // A broken download is the tick's error; the driver would log it.
        let _ = world.worker.settle_down().await;
        world
            .meddle("UPDATE offpeak.batch SET ingest_until = NULL")
            .await?;
        world.pass(Duration::from_secs(30));
    }
    assert_eq!(world.open_jobs().await?, 0);
    let short = "SELECT short_reads::bigint FROM offpeak.batch";
    assert_eq!(world.number(short).await?, 0, "broken off is not short");
    books::are_right(&world).await
}

#[tokio::test]
async fn what_came_before_a_download_broke_off_is_settled() -> Result<()> {
    let mut world = World::new().await?;
    world.standin.set_faults(Faults {
        results_cut: Some(ResultsCut {
            after_lines: 3,
            times: 1,
        }),
        ..Faults::default()
    });
    world.submit(&TEXTS).await?;
    let ended = "SELECT count(*) FROM offpeak.batch WHERE state = 'ended'";
    for _ in 0..20 {
        let _ = world.worker.settle_down().await;
        if world.number(ended).await? > 0 {
            break;
        }
        world.pass(Duration::from_secs(30));
    }
    // Far from a full chunk, and yet not to be read from nothing again.
    assert_eq!(world.number(ended).await?, 1, "its download broke off");
    assert_eq!(world.open_jobs().await?, 2);
    world
        .meddle("UPDATE offpeak.batch SET ingest_until = NULL")
        .await?;
    world.run_out().await?;
    books::are_right(&world).await
}

#[tokio::test]
async fn results_that_are_read_again_from_the_start_change_nothing() -> Result<()> {
    let mut world = World::new().await?;
    world.submit(&TEXTS).await?;
    world.run_out().await?;
    let dump = "SELECT string_agg(r::text, chr(10) ORDER BY id) FROM offpeak.result r";
    let before = world.texts(dump).await?;
    for _ in 0..3 {
        world
            .meddle(
                "UPDATE offpeak.batch SET state = 'ended', ingested_at = NULL, ingest_until = NULL",
            )
            .await?;
        world.worker.settle_down().await?;
    }
    assert_eq!(world.texts(dump).await?, before);
    assert_eq!(
        world.texts("SELECT state FROM offpeak.batch").await?,
        ["ingested"]
    );
    books::are_right(&world).await
}

#[tokio::test]
async fn a_sender_that_went_away_leaves_its_batch_to_be_settled() -> Result<()> {
    let mut world = World::new().await?;
    world.submit(&TEXTS).await?;
    world.pass(Duration::from_secs(10));
    world.worker.tick(Loop::Form).await?;
    // As a process leaves it that dies between its commit and its first byte.
    world
        .meddle(
            "UPDATE offpeak.batch SET state = 'sending', sender = gen_random_uuid(),
                sent_at = planned_at, send_deadline = planned_at + interval '5 min'",
        )
        .await?;
    world.worker.settle_down().await?;
    assert_eq!(
        world.texts("SELECT state FROM offpeak.batch").await?,
        ["uncertain"]
    );
    world.run_out().await?;
    assert_eq!(world.standin.journal()?.len(), 5);
    books::are_right(&world).await
}

#[tokio::test]
async fn a_job_canceled_in_flight_keeps_its_late_line_and_its_cost() -> Result<()> {
    let mut world = World::new().await?;
    let ids = world.submit(&TEXTS).await?;
    world.pass(Duration::from_secs(10));
    world.worker.settle_down().await?;
    let mut tx = world.tenants.begin(world.tenant).await?;
    let canceled = cancel::jobs(&mut tx, &ids[..2]).await?;
    assert_eq!(canceled.canceled.len(), 2);
    tx.commit().await?;

    let again = |world: &World| {
        let (tenants, tenant, id) = (world.tenants.clone(), world.tenant, ids[0]);
        async move {
            let mut tx = tenants.begin(tenant).await?;
            let outcomes = [offpeak_domain::job::Outcome::Canceled];
            let retried = retry::jobs(&mut tx, &[id], &outcomes, &BTreeMap::new()).await?;
            tx.commit().await?;
            anyhow::Ok(retried)
        }
    };
    assert_eq!(
        again(&world).await?.in_flight,
        [ids[0]],
        "not while it may still be paid for"
    );
    world.pass(Duration::from_mins(2));
    world.worker.settle_down().await?;
    let kept =
        "SELECT count(*) FROM offpeak.attempt WHERE outcome = 'completed' AND line IS NOT NULL";
    assert_eq!(world.number(kept).await?, 2);
    assert_eq!(
        world.number("SELECT count(*) FROM offpeak.ledger").await?,
        5
    );
    let states = "SELECT outcome FROM offpeak.result ORDER BY id";
    assert_eq!(
        world.texts(states).await?,
        [
            "canceled",
            "canceled",
            "completed",
            "completed",
            "completed"
        ]
    );
    assert_eq!(again(&world).await?.retried, [ids[0]]);
    world.run_out().await?;
    assert_eq!(
        world.number("SELECT count(*) FROM offpeak.ledger").await?,
        6
    );
    books::are_right(&world).await
}

#[tokio::test]
async fn a_job_canceled_before_its_batch_is_sent_is_not_paid_for() -> Result<()> {
    let mut world = World::new().await?;
    let ids = world.submit(&TEXTS).await?;
    world.pass(Duration::from_secs(10));
    world.worker.tick(Loop::Form).await?;
    let mut tx = world.tenants.begin(world.tenant).await?;
    cancel::jobs(&mut tx, &ids[..2]).await?;
    tx.commit().await?;
    world.run_out().await?;
    world.worker.settle_down().await?;
    world.pass(Duration::from_mins(5));
    world.worker.settle_down().await?;
    assert_eq!(world.standin.journal()?.len(), 3);
    assert_eq!(
        world.texts("SELECT state FROM offpeak.batch").await?,
        ["ingested"]
    );
    books::are_right(&world).await
}

#[tokio::test]
async fn a_bad_credential_pauses_the_upstream_and_keeps_the_jobs() -> Result<()> {
    let mut world = World::new().await?;
    world.standin.set_faults(refusal(401, 1));
    world.submit(&TEXTS).await?;
    world.pass(Duration::from_secs(10));
    world.worker.settle_down().await?;
    assert_eq!(
        world
            .number("SELECT count(*) FROM offpeak.upstream WHERE paused_reason IS NOT NULL")
            .await?,
        1
    );
    assert_eq!(
        world.texts("SELECT state FROM offpeak.batch").await?,
        ["planned"]
    );
    let url = world.standin_url.clone();
    offpeak_store::upstream::register(&world.system, "stand-in", &url, 1_000, 200_000).await?;
    world.run_out().await?;
    books::are_right(&world).await
}

#[tokio::test]
async fn limits_close_batches_and_two_workers_share_the_work() -> Result<()> {
    let mut options = offpeak_worker::Options::default();
    options.limits.max_items = 7;
    let mut world = World::with(options.clone()).await?;
    let texts: Vec<String> = (0..50).map(|n| format!("Document number {n}.")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    world.submit(&texts).await?;
    let other = world.second_worker(options)?;
    world.pass(Duration::from_secs(10));
    for _ in 0..20 {
        let (one, two) = tokio::join!(world.worker.settle_down(), other.settle_down());
        one?;
        two?;
        if world.open_jobs().await? == 0 {
            break;
        }
        world.pass(Duration::from_secs(30));
    }
    assert_eq!(world.open_jobs().await?, 0);
    let full = "SELECT count(*) FROM offpeak.batch WHERE items = 7 AND close_reason = 'item_limit'";
    assert_eq!(world.number(full).await?, 7);
    assert_eq!(world.standin.journal()?.len(), 50);
    books::are_right(&world).await
}
