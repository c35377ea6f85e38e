//! What a job costs PostgreSQL from POST to the result read: CPU of all its
//! processes, log, and row updates.

use std::time::Duration;

use anyhow::{Result, ensure};
use offpeak_bench::cluster::{Cluster, folder};
use offpeak_bench::figures::{Figures, Samples};
use offpeak_bench::server::{self, Settings};
use offpeak_bench::texts::Texts;
use offpeak_bench::upload::Client;
use offpeak_bench::{argument, load, print};
use offpeak_standin::Standin;
use tokio::net::TcpListener;

/// Bytes of the text in one job.
const INPUT: usize = 2_000;

#[tokio::main]
async fn main() -> Result<()> {
    if server::play().await? {
        return Ok(());
    }
    let tenants: usize = argument("tenants", 50)?;
    let each: usize = argument("each", 1_000)?;
    let rounds: usize = argument("rounds", 3)?;
    let cluster = Cluster::start("pg").await?;
    let texts = Texts::read()?;
    let mut figures = Figures::new("life");
    let [mut cpu, mut wal, mut updates, mut seconds] = [const { Vec::new() }; 4];
    for round in 0..rounds {
        let database = cluster.fresh("life").await?;
        let data = folder()?.join("standin");
        if data.exists() {
            std::fs::remove_dir_all(&data)?;
        }
        let standin = Standin::open(offpeak_standin::Options {
            turnaround: Duration::from_secs(1)..Duration::from_secs(3),
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

        let mut clients = Vec::new();
        let (child, url) = server::start(&Settings {
            role: "all",
            upstream: &upstream,
            ..Settings::api(&database.url)
        })
        .await?;
        for number in 0..tenants {
            let (_, key) = database.tenant(&format!("life-{number}")).await?;
            clients.push(Client::new(&url, &key));
        }
        let bodies: Vec<_> = (0..tenants)
            .map(|tenant| load::body(&texts, tenant, tenants, each, INPUT))
            .collect::<Result<_>>()?;
        database.checkpoint().await?;
        let (cpu_before, wal_before) = (cluster.cpu_seconds()?, database.wal().await?);
        let updates_before = database.updates().await?;
        let begun = std::time::Instant::now();

        let mut groups = Vec::new();
        for (client, body) in clients.iter().zip(bodies) {
            groups.push(client.bulk(body).await?.0);
        }
        let jobs = tenants * each;
        let mut looks = tokio::time::interval(Duration::from_secs(1));
        loop {
            looks.tick().await;
            let done = database
                .number("SELECT coalesce(sum(items), 0) FROM batch WHERE state = 'ingested'")
                .await?;
            if done >= f64::from(u32::try_from(jobs)?) {
                break;
            }
            ensure!(
                begun.elapsed() < Duration::from_mins(10),
                "{done} jobs have ended"
            );
        }
        let mut read = 0;
        for (client, group) in clients.iter().zip(&groups) {
            read += client.results(group).await?;
        }
        ensure!(read == jobs, "{read} results were read");
        let took = begun.elapsed().as_secs_f64();
        // Sessions report their time and their counts as they end.
        child.end().await?;
        database.system.close().await;
        let n = f64::from(u32::try_from(jobs)?);
        cpu.push((cluster.cpu_seconds()? - cpu_before) * 1e3 / n);
        wal.push((database.wal().await? - wal_before) / n);
        updates.push((database.updates().await? - updates_before) / n);
        seconds.push(took);
        print(format_args!(
            "round {round}: {jobs} jobs in {took:.1} s; a job: {:.3} ms of PostgreSQL's CPU, \
             {:.0} bytes of WAL, {:.3} updates",
            cpu[round], wal[round], updates[round]
        ));
        if round == 0 {
            for (table, column) in [("payload", "params"), ("output", "line")] {
                let plain = database
                    .number(&format!("SELECT avg(octet_length({column})) FROM {table}"))
                    .await?;
                let stored = database
                    .number(&format!(
                        "SELECT avg(pg_column_size({column})) FROM {table}"
                    ))
                    .await?;
                print(format_args!(
                    "{table}: {plain:.0} bytes, {stored:.0} stored, lz4 ratio {:.2}",
                    plain / stored
                ));
                figures.note(&format!("{table}_bytes"), plain);
                figures.note(&format!("{table}_lz4_ratio"), plain / stored);
            }
        }
        serving.abort();
        ending.abort();
    }
    let samples = |values: Vec<f64>| values.into_iter().collect::<Samples>();
    figures.add("pg_cpu_ms_per_job", &samples(cpu));
    figures.add("wal_bytes_per_job", &samples(wal));
    figures.add("updates_per_job", &samples(updates));
    figures.add("seconds", &samples(seconds));
    cluster.stop().await?;
    figures.end()
}
