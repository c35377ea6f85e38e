//! Origins: pages from which a tenant's tickets may be used.

use crate::{Result, TenantTx};

/// Origins of a tenant, at most.
pub const MAX: usize = 50;

/// The tenant's origins, sorted.
pub async fn list(tx: &mut TenantTx) -> Result<Vec<String>> {
    let tenant = tx.tenant();
    Ok(sqlx::query_scalar!(
        "SELECT origin FROM origin WHERE tenant_id = $1 ORDER BY origin LIMIT $2",
        tenant.as_uuid(),
        i64::try_from(MAX).unwrap_or(i64::MAX),
    )
    .fetch_all(tx.conn())
    .await?)
}

/// These instead of those of before.
pub async fn replace(tx: &mut TenantTx, origins: &[&str]) -> Result<()> {
    let tenant = tx.tenant();
    // Two at once would leave the origins of both.
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(hashtextextended('origin/' || $1::uuid, 0)) AS done",
        tenant.as_uuid(),
    )
    .fetch_one(tx.conn())
    .await?;
    sqlx::query!(
        "WITH gone AS (DELETE FROM origin WHERE tenant_id = $1 AND origin <> ALL ($2))
         INSERT INTO origin (tenant_id, origin)
         SELECT $1, added FROM unnest($2::text[]) AS new (added)
             ON CONFLICT DO NOTHING",
        tenant.as_uuid(),
        origins as &[&str],
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
