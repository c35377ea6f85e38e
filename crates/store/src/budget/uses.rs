//! How much of a tenant's budgets is used.

use offpeak_domain::id::BudgetId;
use offpeak_domain::money::Pico;
use time::{Date, OffsetDateTime};

use crate::group::pico;
use crate::{Result, TenantTx};

/// How much of a budget is used in the present period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// Which budget.
    pub budget: BudgetId,
    /// Of which user or job type, where the budget is each one's.
    pub name: Option<String>,
    /// The first day of the period.
    pub since: Date,
    /// What is kept free for jobs that are open.
    pub reserved: Pico,
    /// What was billed.
    pub spent: Pico,
    /// When it was told that little or nothing is left.
    pub warned_at: Option<OffsetDateTime>,
}

/// How much of the tenant's budgets is used in the periods of `now`. Of budgets that
/// are each one's, those who have used most: at most `most` of each.
pub async fn uses(tx: &mut TenantTx, now: OffsetDateTime, most: i64) -> Result<Vec<Use>> {
    let rows = sqlx::query!(
        r#"SELECT u.budget_id, u.of_name, u.period_start, u.reserved_pico::text AS reserved_pico,
                  u.spent_pico::text AS spent_pico, u.warned_at
             FROM budget b
            CROSS JOIN LATERAL (
                  SELECT *
                    FROM budget_use u
                   WHERE u.tenant_id = $1 AND u.budget_id = b.id
                     AND u.period_start = date_trunc(b.period, $2::timestamptz
                                                               AT TIME ZONE 'UTC')::date
                   ORDER BY u.reserved_pico + u.spent_pico DESC, u.of_name
                   LIMIT $3) AS u
            WHERE b.tenant_id = $1
            ORDER BY u.budget_id, u.reserved_pico + u.spent_pico DESC, u.of_name
            LIMIT 100000"#,
        tx.tenant().as_uuid(),
        now,
        most,
    )
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Use {
                budget: BudgetId::from_uuid(row.budget_id),
                name: Some(row.of_name).filter(|name| !name.is_empty()),
                since: row.period_start,
                reserved: pico("budget_use.reserved_pico", row.reserved_pico)?,
                spent: pico("budget_use.spent_pico", row.spent_pico)?,
                warned_at: row.warned_at,
            })
        })
        .collect()
}
