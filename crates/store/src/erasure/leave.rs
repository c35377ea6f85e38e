//! What stays at a tenant's own upstream when the tenant is erased and its key is gone:
//! nobody can end, read or delete it there. An operator says so; then it is let go here,
//! and its ids are noted.

use std::time::Duration;

use offpeak_domain::id::TenantId;
use time::OffsetDateTime;

use crate::{Result, System, SystemTx};

/// What was answered to an operator's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// It is noted.
    Noted {
        /// Whether the erasure began with it.
        begun: bool,
        /// Batches that are left there, or may be.
        batches: u64,
    },
    /// It is not: the key is there, and with it all of that can be done.
    HasKey,
    /// It is not: the tenant never had an upstream of its own.
    NoOwn,
}

/// Notes that what the tenant's own upstream holds is to be left there, and begins the
/// erasure if nobody did before.
pub async fn ask(tx: &mut SystemTx, tenant: TenantId) -> Result<Asked> {
    let now = tx.now();
    let found = sqlx::query!(
        r#"SELECT EXISTS (SELECT FROM upstream_key
                           WHERE tenant_id = $1 AND state IN ('checking', 'current'))
                      AS "has_key!",
                  EXISTS (SELECT FROM upstream WHERE id = $1) AS "own!",
                  (SELECT count(*) FROM batch
                    WHERE tenant_id = $1 AND upstream_id = $1
                      AND state NOT IN ('planned', 'ingested', 'refuted', 'rejected'))
                      AS "batches!""#,
        tenant.as_uuid(),
    )
    .fetch_one(tx.conn())
    .await?;
    if found.has_key {
        return Ok(Asked::HasKey);
    }
    if !found.own {
        return Ok(Asked::NoOwn);
    }
    let begun = super::begin_here(tx, tenant).await?;
    sqlx::query!(
        "UPDATE erasure SET leave_asked_at = $2
          WHERE tenant_id = $1 AND leave_asked_at IS NULL AND state <> 'done'",
        tenant.as_uuid(),
        now,
    )
    .execute(tx.conn())
    .await?;
    Ok(Asked::Noted {
        begun,
        batches: u64::try_from(found.batches).unwrap_or(0),
    })
}

/// Lets go of up to `limit` jobs of batches that are left there, or of as many such
/// batches. Returns how many; nothing is left to let go when it returns zero. Nothing
/// goes while a key is there, or a process may still have such a batch in hand.
pub async fn some(
    system: &System,
    tenant: TenantId,
    now: OffsetDateTime,
    kept: Duration,
    limit: i64,
) -> Result<u64> {
    let tenant = tenant.as_uuid();
    let mut tx = system.begin().await?;
    let may = sqlx::query_scalar!(
        r#"SELECT leave_asked_at IS NOT NULL
                  AND NOT EXISTS (SELECT FROM upstream_key k
                                   WHERE k.tenant_id = $1 AND k.state IN ('checking', 'current'))
                  AS "may!"
             FROM erasure
            WHERE tenant_id = $1 AND state <> 'done'
              FOR UPDATE"#,
        tenant,
    )
    .fetch_optional(tx.conn())
    .await?;
    if may != Some(true) {
        return Ok(0);
    }
    let jobs = sqlx::query!(
        "DELETE FROM inflight
          WHERE tenant_id = $1
            AND (batch_id, id) IN (
                SELECT i.batch_id, i.id
                  FROM batch b
                  JOIN inflight i ON i.tenant_id = b.tenant_id AND i.batch_id = b.id
                 WHERE b.tenant_id = $1 AND b.upstream_id = $1
                   AND (b.state <> 'sending' OR b.send_deadline < $2)
                   AND (b.ingest_until IS NULL OR b.ingest_until < $2)
                   -- The others are ended first.
                   AND (i.canceled OR EXISTS (SELECT FROM result r
                                               WHERE r.tenant_id = $1 AND r.id = i.id))
                 ORDER BY i.batch_id, i.id
                 LIMIT $3)",
        tenant,
        now,
        limit,
    )
    .execute(tx.conn())
    .await?
    .rows_affected();
    if jobs > 0 {
        tx.commit().await?;
        return Ok(jobs);
    }
    let batches = sqlx::query_scalar!(
        r#"WITH gone AS (
               DELETE FROM batch
                WHERE tenant_id = $1
                  AND id IN (
                      SELECT b.id
                        FROM batch b
                       WHERE b.tenant_id = $1 AND b.upstream_id = $1
                         AND b.state NOT IN ('refuted', 'rejected')
                         AND (b.state <> 'sending' OR b.send_deadline < $2)
                         AND (b.ingest_until IS NULL OR b.ingest_until < $2)
                         -- Of one that was read, as long as Anthropic keeps it.
                         AND (b.state <> 'ingested'
                              OR b.verified AND b.upstream_deleted_at IS NULL
                                 AND b.created_at > $3)
                         AND NOT EXISTS (SELECT FROM inflight i
                                          WHERE i.tenant_id = $1 AND i.batch_id = b.id)
                       ORDER BY b.id
                       LIMIT $4)
               RETURNING id, upstream_batch_id, state, items, sent_at),
           noted AS (
               INSERT INTO left_batch (tenant_id, id, upstream_batch_id, state, items, sent_at,
                                       left_at)
               -- Of a planned one nothing is there.
               SELECT $1, id, upstream_batch_id, state, items, sent_at, $2
                 FROM gone
                WHERE state <> 'planned'
               RETURNING id),
           counted AS (
               UPDATE erasure SET batches_left = batches_left + (SELECT count(*) FROM noted)
                WHERE tenant_id = $1)
           SELECT count(*) AS "n!" FROM gone"#,
        tenant,
        now,
        now - kept,
        limit,
    )
    .fetch_one(tx.conn())
    .await?;
    tx.commit().await?;
    Ok(u64::try_from(batches).unwrap_or(0))
}
