//! Results a second from the download to everything settled, against COPY of
//! the same rows, and what that needs of memory.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use offpeak_anthropic::Client as Anthropic;
use offpeak_bench::child::{self, Child};
use offpeak_bench::cluster::{Cluster, Database, cpu_seconds};
use offpeak_bench::figures::{Figures, Samples};
use offpeak_bench::server::{self, Settings};
use offpeak_bench::texts::Texts;
use offpeak_bench::upload::Client;
use offpeak_bench::upstream::{BATCH, Upstream};
use offpeak_bench::{argument, load, memory, print, say};
use offpeak_domain::id::{BatchId, CustomId, JobId, TenantId};
use offpeak_domain::price::Prices;
use offpeak_store::{System, upstream};
use offpeak_worker::{Clock, Loop, Worker};
use prometheus_client::registry::Registry;
use rand::RngExt as _;
use serde_json::json;
use uuid::Uuid;

/// Bytes of one result line, more or less.
const LINE: usize = 2_000;

#[tokio::main]
async fn main() -> Result<()> {
    if server::play().await? || play().await? {
        return Ok(());
    }
    let lines: usize = argument("lines", 100_000)?;
    let rounds: usize = argument("rounds", 3)?;
    let cluster = Cluster::start("pg").await?;
    let database = cluster.fresh("ingest").await?;
    let texts = Texts::read()?;
    let fake = Upstream::start().await?;
    let (api, url) = server::start(&Settings::api(&database.url)).await?;
    let mut figures = Figures::new("ingest");
    let (mut ratio, mut extra) = (Samples::default(), Samples::default());
    let (mut rate, mut copy_rate) = (Samples::default(), Samples::default());
    let (mut worker_cpu, mut server_cpu, mut copy_cpu) =
        (Samples::default(), Samples::default(), Samples::default());
    let n = f64::from(u32::try_from(lines)?);
    for round in 0..rounds {
        let (tenant, key) = database.tenant(&format!("ingest-{round}")).await?;
        let (other, _) = database.tenant(&format!("copy-{round}")).await?;
        let client = Client::new(&url, &key);
        client
            .bulk(load::body(&texts, round, rounds, lines, LINE)?)
            .await?;
        let batch = stage(&database, tenant).await?;
        fake.set_results(results(&database, tenant, batch, &texts, (round, rounds)).await?);

        let mut worker = Child::start(&["ingest", &database.url, &fake.url])?;
        worker.hear().await?;
        database.checkpoint().await?;
        let pid = worker.pid()?;
        memory::forget_peak(pid)?;
        let before = memory::resident_mb(pid)?;
        let server_before = cluster.cpu_seconds()?;
        let worker_before = cpu_seconds(pid)?;
        worker.tell("go").await?;
        let said = worker.hear().await?;
        worker_cpu.push((cpu_seconds(pid)? - worker_before) / n * 1e6);
        server_cpu.push((cluster.cpu_seconds()? - server_before) / n * 1e6);
        let (done, seconds) = said.split_once(' ').context("not understood")?;
        let peak = memory::peak_mb(pid)?;
        ensure!(
            done.parse::<usize>()? == lines,
            "{done} results were settled"
        );
        let seconds: f64 = seconds.parse()?;
        worker.end().await?;

        let rows = rows_of(&database, batch, other).await?;
        database.checkpoint().await?;
        let server_before = cluster.cpu_seconds()?;
        let copied = database.copy_in(&rows).await?;
        copy_cpu.push((cluster.cpu_seconds()? - server_before) / n * 1e6);
        if round == 0 {
            let plain = database
                .number("SELECT avg(octet_length(line)) FROM output")
                .await?;
            let stored = database
                .number("SELECT avg(pg_column_size(line)) FROM output")
                .await?;
            print(format_args!(
                "result lines: {plain:.0} bytes, {stored:.0} stored, lz4 ratio {:.2}",
                plain / stored
            ));
            figures.note("line_bytes", plain);
            figures.note("lz4_ratio", plain / stored);
        }
        say(format_args!(
            "round {round}: ingest {:.0}/s, COPY {:.0}/s, memory {before:.1} MB and {peak:.1} MB",
            n / seconds,
            n / copied
        ));
        rate.push(n / seconds);
        copy_rate.push(n / copied);
        ratio.push(copied / seconds);
        extra.push(peak - before);
    }
    print(format_args!(
        "ingest: {:.0} results/s; COPY of the same rows: {:.0}/s",
        rate.median(),
        copy_rate.median()
    ));
    figures.add("ingest_over_copy", &ratio);
    figures.add("extra_rss_mb", &extra);
    figures.add("ingest_results_per_s", &rate);
    figures.add("copy_results_per_s", &copy_rate);
    figures.add("worker_cpu_us_per_result", &worker_cpu);
    figures.add("pg_cpu_us_per_result", &server_cpu);
    figures.add("copy_pg_cpu_us_per_result", &copy_cpu);
    api.end().await?;
    cluster.stop().await?;
    figures.end()
}

/// The child: a worker whose one loop reads when it is told.
async fn play() -> Result<bool> {
    let Some(part) = child::part() else {
        return Ok(false);
    };
    let [name, url, base] = &part[..] else {
        return Ok(false);
    };
    ensure!(name == "ingest", "no part {name}");
    let store = offpeak_store::Options::new(url.parse()?);
    let system = System::new(&store);
    let config = offpeak_anthropic::Config::new(base.clone(), "sk-ant-bench".to_owned().into());
    let worker = Worker::new(
        system.clone(),
        vec![offpeak_worker::Upstream::new(
            upstream::OWN,
            Anthropic::new(config)?,
        )],
        Prices::shipped()?,
        offpeak_worker::Options::default(),
        Clock::Database(system.clone()),
        offpeak::entropy::source()?,
        &mut Registry::default(),
    );
    system.now().await?;
    offpeak_bench::print("ready");
    let mut orders = child::orders();
    while orders.recv().await.is_some() {
        let begun = Instant::now();
        let done = worker.tick(Loop::Ingest).await?.done;
        offpeak_bench::print(format_args!("{done} {}", begun.elapsed().as_secs_f64()));
    }
    Ok(true)
}

/// Puts everything that the tenant has ready into one batch that has ended.
async fn stage(database: &Database, tenant: TenantId) -> Result<BatchId> {
    let (tenant, batch) = (
        tenant.as_uuid(),
        Uuid::from_u128(offpeak::entropy::source()?.random()),
    );
    // One batch is told apart from another upstream by its id alone.
    database
        .run(&format!(
            "UPDATE batch SET upstream_batch_id = id::text WHERE upstream_batch_id = '{BATCH}';
             INSERT INTO batch (tenant_id, id, upstream_id, bucket_id, model, state, close_reason,
                                items, body_bytes, planned_at, not_before, sent_at, created_at,
                                expires_at, ended_at, upstream_batch_id)
             SELECT tenant_id, '{batch}', '{own}', bucket_id, 'claude-haiku-5-5', 'ended',
                    'item_limit', count(*), sum(bytes), now(), now(), now(), now(),
                    now() + interval '1 day', now(), '{BATCH}'
               FROM ready WHERE tenant_id = '{tenant}' GROUP BY tenant_id, bucket_id;
             WITH gone AS (DELETE FROM ready WHERE tenant_id = '{tenant}' RETURNING *)
             INSERT INTO inflight (tenant_id, batch_id, id, group_id, attempt, tries, bytes)
             SELECT tenant_id, '{batch}', id, group_id, attempt, tries, bytes
               FROM gone ORDER BY id;
             ANALYZE inflight",
            own = upstream::OWN.as_uuid(),
        ))
        .await?;
    Ok(BatchId::from_uuid(batch))
}

/// The results of a batch's jobs, as Anthropic would send them.
async fn results(
    database: &Database,
    tenant: TenantId,
    batch: BatchId,
    texts: &Texts,
    (round, rounds): (usize, usize),
) -> Result<Vec<Bytes>> {
    let ids: Vec<Uuid> =
        sqlx::query_scalar("SELECT id FROM inflight WHERE tenant_id = $1 ORDER BY id")
            .bind(tenant.as_uuid())
            .fetch_all(&database.root)
            .await?;
    let mut pieces = Vec::new();
    let mut piece = String::new();
    for (place, id) in ids.iter().enumerate() {
        let custom_id = CustomId {
            job: JobId::from_uuid(*id),
            batch,
        };
        let text = texts.cut(place * rounds + round, ids.len() * rounds, LINE - 450);
        let line = json!({
            "custom_id": custom_id.to_string(),
            "result": { "type": "succeeded", "message": {
                "id": format!("msg_bench{place:012}"),
                "type": "message", "role": "assistant", "model": "claude-haiku-5-5",
                "content": [{ "type": "text", "text": text }],
                "stop_reason": "end_turn", "stop_sequence": null,
                "usage": {
                    "input_tokens": 700 + place % 50, "output_tokens": 400 + place % 70,
                    "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
                    "service_tier": "batch",
                },
            } },
        });
        piece.push_str(&line.to_string());
        piece.push('\n');
        if piece.len() > 1 << 16 {
            pieces.push(Bytes::from(std::mem::take(&mut piece)));
        }
    }
    pieces.push(piece.into());
    Ok(pieces)
}

/// What an ingest left, under another tenant, as COPY takes it.
async fn rows_of(
    database: &Database,
    batch: BatchId,
    tenant: TenantId,
) -> Result<Vec<(&'static str, Vec<Bytes>)>> {
    let (batch, tenant) = (batch.as_uuid(), tenant.as_uuid());
    let mut rows = Vec::new();
    for (table, columns, from) in [
        (
            "result (tenant_id, id, outcome, label, message, group_id, type, user_label, model, \
             batch_id, attempt, ended_at, stop_reason, input_tokens, output_tokens, \
             cache_write_tokens, cache_read_tokens, cost_pico, sync_pico, line_hash)",
            "id, outcome, label, message, group_id, type, user_label, model, batch_id, attempt, \
             ended_at, stop_reason, input_tokens, output_tokens, cache_write_tokens, \
             cache_read_tokens, cost_pico, sync_pico, line_hash",
            format!("result WHERE batch_id = '{batch}'"),
        ),
        (
            "output (tenant_id, id, line, key_id)",
            "id, line, key_id",
            format!(
                "output WHERE (tenant_id, id) IN
                 (SELECT tenant_id, id FROM result WHERE batch_id = '{batch}')"
            ),
        ),
        (
            "ledger (tenant_id, batch_id, id, attempt, at, day, group_id, type, user_label, model, \
             lane, input_tokens, output_tokens, cache_write_5m, cache_write_1h, \
             cache_read_tokens, web_searches, cost_pico, sync_pico)",
            "batch_id, id, attempt, at, day, group_id, type, user_label, model, lane, \
             input_tokens, output_tokens, cache_write_5m, cache_write_1h, cache_read_tokens, \
             web_searches, cost_pico, sync_pico",
            format!("ledger WHERE batch_id = '{batch}'"),
        ),
    ] {
        let query = format!("SELECT '{tenant}'::uuid, {columns} FROM {from} ORDER BY id");
        rows.push((table, database.copy_out(&query).await?));
    }
    Ok(rows)
}
