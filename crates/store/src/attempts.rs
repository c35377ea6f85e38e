//! The attempts of one job, as its tenant sees them: those that were set aside, the
//! one that gave its result, and what is still open.

use offpeak_domain::batch;
use offpeak_domain::id::{BatchId, JobId};
use offpeak_domain::job::Lane;
use offpeak_domain::money::Pico;
use offpeak_domain::price::Usage;
use time::{Date, OffsetDateTime};

use crate::job::known;
use crate::{Result, TenantTx};

/// Attempts of one job that are shown, at most.
const MOST: i64 = 1_000;

/// One attempt.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// From 1.
    pub number: u32,
    /// How it ended, in a word of the tables `attempt` and `result`; none while it
    /// has not.
    pub outcome: Option<String>,
    /// Why it failed.
    pub label: Option<String>,
    /// Whether it gave the job's result.
    pub decides: bool,
    /// By which lane; none for a job that waits for another's result.
    pub lane: Option<Lane>,
    /// The batch that it is or was part of.
    pub batch: Option<BatchId>,
    /// Where that stands.
    pub batch_state: Option<batch::State>,
    /// Anthropic's id of it.
    pub upstream_batch: Option<String>,
    /// From when on it may be sent; while it waits.
    pub waits_from: Option<OffsetDateTime>,
    /// When it was put into its batch.
    pub grouped_at: Option<OffsetDateTime>,
    /// When it was sent.
    pub sent_at: Option<OffsetDateTime>,
    /// When Anthropic created its batch.
    pub created_at: Option<OffsetDateTime>,
    /// When Anthropic had ended it.
    pub answered_at: Option<OffsetDateTime>,
    /// When its end was written down.
    pub ended_at: Option<OffsetDateTime>,
    /// Whether Anthropic may still bill it, although its job has ended.
    pub late: bool,
    /// What was booked for it.
    pub booked: Option<Booked>,
}

/// What was booked for an attempt.
#[derive(Clone, Debug)]
pub struct Booked {
    /// Under which day (UTC); its prices count.
    pub day: Date,
    /// The model that answered.
    pub model: String,
    /// The lane that was paid for.
    pub lane: Lane,
    /// What was used.
    pub usage: Usage,
    /// What it cost.
    pub cost: Pico,
    /// What it would have cost synchronously and without a cache.
    pub cost_sync: Pico,
    /// No price is known: the two above mean nothing.
    pub unpriced: bool,
}

/// Every attempt of a job, in order.
pub async fn of(tx: &mut TenantTx, job: JobId) -> Result<Vec<Attempt>> {
    let rows = sqlx::query!(
        r#"SELECT a.attempt AS "attempt!", a.stands AS "stands!", a.outcome, a.label,
                  a.batch_id, a.ended_at, a.not_before, a.lane,
                  a.late AS "late!", b.state AS "batch_state?", b.upstream_batch_id,
                  b.planned_at AS "planned_at?", b.created_at AS "created_at?",
                  b.sent_at AS "batch_sent_at?", b.ended_at AS "batch_ended_at?",
                  c.id AS "call?", c.sent_at AS "call_sent_at?", c.ended_at AS "call_ended_at?",
                  l.day AS "day?", l.model AS "model?", l.lane AS "paid_lane?",
                  l.input_tokens AS "input_tokens?", l.output_tokens AS "output_tokens?",
                  l.cache_write_5m AS "cache_write_5m?", l.cache_write_1h AS "cache_write_1h?",
                  l.cache_read_tokens AS "cache_read_tokens?", l.web_searches AS "web_searches?",
                  l.cost_pico AS "cost_pico?", l.sync_pico AS "sync_pico?",
                  l.unpriced AS "unpriced?"
             FROM (SELECT attempt, outcome, label, batch_id, ended_at, 'aside' AS stands,
                          NULL::timestamptz AS not_before, NULL AS lane, false AS late
                     FROM attempt
                    WHERE tenant_id = $1 AND id = $2
                    UNION ALL
                   SELECT r.attempt, r.outcome, r.label, r.batch_id, r.ended_at, 'result', NULL,
                          NULL, EXISTS (SELECT FROM inflight i
                                         WHERE i.tenant_id = $1 AND i.id = $2
                                           AND i.batch_id = r.batch_id)
                     FROM result r
                    WHERE r.tenant_id = $1 AND r.id = $2
                    UNION ALL
                   SELECT i.attempt, NULL, NULL, i.batch_id, NULL, 'open', NULL, NULL, false
                     FROM inflight i
                    WHERE i.tenant_id = $1 AND i.id = $2
                      AND NOT EXISTS (SELECT FROM result r
                                       WHERE r.tenant_id = $1 AND r.id = $2
                                         AND r.batch_id = i.batch_id)
                    UNION ALL
                   SELECT attempt, NULL, NULL, NULL, NULL, 'waits', not_before, lane, false
                     FROM ready
                    WHERE tenant_id = $1 AND id = $2) AS a
             LEFT JOIN batch b ON b.tenant_id = $1 AND b.id = a.batch_id
             LEFT JOIN call c ON c.tenant_id = $1 AND c.id = a.batch_id
             LEFT JOIN ledger l ON l.tenant_id = $1 AND l.batch_id = a.batch_id AND l.id = $2
            ORDER BY a.attempt, a.ended_at NULLS LAST
            LIMIT $3"#,
        tx.tenant().as_uuid(),
        job.as_uuid(),
        MOST,
    )
    .fetch_all(tx.conn())
    .await?;
    let count = |n: Option<i64>| n.and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
    let pico = |n: Option<i64>| Pico(i128::from(n.unwrap_or(0)));
    rows.into_iter()
        .map(|row| {
            let called = row.call.is_some();
            let waits = row.lane.filter(|lane| lane != "follow");
            let lane = match (called, row.batch_id, waits) {
                (true, ..) => Some(Lane::Direct),
                (false, Some(_), _) => Some(Lane::Batch),
                (false, None, Some(lane)) => Some(known("ready.lane", lane)?),
                (false, None, None) => None,
            };
            let booked = match (row.day, row.model, row.paid_lane) {
                (Some(day), Some(model), Some(paid)) => Some(Booked {
                    day,
                    model,
                    lane: known("ledger.lane", paid)?,
                    usage: Usage {
                        input: count(row.input_tokens),
                        output: count(row.output_tokens),
                        cache_write_5m: count(row.cache_write_5m),
                        cache_write_1h: count(row.cache_write_1h),
                        cache_read: count(row.cache_read_tokens),
                        web_searches: count(row.web_searches),
                        geo_us: false,
                    },
                    cost: pico(row.cost_pico),
                    cost_sync: pico(row.sync_pico),
                    unpriced: row.unpriced.unwrap_or(false),
                }),
                _ => None,
            };
            Ok(Attempt {
                number: u32::try_from(row.attempt).unwrap_or(1),
                outcome: row.outcome,
                label: row.label,
                decides: row.stands == "result",
                lane,
                // A direct call has an id of its own there, which is nobody's affair.
                batch: row.batch_id.filter(|_| !called).map(BatchId::from_uuid),
                batch_state: row
                    .batch_state
                    .map(|state| known("batch.state", state))
                    .transpose()?,
                upstream_batch: row.upstream_batch_id,
                waits_from: row.not_before,
                grouped_at: row.planned_at,
                sent_at: row.batch_sent_at.or(row.call_sent_at),
                created_at: row.created_at,
                answered_at: row.batch_ended_at.or(row.call_ended_at),
                ended_at: row.ended_at,
                late: row.late,
                booked,
            })
        })
        .collect()
}
