//! Calls of which nobody knows what became, and answers that come too late.

use offpeak_domain::id::{BatchId, JobId, UpstreamId};
use offpeak_domain::incident::Kind;
use time::{Date, OffsetDateTime};

use super::{Call, on_unknown};
use crate::batch::key;
use crate::settle::Measured;
use crate::{Result, System};

/// Calls of processes that are gone, or that lasted longer than they may: whether
/// they were made, nobody knows.
pub async fn left_behind(
    system: &System,
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<(UpstreamId, Call)>> {
    let rows = sqlx::query!(
        "SELECT c.tenant_id, c.id, c.upstream_id, c.job_id, c.attempt, c.beside, j.on_unknown
           FROM call c
           JOIN job j ON j.tenant_id = c.tenant_id AND j.id = c.job_id
          WHERE c.state = 'sending'
            AND (c.send_deadline < $1 OR c.sent_at > $1::timestamptz + interval '10 minutes'
                 OR NOT EXISTS (SELECT FROM lease l
                                 WHERE l.name = 'process/' || c.sender::text
                                   AND l.expires_at > clock_timestamp()))
          ORDER BY c.sent_at, c.id
          LIMIT $2",
        now,
        limit,
    )
    .fetch_all(&system.pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let call = Call {
                key: key(row.tenant_id, row.id),
                job: JobId::from_uuid(row.job_id),
                attempt: row.attempt,
                beside: row.beside.map(BatchId::from_uuid),
                on_unknown: on_unknown(row.on_unknown),
            };
            (UpstreamId::from_uuid(row.upstream_id), call)
        })
        .collect())
}

/// Books an answer that came after its call was given up: the job went on without
/// it, so what it billed is the deployment's own cost.
pub async fn came_late(
    system: &System,
    call: &Call,
    (now, day): (OffsetDateTime, Date),
    model: &str,
    measured: &Measured,
) -> Result<()> {
    let mut tx = system.begin().await?;
    let name = call.name();
    sqlx::query!(
        r#"WITH lost AS (
               SELECT upstream_id FROM call
                WHERE tenant_id = $1 AND id = $2 AND state = 'unknown'),
           booked AS (
               INSERT INTO absorbed (upstream_id, upstream_batch_id, custom_id, at, day, model,
                                     input_tokens, output_tokens, cache_write_5m, cache_write_1h,
                                     cache_read_tokens, web_searches, cost_pico, sync_pico,
                                     unpriced)
               SELECT upstream_id, $3, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $16
                 FROM lost
                   ON CONFLICT DO NOTHING
               RETURNING upstream_id, cost_pico, sync_pico)
           UPDATE incident i
              SET absorbed_pico = i.absorbed_pico + booked.cost_pico,
                  absorbed_sync_pico = i.absorbed_sync_pico + booked.sync_pico
             FROM booked
            WHERE i.kind = $15 AND i.upstream_id = booked.upstream_id
              AND i.upstream_batch_id = $3"#,
        call.key.tenant.as_uuid(),
        call.key.batch.as_uuid(),
        name,
        now,
        day,
        model,
        measured.input_tokens,
        measured.output_tokens,
        measured.cache_write_5m,
        measured.cache_write_1h,
        measured.cache_read,
        measured.web_searches,
        measured.cost_pico,
        measured.sync_pico,
        Kind::OutcomeUnknown.as_str(),
        measured.unpriced,
    )
    .execute(tx.conn())
    .await?;
    tx.commit().await
}
