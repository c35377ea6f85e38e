//! Where a job stands among those of its tenant that wait as it does: for the same
//! batches, or to be called for directly.

use offpeak_domain::id::JobId;
use offpeak_domain::job::Lane;

use crate::{Result, TenantTx};

/// What is counted, at most.
pub const MOST: u64 = 1_000;

/// What goes before a job that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// For what it waits: for a batch, or for a call of its own.
    pub lane: Lane,
    /// Jobs of the tenant that go before it, at most [`MOST`]. For a batch, or with it in
    /// one: those of its upstream and model, with the same beginning. For a call: those
    /// that wait for one, whatever they ask, with an earlier deadline.
    pub ahead: u64,
    /// Whether there are more than that.
    pub more: bool,
    /// Whether nothing is sent to its upstream at the moment.
    pub paused: bool,
}

/// Where a job stands; none for one that waits neither for a batch nor for a call.
pub async fn of(tx: &mut TenantTx, id: JobId) -> Result<Option<Position>> {
    match in_batch(tx, id).await? {
        Some(position) => Ok(Some(position)),
        None => in_line(tx, id).await,
    }
}

/// For a batch. Reads as many rows of the claim's index as it counts, at most twice
/// [`MOST`], in the claim's own order.
async fn in_batch(tx: &mut TenantTx, id: JobId) -> Result<Option<Position>> {
    let most = i64::try_from(MOST + 1).unwrap_or(i64::MAX);
    let row = sqlx::query!(
        r#"SELECT before.n AS "n!",
                  u.paused_reason IS NOT NULL
                  AND coalesce(u.paused_until > clock_timestamp(), true) AS "paused!"
             FROM ready q
             JOIN bucket b ON b.tenant_id = q.tenant_id AND b.id = q.bucket_id
             JOIN upstream u ON u.id = b.upstream_id
            CROSS JOIN LATERAL (
                  SELECT count(*) AS n
                    FROM ((SELECT FROM ready r
                            WHERE r.tenant_id = $1 AND r.bucket_id = q.bucket_id
                              AND r.priority > q.priority AND r.lane = 'batch'
                              AND r.not_before <= greatest(q.not_before, clock_timestamp())
                            LIMIT $3::bigint)
                          UNION ALL
                          (SELECT FROM ready r
                            WHERE r.tenant_id = $1 AND r.bucket_id = q.bucket_id
                              AND r.priority = q.priority AND r.lane = 'batch'
                              AND (r.not_before, r.id) < (q.not_before, q.id)
                            LIMIT $3::bigint)) AS one) AS before
            WHERE q.tenant_id = $1 AND q.id = $2 AND q.lane = 'batch'"#,
        tx.tenant().as_uuid(),
        id.as_uuid(),
        most,
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|row| {
        let ahead = u64::try_from(row.n).unwrap_or(0);
        Position {
            lane: Lane::Batch,
            ahead: ahead.min(MOST),
            more: ahead > MOST,
            paused: row.paused,
        }
    }))
}

/// For a call. Reads at most one row more than [`MOST`] of the index by which calls are
/// made, in their own order; those that wait for a later time than this one are not
/// counted.
async fn in_line(tx: &mut TenantTx, id: JobId) -> Result<Option<Position>> {
    let most = i64::try_from(MOST + 1).unwrap_or(i64::MAX);
    let row = sqlx::query!(
        r#"SELECT before.due AS "due!", before.read AS "read!",
                  u.paused_reason IS NOT NULL
                  AND coalesce(u.paused_until > clock_timestamp(), true) AS "paused!"
             FROM ready q
             JOIN bucket b ON b.tenant_id = q.tenant_id AND b.id = q.bucket_id
             JOIN upstream u ON u.id = b.upstream_id
            CROSS JOIN LATERAL (
                  SELECT count(*) AS read,
                         count(*) FILTER (
                             WHERE one.not_before <= greatest(q.not_before, clock_timestamp())
                         ) AS due
                    FROM (SELECT r.not_before
                            FROM ready r
                           WHERE r.tenant_id = $1 AND r.lane = 'direct'
                             AND (r.deadline, r.id) < (q.deadline, q.id)
                           ORDER BY r.deadline, r.id
                           LIMIT $3::bigint) AS one) AS before
            WHERE q.tenant_id = $1 AND q.id = $2 AND q.lane = 'direct'"#,
        tx.tenant().as_uuid(),
        id.as_uuid(),
        most,
    )
    .fetch_optional(tx.conn())
    .await?;
    let count = |n: i64| u64::try_from(n).unwrap_or(0);
    Ok(row.map(|row| Position {
        lane: Lane::Direct,
        ahead: count(row.due).min(MOST),
        more: count(row.read) > MOST,
        paused: row.paused,
    }))
}
