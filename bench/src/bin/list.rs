//! The first page of `GET /v1/jobs` under every filter and every pair of them,
//! with five million jobs, and a group's counts.

use std::time::Instant;

use anyhow::{Result, ensure};
use offpeak_bench::cluster::{self, Cluster, Database};
use offpeak_bench::discard::discard;
use offpeak_bench::figures::{Figures, Samples};
use offpeak_bench::upload::Client;
use offpeak_bench::{argument, print, say, server};
use offpeak_domain::id::TenantId;
use serde_json::Value;
use uuid::Uuid;

/// What is loaded before.
const DATA: &str = include_str!("../../sql/list.sql");
/// Gigabytes of free disk below which the bench refuses.
const DISK: u64 = 15;

#[tokio::main]
async fn main() -> Result<()> {
    if server::play().await? {
        return Ok(());
    }
    let repeats: usize = argument("repeats", 40)?;
    let goal: f64 = argument("goal", 20.0)?;
    // From `--keep 1` to `--kept 1` the data need not be loaded again.
    let kept = argument("kept", 0)? > 0;
    cluster::need_disk(DISK)?;
    let cluster = Cluster::start("pg").await?;
    let database = if kept {
        cluster.kept("bench_list").await?
    } else {
        load(&cluster).await?
    };
    let size = database
        .number("pg_database_size(current_database())")
        .await?;
    let (child, url) = server::start(&server::Settings::api(&database.url)).await?;

    let mut worst = Samples::default();
    let mut counts = Samples::default();
    let mut figures = Figures::new("list");
    let mut pages = 0.0;
    // The largest tenant, and one of the others, whose jobs stand far apart.
    for number in [0, 57] {
        let caller = Caller::of(&database, number, &url).await?;
        let filters = caller.filters(&database).await?;
        for query in queries(&filters) {
            let path = format!("/v1/jobs?{query}");
            let mut times = Samples::default();
            let mut found = 0;
            for _ in 0..repeats {
                let begun = Instant::now();
                let page = caller.get(&path).await?;
                times.push(begun.elapsed().as_secs_f64() * 1e3);
                found = page["data"].as_array().map_or(0, Vec::len);
            }
            let p95 = times.quantile(0.95);
            let mark = if p95 > goal {
                "  <-- above the goal"
            } else {
                ""
            };
            say(format_args!(
                "tenant {number}: p95 {p95:6.2} ms, median {:6.2}, {found:3} jobs  {query}{mark}",
                times.median()
            ));
            worst.push(p95);
            pages += 1.0;
        }
        for path in [
            format!("/v1/groups/{}", caller.group(&database).await?),
            "/v1/groups".to_owned(),
        ] {
            let mut times = Samples::default();
            for _ in 0..repeats {
                let begun = Instant::now();
                caller.get(&path).await?;
                times.push(begun.elapsed().as_secs_f64() * 1e3);
            }
            say(format_args!(
                "tenant {number}: p95 {:6.2} ms  {path}",
                times.quantile(0.95)
            ));
            counts.push(times.quantile(0.95));
        }
    }
    child.end().await?;
    // The worst is the figure; the samples are the p95 of each filter and pair.
    figures.add("first_page_p95_ms", &worst);
    figures.add_as("first_page_worst_ms", worst.spread().1, &worst);
    figures.add_as("counts_ms", counts.spread().1, &counts);
    figures.note("filters", pages);
    figures.note("requests_a_filter", f64::from(u32::try_from(repeats)?));
    figures.note("disk_gb", size / 1e9);
    print(format_args!(
        "{pages} filters and pairs: the median one {:.2} ms, the worst {:.2} ms (p95 each)",
        worst.median(),
        worst.spread().1
    ));
    figures.end()?;
    if argument("keep", 0)? == 0 {
        discard(database).await?;
    }
    cluster.stop().await
}

async fn load(cluster: &Cluster) -> Result<Database> {
    let database = cluster.fresh("bench_list").await?;
    say("loading five million jobs");
    let begun = Instant::now();
    database.run(DATA).await?;
    database.run("VACUUM ANALYZE").await?;
    say(format_args!(
        "loaded in {:.0} s",
        begun.elapsed().as_secs_f64()
    ));
    Ok(database)
}

/// A tenant's app.
struct Caller {
    http: reqwest::Client,
    url: String,
    key: String,
    tenant: Uuid,
}

impl Caller {
    async fn of(database: &Database, number: usize, url: &str) -> Result<Self> {
        let tenant: Uuid = sqlx::query_scalar("SELECT id FROM tenant WHERE name = $1")
            .bind(format!("tenant-{number}"))
            .fetch_one(&database.root)
            .await?;
        let (_, key) =
            offpeak::seed::new_key(&database.system, TenantId::from_uuid(tenant), "bench").await?;
        // Makes cryptography ready, which any client wants.
        drop(Client::new(url, &key));
        Ok(Self {
            http: reqwest::Client::new(),
            url: url.to_owned(),
            key: key.expose().to_owned(),
            tenant,
        })
    }

    async fn get(&self, path: &str) -> Result<Value> {
        let answer = self
            .http
            .get(format!("{}{path}", self.url))
            .bearer_auth(&self.key)
            .send()
            .await?;
        let status = answer.status();
        let value: Value = answer.json().await?;
        ensure!(status.is_success(), "{path}: {status} {value}");
        Ok(value)
    }

    /// Its largest group.
    async fn group(&self, database: &Database) -> Result<String> {
        let group: Uuid = sqlx::query_scalar(
            "SELECT id FROM job_group WHERE tenant_id = $1 ORDER BY jobs DESC, id LIMIT 1",
        )
        .bind(self.tenant)
        .fetch_one(&database.root)
        .await?;
        Ok(offpeak_domain::id::GroupId::from_uuid(group).to_string())
    }

    /// Every filter with its values: common, rare and, of one, none at all.
    async fn filters(&self, database: &Database) -> Result<Vec<(&'static str, Vec<String>)>> {
        let states = offpeak_domain::job::State::ALL
            .iter()
            .map(|state| state.as_str().to_owned())
            .chain(["queued,failed".to_owned(), "canceled,failed".to_owned()]);
        let newest: Uuid = sqlx::query_scalar(
            "SELECT id FROM job_group WHERE tenant_id = $1 ORDER BY created_at DESC LIMIT 1",
        )
        .bind(self.tenant)
        .fetch_one(&database.root)
        .await?;
        let newest = offpeak_domain::id::GroupId::from_uuid(newest).to_string();
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Ok(vec![
            ("state", states.collect()),
            ("type", words(&["type-3", "rare", "nothing"])),
            ("group", vec![self.group(database).await?, newest]),
            ("user", words(&["user-0", "user-19000"])),
            ("model", words(&["claude-haiku-4-5", "claude-2"])),
        ])
    }
}

/// No filter, every single one, every pair of two.
fn queries(filters: &[(&str, Vec<String>)]) -> Vec<String> {
    let mut queries = vec![String::new()];
    for (place, (name, values)) in filters.iter().enumerate() {
        for value in values {
            queries.push(format!("{name}={value}"));
            for (other, others) in &filters[place + 1..] {
                queries.extend(
                    others
                        .iter()
                        .map(|with| format!("{name}={value}&{other}={with}")),
                );
            }
        }
    }
    queries
}
