//! What an operator has to know. Noting the same thing twice is one row, and
//! one that was resolved stays so.

use std::time::Duration;

use offpeak_domain::id::{BatchId, IncidentId, TenantId, UpstreamId};
use offpeak_domain::incident::Kind;
use offpeak_domain::money::Pico;
use sqlx::PgExecutor;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::bounded::Connection;
use crate::group::pico;
use crate::lease::interval;
use crate::{OperatorTx, Result, System};

/// Something to be noted.
#[derive(Clone, Copy, Debug)]
pub struct Note<'a> {
    /// What happened.
    pub kind: Kind,
    /// When it was seen.
    pub at: OffsetDateTime,
    /// Where.
    pub upstream: Option<UpstreamId>,
    /// Whose jobs it concerns.
    pub tenant: Option<TenantId>,
    /// Which batch.
    pub batch: Option<BatchId>,
    /// Its id at Anthropic.
    pub upstream_batch_id: Option<&'a str>,
    /// One sentence for a person, without prompt or result text.
    pub detail: &'a str,
}

/// Something that was noted.
#[derive(Clone, Debug)]
pub struct Incident {
    /// Which.
    pub id: IncidentId,
    /// A word of [`Kind`], or one of a newer version.
    pub kind: String,
    /// When it was seen first.
    pub at: OffsetDateTime,
    /// Where.
    pub upstream: Option<UpstreamId>,
    /// Whose jobs it concerns.
    pub tenant: Option<TenantId>,
    /// Which batch.
    pub batch: Option<BatchId>,
    /// Its id at Anthropic.
    pub upstream_batch_id: Option<String>,
    /// One sentence for a person.
    pub detail: String,
    /// What it cost beyond what tenants pay.
    pub absorbed: Pico,
    /// The same at the normal price, without a cache.
    pub absorbed_sync: Pico,
    /// Absorbed lines whose price is not known; they are in neither sum.
    pub absorbed_unpriced: u32,
    /// Flawed lines among the results of its batch.
    pub flawed_lines: u32,
    /// When somebody said that it is dealt with.
    pub resolved_at: Option<OffsetDateTime>,
}

/// Notes it. False when it was noted before.
pub async fn note(system: &System, note: &Note<'_>) -> Result<bool> {
    let mut tx = system.begin().await?;
    let new = note_within(tx.conn(), note).await?;
    tx.commit().await?;
    Ok(new)
}

/// As [`note`], within a transaction.
pub(crate) async fn note_within(conn: &mut Connection, note: &Note<'_>) -> Result<bool> {
    let done = sqlx::query!(
        "INSERT INTO incident (kind, at, upstream_id, subject_tenant, batch_id,
                               upstream_batch_id, detail)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT DO NOTHING",
        note.kind.as_str(),
        note.at,
        note.upstream.map(UpstreamId::as_uuid),
        note.tenant.map(TenantId::as_uuid),
        note.batch.map(BatchId::as_uuid),
        note.upstream_batch_id,
        note.detail,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// As [`note_within`], for what happens to an upstream again and again: one that
/// was resolved is open again.
pub(crate) async fn note_anew(conn: &mut Connection, note: &Note<'_>) -> Result<()> {
    let done = sqlx::query!(
        "UPDATE incident SET at = $3, detail = $4, resolved_at = NULL
          WHERE kind = $1 AND upstream_id = $2 AND upstream_batch_id IS NULL
            AND batch_id IS NULL AND subject_tenant IS NOT DISTINCT FROM $5",
        note.kind.as_str(),
        note.upstream.map(UpstreamId::as_uuid),
        note.at,
        note.detail,
        note.tenant.map(TenantId::as_uuid),
    )
    .execute(&mut *conn)
    .await?;
    if done.rows_affected() == 0 {
        note_within(conn, note).await?;
    }
    Ok(())
}

/// The newest first; those that are resolved only if asked for.
pub async fn list(system: &System, resolved_too: bool, limit: i64) -> Result<Vec<Incident>> {
    let rows = sqlx::query!(
        "SELECT i.id, i.kind, i.at, i.upstream_id, i.subject_tenant, i.batch_id,
                i.upstream_batch_id, i.detail,
                i.absorbed_pico::text, i.absorbed_sync_pico::text, i.resolved_at,
                (SELECT b.quarantined FROM batch b
                  WHERE b.tenant_id = i.subject_tenant AND b.id = i.batch_id) AS flawed_lines,
                (SELECT count(*) FROM absorbed a
                  WHERE a.upstream_id = i.upstream_id
                    AND a.upstream_batch_id = i.upstream_batch_id
                    AND a.unpriced) AS absorbed_unpriced
           FROM incident i
          WHERE $1 OR i.resolved_at IS NULL
          ORDER BY i.at DESC, i.id
          LIMIT $2",
        resolved_too,
        limit,
    )
    .fetch_all(&system.pool)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Incident {
                id: IncidentId::from_uuid(row.id),
                kind: row.kind,
                at: row.at,
                upstream: row.upstream_id.map(UpstreamId::from_uuid),
                tenant: row.subject_tenant.map(TenantId::from_uuid),
                batch: row.batch_id.map(BatchId::from_uuid),
                upstream_batch_id: row.upstream_batch_id,
                detail: row.detail,
                absorbed: pico("incident.absorbed_pico", row.absorbed_pico)?,
                absorbed_sync: pico("incident.absorbed_sync_pico", row.absorbed_sync_pico)?,
                absorbed_unpriced: row
                    .absorbed_unpriced
                    .and_then(|lines| u32::try_from(lines).ok())
                    .unwrap_or(0),
                flawed_lines: row
                    .flawed_lines
                    .and_then(|lines| u32::try_from(lines).ok())
                    .unwrap_or(0),
                resolved_at: row.resolved_at,
            })
        })
        .collect()
}

/// Somebody has dealt with it. False when there is no such open one.
pub async fn resolve(system: &System, id: IncidentId) -> Result<bool> {
    resolved(&system.pool, id).await
}

/// The same in the browser of an operator.
pub async fn resolve_by_operator(tx: &mut OperatorTx, id: IncidentId) -> Result<bool> {
    resolved(tx.conn(), id).await
}

async fn resolved<'c>(on: impl PgExecutor<'c>, id: IncidentId) -> Result<bool> {
    let done = sqlx::query!(
        "UPDATE incident SET resolved_at = clock_timestamp()
          WHERE id = $1 AND resolved_at IS NULL",
        id.as_uuid(),
    )
    .execute(on)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// How many are open, by kind.
pub async fn open_count(system: &System) -> Result<Vec<(String, u64)>> {
    let rows = sqlx::query!(
        r#"SELECT kind, count(*) AS "n!" FROM incident
            WHERE resolved_at IS NULL GROUP BY kind ORDER BY kind LIMIT 1000"#
    )
    .fetch_all(&system.pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.kind, u64::try_from(row.n).unwrap_or(0)))
        .collect())
}

/// How long a batch may stay in a state before the operator is told.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// After the time at which it must have ended.
    pub overdue: Duration,
    /// After its end, until all results are read.
    pub waiting: Duration,
    /// After its creation: when its results are about to be deleted.
    pub near_expiry: Duration,
    /// After a send whose outcome is not known.
    pub uncertain: Duration,
    /// After it was planned, …
    pub unsent: Duration,
    /// … if it was sent more often than so, and never stored.
    pub sends: u32,
}

/// A batch that was noted just now.
#[derive(Clone, Debug)]
pub struct Noted {
    /// The word of its kind.
    pub kind: String,
    /// Which batch.
    pub batch: Option<BatchId>,
    /// Its id at Anthropic.
    pub upstream_batch_id: Option<String>,
}

/// Notes every open batch that is longer in its state than it may be at `now`.
/// Reads only the open batches.
pub async fn watch(system: &System, now: OffsetDateTime, patience: Patience) -> Result<Vec<Noted>> {
    let mut tx = system.begin_write().await?;
    let rows = sqlx::query!(
        r#"INSERT INTO incident (kind, at, upstream_id, subject_tenant, batch_id,
                                 upstream_batch_id, detail)
           SELECT late.kind, $1, b.upstream_id, b.tenant_id, b.id, b.upstream_batch_id,
                  late.detail
             FROM batch b
             JOIN LATERAL (VALUES
                  ($5::text, b.state IN ('in_progress', 'canceling')
                             AND b.expires_at + $2::interval < $1,
                   'it has not ended at Anthropic'),
                  ($6, b.state = 'ended' AND b.ended_at + $3::interval < $1,
                   'its results are not all read'),
                  ($7, b.state = 'ended' AND b.created_at + $4::interval < $1,
                   'its results are about to be deleted at Anthropic, and not all read'),
                  ($8, b.state = 'uncertain' AND b.sent_at + $9::interval < $1,
                   'it is not known whether Anthropic stored it'),
                  ($10, b.state = 'planned' AND b.sends > $12
                        AND b.planned_at + $11::interval < $1,
                   'it is sent again and again, and not stored'))
                  AS late (kind, is_so, detail) ON late.is_so
            WHERE b.state IN ('in_progress', 'canceling', 'ended', 'uncertain', 'planned')
              -- Most are known already: no need to try them against the index.
              AND NOT EXISTS (SELECT FROM incident i
                               WHERE i.kind = late.kind AND i.batch_id = b.id)
            ORDER BY b.id
            LIMIT 1000
               ON CONFLICT DO NOTHING
           RETURNING kind, batch_id, upstream_batch_id"#,
        now,
        interval(patience.overdue),
        interval(patience.waiting),
        interval(patience.near_expiry),
        Kind::BatchOverdue.as_str(),
        Kind::ResultsWaiting.as_str(),
        Kind::ResultsNearExpiry.as_str(),
        Kind::SendUncertain.as_str(),
        interval(patience.uncertain),
        Kind::BatchNotSent.as_str(),
        interval(patience.unsent),
        i32::try_from(patience.sends).unwrap_or(i32::MAX),
    )
    .fetch_all(tx.conn())
    .await?;
    tx.commit().await?;
    Ok(rows
        .into_iter()
        .map(|row| Noted {
            kind: row.kind,
            batch: row.batch_id.map(BatchId::from_uuid),
            upstream_batch_id: row.upstream_batch_id,
        })
        .collect())
}

/// Batches that ended longer than `after` ago and are not all read.
pub async fn waiting(system: &System, now: OffsetDateTime, after: Duration) -> Result<u64> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM batch
            WHERE state = 'ended' AND ended_at + $2::interval < $1"#,
        now,
        interval(after),
    )
    .fetch_one(&system.pool)
    .await?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Says more about what was noted for a message batch, now that it is known.
pub(crate) async fn explain(conn: &mut Connection, note: &Note<'_>) -> Result<()> {
    sqlx::query!(
        "UPDATE incident
            SET subject_tenant = coalesce($4, subject_tenant), batch_id = coalesce($5, batch_id),
                detail = $6
          WHERE kind = $1 AND upstream_id IS NOT DISTINCT FROM $2 AND upstream_batch_id = $3",
        note.kind.as_str(),
        note.upstream.map(UpstreamId::as_uuid) as Option<Uuid>,
        note.upstream_batch_id,
        note.tenant.map(TenantId::as_uuid),
        note.batch.map(BatchId::as_uuid),
        note.detail,
    )
    .execute(conn)
    .await?;
    Ok(())
}
