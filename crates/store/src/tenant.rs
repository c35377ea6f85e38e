//! Tenants, for the operator.

use offpeak_domain::id::TenantId;
use time::OffsetDateTime;

use crate::bounded::Connection;
use crate::{OperatorTx, Result, SystemTx, TenantTx};

/// One customer of the deployment.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// Which.
    pub id: TenantId,
    /// Unique; lowercase letters, digits, `_` and `-`.
    pub name: String,
    /// Share of the upstream against other tenants; 100 is the usual.
    pub weight: u32,
    /// Since when.
    pub created_at: OffsetDateTime,
}

/// Writes down a new tenant. False when the name is taken.
pub async fn create(tx: &mut SystemTx, id: TenantId, name: &str) -> Result<bool> {
    insert(tx.conn(), id, name).await
}

/// The same in the browser of an operator.
pub async fn create_by_operator(tx: &mut OperatorTx, id: TenantId, name: &str) -> Result<bool> {
    insert(tx.conn(), id, name).await
}

async fn insert(conn: &mut Connection, id: TenantId, name: &str) -> Result<bool> {
    let done = sqlx::query!(
        "INSERT INTO tenant (id, name) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
        id.as_uuid(),
        name,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The tenant of that name.
pub async fn by_name(tx: &mut SystemTx, name: &str) -> Result<Option<Tenant>> {
    let row = sqlx::query!(
        "SELECT id, name, weight, created_at FROM tenant WHERE name = $1",
        name
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|row| Tenant {
        id: TenantId::from_uuid(row.id),
        name: row.name,
        weight: u32::try_from(row.weight).unwrap_or(1),
        created_at: row.created_at,
    }))
}

/// Every tenant, by name; at most 10,000.
pub async fn list(tx: &mut SystemTx) -> Result<Vec<Tenant>> {
    let rows =
        sqlx::query!("SELECT id, name, weight, created_at FROM tenant ORDER BY name LIMIT 10000")
            .fetch_all(tx.conn())
            .await?;
    Ok(rows
        .into_iter()
        .map(|row| Tenant {
            id: TenantId::from_uuid(row.id),
            name: row.name,
            weight: u32::try_from(row.weight).unwrap_or(1),
            created_at: row.created_at,
        })
        .collect())
}

/// Name of the transaction's own tenant.
pub async fn own_name(tx: &mut TenantTx) -> Result<String> {
    let tenant = tx.tenant().as_uuid();
    Ok(
        sqlx::query_scalar!("SELECT name FROM tenant WHERE id = $1", tenant)
            .fetch_one(tx.conn())
            .await?,
    )
}
