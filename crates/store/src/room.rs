//! How much waits, and how full the disk is: what a submit is judged by.

use std::path::Path;

use offpeak_domain::id::TenantId;
use offpeak_domain::room::{Level, Measured, Storage};

use crate::access::Write as _;
use crate::bounded::Connection;
use crate::job::known as word;
use crate::{OperatorTx, Result, System, TenantTx};

/// What a tenant has waiting, and whether the disk takes more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Jobs that wait for a batch.
    pub jobs: u64,
    /// Sum of the lengths of their params.
    pub bytes: u64,
    /// How full the disk was when it was last measured.
    pub level: Level,
}

/// Reads what the tenant of this transaction has waiting. Its cost depends on the
/// number of buckets and of differences that are not folded yet, not of jobs.
pub async fn taken(tx: &mut TenantTx) -> Result<Taken> {
    let tenant = tx.tenant();
    read(tx.conn(), tenant).await
}

/// The same of any tenant, for an operator.
pub async fn taken_of(tx: &mut OperatorTx, tenant: TenantId) -> Result<Taken> {
    read(tx.conn(), tenant).await
}

async fn read(conn: &mut Connection, tenant: TenantId) -> Result<Taken> {
    let row = sqlx::query!(
        r#"SELECT coalesce(sum(n), 0)::bigint AS "jobs!",
                  coalesce(sum(bytes), 0)::bigint AS "bytes!",
                  (SELECT level FROM storage) AS "level!"
             FROM (SELECT n, bytes FROM tally
                    WHERE tenant_id = $1 AND scope = 'bucket' AND n <> 0
                    UNION ALL
                   SELECT n, bytes FROM delta
                    WHERE tenant_id = $1 AND scope = 'bucket') AS change"#,
        tenant.as_uuid(),
    )
    .fetch_one(conn)
    .await?;
    Ok(Taken {
        jobs: u64::try_from(row.jobs).unwrap_or(0),
        bytes: u64::try_from(row.bytes).unwrap_or(0),
        level: word("storage.level", row.level)?,
    })
}

/// Measures the database, and the disk below `folder` where it is on this
/// machine, and writes down how full it is.
pub async fn measure(system: &System, limits: Storage, folder: Option<&Path>) -> Result<Level> {
    let size = sqlx::query_scalar!(r#"SELECT pg_database_size(current_database()) AS "size!""#)
        .fetch_one(&system.pool)
        .await?;
    let free = folder.and_then(|folder| rustix::fs::statvfs(folder).ok());
    let measured = Measured {
        database_bytes: u64::try_from(size).unwrap_or(0),
        free_bytes: free.map(|free| free.f_bavail.saturating_mul(free.f_frsize)),
    };
    let level = limits.level(measured);
    sqlx::query!(
        "UPDATE storage
            SET level = $1, database_bytes = $2, free_bytes = $3, measured_at = clock_timestamp()",
        level.as_str(),
        size,
        measured
            .free_bytes
            .and_then(|free| i64::try_from(free).ok()),
    )
    .write(system)
    .await?;
    Ok(level)
}

/// How full the disk was when it was last measured, and the size of the database.
pub async fn measured(system: &System) -> Result<(Level, u64)> {
    let row = sqlx::query!("SELECT level, database_bytes FROM storage")
        .fetch_one(&system.pool)
        .await?;
    let level = word("storage.level", row.level)?;
    Ok((level, u64::try_from(row.database_bytes).unwrap_or(0)))
}
