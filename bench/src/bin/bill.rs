//! What a day costs: all of it called for synchronously, the plain batch design,
//! and offpeak, against the stand-in with its model of the prompt cache, in
//! virtual time. Cache hits are simulated; nobody promises them.

use anyhow::{Result, ensure};
use offpeak_bench::bill::by_hand::{self, Way};
use offpeak_bench::bill::mix::day;
use offpeak_bench::bill::through;
use offpeak_bench::cluster::{Cluster, folder};
use offpeak_bench::figures::Figures;
use offpeak_bench::{argument, print, say};
use offpeak_domain::money::Pico;
use offpeak_domain::price::Prices;

/// Hits in batches at the low end of what Anthropic documents, and at its middle.
const HIT_RATES: [(&str, &str, f64); 2] = [
    ("offpeak_over_sync_low", "low", 0.30),
    ("offpeak_over_sync_mid", "mid", 0.64),
];

#[tokio::main]
async fn main() -> Result<()> {
    let jobs: usize = argument("jobs", 1_000)?;
    let seed: u64 = argument("seed", 1)?;
    let model: String = argument("model", "claude-haiku-5-5".to_owned())?;
    let prices = Prices::shipped()?;
    let day = day(jobs, seed, &model)?;
    let data = folder()?.join("bill");
    let mut figures = Figures::new("bill");

    let sync = by_hand::send(&day, Way::Synchronous, &data, &prices).await?;
    let over = |cost: Pico| ratio(cost, sync.cost);
    ensure!(sync.cost == sync.sync, "what is synchronous saves nothing");
    say(format_args!(
        "all synchronous: ${}",
        sync.cost.to_usd_string()
    ));
    let cached = by_hand::send(&day, Way::SynchronousCached, &data, &prices).await?;
    let plain = by_hand::send(&day, Way::PlainBatches, &data, &prices).await?;
    print(format_args!(
        "{jobs} jobs of {model}: ${} synchronously, ${} with caching, ${} as plain batches",
        sync.cost.to_usd_string(),
        cached.cost.to_usd_string(),
        plain.cost.to_usd_string()
    ));

    let cluster = Cluster::start("pg").await?;
    let (mut missed, mut failed) = (0.0, 0.0);
    for (key, name, hit_rate) in HIT_RATES {
        let database = cluster.fresh("bill").await?;
        let came = through::send(&day, &database, &data, hit_rate, &prices).await?;
        database.system.close().await;
        print(format_args!(
            "offpeak, {:.0} % hits in batches: ${} = {:.3} of synchronous; {} called for, {} \
             answered by another's attempt, {} batches, {} deadlines missed; saved ${} by batches, \
             ${} by caching",
            hit_rate * 100.0,
            came.bill.cost.to_usd_string(),
            over(came.bill.cost),
            came.called,
            came.shared,
            came.batches,
            came.missed,
            came.bill.saved_batch.to_usd_string(),
            came.bill.saved_cache.to_usd_string()
        ));
        figures.note(key, over(came.bill.cost));
        figures.note(&format!("shared_{name}"), came.shared);
        figures.note(&format!("hits_expected_{name}"), came.predicted);
        figures.note(&format!("hits_real_{name}"), came.real);
        missed += came.missed;
        failed += came.failed;
    }
    figures.note("plain_over_sync", over(plain.cost));
    figures.note("cached_over_sync", over(cached.cost));
    figures.note("deadlines_missed", missed);
    figures.note("failed", failed);
    figures.end()
}

fn ratio(cost: Pico, of: Pico) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a ratio of sums of money")]
    let ratio = cost.0 as f64 / of.0 as f64;
    ratio
}
