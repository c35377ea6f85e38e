//! Random walks: submits, cancels, retries, faults and ticks of two workers in
//! any order. After each step every job stands in exactly one place; at the
//! end, with the faults gone, every job has ended and the books are right.

use std::time::Duration;

use anyhow::{Context, Result};
use offpeak_domain::id::JobId;
use offpeak_domain::job::Outcome;
use offpeak_standin::{CreateStatus, Faults, ResultsCut};
use offpeak_store::{cancel, retry, upstream};
use offpeak_testkit::world::{EXPECTED, World};
use offpeak_worker::{Loop, Worker};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::books;
use crate::budgets;

const STEPS: usize = 60;

#[tokio::test]
async fn any_order_of_events_ends_in_right_books() -> Result<()> {
    for seed in 0..6 {
        Box::pin(walk(seed))
            .await
            .with_context(|| format!("with seed {seed}"))?;
    }
    Ok(())
}

async fn walk(seed: u64) -> Result<()> {
    let mut options = offpeak_worker::Options {
        chunk_lines: 3,
        ..Default::default()
    };
    options.limits.max_items = 5;
    let mut world = World::with(options.clone()).await?;
    world.budget().await?;
    let other = world.second_worker(options)?;
    let mut rng = StdRng::seed_from_u64(seed);
    let mut jobs = Vec::new();
    for _ in 0..STEPS {
        Box::pin(step(&mut world, &other, &mut rng, &mut jobs)).await?;
        placed_once(&world).await?;
    }
    world.standin.clear_faults();
    world.standin.release()?;
    // An operator who has mended the credential restarts, which ends the pause.
    let url = world.standin_url.clone();
    upstream::register(&world.system, "stand-in", &url, 1_000, 200_000).await?;
    // The other process is gone, and its terms are over.
    world
        .meddle("UPDATE offpeak.lease SET expires_at = now() - interval '1 s'")
        .await?;
    // Pauses between two reads are the database's time.
    world
        .meddle("UPDATE offpeak.batch SET ingest_until = NULL WHERE state = 'ended'")
        .await?;
    world.run_out().await?;
    // Late lines of canceled jobs may still be on their way.
    for _ in 0..12 {
        world.pass(Duration::from_mins(5));
        world.worker.settle_down().await?;
    }
    placed_once(&world).await?;
    assert_eq!(
        world
            .number("SELECT count(*) FROM offpeak.inflight")
            .await?,
        0
    );
    budgets::settled(&world).await?;
    books::are_right(&world).await
}

async fn step(
    world: &mut World,
    other: &Worker,
    rng: &mut StdRng,
    jobs: &mut Vec<JobId>,
) -> Result<()> {
    match rng.random_range(0..13) {
        0 | 1 => {
            let texts: Vec<String> = (0..rng.random_range(1..8))
                .map(|n| format!("Text {n} of {}.", jobs.len()))
                .collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            jobs.extend(world.submit(&texts).await?);
        }
        2 => {
            let some = some(rng, jobs);
            let mut tx = world.tenants.begin(world.tenant).await?;
            cancel::jobs(&mut tx, &some).await?;
            tx.commit().await?;
        }
        3 => {
            let some = some(rng, jobs);
            let mut tx = world.tenants.begin(world.tenant).await?;
            retry::jobs(
                &mut tx,
                &some,
                &[Outcome::Failed, Outcome::Canceled],
                &some.iter().map(|job| (*job, EXPECTED)).collect(),
            )
            .await?;
            tx.commit().await?;
        }
        4 => world.standin.set_faults(fault(rng)),
        5 | 6 => world.pass(Duration::from_secs(rng.random_range(1..120))),
        7 => {
            // A process that dies between its intent and its first byte.
            world
                .meddle(
                    "UPDATE offpeak.batch
                        SET state = 'sending', sender = gen_random_uuid(), sent_at = planned_at,
                            send_deadline = planned_at + interval '5 min', listings = 0,
                            first_listing_at = NULL, last_listing_at = NULL
                      WHERE state = 'planned'",
                )
                .await?;
        }
        8 => {
            world
                .meddle("UPDATE offpeak.batch SET ingest_until = NULL WHERE state = 'ended'")
                .await?;
            tokio::join!(tick(&world.worker, Loop::Ingest), tick(other, Loop::Ingest));
        }
        9 => {
            // The terms are over, and two processes think at once that it is theirs.
            world
                .meddle("UPDATE offpeak.lease SET expires_at = now() - interval '1 s'")
                .await?;
            let which = Loop::ALL[rng.random_range(0..Loop::ALL.len())];
            let what = Loop::ALL[rng.random_range(0..Loop::ALL.len())];
            tokio::join!(tick(&world.worker, which), tick(other, what));
        }
        _ => {
            let which = Loop::ALL[rng.random_range(0..Loop::ALL.len())];
            let worker = if rng.random() { &world.worker } else { other };
            tick(worker, which).await;
        }
    }
    Ok(())
}

/// A tick may fail, that is what the faults are for; the driver would log it.
async fn tick(worker: &Worker, which: Loop) {
    let _ = worker.tick(which).await;
}

fn some(rng: &mut StdRng, jobs: &[JobId]) -> Vec<JobId> {
    jobs.iter()
        .copied()
        .filter(|_| rng.random_range(0..4) == 0)
        .collect()
}

fn fault(rng: &mut StdRng) -> Faults {
    let status = [400, 401, 413, 429, 500, 502, 504, 529][rng.random_range(0..8)];
    match rng.random_range(0..4) {
        0 => Faults {
            drop_create_answer: Some(1),
            ..Faults::default()
        },
        1 => Faults {
            results_cut: Some(ResultsCut {
                after_lines: rng.random_range(0..4),
                times: 1,
            }),
            ..Faults::default()
        },
        2 => Faults {
            hold: Some(1),
            ..Faults::default()
        },
        _ => Faults {
            create_status: Some(CreateStatus {
                status,
                // Only what proves nothing may have been stored all the same.
                stored: matches!(status, 500 | 502 | 504) && rng.random(),
                times: 1,
                retry_after: None,
                code: None,
                html: status == 502,
            }),
            ..Faults::default()
        },
    }
}

/// No job is lost and none is in two places, apart from the result of a
/// canceled one whose attempt is still in flight.
async fn placed_once(world: &World) -> Result<()> {
    let misplaced = "SELECT count(*) FROM offpeak.job j
          WHERE (SELECT count(*) FROM offpeak.ready q WHERE q.id = j.id)
              + (SELECT count(*) FROM offpeak.inflight i WHERE i.id = j.id AND NOT i.canceled)
              + (SELECT count(*) FROM offpeak.result r WHERE r.id = j.id) <> 1";
    assert_eq!(
        world.number(misplaced).await?,
        0,
        "jobs in no place, or in two"
    );
    Ok(())
}
