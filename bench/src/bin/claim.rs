//! Claims of 10,000 jobs with a long history, a long queue and dead rows that
//! an old transaction keeps, over the same in a fresh cluster.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use offpeak_bench::cluster::{self, Cluster, Database};
use offpeak_bench::discard::discard;
use offpeak_bench::figures::{Figures, Samples};
use offpeak_bench::{argument, print, say};
use offpeak_domain::batch::CloseReason;
use offpeak_domain::cache::{Decision, Mark, Predicted, Reason};
use offpeak_domain::id::{BatchId, BucketId, JobId, Minter, TenantId};
use offpeak_domain::money::Pico;
use offpeak_store::ready::{self, Claim};
use offpeak_store::{delta, upstream};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use uuid::Uuid;

const DATA: &str = include_str!("../../sql/claim.sql");
/// What settling leaves of a round: every row that was in flight has a result.
const SETTLE: &str = "WITH gone AS (DELETE FROM inflight RETURNING *),
     ended AS (INSERT INTO result (tenant_id, id, outcome, model, batch_id, attempt, ended_at)
               SELECT tenant_id, id, 'completed', 'model', batch_id, attempt, clock_timestamp()
                 FROM gone ORDER BY id)
     INSERT INTO output (tenant_id, id, line) SELECT tenant_id, id, '{}' FROM gone ORDER BY id;
     UPDATE batch SET state = 'ingested', sent_at = planned_at, ended_at = planned_at,
            ingested_at = planned_at, upstream_batch_id = id
      WHERE state = 'planned'";
/// Nothing is shared, so nothing is marked.
const UNMARKED: Decision = Decision {
    mark: Mark::None,
    prime: false,
    reason: Reason::TooShort,
    predicted: Predicted {
        hits_per_mille: 0,
        with: Pico::ZERO,
        without: Pico::ZERO,
    },
};
/// Nothing is kept back.
const EVERY: JobId = JobId::from_uuid(Uuid::nil());
/// Gigabytes of free disk below which the bench refuses.
const DISK: u64 = 15;
/// Long buckets, from which every round takes.
const LONG: u128 = 10;
/// Jobs taken from each of them.
const ITEMS: u32 = 1_000;

#[tokio::main]
async fn main() -> Result<()> {
    let rounds: usize = argument("rounds", 20)?;
    let samples: usize = argument("samples", 7)?;
    cluster::need_disk(DISK)?;

    let fresh = Cluster::start("pg-fresh").await?;
    let empty = fresh.fresh("bench_claim").await?;
    // As many buckets, and three of ten rows in the long ones, as on the full side:
    // a claim's rows lie as far apart on both.
    load(&empty, 0, 40_000 * (samples + 2), 3).await?;
    let cluster = Cluster::start("pg").await?;
    let full = cluster.fresh("bench_claim").await?;
    say("loading 5 M finished jobs and 1 M that wait");
    let begun = Instant::now();
    load(&full, 5_000_000, 1_000_000, 3).await?;
    let disk = full.number("pg_database_size(current_database())").await?;
    say(format_args!(
        "loaded in {:.0} s, {:.1} GB",
        begun.elapsed().as_secs_f64(),
        disk / 1e9
    ));

    // Somebody's forgotten session: nothing that dies from here on can be removed.
    let mut holder = full.root.begin().await?;
    sqlx::raw_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM tenant")
        .execute(&mut *holder)
        .await?;
    for round in 1..=rounds {
        let took = claim(&full).await?;
        settle(&full).await?;
        say(format_args!("round {round}: {:.0} ms", took.sum() * 1e3));
    }

    let mut ratios = Samples::default();
    let (mut a, mut b) = (Samples::default(), Samples::default());
    let (mut reads, mut reads_empty) = (Samples::default(), Samples::default());
    let mut whole = Samples::default();
    // The first of each warms up.
    for sample in 0..=samples {
        let (empty_took, full_took) = (claim(&empty).await?, claim(&full).await?);
        settle(&empty).await?;
        settle(&full).await?;
        say(format_args!(
            "fresh: read {:.1} ms, move {:.1} ms; full: read {:.1} ms, move {:.1} ms",
            empty_took.read * 1e3,
            empty_took.moved * 1e3,
            full_took.read * 1e3,
            full_took.moved * 1e3
        ));
        if sample > 0 {
            ratios.push(full_took.moved / empty_took.moved);
            whole.push(full_took.sum() / empty_took.sum());
            a.push(full_took.moved * 1e3);
            b.push(empty_took.moved * 1e3);
            reads.push(full_took.read * 1e3);
            reads_empty.push(empty_took.read * 1e3);
        }
    }
    holder.rollback().await?;

    let mut figures = Figures::new("claim");
    figures.add_as("full_over_empty", a.median() / b.median(), &ratios);
    figures.add_as(
        "full_over_empty_with_read",
        (a.median() + reads.median()) / (b.median() + reads_empty.median()),
        &whole,
    );
    figures.add("full_ms", &a);
    figures.add("empty_ms", &b);
    figures.add("full_read_ms", &reads);
    figures.add("empty_read_ms", &reads_empty);
    let disk = full.number("pg_database_size(current_database())").await?;
    figures.note("disk_gb", disk / 1e9);
    print(format_args!(
        "10,000 jobs claimed in {:.0} ms, in a fresh cluster in {:.0} ms; {:.1} GB of disk",
        a.median(),
        b.median(),
        disk / 1e9
    ));
    figures.end()?;
    discard(full).await?;
    discard(empty).await?;
    fresh.stop().await?;
    cluster.stop().await
}

async fn load(database: &Database, finished: usize, ready: usize, long: usize) -> Result<()> {
    let sql = DATA
        .replace("$FINISHED", &finished.to_string())
        .replace("$READY", &ready.to_string())
        .replace("$LONG", &long.to_string());
    database.run(&sql).await?;
    database.run("VACUUM ANALYZE").await
}

/// Seconds of one round.
struct Took {
    /// Reading what waits, all buckets.
    read: f64,
    /// Moving the jobs.
    moved: f64,
}

impl Took {
    fn sum(&self) -> f64 {
        self.read + self.moved
    }
}

/// Claims 1,000 jobs from each of the long buckets, as `form` does.
async fn claim(database: &Database) -> Result<Took> {
    let system = &database.system;
    let now = system.now().await?;
    let begun = Instant::now();
    let waiting = ready::waiting(system, now, EVERY).await?;
    let read = begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    for number in 0..LONG {
        let bucket = BucketId::from_uuid(Uuid::from_u128(plain(4, number)));
        let tenant = TenantId::from_uuid(Uuid::from_u128(plain(1, number)));
        let waits = waiting.iter().find(|one| one.bucket == bucket);
        let since = waits.context("a bucket ran dry")?.oldest;
        let mut tx = system.begin().await?;
        let batch: BatchId = Minter::new(tx.now(), StdRng::seed_from_u64(7)).mint();
        let claimed = ready::claim(
            &mut tx,
            now,
            &Claim {
                batch,
                tenant,
                bucket,
                upstream: upstream::OWN,
                model: "model",
                since,
                max_items: ITEMS,
                max_bytes: 200 << 20,
                item_overhead: 60,
                reason: CloseReason::ItemLimit,
                first_free: EVERY,
                prefix_tokens: 0,
                prefix_hash: None,
            },
            |claimed| claimed.params_bytes,
            |_| UNMARKED,
        )
        .await?
        .context("nothing was there to take")?;
        ensure!(claimed.items == ITEMS, "only {} jobs", claimed.items);
        tx.commit().await?;
    }
    Ok(Took {
        read,
        moved: begun.elapsed().as_secs_f64(),
    })
}

/// Ends what was claimed, and folds the counts, as the worker does.
async fn settle(database: &Database) -> Result<()> {
    database.run(SETTLE).await?;
    while delta::fold(&database.system, 10_000).await? > 0 {}
    Ok(())
}

/// The ids that the SQL makes.
fn plain(kind: u128, number: u128) -> u128 {
    (0x0192 << 112) | (kind << 96) | (0x7000 << 64) | (0x8000 << 48) | number
}
