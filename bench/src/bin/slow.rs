//! What 5,000 slow sockets cost others: the time of an ordinary submit beside them, and
//! without.

use anyhow::{Result, ensure};
use offpeak_bench::cluster::Cluster;
use offpeak_bench::figures::{Figures, Samples};
use offpeak_bench::server::{self, Settings};
use offpeak_bench::upload::{Client, line};
use offpeak_bench::{argument, load, memory, print, slow};

/// Submits in a second.
const RATE: u32 = 50;

#[tokio::main]
async fn main() -> Result<()> {
    if server::play().await? || slow::play().await? {
        return Ok(());
    }
    let sockets: usize = argument("sockets", 5_000)?;
    let rounds: usize = argument("rounds", 5)?;
    let seconds: u32 = argument("seconds", 20)?;
    let cluster = Cluster::start("pg-slow").await?;
    let database = cluster.fresh("bench_slow").await?;
    let (server, url) = server::start(&Settings::api(&database.url)).await?;
    let (_, key) = database.tenant("ordinary").await?;
    let (_, slow_key) = database.tenant("slow").await?;
    let clients = [Client::new(&url, &key)];
    let bodies = [line("A text that nobody will summarize today.")?];
    // Connections and code are warm then.
    load::posts(&clients, &bodies, RATE, 5).await?;
    let idle = memory::resident_mb(server.pid()?)?;

    let (mut alone, mut beside) = (Samples::default(), Samples::default());
    let (mut p50_alone, mut p99_alone) = (Samples::default(), Samples::default());
    let (mut p50_beside, mut p99_beside) = (Samples::default(), Samples::default());
    let (mut ratios, mut opened, mut closed) =
        (Samples::default(), Samples::default(), Samples::default());
    let address = url.trim_start_matches("http://");
    let mut most = idle;
    for round in 0..rounds {
        let quiet = load::posts(&clients, &bodies, RATE, seconds).await?;
        let mut crowd = slow::start(address, slow_key.expose(), sockets).await?;
        let busy = load::posts(&clients, &bodies, RATE, seconds).await?;
        let (open, ended) = slow::counts(&mut crowd).await?;
        most = most.max(memory::resident_mb(server.pid()?)?);
        crowd.end().await?;
        ensure!(quiet.failed + busy.failed == 0, "submits failed");
        let count = |number: u64| anyhow::Ok(f64::from(u32::try_from(number)?));
        let (one, other) = (quiet.times.quantile(0.99), busy.times.quantile(0.99));
        print(format_args!(
            "round {round}: p99 {one:.1} ms alone, {other:.1} ms beside {open} slow sockets, of \
             which the server has closed {ended}"
        ));
        ratios.push(other / one);
        p50_alone.push(quiet.times.quantile(0.5));
        p99_alone.push(one);
        p50_beside.push(busy.times.quantile(0.5));
        p99_beside.push(other);
        opened.push(count(open)?);
        closed.push(count(ended)?);
        alone.extend(&quiet.times);
        beside.extend(&busy.times);
    }
    server.end().await?;
    cluster.stop().await?;

    let mut figures = Figures::new("slow");
    let (one, other) = (alone.quantile(0.99), beside.quantile(0.99));
    // Of all submits together, so that no round is left out.
    figures.add_as("p99_ratio", other / one, &ratios);
    figures.add("p99_ms_alone", &p99_alone);
    figures.add("p99_ms_beside", &p99_beside);
    figures.add("p50_ms_alone", &p50_alone);
    figures.add("p50_ms_beside", &p50_beside);
    figures.add("slow_sockets", &opened);
    figures.add("closed_by_server", &closed);
    figures.note("idle_mb", idle);
    figures.note("most_mb", most);
    figures.end()
}
