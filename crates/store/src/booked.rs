//! What all tenants together were billed by the deployment's own key, to be compared with
//! Anthropic's reports.

use offpeak_domain::job::Lane;
use offpeak_domain::money::Pico;
use time::Date;

use crate::group::pico;
use crate::job::known;
use crate::{Result, System};

/// Rows of one day, at most: models times lanes.
const MOST: i64 = 10_000;

/// Sums of one model and lane on a day.
#[derive(Clone, Debug)]
pub struct Booked {
    /// The model that answered.
    pub model: String,
    /// How it was reached.
    pub lane: Lane,
    /// Input tokens outside of caches.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
    /// Input tokens written for five minutes.
    pub cache_write_5m: u64,
    /// Input tokens written for an hour.
    pub cache_write_1h: u64,
    /// Input tokens read from a cache.
    pub cache_read_tokens: u64,
    /// Web searches.
    pub web_searches: u64,
    /// What it cost, web searches included.
    pub cost: Pico,
    /// Attempts whose price is not known.
    pub unpriced: u64,
}

/// What was booked on a day by the deployment's own key, what late twins billed included: Anthropic charges
/// that as well. Entries that reused another job's attempt were not charged.
pub async fn on(system: &System, day: Date) -> Result<Vec<Booked>> {
    let rows = sqlx::query!(
        r#"SELECT model AS "model!", lane AS "lane!",
                  sum(input_tokens)::bigint AS "input_tokens!",
                  sum(output_tokens)::bigint AS "output_tokens!",
                  sum(cache_write_5m)::bigint AS "cache_write_5m!",
                  sum(cache_write_1h)::bigint AS "cache_write_1h!",
                  sum(cache_read_tokens)::bigint AS "cache_read_tokens!",
                  sum(web_searches)::bigint AS "web_searches!",
                  sum(cost_pico)::text AS cost_pico,
                  count(*) FILTER (WHERE unpriced) AS "unpriced!"
                  -- By tenant, as the ledger's index begins with it.
             FROM (SELECT l.model, l.lane, l.input_tokens, l.output_tokens, l.cache_write_5m,
                          l.cache_write_1h, l.cache_read_tokens, l.web_searches, l.cost_pico,
                          l.unpriced
                     FROM tenant t
                     JOIN ledger l ON l.tenant_id = t.id AND l.day = $1
                    WHERE l.source_id IS NULL
                      -- What went by a tenant's own key is on the tenant's own bill.
                      AND NOT (EXISTS (SELECT FROM upstream u WHERE u.id = l.tenant_id)
                               AND (EXISTS (SELECT FROM batch b
                                             WHERE b.tenant_id = l.tenant_id AND b.id = l.batch_id
                                               AND b.upstream_id = b.tenant_id)
                                    OR EXISTS (SELECT FROM call c
                                                WHERE c.tenant_id = l.tenant_id
                                                  AND c.id = l.batch_id
                                                  AND c.upstream_id = c.tenant_id)))
                    UNION ALL
                   SELECT model, CASE custom_id WHEN 'prime' THEN 'direct' ELSE 'batch' END,
                          input_tokens, output_tokens, cache_write_5m,
                          cache_write_1h, cache_read_tokens, web_searches, cost_pico, unpriced
                     FROM absorbed
                    WHERE day = $1
                      AND upstream_id = '00000000-0000-0000-0000-000000000000') AS entry
            GROUP BY model, lane
            ORDER BY model, lane
            LIMIT $2"#,
        day,
        MOST,
    )
    .fetch_all(&system.pool)
    .await?;
    let count = |n: i64| u64::try_from(n).unwrap_or(0);
    rows.into_iter()
        .map(|row| {
            Ok(Booked {
                model: row.model,
                lane: known("ledger.lane", row.lane)?,
                input_tokens: count(row.input_tokens),
                output_tokens: count(row.output_tokens),
                cache_write_5m: count(row.cache_write_5m),
                cache_write_1h: count(row.cache_write_1h),
                cache_read_tokens: count(row.cache_read_tokens),
                web_searches: count(row.web_searches),
                cost: pico("ledger.cost_pico", row.cost_pico)?,
                unpriced: count(row.unpriced),
            })
        })
        .collect()
}
