//! Deleting what one tenant's time is over for among a million jobs of others, over the
//! same where there are none; and submits while that goes on, over submits alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Result, ensure};
use offpeak_bench::cluster::{self, Cluster, Database};
use offpeak_bench::discard::discard;
use offpeak_bench::figures::{Figures, Samples};
use offpeak_bench::{argument, print, say};
use offpeak_domain::id::{Minter, TenantId};
use offpeak_domain::job::Lane;
use offpeak_domain::retention::Days;
use offpeak_store::job::{self, Entry, NewJob};
use offpeak_store::{retained, upstream};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use uuid::Uuid;

const DATA: &str = include_str!("../../sql/retention.sql");
/// Gigabytes of free disk below which the bench refuses.
const DISK: u64 = 8;
/// Jobs that one step looks at, as the loop `purge` has it.
const STEP: i64 = 500;

#[tokio::main]
async fn main() -> Result<()> {
    let others: usize = argument("others", 1_000_000)?;
    let mine: usize = argument("mine", 50_000)?;
    cluster::need_disk(DISK)?;

    let fresh = Cluster::start("pg-fresh").await?;
    let empty = load(&fresh, 0, mine).await?;
    let cluster = Cluster::start("pg").await?;
    let full = load(&cluster, others, mine).await?;
    say("loaded");

    let alone = submits(&full, None).await?;
    let (mut steps, mut steps_empty) = (Samples::default(), Samples::default());
    // A tenth of it beside submits, the rest by itself, in turns with the other side.
    let going = Arc::new(AtomicBool::new(true));
    let beside = {
        let (system, until) = (full.system.clone(), Arc::clone(&going));
        let deleting = tokio::spawn(async move {
            let mut rows = 0;
            while until.load(Ordering::Relaxed) {
                let begun = Instant::now();
                let gone = retained::walk(&system, system.now().await?, STEP).await?;
                rows += gone.rows;
                if gone.looked == 0 {
                    break;
                }
                rest(begun.elapsed()).await;
            }
            Ok::<_, anyhow::Error>(rows)
        });
        let beside = submits(&full, Some(&going)).await?;
        let rows = deleting.await??;
        ensure!(rows > 0, "nothing was deleted beside the submits");
        beside
    };
    loop {
        let (Some(a), Some(b)) = (step(&full).await?, step(&empty).await?) else {
            break;
        };
        steps.push(a * 1e3);
        steps_empty.push(b * 1e3);
    }
    ensure!(steps.count() >= 10, "only {} steps", steps.count());

    let mut figures = Figures::new("retention");
    figures.add_as(
        "full_over_empty",
        steps.median() / steps_empty.median(),
        &steps,
    );
    figures.add_as(
        "submits_beside_over_alone",
        beside.median() / alone.median(),
        &beside,
    );
    figures.add("step_ms", &steps);
    figures.add("step_empty_ms", &steps_empty);
    figures.add("submit_ms", &beside);
    figures.add("submit_alone_ms", &alone);
    print(format_args!(
        "a step of {STEP} jobs in {:.1} ms among {others} others, in {:.1} ms without; a submit \
         in {:.2} ms beside it, in {:.2} ms alone",
        steps.median(),
        steps_empty.median(),
        beside.median(),
        alone.median(),
    ));
    figures.end()?;
    discard(full).await?;
    discard(empty).await?;
    fresh.stop().await?;
    cluster.stop().await
}

/// As the worker's driver does it between two ticks.
#[expect(clippy::disallowed_methods, reason = "whoever rests takes time")]
async fn rest(worked: std::time::Duration) {
    tokio::time::sleep(offpeak_worker::rest(worked)).await;
}

async fn load(cluster: &Cluster, others: usize, mine: usize) -> Result<Database> {
    let database = cluster.fresh("bench_retention").await?;
    let sql = DATA
        .replace("$OTHERS", &others.to_string())
        .replace("$MINE", &mine.to_string());
    database.run(&sql).await?;
    database.run("VACUUM ANALYZE").await?;
    let system = &database.system;
    retained::advance(system, system.now().await?, Days::default()).await?;
    // The others have nothing that is over: what they cost is a look each.
    let done = "UPDATE retained SET inputs_at = inputs_before, results_at = results_before
                 WHERE tenant_id NOT IN (SELECT tenant_id FROM retention)";
    database.run(done).await?;
    Ok(database)
}

/// Seconds of one step that deleted something; none when nothing is left.
async fn step(database: &Database) -> Result<Option<f64>> {
    let system = &database.system;
    let now = system.now().await?;
    loop {
        let begun = Instant::now();
        let gone = retained::walk(system, now, STEP).await?;
        if gone.rows > 0 {
            return Ok(Some(begun.elapsed().as_secs_f64()));
        }
        if gone.looked == 0 {
            return Ok(None);
        }
    }
}

/// Milliseconds of each of 300 single submits; then whoever deletes is told to stop.
async fn submits(database: &Database, going: Option<&AtomicBool>) -> Result<Samples> {
    let tenant = TenantId::from_uuid(Uuid::from_u128(
        (0x0192 << 112) | (1 << 96) | (0x7000 << 64) | (0x8000 << 48) | 7,
    ));
    let mut rng = StdRng::seed_from_u64(7);
    let mut took = Samples::default();
    for _ in 0..300 {
        let begun = Instant::now();
        let mut tx = database.tenants.begin(tenant).await?;
        let new = NewJob {
            id: Minter::new(tx.now(), &mut rng).mint(),
            group: None,
            job_type: None,
            user: None,
            model: "model".to_owned(),
            upstream: upstream::OWN,
            lane: Lane::Batch,
            terms: offpeak_domain::deliver::Terms::default(),
            priority: 0,
            metadata: None,
            params: vec![b'x'; 2_000],
            structured: false,
            prefix: None,
            sharing: None,
            expected: None,
        };
        job::insert_chunk(&mut tx, &[new], Entry::Ready).await?;
        tx.commit().await?;
        took.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    if let Some(going) = going {
        going.store(false, Ordering::Relaxed);
    }
    Ok(took)
}
