//! Upkeep: partitions ahead, statistics of partitioned parents, uploads that
//! nobody finished, idempotency keys that expired, sessions, tickets and links that
//! are over, leases of processes that are gone.

use std::time::Duration;

use offpeak_domain::id::TenantId;
use time::OffsetDateTime;

use crate::access::Write as _;
use crate::lease::interval;
use crate::{Result, System, budget};

/// Makes the partitions from yesterday to `days` ahead. Returns how many were missing.
pub async fn partitions_ahead(system: &System, days: i32) -> Result<u32> {
    let mut tx = system.begin_write().await?;
    let made = sqlx::query_scalar!(r#"SELECT ensure_partitions($1) AS "made!""#, days)
        .fetch_one(tx.conn())
        .await?;
    tx.commit().await?;
    Ok(u32::try_from(made).unwrap_or(0))
}

/// Makes the partitions of events up to `ahead` days ahead, and drops those that
/// are older than `keep` days. Returns how many came and went.
pub async fn turn_events(system: &System, ahead: i32, keep: i32) -> Result<u32> {
    let mut tx = system.begin_write().await?;
    let turned = sqlx::query_scalar!(
        r#"SELECT turn_event_partitions($1, $2) AS "turned!""#,
        ahead,
        keep,
    )
    .fetch_one(tx.conn())
    .await?;
    tx.commit().await?;
    Ok(u32::try_from(turned).unwrap_or(0))
}

/// Refreshes the planner's statistics of the partitioned tables.
pub async fn analyse(system: &System) -> Result<()> {
    let mut tx = system.begin_write().await?;
    sqlx::query!("SELECT analyse_parents() AS done")
        .fetch_one(tx.conn())
        .await?;
    tx.commit().await
}

/// Removes up to `limit` staged jobs of uploads that were refused, or that
/// nobody went on with for `patience`. Returns how many jobs and groups went;
/// zero means that nothing is left to remove.
pub async fn purge_unopened(
    system: &System,
    now: OffsetDateTime,
    patience: Duration,
    limit: i64,
) -> Result<u64> {
    let mut tx = system.begin().await?;
    let Some(group) = sqlx::query!(
        "SELECT tenant_id, id
           FROM job_group
          WHERE opened_at IS NULL
            AND (dropped_at IS NOT NULL OR staged_at < $1::timestamptz - $2::interval)
          ORDER BY staged_at
          LIMIT 1
            -- Locked against an upload that goes on just now.
            FOR UPDATE SKIP LOCKED",
        now,
        interval(patience),
    )
    .fetch_optional(tx.conn())
    .await?
    else {
        return Ok(0);
    };
    // From here on the upload cannot go on: its next chunk finds it dropped.
    sqlx::query!(
        "UPDATE job_group SET dropped_at = coalesce(dropped_at, $3)
          WHERE tenant_id = $1 AND id = $2",
        group.tenant_id,
        group.id,
        now,
    )
    .execute(tx.conn())
    .await?;
    let ids = sqlx::query_scalar!(
        "SELECT id FROM job WHERE tenant_id = $1 AND group_id = $2 ORDER BY id LIMIT $3",
        group.tenant_id,
        group.id,
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    if ids.is_empty() {
        sqlx::query!(
            "WITH freed AS (
                 DELETE FROM idempotency WHERE tenant_id = $1 AND group_id = $2)
             DELETE FROM job_group WHERE tenant_id = $1 AND id = $2",
            group.tenant_id,
            group.id,
        )
        .execute(tx.conn())
        .await?;
    } else {
        sqlx::query!(
            "WITH heads AS (DELETE FROM job WHERE tenant_id = $1 AND id = ANY ($2))
             DELETE FROM payload WHERE tenant_id = $1 AND id = ANY ($2)",
            group.tenant_id,
            &ids,
        )
        .execute(tx.conn())
        .await?;
        let tenant = TenantId::from_uuid(group.tenant_id);
        budget::release_staged(tx.conn(), tenant, now, &ids).await?;
    }
    tx.commit().await?;
    Ok(ids.len().max(1) as u64)
}

/// Forgets up to `limit` leases by which processes said that they live, a day
/// after they ran out: each process has its own, and none comes back to it after
/// so long. Returns how many.
pub async fn purge_leases(system: &System, limit: i64) -> Result<u64> {
    let done = sqlx::query!(
        "DELETE FROM lease
          WHERE name IN (
                SELECT name FROM lease
                 WHERE name LIKE 'process/%'
                   AND expires_at < clock_timestamp() - interval '1 day'
                 ORDER BY name
                 LIMIT $1)",
        limit,
    )
    .write(system)
    .await?;
    Ok(done.rows_affected())
}

/// Forgets idempotency keys older than `age`. Returns how many.
pub async fn purge_keys(
    system: &System,
    now: OffsetDateTime,
    age: Duration,
    limit: i64,
) -> Result<u64> {
    let done = sqlx::query!(
        "DELETE FROM idempotency
          WHERE (tenant_id, key) IN (
                SELECT tenant_id, key FROM idempotency
                 WHERE created_at < $1::timestamptz - $2::interval
                 ORDER BY created_at
                 LIMIT $3)",
        now,
        interval(age),
        limit,
    )
    .write(system)
    .await?;
    Ok(done.rows_affected())
}

/// Forgets up to `limit` sign-ins by an identity server whose time is over. Returns how many.
pub async fn purge_attempts(system: &System, limit: i64) -> Result<u64> {
    let done = sqlx::query!(
        "DELETE FROM signin_attempt
          WHERE digest IN (
                SELECT digest FROM signin_attempt
                 WHERE expires_at < clock_timestamp()
                 ORDER BY expires_at
                 LIMIT $1)",
        limit,
    )
    .write(system)
    .await?;
    Ok(done.rows_affected())
}

/// Forgets up to `limit` sessions, as many tickets and as many links that sign somebody
/// in, a day after their time was over: until then who shows one hears that it is.
/// Returns how many.
pub async fn purge_tickets(system: &System, limit: i64) -> Result<u64> {
    let tickets = sqlx::query!(
        "DELETE FROM ticket
          WHERE (tenant_id, id) IN (
                SELECT tenant_id, id FROM ticket
                 WHERE expires_at < clock_timestamp() - interval '1 day'
                 ORDER BY expires_at
                 LIMIT $1)",
        limit,
    )
    .write(system)
    .await?;
    let sessions = sqlx::query!(
        "DELETE FROM session
          WHERE (tenant_id, id) IN (
                SELECT tenant_id, id FROM session
                 WHERE expires_at < clock_timestamp() - interval '1 day'
                 ORDER BY expires_at
                 LIMIT $1)",
        limit,
    )
    .write(system)
    .await?;
    let links = sqlx::query!(
        "DELETE FROM signin_link
          WHERE (tenant_id, id) IN (
                SELECT tenant_id, id FROM signin_link
                 WHERE expires_at < clock_timestamp() - interval '1 day'
                 ORDER BY expires_at
                 LIMIT $1)",
        limit,
    )
    .write(system)
    .await?;
    Ok(tickets.rows_affected() + sessions.rows_affected() + links.rows_affected())
}
