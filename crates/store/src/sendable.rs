//! Which batch is sent next.

use std::time::Duration;

use offpeak_domain::id::UpstreamId;
use time::OffsetDateTime;

use crate::batch::{Key, key};
use crate::lease::interval;
use crate::{Result, System};

/// How long a batch lets others go first that are told apart more easily.
const STEP_BACK: Duration = Duration::from_mins(5);

/// A batch that may be sent now.
#[derive(Clone, Debug)]
pub struct Sendable {
    /// Which.
    pub key: Key,
    /// To where.
    pub upstream: UpstreamId,
    /// Jobs in it.
    pub items: u32,
    /// Creates of it that were answered by "not stored".
    pub sends: u32,
    /// When it was looked for.
    pub as_of: OffsetDateTime,
}

/// The oldest batches that may be sent at `now` to this upstream: none while it
/// is paused, while `max_uncertain` of its sends are uncertain, or before its
/// list was compared for this database; and none with jobs that are kept back.
/// Those that have as many jobs as a send without an answer come last while they
/// are young, and are never held up by it.
pub async fn sendable(
    system: &System,
    upstream: UpstreamId,
    now: OffsetDateTime,
    max_uncertain: u32,
    limit: i64,
) -> Result<Vec<Sendable>> {
    let rows = sqlx::query!(
        "SELECT b.tenant_id, b.id, b.upstream_id, b.items, b.sends
           FROM batch b
           JOIN upstream u ON u.id = b.upstream_id
          WHERE b.upstream_id = $3 AND b.state = 'planned' AND b.not_before <= $1
            AND (u.paused_reason IS NULL OR u.paused_until <= $1)
            AND (SELECT count(*) FROM batch d
                  WHERE d.upstream_id = $3 AND d.state = 'uncertain') < $4
            AND EXISTS (SELECT FROM comparison c
                         WHERE c.upstream_id = $3 AND c.incarnation = incarnation()
                           AND c.started_at = pg_postmaster_start_time())
            AND NOT EXISTS (SELECT FROM hold h
                              JOIN inflight i ON i.tenant_id = b.tenant_id AND i.batch_id = b.id
                                             AND i.id < h.first_free
                             WHERE h.upstream_id = $3)
          ORDER BY
                -- While it may be the upstream's own fault that a job was refused,
                -- whoever has not met that goes first, so that one tenant's bad
                -- jobs hold up nobody else; then what was tried longest ago.
                u.refused_alone > 0
                AND (b.tenant_id = u.refused_tenant
                     OR EXISTS (SELECT FROM batch t
                                 WHERE t.upstream_id = $3 AND t.state = 'planned'
                                   AND t.tenant_id = b.tenant_id AND t.sends > 0)),
                CASE WHEN u.refused_alone > 0 THEN b.not_before END,
                -- A send in doubt is told from others by its count alone, so a young
                -- batch with another count goes before it. Nothing waits for long.
                b.planned_at > $1::timestamptz - $5::interval
                AND EXISTS (SELECT FROM batch o
                             WHERE o.upstream_id = $3 AND o.state IN ('sending', 'uncertain')
                               AND o.items = b.items),
                b.planned_at, b.id
          LIMIT $2",
        now,
        limit,
        upstream.as_uuid(),
        i64::from(max_uncertain),
        interval(STEP_BACK),
    )
    .fetch_all(&system.pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Sendable {
            key: key(row.tenant_id, row.id),
            upstream: UpstreamId::from_uuid(row.upstream_id),
            items: u32::try_from(row.items).unwrap_or(0),
            sends: u32::try_from(row.sends).unwrap_or(0),
            as_of: now,
        })
        .collect())
}
