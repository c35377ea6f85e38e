//! API keys: stored as a digest, shown as a hint.

use std::time::Duration;

use offpeak_domain::id::{KeyId, TenantId};
use offpeak_domain::scope::Scopes;
use time::OffsetDateTime;

use crate::bounded::Connection;
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
    /// What it may do.
    pub scopes: Scopes,
    /// From when on it opens nothing.
    pub expires_at: Option<OffsetDateTime>,
    /// The key that takes its place.
    pub rotated_to: Option<KeyId>,
    /// Since when it opens nothing.
    pub revoked_at: Option<OffsetDateTime>,
}

/// A key to be written down.
#[derive(Clone, Copy, Debug)]
pub struct New<'a> {
    /// Which.
    pub id: KeyId,
    /// What it is for.
    pub name: &'a str,
    /// The prefix and the last four characters.
    pub hint: &'a str,
    /// SHA-256 of its text.
    pub digest: &'a [u8; 32],
    /// What it may do.
    pub scopes: Scopes,
    /// How long it holds; for ever without.
    pub lifetime: Option<Duration>,
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
    /// What it may do.
    pub scopes: Scopes,
    /// From when on it opens nothing.
    pub expires_at: Option<OffsetDateTime>,
}

/// Writes down a new key of a tenant. Returns when, and when it ends.
pub async fn create(
    tx: &mut SystemTx,
    tenant: TenantId,
    new: &New<'_>,
) -> Result<(OffsetDateTime, Option<OffsetDateTime>)> {
    insert(tx.conn(), tenant, new).await
}

/// The same by the tenant itself.
pub async fn add(
    tx: &mut TenantTx,
    new: &New<'_>,
) -> Result<(OffsetDateTime, Option<OffsetDateTime>)> {
    let tenant = tx.tenant();
    insert(tx.conn(), tenant, new).await
}

async fn insert(
    conn: &mut Connection,
    tenant: TenantId,
    new: &New<'_>,
) -> Result<(OffsetDateTime, Option<OffsetDateTime>)> {
    let made = sqlx::query!(
        "INSERT INTO api_key (tenant_id, id, name, hint, digest, scopes, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6,
                 clock_timestamp() + make_interval(secs => $7::double precision))
         RETURNING created_at, expires_at",
        tenant.as_uuid(),
        new.id.as_uuid(),
        new.name,
        new.hint,
        &new.digest[..],
        &new.scopes.words(),
        new.lifetime.map(|lifetime| lifetime.as_secs_f64()),
    )
    .fetch_one(conn)
    .await?;
    Ok((made.created_at, made.expires_at))
}

/// Every key of a tenant, revoked ones included, newest first; at most 10,000.
pub async fn list(tx: &mut SystemTx, tenant: TenantId) -> Result<Vec<ApiKey>> {
    of(tx.conn(), tenant).await
}

/// The same by the tenant itself.
pub async fn own(tx: &mut TenantTx) -> Result<Vec<ApiKey>> {
    let tenant = tx.tenant();
    of(tx.conn(), tenant).await
}

async fn of(conn: &mut Connection, tenant: TenantId) -> Result<Vec<ApiKey>> {
    let rows = sqlx::query!(
        "SELECT id, name, hint, created_at, last_used_at, scopes, expires_at, rotated_to,
                revoked_at
           FROM api_key
          WHERE tenant_id = $1
          ORDER BY id DESC
          LIMIT 10000",
        tenant.as_uuid(),
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| ApiKey {
            id: KeyId::from_uuid(row.id),
            name: row.name,
            hint: row.hint,
            created_at: row.created_at,
            last_used_at: row.last_used_at,
            scopes: Scopes::known(row.scopes),
            expires_at: row.expires_at,
            rotated_to: row.rotated_to.map(KeyId::from_uuid),
            revoked_at: row.revoked_at,
        })
        .collect())
}

/// A key that is to be rotated: what takes its place is to be like it.
#[derive(Clone, Debug)]
pub struct Rotated {
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub scopes: Scopes,
}

/// Gives a key in force an end, `overlap` from now or when it would have ended anyway,
/// and names the key that takes its place. `None` when there is no such key.
pub async fn rotate(
    tx: &mut SystemTx,
    tenant: TenantId,
    id: KeyId,
    to: KeyId,
    overlap: Duration,
) -> Result<Option<Rotated>> {
    rotated(tx.conn(), tenant, id, to, overlap).await
}

/// The same by the tenant itself.
pub async fn rotate_own(
    tx: &mut TenantTx,
    id: KeyId,
    to: KeyId,
    overlap: Duration,
) -> Result<Option<Rotated>> {
    let tenant = tx.tenant();
    rotated(tx.conn(), tenant, id, to, overlap).await
}

async fn rotated(
    conn: &mut Connection,
    tenant: TenantId,
    id: KeyId,
    to: KeyId,
    overlap: Duration,
) -> Result<Option<Rotated>> {
    let row = sqlx::query!(
        "UPDATE api_key
            SET expires_at = least(expires_at,
                    clock_timestamp() + make_interval(secs => $4::double precision)),
                rotated_to = $3
          WHERE tenant_id = $1 AND id = $2 AND revoked_at IS NULL AND rotated_to IS NULL
            AND (expires_at IS NULL OR expires_at > clock_timestamp())
         RETURNING name, scopes",
        tenant.as_uuid(),
        id.as_uuid(),
        to.as_uuid(),
        overlap.as_secs_f64(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Rotated {
        name: row.name,
        scopes: Scopes::known(row.scopes),
    }))
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

/// How many keys of the tenant are in force.
pub async fn in_force(tx: &mut TenantTx) -> Result<u64> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM api_key
            WHERE tenant_id = $1 AND revoked_at IS NULL
              AND (expires_at IS NULL OR expires_at > clock_timestamp())"#,
        tx.tenant().as_uuid(),
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// What became of a key that its tenant revokes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// From the commit on it opens nothing.
    Done,
    /// There is no such key, it was revoked before, or its time is over.
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
            AND (expires_at IS NULL OR expires_at > clock_timestamp())
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
    /// such key, it was revoked, or its time is over.
    pub async fn authenticate(&self, digest: &[u8; 32]) -> Result<Option<Authenticated>> {
        // One round trip, since every request begins with it. The function
        // shows nothing but the row of the presented digest.
        let row = sqlx::query!(
            "SELECT tenant, key, shown, may, expires FROM opened_key($1)",
            &digest[..]
        )
        .fetch_one(&self.pool)
        .await?;
        let (Some(tenant), Some(key), Some(hint), Some(may)) =
            (row.tenant, row.key, row.shown, row.may)
        else {
            return Ok(None);
        };
        Ok(Some(Authenticated {
            tenant: TenantId::from_uuid(tenant),
            key: KeyId::from_uuid(key),
            hint,
            scopes: Scopes::known(may),
            expires_at: row.expires,
        }))
    }
}
