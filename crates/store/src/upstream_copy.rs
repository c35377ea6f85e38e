//! Message batches that are to be deleted at Anthropic, once all of their results are
//! here.

use std::time::Duration;

use offpeak_domain::id::UpstreamId;
use time::OffsetDateTime;

use crate::access::Write as _;
use crate::batch::{Key, key};
use crate::{Result, System};

/// A message batch to be deleted.
#[derive(Clone, Debug)]
pub struct Copy {
    /// Which batch of ours it is.
    pub key: Key,
    /// Its id at Anthropic.
    pub upstream_batch_id: String,
    /// When Anthropic created it.
    pub created_at: OffsetDateTime,
    /// Since when it may be deleted.
    pub since: OffsetDateTime,
    /// How often that was tried.
    pub tries: u32,
}

/// Up to `limit` message batches of this upstream whose tenants want them deleted, that
/// were read to the last line at least `after` ago, and that Anthropic still keeps: for
/// `kept` from their creation. Never one that only looks like ours, and none of which a
/// line could not be taken: there the original is the only one.
pub async fn due(
    system: &System,
    upstream: UpstreamId,
    now: OffsetDateTime,
    after: Duration,
    kept: Duration,
    limit: i64,
) -> Result<Vec<Copy>> {
    let mut tx = system.begin().await?;
    let rows = sqlx::query!(
        r#"SELECT b.tenant_id, b.id, b.upstream_batch_id AS "upstream_batch_id!",
                  b.created_at AS "created_at!", greatest(b.ingested_at, b.ended_at) AS "read_at!", b.delete_tries
             FROM retention r
             JOIN batch b ON b.tenant_id = r.tenant_id
            WHERE r.delete_upstream
              AND b.upstream_id = $1 AND b.state = 'ingested' AND b.upstream_deleted_at IS NULL
              AND greatest(b.ingested_at, b.ended_at) <= $2 AND b.created_at > $3
              AND (b.delete_at IS NULL OR b.delete_at <= $4)
              AND b.verified AND b.quarantined = 0
              AND NOT EXISTS (SELECT FROM inflight i
                               WHERE i.tenant_id = b.tenant_id AND i.batch_id = b.id)
              -- Given up with lines that never came.
              AND NOT EXISTS (SELECT FROM incident n
                               WHERE n.kind = 'results_lost' AND n.upstream_id = b.upstream_id
                                 AND n.upstream_batch_id = b.upstream_batch_id)
            ORDER BY b.tenant_id, b.ingested_at
            LIMIT $5"#,
        upstream.as_uuid(),
        now - after,
        now - kept,
        now,
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Copy {
            key: key(row.tenant_id, row.id),
            upstream_batch_id: row.upstream_batch_id,
            created_at: row.created_at,
            since: row.read_at + after,
            tries: u32::try_from(row.delete_tries).unwrap_or(0),
        })
        .collect())
}

/// Anthropic does not hold it any more.
pub async fn deleted(system: &System, key: Key, now: OffsetDateTime) -> Result<()> {
    sqlx::query!(
        "UPDATE batch SET upstream_deleted_at = $3, delete_at = NULL
          WHERE tenant_id = $1 AND id = $2 AND upstream_deleted_at IS NULL",
        key.tenant.as_uuid(),
        key.batch.as_uuid(),
        now,
    )
    .write(system)
    .await?;
    Ok(())
}

/// It could not be deleted, and is tried again then.
pub async fn put_off(system: &System, key: Key, until: OffsetDateTime) -> Result<()> {
    sqlx::query!(
        "UPDATE batch SET delete_at = $3, delete_tries = delete_tries + 1
          WHERE tenant_id = $1 AND id = $2",
        key.tenant.as_uuid(),
        key.batch.as_uuid(),
        until,
    )
    .write(system)
    .await?;
    Ok(())
}
