//! What an idle `serve` costs while Anthropic works on 100 batches: queries,
//! memory and calls upstream.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use axum::extract::Request;
use axum::http::Method;
use axum::middleware::{Next, from_fn};
use offpeak_bench::cluster::{Cluster, Database, folder};
use offpeak_bench::discard::discard;
use offpeak_bench::figures::{Figures, Samples};
use offpeak_bench::upload::{Client, line};
use offpeak_bench::{argument, memory, print, say, server};
use offpeak_standin::Standin;
use tokio::net::TcpListener;

const BATCHES: usize = 100;
/// Longer than any run: the batches stay open.
const TURNAROUND: std::ops::Range<Duration> = Duration::from_hours(20)..Duration::from_hours(21);
/// Between two looks at a young batch, as the shipped configuration has it.
const POLL: u64 = 60;
const WINDOW: Duration = Duration::from_secs(30);

/// Calls that reached the stand-in.
#[derive(Default)]
struct Calls {
    lists: AtomicU64,
    others: AtomicU64,
}

#[tokio::main]
async fn main() -> Result<()> {
    if server::play().await? {
        return Ok(());
    }
    let windows: u32 = argument("windows", 12)?;
    let cluster = Cluster::start("pg-idle").await?;
    let database = cluster.fresh("bench_idle").await?;
    let calls = Arc::new(Calls::default());
    let upstream = standin(Arc::clone(&calls)).await?;
    let (child, url) = server::start(&server::Settings {
        url: &database.url,
        role: "all",
        upstream: &upstream,
        idle_after: 1,
        poll: POLL,
        megabytes: 64,
    })
    .await?;
    open_batches(&database, &url).await?;
    // Until the last send has been looked at, and the loops are at rest.
    rest(Duration::from_secs(POLL + 10)).await;

    // From now on, one line of the server's log for each statement.
    database
        .run("ALTER SYSTEM SET log_statement = 'all'")
        .await?;
    database.run("SELECT pg_reload_conf()").await?;
    rest(Duration::from_secs(5)).await;
    say(format_args!(
        "{BATCHES} batches are open; {windows} windows of {WINDOW:?}"
    ));
    let log = cluster.path().with_file_name("postgres.log");
    let mut queries = Samples::default();
    let first = Counts::read(&log)?;
    let mut seen = first;
    let before = (
        calls.lists.load(Ordering::Relaxed),
        calls.others.load(Ordering::Relaxed),
    );
    let begun = Instant::now();
    for _ in 0..windows {
        let window = Instant::now();
        rest(WINDOW).await;
        let now = Counts::read(&log)?;
        let seconds = window.elapsed().as_secs_f64();
        queries.push((now.all - seen.all) / seconds);
        say(format_args!(
            "{:.2} queries/s",
            (now.all - seen.all) / seconds
        ));
        seen = now;
    }
    let hours = begun.elapsed().as_secs_f64() / 3600.0;
    let lists = calls.lists.load(Ordering::Relaxed) - before.0;
    let others = calls.others.load(Ordering::Relaxed) - before.1;
    database.run("ALTER SYSTEM RESET log_statement").await?;
    database.run("SELECT pg_reload_conf()").await?;
    let open = database
        .number("SELECT count(*) FROM batch WHERE state = 'in_progress'")
        .await?;
    ensure!(open > 99.0, "only {open} batches were open to the end");
    let pid = child.pid()?;
    let (peak, resident) = (memory::peak_mb(pid)?, memory::resident_mb(pid)?);
    child.end().await?;

    let mean = (seen.all - first.all) / hours / 3600.0;
    let pings = (seen.pings - first.pings) / hours / 3600.0;
    let mut figures = Figures::new("idle");
    figures.add_as("queries_per_second", mean, &queries);
    figures.note("pings_per_second", pings);
    figures.note("mb", peak);
    figures.note("resident_mb", resident);
    figures.note(
        "list_calls_per_hour",
        f64::from(u32::try_from(lists)?) / hours,
    );
    figures.note(
        "other_calls_per_hour",
        f64::from(u32::try_from(others)?) / hours,
    );
    print(format_args!(
        "{mean:.2} queries/s, {peak:.0} MB at the most, {lists} list calls in {:.1} minutes",
        hours * 60.0
    ));
    figures.end()?;
    discard(database).await?;
    cluster.stop().await
}

/// Time in which only the server does something.
#[expect(clippy::disallowed_methods, reason = "idleness takes its time")]
async fn rest(time: Duration) {
    tokio::time::sleep(time).await;
}

/// A stand-in whose batches stay open, and which counts its calls.
async fn standin(calls: Arc<Calls>) -> Result<String> {
    let data = folder()?.join("idle-standin");
    let _ = std::fs::remove_dir_all(&data);
    let standin = Standin::open(offpeak_standin::Options {
        turnaround: TURNAROUND,
        ..offpeak_standin::Options::new(data)
    })?;
    let router = standin
        .router()
        .layer(from_fn(move |request: Request, next: Next| {
            let calls = Arc::clone(&calls);
            async move {
                let is_list = request.method() == Method::GET
                    && request.uri().path() == "/v1/messages/batches";
                let counter = if is_list { &calls.lists } else { &calls.others };
                counter.fetch_add(1, Ordering::Relaxed);
                next.run(request).await
            }
        }));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(format!("http://{address}"))
}

/// One job of each of a hundred tenants: a tenant's jobs never share a batch
/// with another's.
async fn open_batches(database: &Database, url: &str) -> Result<()> {
    for number in 0..BATCHES {
        let (_, key) = database.tenant(&format!("tenant-{number}")).await?;
        let body = line("A text that nobody will summarize today.")?;
        ensure!(Client::new(url, &key).post(&body).await?, "not accepted");
    }
    let begun = Instant::now();
    loop {
        let open = database
            .number("SELECT count(*) FROM batch WHERE state = 'in_progress'")
            .await?;
        if open > 99.0 {
            return Ok(());
        }
        ensure!(
            begun.elapsed() < Duration::from_mins(3),
            "only {open} batches"
        );
        rest(Duration::from_secs(1)).await;
    }
}

/// Statements that the server has logged.
#[derive(Clone, Copy)]
struct Counts {
    all: f64,
    pings: f64,
}

impl Counts {
    fn read(log: &Path) -> Result<Self> {
        let bytes = std::fs::read(log).with_context(|| log.display().to_string())?;
        let text = String::from_utf8_lossy(&bytes);
        let (mut all, mut pings) = (0, 0);
        for line in text.lines() {
            if line.contains("LOG:  statement:") || line.contains("LOG:  execute ") {
                all += 1;
                pings += u32::from(line.contains("ping"));
            }
        }
        Ok(Self {
            all: f64::from(all),
            pings: f64::from(pings),
        })
    }
}
