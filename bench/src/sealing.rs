//! The life of jobs through the store alone: no HTTP, no parsing and no checks, which cost
//! the same whether content is sealed. So what sealing adds weighs most here.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use offpeak_domain::deliver::Terms;
use offpeak_domain::id::{BatchId, CustomId, JobId, Minter, TenantId};
use offpeak_domain::job::{Lane, Outcome};
use offpeak_store::batch::{self, Key};
use offpeak_store::job::{self, Entry, NewJob};
use offpeak_store::open_batch::Ended;
use offpeak_store::settle::{Chunk, Effect, Measured, Next};
use offpeak_store::{Options, Sealer, System, Tenants, result, upstream};
use rand::rngs::StdRng;
use serde_json::json;
use time::OffsetDateTime;

use crate::cluster::{Cluster, Database, cpu_seconds};
use crate::texts::Texts;

/// The model that is asked for.
const MODEL: &str = "claude-haiku-5-5";
/// Bytes of the text in a job's params and in its answer, as `bench-life` has them, more or
/// less.
const TEXTS: (usize, usize) = (2_000, 900);
/// Jobs of one statement: submitted, read into a body, settled and fetched.
const SUBMITTED: usize = 1_000;
const SENT: usize = 250;
const SETTLED: usize = 500;
const FETCHED: usize = 250;

/// What the life of one round's jobs took, each divided by their number.
#[derive(Clone, Copy, Debug)]
pub struct Life {
    /// Microseconds to submit, to plan and read the body, to settle, and to fetch the results.
    pub steps: [f64; 4],
    /// Microseconds of CPU, of PostgreSQL and of this process.
    pub cpu: f64,
    /// Bytes of params and result line as they are stored.
    pub bytes: f64,
}

impl Life {
    /// Microseconds of all of it.
    pub fn micros(&self) -> f64 {
        self.steps.iter().sum()
    }
}

/// A process that seals content by this, or does not.
#[derive(Debug)]
pub struct Process {
    tenants: Tenants,
    system: System,
    seals: bool,
}

impl Process {
    /// One with a way of its own to the database.
    pub fn new(database: &Database, sealer: Option<Sealer>) -> Self {
        let mut options = Options::new(database.connect.clone());
        let seals = sealer.is_some();
        options.sealer = sealer.unwrap_or_default();
        Self {
            tenants: Tenants::new(&options),
            system: System::new(&options),
            seals,
        }
    }

    /// Lets `count` jobs of a tenant live; their texts are cut from `place` in `of` on.
    pub async fn life(
        &self,
        (cluster, database): (&Cluster, &Database),
        tenant: TenantId,
        (texts, place, of): (&Texts, usize, usize),
        count: usize,
        rng: &mut StdRng,
    ) -> Result<Life> {
        let n = f64::from(u32::try_from(count)?);
        // The data key is there from here on.
        let now = self.tenants.begin(tenant).await?.now();
        let mut minter = Minter::new(now, &mut *rng);
        let jobs: Vec<NewJob> = (0..count)
            .map(|at| new(minter.mint(), texts.cut(place + at, of, TEXTS.0)))
            .collect::<Result<_>>()?;
        let batch: BatchId = minter.mint();
        let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
        let lines: Vec<Vec<u8>> = ids
            .iter()
            .enumerate()
            .map(|(at, job)| {
                line(
                    CustomId { job: *job, batch },
                    texts.cut(place + at, of, TEXTS.1),
                )
            })
            .collect();
        database.checkpoint().await?;
        let cpu = || anyhow::Ok(cluster.cpu_seconds()? + cpu_seconds(std::process::id())?);
        let before = cpu()?;

        let begun = Instant::now();
        for chunk in jobs.chunks(SUBMITTED) {
            let mut tx = self.tenants.begin(tenant).await?;
            job::insert_chunk(&mut tx, chunk, Entry::Ready).await?;
            tx.commit().await?;
        }
        let submitted = begun.elapsed();

        let begun = Instant::now();
        plan(database, tenant, batch).await?;
        let mut read = 0;
        for chunk in ids.chunks(SENT) {
            let params = batch::params(&self.system, tenant, chunk).await?;
            read += params.iter().map(|(_, params)| params.len()).sum::<usize>();
        }
        let sent = begun.elapsed();
        let asked: usize = jobs.iter().map(|job| job.params.len()).sum();
        ensure!(read == asked, "{read} bytes of {asked}");

        let ended = ended(Key { tenant, batch }, now, count)?;
        let begun = Instant::now();
        for (ids, lines) in ids.chunks(SETTLED).zip(lines.chunks(SETTLED)) {
            self.settle(&ended, ids, lines).await?;
        }
        let settled = begun.elapsed();

        let begun = Instant::now();
        let mut fetched = 0;
        for (ids, lines) in ids.chunks(FETCHED).zip(lines.chunks(FETCHED)) {
            let mut tx = self.tenants.begin(tenant).await?;
            let results = result::of(&mut tx, ids).await?;
            tx.commit().await?;
            let same = results.iter().zip(lines);
            fetched += same
                .filter(|(is, line)| is.line.as_ref() == Some(*line))
                .count();
        }
        ensure!(fetched == count, "{fetched} answers of {count}");
        let steps = [submitted, sent, settled, begun.elapsed()];
        let cpu = cpu()? - before;
        Ok(Life {
            steps: steps.map(|took| took.as_secs_f64() * 1e6 / n),
            cpu: cpu * 1e6 / n,
            bytes: self.bytes(database, tenant).await?,
        })
    }

    async fn settle(&self, ended: &Ended, ids: &[JobId], lines: &[Vec<u8>]) -> Result<()> {
        let term = Duration::from_mins(1);
        let (chunk, mut released) = Chunk::begin(&self.system, ended, term, ids).await?;
        let effects: Vec<Effect> = ids
            .iter()
            .zip(lines)
            .map(|(id, line)| {
                let released = released.remove(id).context("it was not in flight")?;
                Ok(Effect {
                    released,
                    next: Next::End {
                        outcome: Outcome::Completed,
                        failure: None,
                        stop_reason: Some("end_turn".to_owned()),
                    },
                    line: Some(line.clone()),
                    line_hash: Some(vec![0; 32]),
                    model: Some(MODEL.to_owned()),
                    lane: Lane::Batch,
                    measured: Measured {
                        input_tokens: 600,
                        output_tokens: 250,
                        ..Measured::default()
                    },
                    billed: true,
                })
            })
            .collect::<Result<_>>()?;
        let now = ended.ended_at;
        Ok(chunk.commit(now, now.date(), &effects).await?)
    }

    /// Looks whether content is stored as it should be, and how long it is.
    async fn bytes(&self, database: &Database, tenant: TenantId) -> Result<f64> {
        let mut bytes = 0.0;
        for (table, column) in [("payload", "params"), ("output", "line")] {
            let of = format!("FROM {table} WHERE tenant_id = '{}'", tenant.as_uuid());
            let key_id = format!("SELECT avg(key_id) {of}");
            let key_id = database.number(&key_id).await?;
            let expected = if self.seals { 1.0 } else { 0.0 };
            ensure!(
                (key_id - expected).abs() < 1e-9,
                "{table} has key_id {key_id}"
            );
            bytes += database
                .number(&format!("SELECT avg(pg_column_size({column})) {of}"))
                .await?;
        }
        Ok(bytes)
    }
}

fn new(id: JobId, text: &str) -> Result<NewJob> {
    let params = json!({
        "model": MODEL, "max_tokens": 512,
        "messages": [{"role": "user", "content": text}],
    });
    Ok(NewJob {
        id,
        group: None,
        job_type: None,
        user: None,
        model: MODEL.to_owned(),
        upstream: upstream::OWN,
        lane: Lane::Batch,
        terms: Terms::default(),
        priority: 0,
        metadata: None,
        params: serde_json::to_vec(&params)?,
        structured: false,
        prefix: None,
        sharing: None,
        expected: None,
    })
}

fn line(custom_id: CustomId, text: &str) -> Vec<u8> {
    let line = json!({
        "custom_id": custom_id.to_string(),
        "result": { "type": "succeeded", "message": {
            "id": format!("msg_{}", custom_id.job), "type": "message", "role": "assistant",
            "model": MODEL, "content": [{ "type": "text", "text": text }],
            "stop_reason": "end_turn", "stop_sequence": null,
            "usage": { "input_tokens": 600, "output_tokens": 250, "service_tier": "batch" },
        } },
    });
    line.to_string().into_bytes()
}

/// Puts everything that the tenant has ready into one batch that has ended.
async fn plan(database: &Database, tenant: TenantId, batch: BatchId) -> Result<()> {
    let (tenant, batch) = (tenant.as_uuid(), batch.as_uuid());
    let own = upstream::OWN.as_uuid();
    database
        .run(&format!(
            "INSERT INTO batch (tenant_id, id, upstream_id, bucket_id, model, state, close_reason,
                                items, body_bytes, planned_at, not_before, sent_at, created_at,
                                expires_at, ended_at, upstream_batch_id)
             SELECT tenant_id, '{batch}', '{own}', bucket_id, '{MODEL}', 'ended',
                    'item_limit', count(*), sum(bytes), now(), now(), now(), now(),
                    now() + interval '1 day', now(), '{batch}'
               FROM ready WHERE tenant_id = '{tenant}' GROUP BY tenant_id, bucket_id;
             WITH gone AS (DELETE FROM ready WHERE tenant_id = '{tenant}' RETURNING *)
             INSERT INTO inflight (tenant_id, batch_id, id, group_id, attempt, tries, bytes)
             SELECT tenant_id, '{batch}', id, group_id, attempt, tries, bytes
               FROM gone ORDER BY id;
             ANALYZE inflight"
        ))
        .await
}

fn ended(key: Key, now: OffsetDateTime, count: usize) -> Result<Ended> {
    let items = u32::try_from(count)?;
    Ok(Ended {
        key,
        upstream: upstream::OWN,
        upstream_batch_id: key.batch.as_uuid().to_string(),
        ended_at: now,
        expires_at: now + Duration::from_hours(24),
        short_reads: 0,
        verified: true,
        items,
        counted: u64::from(items),
    })
}
