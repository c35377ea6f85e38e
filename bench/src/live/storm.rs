//! A large batch that settles at once, as the worker's settling does it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use offpeak_domain::id::{BatchId, JobId, TenantId};
use offpeak_domain::job::{Lane, Outcome};
use offpeak_store::batch::Key;
use offpeak_store::open_batch::Ended;
use offpeak_store::settle::{Chunk, Effect, Measured, Next, Released};
use offpeak_store::upstream;
use rand::RngExt as _;
use uuid::Uuid;

use super::writer::Writer;
use crate::cluster::Database;

/// Jobs of a transaction.
const CHUNK: usize = 1_000;
/// Anthropic's id of the batch.
const UPSTREAM: &str = "msgbatch_storm";

/// A batch whose results are all there, and nobody has read.
#[derive(Debug)]
pub struct Storm {
    ended: Ended,
    jobs: Vec<JobId>,
}

/// Makes one of so many jobs. Nobody else will read it.
pub async fn stage(
    database: &Database,
    writer: &Writer,
    tenant: TenantId,
    jobs: usize,
) -> Result<Storm> {
    for first in (0..jobs).step_by(CHUNK) {
        writer
            .commit(tenant, first..jobs.min(first + CHUNK))
            .await?;
    }
    let batch = BatchId::from_uuid(Uuid::from_u128(offpeak::entropy::source()?.random()));
    let (own, of) = (batch.as_uuid(), tenant.as_uuid());
    database
        .run(&format!(
            "INSERT INTO batch (tenant_id, id, upstream_id, bucket_id, model, state, close_reason,
                                items, body_bytes, planned_at, not_before, sent_at, created_at,
                                expires_at, ended_at, upstream_batch_id, ingest_until)
             SELECT tenant_id, '{own}', '{upstream}', bucket_id, 'claude-haiku-5-5', 'ended',
                    'item_limit', count(*), sum(bytes), now(), now(), now(), now(),
                    now() + interval '1 day', now(), '{UPSTREAM}', now() + interval '1 hour'
               FROM ready WHERE tenant_id = '{of}' GROUP BY tenant_id, bucket_id;
             WITH gone AS (DELETE FROM ready WHERE tenant_id = '{of}' RETURNING *)
             INSERT INTO inflight (tenant_id, batch_id, id, group_id, attempt, tries, bytes)
             SELECT tenant_id, '{own}', id, group_id, attempt, tries, bytes
               FROM gone ORDER BY id;
             ANALYZE inflight",
            upstream = upstream::OWN.as_uuid(),
        ))
        .await?;
    let ids: Vec<Uuid> =
        sqlx::query_scalar("SELECT id FROM inflight WHERE tenant_id = $1 ORDER BY id")
            .bind(of)
            .fetch_all(&database.root)
            .await?;
    ensure!(ids.len() == jobs, "{} of {jobs} jobs are there", ids.len());
    let now = database.system.now().await?;
    Ok(Storm {
        ended: Ended {
            key: Key { tenant, batch },
            upstream: upstream::OWN,
            upstream_batch_id: UPSTREAM.to_owned(),
            ended_at: now,
            expires_at: now,
            short_reads: 0,
            verified: true,
            items: u32::try_from(jobs)?,
            counted: u64::try_from(jobs)?,
        },
        jobs: ids.into_iter().map(JobId::from_uuid).collect(),
    })
}

impl Storm {
    /// Settles every job; gives the moment after the last commit.
    pub async fn settle(self, database: &Database) -> Result<Instant> {
        let term = Duration::from_hours(1);
        for jobs in self.jobs.chunks(CHUNK) {
            let (chunk, released) = Chunk::begin(&database.system, &self.ended, term, jobs).await?;
            ensure!(
                released.len() == jobs.len(),
                "{} of {} jobs were in flight",
                released.len(),
                jobs.len()
            );
            let now = self.ended.ended_at;
            let effects: Vec<Effect> = released.into_values().map(completed).collect();
            chunk.commit(now, now.date(), &effects).await?;
        }
        Ok(Instant::now())
    }

    /// How many jobs it has.
    pub fn count(&self) -> usize {
        self.jobs.len()
    }
}

fn completed(released: Released) -> Effect {
    let line = format!(
        r#"{{"custom_id":"{}","result":{{"type":"succeeded","message":{{"content":[]}}}}}}"#,
        released.job
    );
    Effect {
        released,
        next: Next::End {
            outcome: Outcome::Completed,
            failure: None,
            stop_reason: Some("end_turn".to_owned()),
        },
        line: Some(line.into_bytes()),
        line_hash: Some(vec![0; 32]),
        model: None,
        lane: Lane::Batch,
        measured: Measured {
            input_tokens: 700,
            output_tokens: 400,
            cost_pico: 1_350_000_000,
            sync_pico: 2_700_000_000,
            saved_batch_pico: 1_350_000_000,
            ..Measured::default()
        },
        billed: true,
    }
}

/// Gives a tenant so many events of 500 jobs each, all of them there before anybody
/// asks.
pub async fn heap_up(database: &Database, tenant: TenantId, events: u32) -> Result<u64> {
    let of = tenant.as_uuid();
    database
        .run(&format!(
            "INSERT INTO event (tenant_id, seq, numbered_at, at, kind, state, ids)
             SELECT '{of}', s.seq + n, now(), now(), 'job', 'queued', many.ids
               FROM stream s, generate_series(1, {events}) AS n,
                    (SELECT array_agg(gen_random_uuid()) AS ids
                       FROM generate_series(1, 500)) AS many
              WHERE s.tenant_id = '{of}';
             UPDATE stream SET seq = seq + {events} WHERE tenant_id = '{of}'",
        ))
        .await?;
    let last = format!("SELECT seq::text FROM stream WHERE tenant_id = '{of}'");
    let last: String = sqlx::query_scalar(sqlx::AssertSqlSafe(last))
        .fetch_one(&database.root)
        .await?;
    Ok(last.parse()?)
}

/// Returns when all that was told is numbered.
pub async fn numbered(database: &Database) -> Result<()> {
    let mut looks = tokio::time::interval(Duration::from_millis(50));
    let none = async {
        loop {
            looks.tick().await;
            let left = database.number("SELECT count(*) FROM event_in").await?;
            if left == 0.0 {
                return anyhow::Ok(());
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), none)
        .await
        .context("events were not numbered")?
}
