//! `POST /v1/jobs/bulk` against COPY of the rows that it leaves, single submits
//! against a bare INSERT at the same rate, and the server's memory with an
//! upload ten times as long.

use anyhow::{Result, bail, ensure};
use offpeak_bench::cluster::{Cluster, Database, cpu_seconds};
use offpeak_bench::figures::{Figures, Samples};
use offpeak_bench::load;
use offpeak_bench::server::{self, Settings};
use offpeak_bench::texts::Texts;
use offpeak_bench::upload::{Client, line};
use offpeak_bench::{argument, memory, print, say};

/// Bytes of the text in one job.
const INPUT: usize = 2_000;

#[tokio::main]
async fn main() -> Result<()> {
    if server::play().await? {
        return Ok(());
    }
    let lines: usize = argument("lines", 100_000)?;
    let rounds: usize = argument("rounds", 5)?;
    let only: String = argument("only", String::new())?;
    let cluster = Cluster::start("pg").await?;
    let database = cluster.fresh("bulk").await?;
    let texts = Texts::read()?;
    if only == "singles" {
        let mut figures = Figures::new("bulk-singles");
        singles(&cluster, &database, &texts, &mut figures).await?;
        cluster.stop().await?;
        return figures.end();
    }
    let mut figures = Figures::new("bulk");

    let (child, url) = server::start(&Settings::api(&database.url)).await?;
    let mut ratio = Samples::default();
    let (mut bulk_rate, mut copy_rate) = (Samples::default(), Samples::default());
    let mut short_mb = 0.0;
    for round in 0..rounds {
        let (_, key) = database.tenant(&format!("bulk-{round}")).await?;
        let (other, _) = database.tenant(&format!("copy-{round}")).await?;
        let client = Client::new(&url, &key);
        // Cut beforehand: what is measured is not the cutting.
        let body = load::body(&texts, round, rounds, lines, INPUT)?;
        database.checkpoint().await?;
        memory::forget_peak(child.pid()?)?;
        let (group, seconds) = client.bulk(body).await?;
        short_mb = memory::peak_mb(child.pid()?)?;
        let rows = rows_of(&database, &group, &other.as_uuid().to_string()).await?;
        if round == 0 {
            compression(&database, &mut figures).await?;
        }
        database.checkpoint().await?;
        let copied = database.copy_in(&rows).await?;
        let n = f64::from(u32::try_from(lines)?);
        say(format_args!(
            "round {round}: bulk {:.0} jobs/s, COPY {:.0} rows/s, ratio {:.2}, server's peak \
             {short_mb:.0} MB",
            n / seconds,
            n / copied,
            copied / seconds
        ));
        bulk_rate.push(n / seconds);
        copy_rate.push(n / copied);
        ratio.push(copied / seconds);
    }
    figures.add("bulk_over_copy", &ratio);
    figures.add("bulk_jobs_per_s", &bulk_rate);
    figures.add("copy_jobs_per_s", &copy_rate);
    print(format_args!(
        "bulk: {:.0} jobs/s; COPY of the same rows: {:.0} jobs/s",
        bulk_rate.median(),
        copy_rate.median()
    ));

    // Ten times as many lines, made while they are sent.
    let (_, key) = database.tenant("long").await?;
    let long = load::stream(texts, lines * 10, INPUT);
    memory::forget_peak(child.pid()?)?;
    let (_, took) = Client::new(&url, &key).bulk(long).await?;
    let long_mb = memory::peak_mb(child.pid()?)?;
    print(format_args!(
        "server's peak: {short_mb:.0} MB with {lines} lines, {long_mb:.0} MB with ten times as \
         many ({took:.0} s)"
    ));
    figures.note("server_rss_short_mb", short_mb);
    figures.note("server_rss_mb", long_mb);
    figures.note("server_rss_growth_mb", long_mb - short_mb);
    child.end().await?;

    singles(&cluster, &database, &Texts::read()?, &mut figures).await?;
    cluster.stop().await?;
    figures.end()
}

/// What an upload left, under another tenant, as COPY takes it.
async fn rows_of(
    database: &Database,
    group: &str,
    tenant: &str,
) -> Result<Vec<(&'static str, Vec<bytes::Bytes>)>> {
    let group = offpeak_domain::id::GroupId::from_uuid(load::uuid(group)?).as_uuid();
    let of = format!("group_id = '{group}'");
    let own = "tenant_id <> '00000000-0000-0000-0000-000000000000'";
    let mut rows = Vec::new();
    for (table, columns, from) in [
        (
            "job (tenant_id, id, group_id, type, type_version, user_label, model, upstream_id, \
             bucket_id, lane, priority, bytes, structured, metadata)",
            "id, group_id, type, type_version, user_label, model, upstream_id, bucket_id, lane, \
             priority, bytes, structured, metadata",
            format!("job WHERE {of} AND {own}"),
        ),
        (
            "payload (tenant_id, id, params, key_id)",
            "id, params, key_id",
            format!("payload WHERE (tenant_id, id) IN (SELECT tenant_id, id FROM job WHERE {of})"),
        ),
        (
            "ready (tenant_id, id, bucket_id, group_id, priority, not_before, bytes, attempt, tries)",
            "id, bucket_id, group_id, priority, not_before, bytes, attempt, tries",
            format!("ready WHERE {of}"),
        ),
    ] {
        let query = format!("SELECT '{tenant}'::uuid, {columns} FROM {from} ORDER BY id");
        rows.push((table, database.copy_out(&query).await?));
    }
    Ok(rows)
}

/// How well the inputs compress, as stored.
async fn compression(database: &Database, figures: &mut Figures) -> Result<()> {
    let plain = database
        .number("SELECT avg(octet_length(params)) FROM payload")
        .await?;
    let stored = database
        .number("SELECT avg(pg_column_size(params)) FROM payload")
        .await?;
    print(format_args!(
        "inputs: {plain:.0} bytes of params, {stored:.0} stored, lz4 ratio {:.2}",
        plain / stored
    ));
    figures.note("params_bytes", plain);
    figures.note("lz4_ratio", plain / stored);
    Ok(())
}

/// Single submits at a fixed rate, from one tenant and from fifty, each beside
/// bare inserts at the same rate. Which of the two goes first takes turns.
async fn singles(
    cluster: &Cluster,
    database: &Database,
    texts: &Texts,
    figures: &mut Figures,
) -> Result<()> {
    let rate: u32 = argument("rate", 1_000)?;
    let seconds: u32 = argument("seconds", 10)?;
    let rounds: usize = argument("single-rounds", 5)?;
    // A server of its own: what another held for uploads is no matter here.
    let (child, url) = server::start(&Settings::api(&database.url)).await?;
    let spent = Spent {
        cluster,
        server: child.pid()?,
        calls: f64::from(rate * seconds),
    };
    database
        .run(
            "CREATE TABLE public.bare (id bigint PRIMARY KEY, body bytea COMPRESSION lz4 NOT NULL)",
        )
        .await?;
    let bodies: Vec<String> = (0..10_000)
        .map(|place| line(texts.cut(place, 10_000, INPUT)))
        .collect::<Result<_>>()?;
    let mut worst = Samples::default();
    for tenants in [1_usize, 50] {
        let mut clients = Vec::new();
        for number in 0..tenants {
            let (_, key) = database
                .tenant(&format!("single-{tenants}-{number}"))
                .await?;
            clients.push(Client::new(&url, &key));
        }
        let (mut posts, mut ratios) = (Samples::default(), Samples::default());
        let mut inserts = Samples::default();
        for round in 0..rounds {
            let mut outcomes = [None, None];
            for turn in [round % 2, 1 - round % 2] {
                database.checkpoint().await?;
                let before = spent.seconds()?;
                let outcome = if turn == 0 {
                    load::inserts(&database.connect, &bodies, rate, seconds).await?
                } else {
                    load::posts(&clients, &bodies, rate, seconds).await?
                };
                ensure!(outcome.failed == 0, "{} calls failed", outcome.failed);
                print(format_args!(
                    "{tenants} tenants, round {round}: {} p50 {:.2} ms, p99 {:.2} ms at {:.0}/s; \
                     CPU a call {}",
                    ["bare INSERT", "POST"][turn],
                    outcome.times.quantile(0.5),
                    outcome.times.quantile(0.99),
                    outcome.rate,
                    spent.since(before)?,
                ));
                outcomes[turn] = Some(outcome.times.quantile(0.99));
            }
            let [Some(bare), Some(post)] = outcomes else {
                bail!("a round without one of its halves");
            };
            posts.push(post);
            inserts.push(bare);
            ratios.push(post / bare);
        }
        figures.add(&format!("single_p99_ms_{tenants}"), &posts);
        figures.add(&format!("bare_insert_p99_ms_{tenants}"), &inserts);
        figures.add(&format!("single_over_insert_{tenants}"), &ratios);
        worst.push(posts.median());
    }
    figures.note("single_p99_ms", worst.spread().1);
    child.end().await
}

/// What calls cost in CPU time: PostgreSQL's, the server's and the caller's own.
struct Spent<'a> {
    cluster: &'a Cluster,
    server: u32,
    calls: f64,
}

impl Spent<'_> {
    fn seconds(&self) -> Result<[f64; 3]> {
        Ok([
            self.cluster.cpu_seconds()?,
            cpu_seconds(self.server)?,
            cpu_seconds(std::process::id())?,
        ])
    }

    fn since(&self, before: [f64; 3]) -> Result<String> {
        let now = self.seconds()?;
        let of = |part: usize| (now[part] - before[part]) / self.calls * 1e3;
        Ok(format!(
            "{:.3} ms PostgreSQL, {:.3} ms server, {:.3} ms caller",
            of(0),
            of(1),
            of(2)
        ))
    }
}
