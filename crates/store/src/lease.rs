//! Who may do what only one process should do at a time. Times are the
//! database's; a holder that stops renewing is replaced after its term.

use std::time::Duration;

use sqlx::postgres::types::PgInterval;
use uuid::Uuid;

use crate::{Result, System};

/// Takes or renews a lease. Returns its epoch, which grows with each change of
/// holder, or nothing while somebody else holds it.
pub async fn take(
    system: &System,
    name: &str,
    holder: Uuid,
    term: Duration,
) -> Result<Option<i64>> {
    let epoch = sqlx::query_scalar!(
        "INSERT INTO lease AS l (name, holder, epoch, expires_at)
         VALUES ($1, $2, 1, clock_timestamp() + $3)
             ON CONFLICT (name) DO UPDATE
            SET holder = excluded.holder,
                epoch = CASE WHEN l.holder = excluded.holder THEN l.epoch ELSE l.epoch + 1 END,
                expires_at = excluded.expires_at
          WHERE l.holder = excluded.holder OR l.expires_at < clock_timestamp()
         RETURNING epoch",
        name,
        holder,
        interval(term),
    )
    .fetch_optional(&system.pool)
    .await?;
    Ok(epoch)
}

/// Ends every lease of a holder, so that the next process need not wait.
pub async fn resign(system: &System, holder: Uuid) -> Result<()> {
    sqlx::query!(
        "UPDATE lease SET expires_at = clock_timestamp() - interval '1 second' WHERE holder = $1",
        holder
    )
    .execute(&system.pool)
    .await?;
    Ok(())
}

/// A duration as PostgreSQL's interval, to the microsecond.
pub(crate) fn interval(duration: Duration) -> PgInterval {
    PgInterval {
        months: 0,
        days: 0,
        microseconds: i64::try_from(duration.as_micros()).unwrap_or(i64::MAX),
    }
}
