//! What a worker needs beside its idle memory while it sends one message batch
//! of 200 MB.

use anyhow::{Context as _, Result, ensure};
use offpeak_bench::cluster::Cluster;
use offpeak_bench::figures::{Figures, Samples};
use offpeak_bench::server::{self, Settings};
use offpeak_bench::texts::Texts;
use offpeak_bench::upload::Client;
use offpeak_bench::upstream::Upstream;
use offpeak_bench::{argument, load, memory, print};

/// Bytes of the text in one job.
const INPUT: usize = 10_000;

#[tokio::main]
async fn main() -> Result<()> {
    if server::play().await? {
        return Ok(());
    }
    let megabytes: usize = argument("megabytes", 200)?;
    let rounds: usize = argument("rounds", 3)?;
    let cluster = Cluster::start("pg").await?;
    let texts = Texts::read()?;
    let mut figures = Figures::new("submit");
    let (mut extra, mut idle, mut sent) =
        (Samples::default(), Samples::default(), Samples::default());
    let mut seconds = Samples::default();
    for round in 0..rounds {
        let database = cluster.fresh("submit").await?;
        let mut upstream = Upstream::start().await?;
        let (api, url) = server::start(&Settings::api(&database.url)).await?;
        let (worker, _) = server::start(&Settings {
            role: "worker",
            upstream: &upstream.url,
            poll: 3_600,
            megabytes: 250,
            ..Settings::api(&database.url)
        })
        .await?;
        // A first small batch: connections, pools and code are warm then, and
        // what is left is what the large one needs.
        let (_, key) = database.tenant("submit").await?;
        let client = Client::new(&url, &key);
        client.bulk(load::body(&texts, 0, 1, 100, INPUT)?).await?;
        upstream.created.recv().await.context("nothing was sent")?;
        let pid = worker.pid()?;
        memory::forget_peak(pid)?;
        let before = memory::resident_mb(pid)?;

        // The first one is not held up by its id: it stands under another name.
        database
            .run("UPDATE batch SET upstream_batch_id = 'msgbatch_first' WHERE upstream_batch_id IS NOT NULL")
            .await?;
        let jobs = megabytes * 1_000_000 / (INPUT + 1_500);
        client
            .bulk(load::body(&texts, round, rounds, jobs, INPUT)?)
            .await?;
        let begun = std::time::Instant::now();
        let length = upstream.created.recv().await.context("nothing was sent")?;
        let took = begun.elapsed().as_secs_f64();
        let peak = memory::peak_mb(pid)?;
        #[expect(
            clippy::cast_precision_loss,
            reason = "far below what a float can count"
        )]
        let length = length as f64 / 1e6;
        print(format_args!(
            "round {round}: {length:.0} MB in one batch, {took:.1} s after the upload; worker's \
             memory {before:.1} MB before, {peak:.1} MB at its peak"
        ));
        ensure!(
            length > 0.9 * f64::from(u32::try_from(megabytes)?),
            "the batch was cut"
        );
        idle.push(before);
        sent.push(length);
        seconds.push(took);
        extra.push(peak - before);
        api.end().await?;
        worker.end().await?;
    }
    figures.add("extra_rss_mb", &extra);
    figures.add("idle_rss_mb", &idle);
    figures.add("body_mb", &sent);
    figures.add("seconds_from_upload", &seconds);
    cluster.stop().await?;
    figures.end()
}
