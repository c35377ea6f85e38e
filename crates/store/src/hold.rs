//! Unknown message batches that may hold jobs of ours: those that were there
//! when it was created are kept back until it is known whose it is.

use offpeak_domain::comparison::Cause;
use offpeak_domain::id::{JobId, UpstreamId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::access::Write as _;
use crate::{Result, System};

/// One of them.
#[derive(Clone, Debug)]
pub struct Hold {
    /// Where.
    pub upstream: UpstreamId,
    /// Its id at Anthropic.
    pub upstream_batch_id: String,
    /// When it was created, on Anthropic's clock.
    pub created_at: OffsetDateTime,
    /// The first job that cannot be in it.
    pub first_free: JobId,
}

/// Keeps back what may be in it.
pub async fn put(system: &System, hold: &Hold, cause: Cause, at: OffsetDateTime) -> Result<bool> {
    let done = sqlx::query!(
        "INSERT INTO hold (upstream_id, upstream_batch_id, created_at, first_free, cause,
                           found_at, look_at)
         VALUES ($1, $2, $3, $4, $5, $6, $6)
             ON CONFLICT DO NOTHING",
        hold.upstream.as_uuid(),
        hold.upstream_batch_id,
        hold.created_at,
        hold.first_free.as_uuid(),
        cause.as_str(),
        at,
    )
    .write(system)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The first job of an upstream that nothing keeps back; the least id there is
/// while nothing does.
pub async fn first_free(system: &System, upstream: UpstreamId) -> Result<JobId> {
    let first = sqlx::query_scalar!(
        "SELECT first_free FROM hold
          WHERE upstream_id = $1
          ORDER BY first_free DESC
          LIMIT 1",
        upstream.as_uuid(),
    )
    .fetch_optional(&system.pool)
    .await?;
    Ok(JobId::from_uuid(first.unwrap_or(Uuid::nil())))
}

/// Whether nothing is known to be in doubt about this message batch: the list
/// was compared, and it is not among those that are held.
pub async fn is_settled(
    system: &System,
    upstream: UpstreamId,
    upstream_batch_id: &str,
) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM comparison
                           WHERE upstream_id = $1 AND incarnation = incarnation()
                             AND started_at = pg_postmaster_start_time())
                  AND NOT EXISTS (SELECT FROM hold
                                   WHERE upstream_id = $1 AND upstream_batch_id = $2)
                      AS "is!""#,
        upstream.as_uuid(),
        upstream_batch_id,
    )
    .fetch_one(&system.pool)
    .await?)
}

/// When one of an upstream's is to be looked at next.
pub async fn next_look(system: &System, upstream: UpstreamId) -> Result<Option<OffsetDateTime>> {
    Ok(sqlx::query_scalar!(
        "SELECT min(look_at) FROM hold WHERE upstream_id = $1",
        upstream.as_uuid(),
    )
    .fetch_one(&system.pool)
    .await?)
}

/// Lets go of those that are known by now. Returns how many. After an ordinary
/// restart nothing was lost, so what a send has recognised in the list is its own;
/// else only what is certain counts.
pub async fn let_known_go(system: &System, upstream: UpstreamId) -> Result<u64> {
    let done = sqlx::query!(
        "DELETE FROM hold h
          WHERE h.upstream_id = $1
            AND (EXISTS (SELECT FROM batch b
                          WHERE b.upstream_id = h.upstream_id
                            AND b.upstream_batch_id = h.upstream_batch_id
                            AND (b.verified OR h.cause = $2))
                 OR EXISTS (SELECT FROM foreign_batch f
                             WHERE f.upstream_id = h.upstream_id
                               AND f.upstream_batch_id = h.upstream_batch_id))",
        upstream.as_uuid(),
        Cause::Restarted.as_str(),
    )
    .write(system)
    .await?;
    Ok(done.rows_affected())
}

/// The next one of an upstream that is due for a look.
pub async fn due(
    system: &System,
    upstream: UpstreamId,
    now: OffsetDateTime,
) -> Result<Option<String>> {
    Ok(sqlx::query_scalar!(
        "SELECT upstream_batch_id FROM hold
          WHERE upstream_id = $1 AND look_at <= $2
          ORDER BY look_at, upstream_batch_id
          LIMIT 1",
        upstream.as_uuid(),
        now,
    )
    .fetch_optional(&system.pool)
    .await?)
}

/// Looks at it again at `at`.
pub async fn look_again(
    system: &System,
    upstream: UpstreamId,
    upstream_batch_id: &str,
    at: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "UPDATE hold SET look_at = $3 WHERE upstream_id = $1 AND upstream_batch_id = $2",
        upstream.as_uuid(),
        upstream_batch_id,
        at,
    )
    .write(system)
    .await?;
    Ok(())
}

/// It keeps nothing back any more.
pub async fn let_go(system: &System, upstream: UpstreamId, upstream_batch_id: &str) -> Result<()> {
    sqlx::query!(
        "DELETE FROM hold WHERE upstream_id = $1 AND upstream_batch_id = $2",
        upstream.as_uuid(),
        upstream_batch_id,
    )
    .write(system)
    .await?;
    Ok(())
}

/// The operator says that it keeps nothing back, whatever upstream it is of.
/// False when there is none of that id.
pub async fn release(system: &System, upstream_batch_id: &str) -> Result<bool> {
    let done = sqlx::query!(
        "DELETE FROM hold WHERE upstream_batch_id = $1",
        upstream_batch_id
    )
    .write(system)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// All of them, the oldest first.
pub async fn all(system: &System, limit: i64) -> Result<Vec<Hold>> {
    let rows = sqlx::query!(
        "SELECT upstream_id, upstream_batch_id, created_at, first_free
           FROM hold
          ORDER BY created_at, upstream_batch_id
          LIMIT $1",
        limit,
    )
    .fetch_all(&system.pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Hold {
            upstream: UpstreamId::from_uuid(row.upstream_id),
            upstream_batch_id: row.upstream_batch_id,
            created_at: row.created_at,
            first_free: JobId::from_uuid(row.first_free),
        })
        .collect())
}
