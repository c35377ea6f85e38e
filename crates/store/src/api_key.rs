//! API keys: stored as a digest, shown as a hint.

use offpeak_domain::id::{KeyId, TenantId};
use time::OffsetDateTime;

use crate::{Result, SystemTx, TenantTx, Tenants};

/// One key of a tenant, without its secret.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// Which.
    pub id: KeyId,
    /// What it is for, in the operator's words.
    pub name: String,
    /// The prefix and the last four characters.
    pub hint: String,
    /// Since when.
    pub created_at: OffsetDateTime,
    /// Last use, to the minute.
    pub last_used_at: Option<OffsetDateTime>,
    /// Since when it opens nothing.
    pub revoked_at: Option<OffsetDateTime>,
}

/// Who presented a key.
#[derive(Clone, Debug)]
pub struct Authenticated {
    /// Whose key.
    pub tenant: TenantId,
    /// Which key.
    pub key: KeyId,
    /// The prefix and the last four characters.
    pub hint: String,
}

/// Writes down a new key by its digest (SHA-256 of its text).
pub async fn create(
    tx: &mut SystemTx,
    tenant: TenantId,
    id: KeyId,
    name: &str,
    hint: &str,
    digest: &[u8; 32],
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO api_key (tenant_id, id, name, hint, digest) VALUES ($1, $2, $3, $4, $5)",
        tenant.as_uuid(),
        id.as_uuid(),
        name,
        hint,
        &digest[..],
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Every key of a tenant, revoked ones included, newest first; at most 10,000.
pub async fn list(tx: &mut SystemTx, tenant: TenantId) -> Result<Vec<ApiKey>> {
    let rows = sqlx::query!(
        "SELECT id, name, hint, created_at, last_used_at, revoked_at
           FROM api_key
          WHERE tenant_id = $1
          ORDER BY id DESC
          LIMIT 10000",
        tenant.as_uuid(),
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| ApiKey {
            id: KeyId::from_uuid(row.id),
            name: row.name,
            hint: row.hint,
            created_at: row.created_at,
            last_used_at: row.last_used_at,
            revoked_at: row.revoked_at,
        })
        .collect())
}

/// From its commit on the key opens nothing. False when there is no such key
/// or it was revoked before.
pub async fn revoke(tx: &mut SystemTx, tenant: TenantId, id: KeyId) -> Result<bool> {
    let done = sqlx::query!(
        "UPDATE api_key SET revoked_at = clock_timestamp()
          WHERE tenant_id = $1 AND id = $2 AND revoked_at IS NULL",
        tenant.as_uuid(),
        id.as_uuid(),
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The same for the tenant itself.
pub async fn own(tx: &mut TenantTx) -> Result<Vec<ApiKey>> {
    let rows = sqlx::query!(
        "SELECT id, name, hint, created_at, last_used_at, revoked_at
           FROM api_key
          WHERE tenant_id = $1
          ORDER BY id DESC
          LIMIT 10000",
        tx.tenant().as_uuid(),
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| ApiKey {
            id: KeyId::from_uuid(row.id),
            name: row.name,
            hint: row.hint,
            created_at: row.created_at,
            last_used_at: row.last_used_at,
            revoked_at: row.revoked_at,
        })
        .collect())
}

/// How many keys of the tenant are in force.
pub async fn in_force(tx: &mut TenantTx) -> Result<u64> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM api_key WHERE tenant_id = $1 AND revoked_at IS NULL"#,
        tx.tenant().as_uuid(),
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Writes down a new key of the tenant's own. Returns when.
pub async fn add(
    tx: &mut TenantTx,
    id: KeyId,
    name: &str,
    hint: &str,
    digest: &[u8; 32],
) -> Result<OffsetDateTime> {
    Ok(sqlx::query_scalar!(
        "INSERT INTO api_key (tenant_id, id, name, hint, digest) VALUES ($1, $2, $3, $4, $5)
         RETURNING created_at",
        tx.tenant().as_uuid(),
        id.as_uuid(),
        name,
        hint,
        &digest[..],
    )
    .fetch_one(tx.conn())
    .await?)
}

/// What became of a key that its tenant revokes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// From the commit on it opens nothing.
    Done,
    /// There is no such key, or it was revoked before.
    NotThere,
    /// It is the last one that is in force, and stays so.
    Last,
}

/// Revokes a key of the tenant's own.
pub async fn revoke_own(tx: &mut TenantTx, id: KeyId) -> Result<Revoked> {
    let tenant = tx.tenant().as_uuid();
    // Locked in one order: of two that revoke each other's key one finds it gone.
    let in_force = sqlx::query_scalar!(
        "SELECT id FROM api_key
          WHERE tenant_id = $1 AND revoked_at IS NULL
          ORDER BY id
          LIMIT 10000
            FOR NO KEY UPDATE",
        tenant,
    )
    .fetch_all(tx.conn())
    .await?;
    if !in_force.contains(&id.as_uuid()) {
        return Ok(Revoked::NotThere);
    }
    if in_force.len() == 1 {
        return Ok(Revoked::Last);
    }
    sqlx::query!(
        "UPDATE api_key SET revoked_at = clock_timestamp()
          WHERE tenant_id = $1 AND id = $2 AND revoked_at IS NULL",
        tenant,
        id.as_uuid(),
    )
    .execute(tx.conn())
    .await?;
    Ok(Revoked::Done)
}

impl Tenants {
    /// Whose key has this digest (SHA-256 of its text); none when there is no
    /// such key or it was revoked.
    pub async fn authenticate(&self, digest: &[u8; 32]) -> Result<Option<Authenticated>> {
        // One round trip, since every request begins with it. The function
        // shows nothing but the row of the presented digest.
        let row = sqlx::query!(
            "SELECT tenant, key, shown FROM presented_key($1)",
            &digest[..]
        )
        .fetch_one(&self.pool)
        .await?;
        let (Some(tenant), Some(key), Some(hint)) = (row.tenant, row.key, row.shown) else {
            return Ok(None);
        };
        Ok(Some(Authenticated {
            tenant: TenantId::from_uuid(tenant),
            key: KeyId::from_uuid(key),
            hint,
        }))
    }
}
