//! The day through offpeak: the real loops over a real database, in virtual time,
//! run when each of them said that it wants to.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use offpeak_anthropic::{Client, Config};
use offpeak_domain::deliver::Terms;
use offpeak_domain::id::{JobId, Minter, TenantId};
use offpeak_domain::job::{Lane, OnLate};
use offpeak_domain::price::{Bill, Prices};
use offpeak_domain::route::{Ways, route};
use offpeak_store::job::{Entry, NewJob};
use offpeak_store::share::Sharing;
use offpeak_store::{turnaround, upstream};
use offpeak_worker::{Clock, Loop, Options, Wait, Worker};
use prometheus_client::registry::Registry;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use secrecy::SecretString;
use time::OffsetDateTime;

use super::mix::{Arrival, TENANTS};
use super::{MORNING, Upstream};
use crate::cluster::Database;
use crate::say;

/// The loops that carry a job, in the order in which it meets them.
const LOOPS: [Loop; 8] = [
    Loop::Form,
    Loop::Submit,
    Loop::Escalate,
    Loop::Direct,
    Loop::Poll,
    Loop::Ingest,
    Loop::Share,
    Loop::Fold,
];
/// The longest that a loop waits which is told of nothing: hints come at once in
/// earnest, here each loop looks for itself.
const LOOK: Duration = Duration::from_secs(10);
/// As `[queue]` has it; a server with other settings pays something else.
const CREATES_PER_MINUTE: u32 = 1_000;

/// What the day came to.
#[derive(Debug)]
pub struct Came {
    /// What was billed.
    pub bill: Bill,
    /// Jobs with a deadline that ended after it.
    pub missed: f64,
    /// Jobs that ended otherwise than completed.
    pub failed: f64,
    /// Jobs that were called for.
    pub called: f64,
    /// Jobs that were answered by another one's attempt.
    pub shared: f64,
    /// Batches.
    pub batches: f64,
    /// Of the requests in marked batches that could have found their prefix, how
    /// many were expected to, and how many did.
    pub predicted: f64,
    /// See above.
    pub real: f64,
}

/// The loops with their clock.
struct Loops {
    worker: Worker,
    upstream: Upstream,
    now: Arc<Mutex<OffsetDateTime>>,
    due: [OffsetDateTime; LOOPS.len()],
}

impl Loops {
    fn now(&self) -> OffsetDateTime {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pass_to(&self, then: OffsetDateTime) {
        let passed = Duration::try_from(then - self.now()).unwrap_or_default();
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) += passed;
        self.upstream.clock.advance(passed);
    }

    /// Lets time pass until then, and each loop run when it is due.
    async fn until(&mut self, then: OffsetDateTime) -> Result<()> {
        loop {
            let next = self.due.iter().copied().min().unwrap_or(then);
            if next > then {
                self.pass_to(then);
                return Ok(());
            }
            self.pass_to(next);
            for place in 0..LOOPS.len() {
                while self.due[place] <= self.now() {
                    self.run(place).await?;
                }
            }
        }
    }

    async fn run(&mut self, place: usize) -> Result<()> {
        let outcome = self.worker.tick(LOOPS[place]).await?;
        let now = self.now();
        self.due[place] = now
            + match outcome.wait {
                Wait::Now | Wait::Rested => Duration::ZERO,
                Wait::For(wait) => wait.clamp(Duration::from_millis(500), LOOK),
                Wait::Idle => LOOK,
            };
        for woken in outcome.wakes {
            self.wake(woken);
        }
        Ok(())
    }

    fn wake(&mut self, which: Loop) {
        let now = self.now();
        if let Some(place) = LOOPS.iter().position(|one| *one == which) {
            self.due[place] = now;
        }
    }
}

/// Sends the day; of a batch's items so many find what is warm, from 0 to 1.
pub async fn send(
    day: &[Arrival],
    database: &Database,
    data: &Path,
    hit_rate: f64,
    prices: &Prices,
) -> Result<Came> {
    // The database's own clock must not be ahead of the day.
    let begin = database.system.now().await? + Duration::from_mins(1);
    if let Some(job) = day.first() {
        prices_agree(prices, &job.model, begin)?;
    }
    let upstream = Upstream::start(data, begin, hit_rate).await?;
    let (system, url) = (&database.system, &upstream.url);
    upstream::register(system, "stand-in", url, CREATES_PER_MINUTE, 200_000).await?;
    let mut rng = StdRng::seed_from_u64(1);
    let mut tenants = Vec::new();
    for place in 0..TENANTS {
        tenants.push(database.tenant(&format!("tenant-{place}")).await?.0);
    }
    let now = Arc::new(Mutex::new(begin));
    let client = Client::new(Config::new(url, SecretString::from("bench")))?;
    let options = Options::default();
    let worker = Worker::new(
        system.clone(),
        vec![offpeak_worker::Upstream::new(upstream::OWN, client)],
        prices.clone(),
        options.clone(),
        Clock::Manual(Arc::clone(&now)),
        &mut rng,
        &mut Registry::default(),
    );
    worker.tick(Loop::Reconcile).await?;
    let mut loops = Loops {
        worker,
        upstream,
        now,
        due: [begin; LOOPS.len()],
    };
    let mut ids: Vec<(JobId, OffsetDateTime)> = Vec::new();
    for (place, job) in day.iter().enumerate() {
        let at = begin + job.at;
        loops.until(at).await?;
        let id = submit(database, tenants[job.tenant], job, at, &options, &mut rng).await?;
        loops.wake(Loop::Form);
        loops.wake(Loop::Direct);
        loops.wake(Loop::Escalate);
        if let Some(within) = job.within {
            ids.push((id, at + within));
        }
        if place % 1_000 == 999 {
            say(format_args!(
                "{} of {} jobs have come",
                place + 1,
                day.len()
            ));
        }
    }
    let open = "SELECT count(*) FROM job j WHERE NOT EXISTS
                    (SELECT FROM result r WHERE r.tenant_id = j.tenant_id AND r.id = j.id)";
    let end = loops.now() + Duration::from_hours(30);
    while database.number(open).await? > 0.0 {
        ensure!(loops.now() < end, "jobs stay open");
        let next = loops.now() + Duration::from_mins(1);
        loops.until(next).await?;
    }
    came(database, &loops.upstream, prices, &ids).await
}

async fn submit(
    database: &Database,
    tenant: TenantId,
    job: &Arrival,
    at: OffsetDateTime,
    options: &Options,
    rng: &mut StdRng,
) -> Result<JobId> {
    let terms = Terms {
        within: job.within,
        on_late: job.within.map(|_| OnLate::Escalate),
        on_unknown: None,
    };
    let lately = turnaround::lately(&database.system, upstream::OWN, at).await?;
    let ways = Ways {
        around: options.limits.flush_after + options.poll_every,
        batch: lately.batch.of(at.hour(), None),
        direct: lately.direct.of(at.hour(), None),
        escalate_before: options.escalate_before,
    };
    let lane = route(terms.within, OnLate::Escalate, &ways).lane();
    let id = Minter::new(at, rng).mint();
    let new = NewJob {
        id,
        group: None,
        job_type: None,
        user: None,
        model: job.model.clone(),
        upstream: upstream::OWN,
        lane,
        terms,
        priority: 0,
        metadata: None,
        params: job.params.clone(),
        structured: false,
        prefix: job.prefix,
        sharing: Some(Sharing::of(upstream::OWN, &job.params, None)),
        expected: None,
    };
    let mut tx = database.tenants.begin(tenant).await?;
    offpeak_store::job::insert_chunk(&mut tx, &[new], Entry::Ready).await?;
    tx.commit().await?;
    // A job waits from its submit on, which is the database's time in earnest.
    sqlx::query("UPDATE ready SET not_before = $2 WHERE id = $1")
        .bind(id.as_uuid())
        .bind(at)
        .execute(&database.root)
        .await?;
    Ok(id)
}

async fn came(
    database: &Database,
    upstream: &Upstream,
    prices: &Prices,
    ids: &[(JobId, OffsetDateTime)],
) -> Result<Came> {
    let bill = upstream.bill(prices)?;
    let booked = database
        .number("SELECT coalesce(sum(cost_pico), 0) FROM ledger")
        .await?;
    #[expect(
        clippy::cast_precision_loss,
        reason = "some dollars, to the micro-cent"
    )]
    let billed = bill.cost.0 as f64;
    ensure!(
        (booked - billed).abs() < 1.0 + billed * 1e-12,
        "the ledger holds {booked} pico-dollars, and {billed} were billed"
    );
    let missed: i64 = sqlx::query_scalar(
        "SELECT count(*)
           FROM unnest($1::uuid[], $2::timestamptz[]) AS due (id, at)
           JOIN result r ON r.id = due.id
          WHERE r.ended_at > due.at",
    )
    .bind(ids.iter().map(|(id, _)| id.as_uuid()).collect::<Vec<_>>())
    .bind(ids.iter().map(|(_, at)| *at).collect::<Vec<_>>())
    .fetch_one(&database.root)
    .await?;
    let count = async |sql: &str| database.number(sql).await.context("a count");
    let marked = "FROM batch WHERE cache_mark <> 'none' AND cache_chances IS NOT NULL";
    Ok(Came {
        bill,
        missed: f64::from(i32::try_from(missed)?),
        failed: count("SELECT count(*) FROM result WHERE outcome <> 'completed'").await?,
        called: count("SELECT count(*) FROM call").await?,
        shared: count("SELECT count(*) FROM ledger WHERE source_id IS NOT NULL").await?,
        batches: count("SELECT count(*) FROM batch").await?,
        predicted: count(&format!(
            "SELECT coalesce(sum(cache_per_mille * items) / nullif(sum(items), 0) / 1000.0, 0) {marked}"
        ))
        .await?,
        real: count(&format!(
            "SELECT coalesce(sum(cache_hits)::float / nullif(sum(items), 0), 0) {marked}"
        ))
        .await?,
    })
}

/// What goes through offpeak is booked by the prices of the day of the run, the rest
/// by those of the mix: they have to be the same.
fn prices_agree(prices: &Prices, model: &str, today: OffsetDateTime) -> Result<()> {
    ensure!(
        prices.find(model, today.date(), Lane::Batch)
            == prices.find(model, MORNING.date(), Lane::Batch),
        "prices of {model} have changed since the mix was written: choose another day"
    );
    Ok(())
}
