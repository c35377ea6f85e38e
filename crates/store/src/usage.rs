//! What was billed, summed from the ledger.

use offpeak_domain::money::Pico;
use time::Date;

use crate::group::pico;
use crate::{Result, TenantTx};

/// What rows are told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The day (UTC) on which it was booked.
    Day,
    /// The model.
    Model,
    /// The job type.
    Type,
    /// The app's label.
    User,
}

/// Sums of one combination.
#[derive(Clone, Debug)]
pub struct Row {
    /// When told apart by day.
    pub day: Option<Date>,
    /// When told apart by model.
    pub model: Option<String>,
    /// When told apart by type, and the jobs had one.
    pub job_type: Option<String>,
    /// When told apart by user, and the jobs had one.
    pub user: Option<String>,
    /// Attempts that were billed.
    pub attempts: u64,
    /// Input tokens outside of caches.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
    /// Input tokens written to a cache.
    pub cache_write_tokens: u64,
    /// Input tokens read from a cache.
    pub cache_read_tokens: u64,
    /// What it cost.
    pub cost: Pico,
    /// What it would have cost synchronously.
    pub cost_sync: Pico,
}

/// Sums from `from` to `to`, both included, newest day first; the first `limit` rows.
pub async fn report(
    tx: &mut TenantTx,
    from: Date,
    to: Date,
    by: &[By],
    limit: i64,
) -> Result<Vec<Row>> {
    let rows = sqlx::query!(
        r#"SELECT CASE WHEN $4 THEN day END AS day,
                  CASE WHEN $5 THEN model END AS model,
                  CASE WHEN $6 THEN type END AS job_type,
                  CASE WHEN $7 THEN user_label END AS user_label,
                  count(*) AS "attempts!",
                  sum(input_tokens)::bigint AS "input_tokens!",
                  sum(output_tokens)::bigint AS "output_tokens!",
                  sum(cache_write_5m + cache_write_1h)::bigint AS "cache_write_tokens!",
                  sum(cache_read_tokens)::bigint AS "cache_read_tokens!",
                  sum(cost_pico)::text AS cost_pico,
                  sum(sync_pico)::text AS sync_pico
             FROM ledger
            WHERE tenant_id = $1 AND day BETWEEN $2 AND $3
            GROUP BY 1, 2, 3, 4
            ORDER BY 1 DESC, 2, 3, 4
            LIMIT $8"#,
        tx.tenant().as_uuid(),
        from,
        to,
        by.contains(&By::Day),
        by.contains(&By::Model),
        by.contains(&By::Type),
        by.contains(&By::User),
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    let count = |n: i64| u64::try_from(n).unwrap_or(0);
    rows.into_iter()
        .map(|row| {
            Ok(Row {
                day: row.day,
                model: row.model,
                job_type: row.job_type,
                user: row.user_label,
                attempts: count(row.attempts),
                input_tokens: count(row.input_tokens),
                output_tokens: count(row.output_tokens),
                cache_write_tokens: count(row.cache_write_tokens),
                cache_read_tokens: count(row.cache_read_tokens),
                cost: pico("ledger.cost_pico", row.cost_pico)?,
                cost_sync: pico("ledger.sync_pico", row.sync_pico)?,
            })
        })
        .collect()
}
