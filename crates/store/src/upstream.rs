//! Upstreams: an Anthropic credential with its limits. The deployment's own
//! has the nil id.

use offpeak_domain::id::UpstreamId;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{Error, Result, System};

/// The deployment's own upstream.
pub const OWN: UpstreamId = UpstreamId::from_uuid(Uuid::nil());

/// One upstream as it stands.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Which.
    pub id: UpstreamId,
    /// Batch creates allowed a minute.
    pub creates_per_minute: u32,
    /// Requests that may wait upstream at once.
    pub max_queued_items: u64,
    /// Until when nothing is sent, because it is paused.
    pub paused_until: Option<OffsetDateTime>,
}

/// Writes down the deployment's own upstream. A process that starts may bring
/// another credential, so its start ends a pause.
///
/// Another name means another kind of upstream, such as the stand-in in place of
/// the real API: refused while jobs are open, which would be lost to it, or
/// suddenly cost money.
pub async fn register(
    system: &System,
    name: &str,
    base_url: &str,
    creates_per_minute: u32,
    max_queued_items: u64,
) -> Result<()> {
    let other = sqlx::query_scalar!(
        "SELECT name FROM upstream
          WHERE id = $1 AND name <> $2
            AND (EXISTS (SELECT FROM ready) OR EXISTS (SELECT FROM inflight))",
        OWN.as_uuid(),
        name,
    )
    .fetch_optional(&system.pool)
    .await?;
    if let Some(was) = other {
        return Err(Error::OtherUpstream {
            was,
            is: name.to_owned(),
        });
    }
    sqlx::query!(
        "INSERT INTO upstream AS u (id, name, base_url, creates_per_minute, max_queued_items)
         VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (id) DO UPDATE
            SET name = excluded.name,
                base_url = excluded.base_url,
                creates_per_minute = excluded.creates_per_minute,
                max_queued_items = excluded.max_queued_items,
                paused_reason = NULL,
                paused_until = NULL,
                paused_by = NULL",
        OWN.as_uuid(),
        name,
        base_url,
        i32::try_from(creates_per_minute).unwrap_or(i32::MAX),
        i64::try_from(max_queued_items).unwrap_or(i64::MAX),
    )
    .execute(&system.pool)
    .await?;
    Ok(())
}

/// Every upstream, with a pause that is over left out.
pub async fn all(system: &System, now: OffsetDateTime) -> Result<Vec<Upstream>> {
    let rows = sqlx::query!(
        "SELECT id, creates_per_minute, max_queued_items,
                CASE WHEN paused_until > $1 THEN paused_until END AS paused_until
           FROM upstream
          ORDER BY id
          LIMIT 10000",
        now,
    )
    .fetch_all(&system.pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Upstream {
            id: UpstreamId::from_uuid(row.id),
            creates_per_minute: u32::try_from(row.creates_per_minute).unwrap_or(1),
            max_queued_items: u64::try_from(row.max_queued_items).unwrap_or(1),
            paused_until: row.paused_until,
        })
        .collect())
}
