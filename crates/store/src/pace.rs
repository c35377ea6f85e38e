//! How many jobs came and ended each minute: folded with the counts, read as a
//! series of steps.

use std::time::Duration;

use time::OffsetDateTime;

use crate::access::Write as _;
use crate::lease::interval;
use crate::{Result, System, TenantTx};

/// For how long it is kept.
pub const KEPT: Duration = Duration::from_hours(8 * 24);

/// Jobs of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// When it begins.
    pub at: OffsetDateTime,
    /// Accepted.
    pub accepted: u64,
    /// Ended with a good result.
    pub completed: u64,
    /// Ended without one.
    pub failed: u64,
    /// Ended by somebody's wish.
    pub canceled: u64,
}

/// The steps from `from` on in which something happened, in order; each is `step`
/// long, at least a minute.
pub async fn since(tx: &mut TenantTx, from: OffsetDateTime, step: Duration) -> Result<Vec<Step>> {
    // Folded and unfolded in one statement, so that no fold slips in between.
    let rows = sqlx::query!(
        r#"SELECT date_bin($3::interval, minute, $2) AS "at!",
                  sum(accepted)::bigint AS "accepted!", sum(completed)::bigint AS "completed!",
                  sum(failed)::bigint AS "failed!", sum(canceled)::bigint AS "canceled!"
             FROM (SELECT minute, accepted, completed, failed, canceled
                     FROM pace
                    WHERE tenant_id = $1 AND minute >= $2
                    UNION ALL
                   SELECT at, CASE WHEN name <> 'billed' THEN n ELSE 0 END,
                          CASE WHEN name = 'completed' THEN greatest(n, 0) ELSE 0 END,
                          CASE WHEN name = 'failed' THEN greatest(n, 0) ELSE 0 END,
                          CASE WHEN name = 'canceled' THEN greatest(n, 0) ELSE 0 END
                     FROM delta
                    WHERE tenant_id = $1 AND scope = 'tenant'
                      AND key = '00000000-0000-0000-0000-000000000000' AND at >= $2) AS moved
            GROUP BY 1
            ORDER BY 1
            LIMIT 10000"#,
        tx.tenant().as_uuid(),
        from,
        interval(step),
    )
    .fetch_all(tx.conn())
    .await?;
    let count = |n: i64| u64::try_from(n).unwrap_or(0);
    Ok(rows
        .into_iter()
        .map(|row| Step {
            at: row.at,
            accepted: count(row.accepted),
            completed: count(row.completed),
            failed: count(row.failed),
            canceled: count(row.canceled),
        })
        .collect())
}

/// Forgets what is older than [`KEPT`].
pub async fn purge(system: &System, now: OffsetDateTime) -> Result<u64> {
    let done = sqlx::query!("DELETE FROM pace WHERE minute < $1", now - KEPT)
        .write(system)
        .await?;
    Ok(done.rows_affected())
}
