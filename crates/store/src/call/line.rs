//! Who is called for next.

use offpeak_domain::id::{BatchId, JobId, TenantId, UpstreamId};
use time::OffsetDateTime;

use super::Candidate;
use crate::{Result, System};

/// The jobs to call for at `now`, the most urgent first: each tenant in turn, those
/// with the fewest calls under way before the others. None while the upstream is
/// paused.
pub async fn candidates(
    system: &System,
    upstream: UpstreamId,
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<Candidate>> {
    let rows = sqlx::query!(
        r#"WITH waiting AS (
               SELECT q.tenant_id, q.id, NULL::uuid AS beside, q.deadline
                 FROM tenant t
                CROSS JOIN LATERAL (
                      SELECT tenant_id, id, bucket_id, deadline
                        FROM ready
                       WHERE tenant_id = t.id AND lane = 'direct' AND not_before <= $2
                         -- What may be in an unknown message batch is kept back.
                         AND id >= coalesce((SELECT first_free FROM hold
                                              WHERE upstream_id = $1
                                              ORDER BY first_free DESC
                                              LIMIT 1),
                                            '00000000-0000-0000-0000-000000000000')
                       ORDER BY deadline, id
                       LIMIT $3) AS q
                 JOIN bucket b ON b.tenant_id = q.tenant_id AND b.id = q.bucket_id
                WHERE b.upstream_id = $1
                UNION ALL
               SELECT late.tenant_id, late.id, late.batch_id, late.deadline
                 FROM (SELECT tenant_id, id, batch_id, deadline
                         FROM inflight
                        WHERE direct_from <= $2 AND NOT canceled
                        ORDER BY direct_from, deadline, id
                        LIMIT 1000) AS late
                 JOIN batch b ON b.tenant_id = late.tenant_id AND b.id = late.batch_id
                WHERE b.upstream_id = $1
                  AND b.state IN ('sending', 'uncertain', 'in_progress', 'canceling'))
           SELECT tenant_id AS "tenant_id!", id AS "id!", beside
             FROM (SELECT w.*, row_number() OVER (PARTITION BY tenant_id ORDER BY deadline, id)
                          + (SELECT count(*) FROM call c
                              WHERE c.upstream_id = $1 AND c.state = 'sending'
                                AND c.tenant_id = w.tenant_id) AS turn
                     FROM waiting w) AS ordered
            WHERE EXISTS (SELECT FROM upstream u
                           WHERE u.id = $1
                             AND (u.paused_reason IS NULL OR u.paused_until <= $2)
                             AND has_key(u.id))
            ORDER BY turn, deadline, id
            LIMIT $3"#,
        upstream.as_uuid(),
        now,
        limit,
    )
    .fetch_all(&system.pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Candidate {
            tenant: TenantId::from_uuid(row.tenant_id),
            job: JobId::from_uuid(row.id),
            beside: row.beside.map(BatchId::from_uuid),
        })
        .collect())
}

/// When the next job of an upstream may be called for that waits for its time.
pub async fn next_due(system: &System) -> Result<Option<OffsetDateTime>> {
    Ok(sqlx::query_scalar!(
        "SELECT least((SELECT min(not_before) FROM ready WHERE lane = 'direct'),
                      (SELECT min(direct_from) FROM inflight WHERE direct_from IS NOT NULL))
                AS next"
    )
    .fetch_one(&system.pool)
    .await?)
}
