//! API keys: stored as a digest, shown as a hint.

use offpeak_domain::id::{KeyId, TenantId};
use time::OffsetDateTime;

use crate::{Result, SystemTx, Tenants};

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

impl Tenants {
    /// Whose key has this digest (SHA-256 of its text); none when there is no
    /// such key or it was revoked.
    pub async fn authenticate(&self, digest: &[u8; 32]) -> Result<Option<Authenticated>> {
        let mut tx = self.pool.begin().await?;
        // Row-level security shows the row of the presented digest alone, so
        // that a tenant need not be known yet. The setting must stand before
        // the statement that relies on it: two statements.
        sqlx::query_scalar!(
            "SELECT set_config('app.key_digest', encode($1, 'hex'), true)",
            &digest[..]
        )
        .fetch_one(&mut *tx)
        .await?;
        let row = sqlx::query!(
            r#"SELECT tenant_id, id, hint,
                      coalesce(last_used_at < clock_timestamp() - interval '1 minute', true)
                          AS "stale!"
                 FROM api_key
                WHERE digest = $1 AND revoked_at IS NULL
                LIMIT 1"#,
            &digest[..],
        )
        .fetch_optional(&mut *tx)
        .await?;
        let Some(row) = row else {
            return Ok(None);
        };
        if row.stale {
            sqlx::query_scalar!(
                "SELECT set_config('app.tenant', $1, true)",
                row.tenant_id.to_string()
            )
            .fetch_one(&mut *tx)
            .await?;
            sqlx::query!(
                "UPDATE api_key SET last_used_at = clock_timestamp()
                  WHERE tenant_id = $1 AND id = $2",
                row.tenant_id,
                row.id,
            )
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        Ok(Some(Authenticated {
            tenant: TenantId::from_uuid(row.tenant_id),
            key: KeyId::from_uuid(row.id),
            hint: row.hint,
        }))
    }
}
