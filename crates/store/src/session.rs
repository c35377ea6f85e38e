//! Sessions: browsers that somebody signed in with an API key.

use std::time::Duration;

use offpeak_domain::id::{KeyId, SessionId, TenantId};
use time::OffsetDateTime;

use crate::{Result, TenantTx, Tenants};

/// Whose session was presented.
#[derive(Clone, Debug)]
pub struct Presented {
    /// Whose.
    pub tenant: TenantId,
    /// Which session.
    pub session: SessionId,
    /// The key that it was begun with.
    pub key: KeyId,
    /// That key's prefix and last four characters.
    pub hint: String,
    /// When it ends by itself.
    pub expires_at: OffsetDateTime,
}

/// Begins a session by the digest (SHA-256) of its secret. Returns when it ends.
pub async fn create(
    tx: &mut TenantTx,
    id: SessionId,
    key: KeyId,
    digest: &[u8; 32],
    lifetime: Duration,
) -> Result<OffsetDateTime> {
    let (tenant, now) = (tx.tenant(), tx.now());
    let expires_at = now + lifetime;
    sqlx::query!(
        "INSERT INTO session (tenant_id, id, digest, key_id, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
        tenant.as_uuid(),
        id.as_uuid(),
        &digest[..],
        key.as_uuid(),
        now,
        expires_at,
    )
    .execute(tx.conn())
    .await?;
    Ok(expires_at)
}

/// From its commit on the session opens nothing.
pub async fn end(tx: &mut TenantTx, id: SessionId) -> Result<()> {
    let (tenant, now) = (tx.tenant(), tx.now());
    sqlx::query!(
        "UPDATE session SET ended_at = $3
          WHERE tenant_id = $1 AND id = $2 AND ended_at IS NULL",
        tenant.as_uuid(),
        id.as_uuid(),
        now,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Ends every session that was begun with this key. Returns how many.
pub async fn end_all(tx: &mut TenantTx, key: KeyId) -> Result<u64> {
    let (tenant, now) = (tx.tenant(), tx.now());
    let done = sqlx::query!(
        "UPDATE session SET ended_at = $3
          WHERE tenant_id = $1 AND key_id = $2 AND ended_at IS NULL",
        tenant.as_uuid(),
        key.as_uuid(),
        now,
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected())
}

impl Tenants {
    /// Whose session has this digest (SHA-256 of its secret); none when there is
    /// none, it is over, or its key was revoked.
    pub async fn session(&self, digest: &[u8; 32]) -> Result<Option<Presented>> {
        let row = sqlx::query!(
            "SELECT tenant, opened, key, expires, shown FROM presented_session($1)",
            &digest[..],
        )
        .fetch_one(&self.pool)
        .await?;
        let (Some(tenant), Some(session), Some(key), Some(expires_at), Some(hint)) =
            (row.tenant, row.opened, row.key, row.expires, row.shown)
        else {
            return Ok(None);
        };
        Ok(Some(Presented {
            tenant: TenantId::from_uuid(tenant),
            session: SessionId::from_uuid(session),
            key: KeyId::from_uuid(key),
            hint,
            expires_at,
        }))
    }
}
