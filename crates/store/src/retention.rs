//! How long a tenant's inputs and results are kept, as the tenant has it.

use time::OffsetDateTime;

use crate::{Result, TenantTx};

/// What a tenant has said; nothing, and it is as the deployment has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Days for what was asked.
    pub inputs_days: Option<u32>,
    /// Days for what was answered.
    pub results_days: Option<u32>,
    /// Message batches are deleted at Anthropic once all of their results are here.
    pub delete_upstream: bool,
    /// When it was said last.
    pub changed_at: Option<OffsetDateTime>,
}

/// The tenant's own.
pub async fn get(tx: &mut TenantTx) -> Result<Retention> {
    let row = sqlx::query!(
        "SELECT inputs_days, results_days, delete_upstream, changed_at
           FROM retention WHERE tenant_id = $1",
        tx.tenant().as_uuid(),
    )
    .fetch_optional(tx.conn())
    .await?;
    let days = |days: Option<i32>| days.and_then(|days| u32::try_from(days).ok());
    Ok(row.map_or_else(Retention::default, |row| Retention {
        inputs_days: days(row.inputs_days),
        results_days: days(row.results_days),
        delete_upstream: row.delete_upstream,
        changed_at: Some(row.changed_at),
    }))
}

/// Says it anew. What is gone already stays gone.
pub async fn set(tx: &mut TenantTx, to: Retention) -> Result<()> {
    let now = tx.now();
    let days = |days: Option<u32>| days.and_then(|days| i32::try_from(days).ok());
    sqlx::query!(
        "INSERT INTO retention (tenant_id, inputs_days, results_days, delete_upstream, changed_at)
         VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (tenant_id) DO UPDATE
            SET inputs_days = $2, results_days = $3, delete_upstream = $4, changed_at = $5",
        tx.tenant().as_uuid(),
        days(to.inputs_days),
        days(to.results_days),
        to.delete_upstream,
        now,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
