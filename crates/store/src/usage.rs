//! What was billed, summed from the ledger.

use offpeak_domain::job::Lane;
use offpeak_domain::price::Bill;
use time::Date;

use crate::group::pico;
use crate::job::known;
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
    /// How it reached Anthropic.
    Lane,
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
    /// When told apart by lane.
    pub lane: Option<Lane>,
    /// Attempts that were billed.
    pub attempts: u64,
    /// Of them, those whose price is not known: their money is not in the bill.
    pub unpriced: u64,
    /// Input tokens outside of caches.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
    /// Input tokens written to a cache.
    pub cache_write_tokens: u64,
    /// Input tokens read from a cache.
    pub cache_read_tokens: u64,
    /// Web searches.
    pub web_searches: u64,
    /// The sums of all bills.
    pub bill: Bill,
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
                  CASE WHEN $8 THEN lane END AS lane,
                  count(*) AS "attempts!",
                  count(*) FILTER (WHERE unpriced) AS "unpriced!",
                  sum(input_tokens)::bigint AS "input_tokens!",
                  sum(output_tokens)::bigint AS "output_tokens!",
                  sum(cache_write_5m + cache_write_1h)::bigint AS "cache_write_tokens!",
                  sum(cache_read_tokens)::bigint AS "cache_read_tokens!",
                  sum(web_searches)::bigint AS "web_searches!",
                  sum(cost_pico)::text AS cost_pico,
                  sum(sync_pico)::text AS sync_pico,
                  -- Version 0.1.0 did not say it; its entries have no other saving.
                  sum(coalesce(saved_batch_pico, sync_pico - cost_pico))::text AS saved_batch_pico,
                  sum(saved_cache_pico)::text AS saved_cache_pico,
                  sum(saved_reuse_pico)::text AS saved_reuse_pico
             FROM ledger
            WHERE tenant_id = $1 AND day BETWEEN $2 AND $3
            GROUP BY 1, 2, 3, 4, 5
            ORDER BY 1 DESC, 2, 3, 4, 5
            LIMIT $9"#,
        tx.tenant().as_uuid(),
        from,
        to,
        by.contains(&By::Day),
        by.contains(&By::Model),
        by.contains(&By::Type),
        by.contains(&By::User),
        by.contains(&By::Lane),
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
                lane: row
                    .lane
                    .map(|lane| known("ledger.lane", lane))
                    .transpose()?,
                attempts: count(row.attempts),
                unpriced: count(row.unpriced),
                input_tokens: count(row.input_tokens),
                output_tokens: count(row.output_tokens),
                cache_write_tokens: count(row.cache_write_tokens),
                cache_read_tokens: count(row.cache_read_tokens),
                web_searches: count(row.web_searches),
                bill: Bill {
                    cost: pico("ledger.cost_pico", row.cost_pico)?,
                    sync: pico("ledger.sync_pico", row.sync_pico)?,
                    saved_batch: pico("ledger.saved_batch_pico", row.saved_batch_pico)?,
                    saved_cache: pico("ledger.saved_cache_pico", row.saved_cache_pico)?,
                    saved_reuse: pico("ledger.saved_reuse_pico", row.saved_reuse_pico)?,
                },
            })
        })
        .collect()
}
