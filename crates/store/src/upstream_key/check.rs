//! What a worker finds out about a key, and what follows from it.

use offpeak_domain::id::{TenantId, UpstreamId};
use offpeak_domain::incident::Kind;
use time::OffsetDateTime;

use super::Alive;
use crate::access::Write as _;
use crate::{Result, System};

/// Keys that are to be checked at `now`, the one that waits longest first.
pub async fn due(system: &System, now: OffsetDateTime, limit: i64) -> Result<Vec<Alive>> {
    let rows = sqlx::query!(
        "SELECT tenant_id, version FROM upstream_key
          WHERE state = 'checking' AND check_at <= $1
          ORDER BY check_at
          LIMIT $2",
        now,
        limit,
    )
    .fetch_all(&system.pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Alive {
            tenant: TenantId::from_uuid(row.tenant_id),
            version: row.version,
        })
        .collect())
}

/// When the next one is to be checked.
pub async fn next(system: &System) -> Result<Option<OffsetDateTime>> {
    Ok(
        sqlx::query_scalar!("SELECT min(check_at) FROM upstream_key WHERE state = 'checking'")
            .fetch_one(&system.pool)
            .await?,
    )
}

/// What shows whether a new key sees what the one before it has sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Before {
    /// The workspace that Anthropic named for the last key that was good.
    pub workspace: Option<String>,
    /// A message batch that is open there.
    pub open_batch: Option<String>,
    /// Batches that may be open there.
    pub open: u64,
}

/// What is known of the tenant's upstream from the time before.
pub async fn before(system: &System, tenant: TenantId) -> Result<Before> {
    let row = sqlx::query!(
        r#"SELECT (SELECT workspace FROM upstream_key
                    WHERE tenant_id = $1 AND checked_at IS NOT NULL AND state <> 'refused'
                      AND state <> 'checking'
                    ORDER BY version DESC
                    LIMIT 1) AS workspace,
                  (SELECT upstream_batch_id FROM batch
                    WHERE tenant_id = $1 AND upstream_id = $1 AND verified
                      AND state IN ('in_progress', 'canceling', 'ended')
                      AND upstream_batch_id IS NOT NULL
                    ORDER BY planned_at DESC
                    LIMIT 1) AS open_batch,
                  (SELECT count(*) FROM batch
                    WHERE tenant_id = $1 AND upstream_id = $1
                      AND state IN ('sending', 'uncertain', 'in_progress', 'canceling', 'ended'))
                      AS "open!""#,
        tenant.as_uuid(),
    )
    .fetch_one(&system.pool)
    .await?;
    Ok(Before {
        workspace: row.workspace,
        open_batch: row.open_batch,
        open: u64::try_from(row.open).unwrap_or(0),
    })
}

/// Anthropic takes the key.
#[derive(Clone, Copy, Debug)]
pub struct Good<'a> {
    /// Which.
    pub key: Alive,
    /// The workspace that the answer named.
    pub workspace: Option<&'a str>,
    /// Whether it is certainly another one than that of the key before.
    pub elsewhere: bool,
    /// Where the API is.
    pub base_url: &'a str,
    /// When it answered.
    pub at: OffsetDateTime,
}

/// It takes the place of the one before, whose secret is gone with the commit; its limits
/// are the upstream's, and a pause of the upstream is over. False when it was replaced or
/// removed meanwhile.
pub async fn accept(system: &System, good: &Good<'_>) -> Result<bool> {
    let (tenant, version) = (good.key.tenant.as_uuid(), good.key.version);
    let mut tx = system.begin().await?;
    let waits = sqlx::query!(
        "SELECT creates_per_minute, max_queued_items FROM upstream_key
          WHERE tenant_id = $1 AND version = $2 AND state = 'checking'
            FOR UPDATE",
        tenant,
        version,
    )
    .fetch_optional(tx.conn())
    .await?;
    let Some(limits) = waits else {
        return Ok(false);
    };
    sqlx::query!(
        "UPDATE upstream_key SET state = 'replaced', sealed = NULL, ended_at = $2
          WHERE tenant_id = $1 AND state = 'current'",
        tenant,
        good.at,
    )
    .execute(tx.conn())
    .await?;
    sqlx::query!(
        "UPDATE upstream_key SET state = 'current', checked_at = $3, workspace = $4, said = NULL
          WHERE tenant_id = $1 AND version = $2",
        tenant,
        version,
        good.at,
        good.workspace,
    )
    .execute(tx.conn())
    .await?;
    sqlx::query!(
        "INSERT INTO upstream AS u (id, name, base_url, creates_per_minute, max_queued_items)
         SELECT $1, t.name, $2, $3, $4 FROM tenant t WHERE t.id = $1
             ON CONFLICT (id) DO UPDATE
            SET base_url = excluded.base_url,
                creates_per_minute = excluded.creates_per_minute,
                max_queued_items = excluded.max_queued_items,
                paused_reason = NULL, paused_until = NULL, paused_by = NULL,
                refused_alone = 0, refused_tenant = NULL",
        tenant,
        good.base_url,
        limits.creates_per_minute,
        limits.max_queued_items,
    )
    .execute(tx.conn())
    .await?;
    sqlx::query!(
        "UPDATE incident SET resolved_at = $3
          WHERE kind = ANY ($2) AND upstream_id = $1 AND resolved_at IS NULL",
        tenant,
        &[
            Kind::UpstreamPaused.as_str().to_owned(),
            Kind::OtherWorkspace.as_str().to_owned(),
        ],
        good.at,
    )
    .execute(tx.conn())
    .await?;
    // Nothing was sent with the first key that could be missing here.
    sqlx::query!(
        "INSERT INTO comparison (upstream_id, incarnation, started_at, alive_at)
         SELECT $1, incarnation(), pg_postmaster_start_time(), $2
          WHERE NOT EXISTS (SELECT FROM batch WHERE tenant_id = $1 AND upstream_id = $1)
             ON CONFLICT DO NOTHING",
        tenant,
        good.at,
    )
    .execute(tx.conn())
    .await?;
    if good.elsewhere {
        // What may have been in an unknown batch of the other workspace is not in this one.
        sqlx::query!("DELETE FROM hold WHERE upstream_id = $1", tenant)
            .execute(tx.conn())
            .await?;
    }
    tx.commit().await?;
    Ok(true)
}

/// Anthropic does not take it, or it cannot be used: its secret is gone with the commit.
/// The one that is in use stays so. False when it was replaced or removed meanwhile.
pub async fn refuse(
    system: &System,
    key: Alive,
    said: &str,
    workspace: Option<&str>,
    at: OffsetDateTime,
) -> Result<bool> {
    let done = sqlx::query!(
        "UPDATE upstream_key
            SET state = 'refused', sealed = NULL, checked_at = $4, ended_at = $4, said = $3,
                workspace = $5
          WHERE tenant_id = $1 AND version = $2 AND state = 'checking'",
        key.tenant.as_uuid(),
        key.version,
        said,
        at,
        workspace,
    )
    .write(system)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Nobody can say yet: it is asked again later.
pub async fn put_off(system: &System, key: Alive, said: &str, until: OffsetDateTime) -> Result<()> {
    sqlx::query!(
        "UPDATE upstream_key SET check_at = $4, said = $3
          WHERE tenant_id = $1 AND version = $2 AND state = 'checking'",
        key.tenant.as_uuid(),
        key.version,
        said,
        until,
    )
    .write(system)
    .await?;
    Ok(())
}

/// A key in use answered a call well at `at`: noted no more often than every minute.
pub async fn answered(system: &System, upstream: UpstreamId, at: OffsetDateTime) -> Result<()> {
    sqlx::query!(
        "UPDATE upstream_key SET checked_at = $2
          WHERE tenant_id = $1 AND state = 'current'
            AND checked_at < $2::timestamptz - interval '1 minute'",
        upstream.as_uuid(),
        at,
    )
    .write(system)
    .await?;
    Ok(())
}
