//! Versioned job types. The shipped ones stand under the nil tenant; a
//! tenant's own of the same name goes before them, with higher versions, so
//! that name and version always name one definition.

use offpeak_domain::job_type::JobType;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{Error, Result, SystemTx, TenantTx};

/// One version of a job type, found for a tenant.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Name.
    pub name: String,
    /// From 1.
    pub version: u32,
    /// Whether it ships with offpeak.
    pub shipped: bool,
    /// JSON of `offpeak_domain::job_type::JobType`.
    pub definition: String,
    /// When it was stored.
    pub created_at: OffsetDateTime,
}

/// Which version of a name is the newest, without reading its definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Newest {
    /// From 1.
    pub version: u32,
    /// Whether it ships with offpeak.
    pub shipped: bool,
}

/// The newest version of that name, the tenant's own first.
pub async fn newest(tx: &mut TenantTx, name: &str) -> Result<Option<Newest>> {
    let row = sqlx::query!(
        r#"SELECT version, tenant_id = $2 AS "shipped!"
             FROM job_type
            WHERE name = $1 AND tenant_id IN ($2, $3)
            ORDER BY tenant_id = $2, version DESC
            LIMIT 1"#,
        name,
        Uuid::nil(),
        tx.tenant().as_uuid(),
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|row| Newest {
        version: u32::try_from(row.version).unwrap_or(0),
        shipped: row.shipped,
    }))
}

/// One version of that name, or the newest.
pub async fn get(tx: &mut TenantTx, name: &str, version: Option<u32>) -> Result<Option<Stored>> {
    let row = sqlx::query!(
        r#"SELECT name, version, tenant_id = $2 AS "shipped!", definition, created_at
             FROM job_type
            WHERE name = $1 AND tenant_id IN ($2, $3) AND ($4::int IS NULL OR version = $4)
            ORDER BY tenant_id = $2, version DESC
            LIMIT 1"#,
        name,
        Uuid::nil(),
        tx.tenant().as_uuid(),
        version.map(|version| i32::try_from(version).unwrap_or(i32::MAX)),
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|row| Stored {
        name: row.name,
        version: u32::try_from(row.version).unwrap_or(0),
        shipped: row.shipped,
        definition: row.definition,
        created_at: row.created_at,
    }))
}

/// The newest version of each name after `after`, by name.
pub async fn list(tx: &mut TenantTx, after: Option<&str>, limit: i64) -> Result<Vec<Stored>> {
    let rows = sqlx::query!(
        r#"SELECT DISTINCT ON (name)
                  name, version, tenant_id = $1 AS "shipped!", definition, created_at
             FROM job_type
            WHERE tenant_id IN ($1, $2) AND name > $3
            ORDER BY name, tenant_id = $1, version DESC
            LIMIT $4"#,
        Uuid::nil(),
        tx.tenant().as_uuid(),
        after.unwrap_or(""),
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Stored {
            name: row.name,
            version: u32::try_from(row.version).unwrap_or(0),
            shipped: row.shipped,
            definition: row.definition,
            created_at: row.created_at,
        })
        .collect())
}

/// Versions of that name below `below`, newest first.
pub async fn versions(
    tx: &mut TenantTx,
    name: &str,
    below: Option<u32>,
    limit: i64,
) -> Result<Vec<Stored>> {
    let rows = sqlx::query!(
        r#"SELECT name, version, tenant_id = $1 AS "shipped!", definition, created_at
             FROM job_type
            WHERE tenant_id IN ($1, $2) AND name = $3 AND version < $4
            ORDER BY version DESC
            LIMIT $5"#,
        Uuid::nil(),
        tx.tenant().as_uuid(),
        name,
        below.map_or(i32::MAX, |below| i32::try_from(below).unwrap_or(i32::MAX)),
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Stored {
            name: row.name,
            version: u32::try_from(row.version).unwrap_or(0),
            shipped: row.shipped,
            definition: row.definition,
            created_at: row.created_at,
        })
        .collect())
}

/// The version that the next definition of that name gets.
pub async fn next_version(tx: &mut TenantTx, name: &str) -> Result<u32> {
    let highest = sqlx::query_scalar!(
        "SELECT max(version) FROM job_type WHERE name = $1 AND tenant_id IN ($2, $3)",
        name,
        Uuid::nil(),
        tx.tenant().as_uuid(),
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(highest
        .and_then(|version| u32::try_from(version).ok())
        .unwrap_or(0)
        + 1)
}

/// Stores a version of the tenant's own. None when somebody else has just
/// taken that version.
pub async fn insert(
    tx: &mut TenantTx,
    name: &str,
    version: u32,
    definition: &str,
) -> Result<Option<OffsetDateTime>> {
    Ok(sqlx::query_scalar!(
        "INSERT INTO job_type (tenant_id, name, version, definition)
         VALUES ($1, $2, $3, $4)
             ON CONFLICT DO NOTHING
         RETURNING created_at",
        tx.tenant().as_uuid(),
        name,
        i32::try_from(version).unwrap_or(i32::MAX),
        definition,
    )
    .fetch_optional(tx.conn())
    .await?)
}

/// Writes down what ships with this program; versions that stand already stay
/// as they are, since jobs may have run with them. Returns how many were new.
pub async fn seed_shipped(tx: &mut SystemTx, shipped: &[JobType]) -> Result<u64> {
    let mut definitions = Vec::with_capacity(shipped.len());
    for one in shipped {
        definitions.push(serde_json::to_string(one).map_err(|_| Error::Unknown {
            column: "job_type.definition",
            value: one.name.clone(),
        })?);
    }
    let names: Vec<String> = shipped.iter().map(|one| one.name.clone()).collect();
    let versions: Vec<i32> = shipped
        .iter()
        .map(|one| i32::try_from(one.version).unwrap_or(i32::MAX))
        .collect();
    let done = sqlx::query!(
        "INSERT INTO job_type (tenant_id, name, version, definition)
         SELECT $1, * FROM unnest($2::text[], $3::int[], $4::text[])
             ON CONFLICT DO NOTHING",
        Uuid::nil(),
        &names,
        &versions,
        &definitions,
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected())
}
