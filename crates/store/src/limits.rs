//! Limits that one tenant has instead of the deployment's.

use offpeak_domain::id::TenantId;
use offpeak_domain::limits::Limit;

use crate::bounded::Connection;
use crate::{OperatorTx, Result, SystemTx, TenantTx};

/// Those of the transaction's own tenant; a handful.
pub async fn own(tx: &mut TenantTx) -> Result<Vec<(Limit, u64)>> {
    let tenant = tx.tenant();
    read(tx.conn(), tenant).await
}

/// Those of any tenant, for an operator.
pub async fn of(tx: &mut OperatorTx, tenant: TenantId) -> Result<Vec<(Limit, u64)>> {
    read(tx.conn(), tenant).await
}

/// The same for the operator's command.
pub async fn of_tenant(tx: &mut SystemTx, tenant: TenantId) -> Result<Vec<(Limit, u64)>> {
    read(tx.conn(), tenant).await
}

/// Sets all of them: what is not in `own` is the deployment's again.
pub async fn set(tx: &mut OperatorTx, tenant: TenantId, own: &[(Limit, u64)]) -> Result<()> {
    replace(tx.conn(), tenant, own).await
}

/// The same for the operator's command.
pub async fn set_of_tenant(
    tx: &mut SystemTx,
    tenant: TenantId,
    own: &[(Limit, u64)],
) -> Result<()> {
    replace(tx.conn(), tenant, own).await
}

async fn read(conn: &mut Connection, tenant: TenantId) -> Result<Vec<(Limit, u64)>> {
    let rows = sqlx::query!(
        r#"SELECT name, value AS "value!" FROM tenant_limit
            WHERE tenant_id = $1 AND value IS NOT NULL
            ORDER BY name
            LIMIT 100"#,
        tenant.as_uuid(),
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        // A newer version may know more of them.
        .filter_map(|row| {
            let limit = row.name.parse().ok()?;
            Some((limit, u64::try_from(row.value).unwrap_or(0)))
        })
        .collect())
}

async fn replace(conn: &mut Connection, tenant: TenantId, own: &[(Limit, u64)]) -> Result<()> {
    // Those alone that this version knows.
    let values: Vec<Option<i64>> = Limit::ALL
        .iter()
        .map(|limit| {
            let (_, value) = own.iter().find(|(one, _)| one == limit)?;
            Some(i64::try_from(*value).unwrap_or(i64::MAX))
        })
        .collect();
    let names: Vec<&str> = Limit::ALL.iter().map(|limit| limit.as_str()).collect();
    sqlx::query!(
        "INSERT INTO tenant_limit (tenant_id, name, value)
         SELECT $1::uuid, name, value FROM unnest($2::text[], $3::bigint[]) AS new (name, value)
          ORDER BY name
             ON CONFLICT (tenant_id, name) DO UPDATE SET value = excluded.value",
        tenant.as_uuid(),
        &names as &[&str],
        &values as &[Option<i64>],
    )
    .execute(conn)
    .await?;
    Ok(())
}
