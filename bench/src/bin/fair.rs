//! What a tenant feels of a greedy neighbour: its time to submission beside one that
//! asks for a hundred times its share, in virtual time with the real planner; and a real
//! run beside one with a million jobs that wait.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use offpeak::config::Role;
use offpeak::engine::{Engine, Parts, Upstream, listen};
use offpeak_bench::cluster::{Cluster, Database, folder, need_disk};
use offpeak_bench::fair::{Asks, SHARE, simulate};
use offpeak_bench::figures::{Figures, Samples};
use offpeak_bench::texts::Texts;
use offpeak_bench::upload::{Client, line};
use offpeak_bench::{argument, print, say};
use offpeak_domain::api_key::ApiKey;
use offpeak_domain::plan::Limits;
use offpeak_standin::Standin;
use tokio::net::TcpListener;

const DATA: &str = include_str!("../../sql/fair.sql");
/// The shipped parameters, in which a job waits for a minute at most.
const HOURS: u64 = 1;
/// In the real run: how long a job waits for its batch to fill, at most.
const FLUSH: Duration = Duration::from_secs(10);
/// The small tenant sends one job so often, so that its bucket never falls idle.
const EVERY: Duration = Duration::from_millis(250);
/// How long the stand-in takes for a batch.
const TURNAROUND: std::ops::Range<Duration> = Duration::from_secs(20)..Duration::from_secs(40);
/// Bytes of the text in one job.
const INPUT: usize = 300;

#[tokio::main]
async fn main() -> Result<()> {
    let jobs: u64 = argument("jobs", 1_000_000)?;
    let buckets: u64 = argument("buckets", 5)?;
    let seconds: u64 = argument("seconds", 60)?;
    let only: String = argument("only", String::new())?;
    let mut figures = Figures::new("fair");
    if only != "real" {
        virtually(&mut figures);
    }
    if only == "virtual" {
        return figures.end();
    }
    really(&mut figures, jobs, buckets, Duration::from_secs(seconds)).await?;
    figures.end()
}

/// The small tenant asks for half of its share, in ones and in hundreds; its neighbour
/// for a hundred times a share, in few buckets with many jobs and in many with one each.
fn virtually(figures: &mut Figures) {
    #[expect(clippy::cast_precision_loss, reason = "a hundred or so")]
    let share = SHARE as f64;
    let mut worst: f64 = 0.0;
    for (small, burst) in [("ones", 1), ("hundreds", 100)] {
        let own = Asks {
            rate: if burst == 1 { 0.5 } else { share / 2.0 },
            burst,
            buckets: 1,
        };
        let seconds = HOURS * 3_600;
        let alone = simulate(&[own], seconds, &Limits::default()).quantile(0.99);
        for (large, burst, buckets) in [("few buckets", 5_000, 3), ("many buckets", 20, 300)] {
            let greedy = Asks {
                rate: 100.0 * share,
                burst,
                buckets,
            };
            let waits = simulate(&[own, greedy], seconds, &Limits::default());
            let beside = waits.quantile(0.99);
            print(format_args!(
                "virtual: {small}: 99 % of {} jobs sent within {alone:.0} s alone, within \
                 {beside:.0} s beside a hundred shares in {large}",
                waits.count()
            ));
            worst = worst.max(beside / alone);
        }
    }
    figures.note("p99_beside_over_alone", worst);
}

async fn really(figures: &mut Figures, jobs: u64, buckets: u64, lasts: Duration) -> Result<()> {
    need_disk(5)?;
    let cluster = Cluster::start("pg").await?;
    let database = cluster.fresh("bench_fair").await?;
    let data = folder()?.join("standin");
    if data.exists() {
        std::fs::remove_dir_all(&data)?;
    }
    let standin = Standin::open(offpeak_standin::Options {
        turnaround: TURNAROUND,
        ..offpeak_standin::Options::new(&data)
    })?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let upstream = format!("http://{}", listener.local_addr()?);
    let (serving, ending) = (standin.clone(), standin.clone());
    let serving = tokio::spawn(serving.serve(listener, std::future::pending()));
    let mut ticks = tokio::time::interval(Duration::from_millis(500));
    let ending = tokio::spawn(async move {
        loop {
            ticks.tick().await;
            ending.settle_due().await;
        }
    });
    let (small, key) = database.tenant("small").await?;
    let (large, _) = database.tenant("large").await?;
    let (engine, url) = engine(&database, &upstream).await?;
    let small = small.as_uuid().to_string();

    send(&url, &key, lasts).await?;
    let alone = waits(&database, &small, "-infinity").await?;
    say(format_args!("loading {jobs} jobs of the neighbour"));
    let sql = DATA
        .replace("$TENANT", &large.as_uuid().to_string())
        .replace("$JOBS", &jobs.to_string())
        .replace("$BUCKETS", &buckets.to_string());
    let begun = Instant::now();
    database.run(&sql).await?;
    say(format_args!(
        "loaded in {:.0} s",
        begun.elapsed().as_secs_f64()
    ));
    // From here on the neighbour's batches are made, sent and read.
    let since: String = sqlx::query_scalar("SELECT clock_timestamp()::text")
        .fetch_one(&database.root)
        .await?;
    send(&url, &key, lasts).await?;
    let beside = waits(&database, &small, &since).await?;
    let of_large = |what: &str| {
        format!(
            "SELECT count(*) FROM {what} WHERE tenant_id = '{}'",
            large.as_uuid()
        )
    };
    let (waiting, sent) = (
        database.number(&of_large("ready")).await?,
        database
            .number(&(of_large("batch") + " AND sent_at IS NOT NULL"))
            .await?,
    );
    ensure!(waiting > 0.0, "the neighbour ran dry: give it more --jobs");
    ensure!(sent > 0.0, "nothing of the neighbour was sent");
    let flush = FLUSH.as_secs_f64();
    let most = |samples: &Samples| samples.spread().1;
    print(format_args!(
        "real: beside {jobs} jobs, {sent:.0} batches of which were sent meanwhile, {} jobs of the \
         small tenant were sent within {:.1} s (99 %: {:.1} s), alone within {:.1} s (99 %: {:.1} s); \
         the flush delay is {flush:.0} s",
        beside.count(),
        most(&beside),
        beside.quantile(0.99),
        most(&alone),
        alone.quantile(0.99),
    ));
    figures.note("real_jobs", f64::from(u32::try_from(jobs)?));
    figures.note("real_most_s", most(&beside));
    figures.note("real_alone_most_s", most(&alone));
    figures.note("real_over_flush_s", most(&beside) - flush);
    figures.note(
        "real_p99_beside_over_alone",
        beside.quantile(0.99) / alone.quantile(0.99),
    );
    engine.stop().await;
    serving.abort();
    ending.abort();
    cluster.stop().await
}

/// API and worker of this process, with the limits of a small organization.
async fn engine(database: &Database, upstream: &str) -> Result<(Engine, String)> {
    let listener = listen("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let mut worker = offpeak_worker::Options::default();
    worker.limits.flush_after = FLUSH;
    worker.limits.idle_after = Duration::from_secs(2);
    worker.first_poll = Duration::from_secs(5);
    worker.poll_every = Duration::from_secs(5);
    let engine = Engine::start(Parts {
        store: offpeak_store::Options::new(database.url.parse().context("the database's URL")?),
        role: Role::All,
        prices: offpeak_domain::price::Prices::shipped()?,
        listener: Some(listener),
        observed: None,
        patience: offpeak_api::Patience::default(),
        vault: None,
        upstream: Upstream {
            name: "bench".to_owned(),
            base_url: upstream.to_owned(),
            key: "sk-ant-bench".to_owned().into(),
            standin: true,
            creates_per_minute: 50,
            max_queued_items: 100_000,
        },
        worker,
        limits: offpeak_domain::limits::Limits::default(),
        sign_ins: offpeak_domain::rate::Rate::default(),
        live: offpeak_api::LiveOptions::default(),
        public_url: None,
        identity_server: None,
        proxies: offpeak_api::Proxies::default(),
    })
    .await?;
    Ok((engine, url))
}

/// Sends one job after the other for so long, and waits until all have been sent on.
async fn send(url: &str, key: &ApiKey, lasts: Duration) -> Result<()> {
    let texts = Arc::new(Texts::read()?);
    let client = Client::new(url, key);
    let mut ticks = tokio::time::interval(EVERY);
    let begun = Instant::now();
    for place in 0.. {
        ticks.tick().await;
        if begun.elapsed() >= lasts {
            break;
        }
        let body = line(texts.cut(place % 10_000, 10_000, INPUT))?;
        ensure!(client.post(&body).await?, "a job was not accepted");
    }
    // Whatever came last is sent after a flush.
    let until = begun.elapsed() + 2 * FLUSH;
    while begun.elapsed() < until {
        ticks.tick().await;
    }
    Ok(())
}

/// Seconds from coming to being sent, of the jobs of a tenant that came since then. One
/// that has not been sent yet counts as waiting until now.
async fn waits(database: &Database, tenant: &str, since: &str) -> Result<Samples> {
    let rows: Vec<f64> = sqlx::query_scalar(
        "SELECT extract(epoch FROM coalesce(b.sent_at, clock_timestamp()) - j.at)::float8
           FROM (SELECT tenant_id, id,
                        to_timestamp(('x' || substr(replace(id::text, '-', ''), 1, 12))::bit(48)::bigint
                                     / 1000.0) AS at
                   FROM job WHERE tenant_id = $1::uuid) AS j
           LEFT JOIN inflight i ON i.tenant_id = j.tenant_id AND i.id = j.id
           LEFT JOIN result r ON r.tenant_id = j.tenant_id AND r.id = j.id
           LEFT JOIN batch b ON b.tenant_id = j.tenant_id
                            AND b.id = coalesce(i.batch_id, r.batch_id)
          WHERE j.at > $2::timestamptz",
    )
    .bind(tenant)
    .bind(since)
    .fetch_all(&database.root)
    .await?;
    ensure!(!rows.is_empty(), "no jobs came");
    Ok(rows.into_iter().collect())
}
