//! What encryption costs: a rotation of the master key over many tenants while keys are
//! opened beside it, sealing and opening by itself, and what it adds to the life of a job.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use offpeak_bench::cluster::{Cluster, Database};
use offpeak_bench::figures::{Figures, Samples};
use offpeak_bench::sealing::{Life, Process};
use offpeak_bench::texts::Texts;
use offpeak_bench::{argument, print};
use offpeak_domain::id::{Minter, TenantId};
use offpeak_domain::upstream_key::UpstreamKey;
use offpeak_domain::vault::{Place, Vault, generate};
use offpeak_store::upstream_key::{self, Alive, New};
use offpeak_store::{Sealer, data_key, tenant, upstream};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use secrecy::{ExposeSecret as _, SecretString};

/// Data keys of one transaction, as `offpeak vault rotate` has it.
const CHUNK: i64 = 500;
/// Bytes of a job's params and of its result line, as `bench-life` has them, more or less.
const PAYLOADS: [(&str, usize); 2] = [("params", 2_300), ("result", 1_300)];

#[tokio::main]
async fn main() -> Result<()> {
    let tenants: usize = argument("tenants", 1_000)?;
    let jobs: usize = argument("jobs", 100_000)?;
    let lives: usize = argument("lives", 20_000)?;
    let rounds: usize = argument("rounds", 3)?;
    let mut rng = StdRng::seed_from_u64(7);
    let [old, new] = ["old", "new"].map(|id| generate(id, &mut rng));
    let (old, new) = (old.context("an id")?, new.context("an id")?);
    let before = Vault::read(&old)?;
    let text = format!("{},{}", new.expose_secret(), old.expose_secret());
    let both = Arc::new(Vault::read(&SecretString::from(text))?);
    let after = Vault::read(&new)?;

    let cluster = Cluster::start("pg").await?;
    let database = cluster.fresh("vault").await?;
    let mut ids = Vec::new();
    for number in 0..tenants {
        let mut tx = database.system.begin().await?;
        let id: TenantId = Minter::new(tx.now(), &mut rng).mint();
        tenant::create(&mut tx, id, &format!("vault-{number}")).await?;
        tx.commit().await?;
        let key = UpstreamKey::parse(&format!("sk-ant-api03-of-tenant-{number}"))?;
        let key = New {
            key: &key,
            creates_per_minute: New::CREATES_PER_MINUTE,
            max_queued_items: New::MAX_QUEUED_ITEMS,
        };
        let mut tx = database.system.begin_for(id).await?;
        upstream_key::set(&mut tx, &before, &key, &mut rng).await?;
        tx.commit().await?;
        ids.push(id);
    }

    // Somebody who has both keys opens one after the other meanwhile.
    let (stop, opened) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let reader = {
        let (stop, opened, both) = (Arc::clone(&stop), Arc::clone(&opened), Arc::clone(&both));
        let (system, ids) = (database.system.clone(), ids.clone());
        tokio::spawn(async move {
            let mut failed = 0_u64;
            for id in ids.iter().cycle() {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let key = Alive {
                    tenant: *id,
                    version: 1,
                };
                if let Ok(Some(_)) = upstream_key::open(&system, &both, key).await {
                    opened.fetch_add(1, Ordering::Relaxed);
                } else {
                    failed += 1;
                }
            }
            failed
        })
    };
    let begun = Instant::now();
    let (mut wrapped, mut last) = (0, None);
    loop {
        let chunk = data_key::rewrap_some(&database.system, &both, last, CHUNK, &mut rng).await?;
        wrapped += chunk.wrapped;
        match chunk.last {
            Some(next) => last = Some(next),
            None => break,
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    let failed = reader.await?;
    ensure!(wrapped == u64::try_from(tenants)?, "{wrapped} were wrapped");
    ensure!(
        failed == 0,
        "{failed} keys did not open while the master key was rotated"
    );
    data_key::check(&database.system, Some(&after)).await?;
    let meanwhile = opened.load(Ordering::Relaxed);
    print(format_args!(
        "rotation: {wrapped} data keys in {seconds:.3} s, {meanwhile} keys opened meanwhile, none \
         failed"
    ));

    let mut figures = Figures::new("vault");
    let number = |n: usize| -> Result<f64> { Ok(f64::from(u32::try_from(n)?)) };
    figures.note("tenants", number(tenants)?);
    figures.note("rotation_seconds", seconds);
    figures.note("opened_meanwhile", f64::from(u32::try_from(meanwhile)?));
    let (key, _) = before.make(ids[0], &mut rng)?;
    let mut micros = 0.0;
    for (column, length) in PAYLOADS {
        let text: Vec<u8> = (0..length).map(|at| b"patient work "[at % 13]).collect();
        let place = Place {
            table: "payload",
            column,
            tenant: ids[0],
            row: "job",
            version: 1,
        };
        let mut samples = Samples::default();
        for _ in 0..5 {
            let begun = Instant::now();
            for _ in 0..jobs / 5 {
                let sealed = key.seal(&place, &text, &mut rng)?;
                ensure!(
                    key.open(&place, &sealed)?.expose_secret() == text,
                    "it opens"
                );
            }
            samples.push(micros_each(begun.elapsed(), jobs / 5)?);
        }
        micros += samples.median();
        print(format_args!(
            "{column}: {length} bytes sealed and opened in {:.1} µs",
            samples.median()
        ));
        figures.add(&format!("{column}_us"), &samples);
    }
    figures.note("us_per_job", micros);
    let sealer = Sealer::new(Arc::new(after), true, &mut rng);
    let way = (&cluster, &cluster.fresh("sealing").await?);
    lived(way, sealer, (lives, rounds), &mut rng, &mut figures).await?;
    cluster.stop().await?;
    figures.end()
}

/// What the same number of jobs take plain and sealed, by turns.
async fn lived(
    (cluster, database): (&Cluster, &Database),
    seals_by: Sealer,
    (jobs, rounds): (usize, usize),
    rng: &mut StdRng,
    figures: &mut Figures,
) -> Result<()> {
    upstream::register(
        &database.system,
        "bench",
        "http://127.0.0.1:1",
        1_000,
        1_000_000,
    )
    .await?;
    let texts = Texts::read()?;
    let ways = [None, Some(seals_by)].map(|by| Process::new(database, by));
    let mut each: [Vec<Life>; 2] = Default::default();
    // One more before, of which nothing counts: the first one finds everything cold.
    for round in 0..=rounds {
        for turn in 0..2 {
            // Each begins as often as the other.
            let way = (round + turn) % 2;
            let (tenant, _) = database.tenant(&format!("life-{round}-{way}")).await?;
            // Both have the same texts, and each round has others.
            let from = (&texts, round * jobs, (rounds + 1) * jobs);
            let life = ways[way]
                .life((cluster, database), tenant, from, jobs, rng)
                .await?;
            print(format_args!(
                "round {round}, {}: {:.0} µs a job ({:.0?} to submit, send, settle and fetch), \
                 {:.0} µs of CPU, {:.0} bytes stored",
                ["plain", "sealed"][way],
                life.micros(),
                life.steps,
                life.cpu,
                life.bytes
            ));
            if round > 0 {
                each[way].push(life);
            }
        }
    }
    let [plain, sealed] = &each;
    let of = |lives: &[Life], what: fn(&Life) -> f64| lives.iter().map(what).collect::<Samples>();
    // Of the two of one round: what else changes from round to round is in both.
    let overhead = |what: fn(&Life) -> f64| -> Samples {
        let both = plain.iter().zip(sealed);
        both.map(|(plain, sealed)| (what(sealed) / what(plain) - 1.0) * 100.0)
            .collect()
    };
    let micros = overhead(Life::micros);
    print(format_args!(
        "a job's life: {:.0} µs plain, {:.0} µs sealed, {:+.1} %; {:+.1} % of CPU; stored {:.0} \
         and {:.0} bytes",
        of(plain, Life::micros).median(),
        of(sealed, Life::micros).median(),
        micros.median(),
        overhead(|life| life.cpu).median(),
        of(plain, |life| life.bytes).median(),
        of(sealed, |life| life.bytes).median(),
    ));
    figures.add("overhead_percent", &micros);
    figures.add("overhead_cpu_percent", &overhead(|life| life.cpu));
    figures.add("plain_us_per_job", &of(plain, Life::micros));
    figures.add("sealed_us_per_job", &of(sealed, Life::micros));
    figures.add("plain_bytes_per_job", &of(plain, |life| life.bytes));
    figures.add("sealed_bytes_per_job", &of(sealed, |life| life.bytes));
    Ok(())
}

fn micros_each(took: Duration, times: usize) -> Result<f64> {
    Ok(took.as_secs_f64() * 1e6 / f64::from(u32::try_from(times)?))
}
