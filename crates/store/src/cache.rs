//! What Anthropic's prompt cache did for batches lately: what the next decision
//! goes by. No row is kept for it; the batches themselves say it.
//!
//! Whoever sends through one upstream shares its cache: what begins alike counts,
//! whosever it is. Nobody is shown more of it than a hit rate.

use std::time::Duration;

use offpeak_domain::cache::{Called, Mark, Measured, Seen};
use offpeak_domain::id::{TenantId, UpstreamId};
use offpeak_domain::money::Pico;
use time::OffsetDateTime;

use crate::batch::Key;
use crate::bounded::Connection;
use crate::lease::interval;
use crate::{Result, System};

/// How far back is looked.
const LATELY: Duration = Duration::from_hours(7 * 24);
/// For how long requests are counted.
const FLOW: Duration = Called::WINDOW;
/// How many batches, at most.
const BATCHES: i64 = 100;
/// Batches whose turnaround is looked at.
const TURNAROUNDS: i64 = 20;

/// What is known from the batches of before.
#[derive(Clone, Copy, Debug, Default)]
pub struct Past {
    /// How long they took at Anthropic, in the middle.
    pub turnaround: Option<Duration>,
    /// The last one with the same prefix that was marked and has ended: how, and how
    /// long ago.
    pub last: Option<(Mark, Duration)>,
    /// Requests with the same prefix within the last hour.
    pub flow: u32,
    /// What came of the marked ones with the same prefix.
    pub own: Measured,
    /// What came of all marked ones of the tenant there.
    pub all: Measured,
    /// What the prefixes of all these would have cost without marks.
    pub lately: Pico,
}

/// Reads it for the next batch of a tenant on one upstream, with this prefix.
pub async fn past(
    system: &System,
    tenant: TenantId,
    upstream: UpstreamId,
    prefix: &[u8],
    now: OffsetDateTime,
) -> Result<Past> {
    let rows = sqlx::query!(
        r#"SELECT cache_mark AS "cache_mark!", coalesce(prime_outcome = 'primed', false) AS "primed!",
                  coalesce(sum(hits) FILTER (WHERE tenant_id = $1), 0)::bigint AS "hits!",
                  coalesce(sum(chances) FILTER (WHERE tenant_id = $1), 0)::bigint AS "chances!",
                  coalesce(sum(hits) FILTER (WHERE prefix_hash = $3), 0)::bigint AS "own_hits!",
                  coalesce(sum(chances) FILTER (WHERE prefix_hash = $3), 0)::bigint
                      AS "own_chances!",
                  coalesce(sum(cache_without_pico) FILTER (WHERE tenant_id = $1), 0)::text
                      AS "lately!"
             FROM (SELECT tenant_id, prefix_hash, cache_mark, prime_outcome, cache_without_pico,
                          cache_hits AS hits,
                          -- Somebody had to be the first, where nobody else was.
                          greatest(cache_hits, cache_chances
                                   - CASE WHEN prime_outcome = 'primed' OR items = 1
                                          THEN 0 ELSE 1 END)
                              AS chances
                     FROM ((SELECT id, tenant_id, prefix_hash, cache_mark, prime_outcome, items,
                                   cache_without_pico, cache_hits, cache_chances
                              FROM batch
                             WHERE tenant_id = $1 AND upstream_id = $2 AND cache_mark <> 'none'
                               AND state = 'ingested'
                               AND planned_at > $4::timestamptz - $5::interval
                             ORDER BY id DESC
                             LIMIT $6)
                            UNION
                           (SELECT id, tenant_id, prefix_hash, cache_mark, prime_outcome, items,
                                   cache_without_pico, cache_hits, cache_chances
                              FROM batch
                             WHERE upstream_id = $2 AND prefix_hash = $3 AND cache_mark <> 'none'
                               AND state = 'ingested'
                               AND planned_at > $4::timestamptz - $5::interval
                             ORDER BY planned_at DESC
                             LIMIT $6)) AS batch) AS recent
            GROUP BY 1, 2
            ORDER BY 1, 2
            LIMIT 100"#,
        tenant.as_uuid(),
        upstream.as_uuid(),
        prefix,
        now,
        interval(LATELY),
        BATCHES,
    )
    .fetch_all(&system.pool)
    .await?;
    let other = sqlx::query!(
        r#"SELECT (SELECT percentile_disc(0.5) WITHIN GROUP (
                              ORDER BY extract(epoch FROM ended_at - created_at)::bigint)
                     FROM (SELECT ended_at, created_at FROM batch
                            WHERE upstream_id = $2 AND tenant_id = $1
                              AND sent_at > $4::timestamptz - $5::interval
                              AND ended_at IS NOT NULL
                            ORDER BY sent_at DESC
                            LIMIT $6) AS recent) AS turnaround,
                  last.cache_mark AS "cache_mark?",
                  extract(epoch FROM $4::timestamptz - last.ended_at)::bigint AS ago,
                  -- More of them change nothing.
                  (SELECT coalesce(sum(items), 0)
                     FROM (SELECT items FROM batch
                            WHERE upstream_id = $2 AND prefix_hash = $3
                              AND planned_at > $4::timestamptz - $7::interval
                            LIMIT 1000) AS sent)
                  + (SELECT count(*)
                       FROM (SELECT FROM call
                              WHERE upstream_id = $2 AND prefix_hash = $3
                                AND sent_at > $4::timestamptz - $7::interval
                              LIMIT 1000) AS called) AS "flow!"
             FROM (SELECT) AS once
             LEFT JOIN LATERAL (
                  SELECT cache_mark, ended_at FROM batch
                   WHERE upstream_id = $2 AND prefix_hash = $3 AND cache_mark <> 'none'
                     AND ended_at IS NOT NULL
                     -- The longest that anything is kept, after the longest of batches.
                     AND planned_at > $4::timestamptz - interval '25 hours'
                   ORDER BY ended_at DESC
                   LIMIT 1) AS last ON true"#,
        tenant.as_uuid(),
        upstream.as_uuid(),
        prefix,
        now,
        interval(LATELY),
        TURNAROUNDS,
        interval(FLOW),
    )
    .fetch_one(&system.pool)
    .await?;
    let seconds = |n: i64| Duration::from_secs(u64::try_from(n).unwrap_or(0));
    let mark = |word: &str| word.parse::<Mark>().unwrap_or(Mark::None);
    let mut past = Past {
        turnaround: other.turnaround.map(seconds),
        last: other
            .cache_mark
            .zip(other.ago)
            .map(|(word, ago)| (mark(&word), seconds(ago))),
        flow: u32::try_from(other.flow).unwrap_or(u32::MAX),
        ..Past::default()
    };
    for row in rows {
        let seen = |hits: i64, chances: i64| Seen {
            hits: u64::try_from(hits).unwrap_or(0),
            chances: u64::try_from(chances).unwrap_or(0),
        };
        let lately: i128 = row.lately.parse().unwrap_or(0);
        past.lately += Pico(lately);
        let pick = |measured: &mut Measured, seen| match (mark(&row.cache_mark), row.primed) {
            (Mark::None, _) => {}
            (Mark::FiveMinutes, false) => measured.short = seen,
            (Mark::OneHour, false) => measured.long = seen,
            (Mark::FiveMinutes, true) => measured.short_primed = seen,
            (Mark::OneHour, true) => measured.long_primed = seen,
        };
        pick(&mut past.all, seen(row.hits, row.chances));
        pick(&mut past.own, seen(row.own_hits, row.own_chances));
    }
    Ok(past)
}

/// Writes down what the cache did for a batch of which every result is booked.
pub(crate) async fn measure(conn: &mut Connection, key: Key) -> Result<()> {
    sqlx::query!(
        "UPDATE batch b
            SET cache_hits = l.hits, cache_chances = l.chances,
                cache_read = l.read, cache_written = l.written
           FROM (SELECT count(*) FILTER (WHERE cache_read_tokens > 0) AS hits,
                        count(*) FILTER (WHERE cache_read_tokens + cache_write_5m
                                               + cache_write_1h > 0) AS chances,
                        coalesce(sum(cache_read_tokens), 0)::bigint AS read,
                        coalesce(sum(cache_write_5m + cache_write_1h), 0)::bigint AS written
                   FROM ledger
                  -- What went ahead of the batch stands there under the batch's own id.
                  WHERE tenant_id = $1 AND batch_id = $2 AND id <> $2) AS l
          WHERE b.tenant_id = $1 AND b.id = $2 AND b.cache_mark <> 'none'",
        key.tenant.as_uuid(),
        key.batch.as_uuid(),
    )
    .execute(conn)
    .await?;
    Ok(())
}
