//! Jobs that wait: what the planner needs to know of them, and the claim that
//! moves them into a batch.

use std::collections::BTreeMap;
use std::time::Duration;

use offpeak_domain::batch::{CloseReason, State};
use offpeak_domain::cache::Decision;
use offpeak_domain::id::{BatchId, BucketId, JobId, TenantId, UpstreamId};
use offpeak_domain::money::Pico;
use offpeak_domain::plan::{Held, Took};
use time::OffsetDateTime;

use crate::access::Write as _;
use crate::batch::Key;
use crate::delta::{self, Change};
use crate::event;
use crate::{Result, System, SystemTx};

/// One bucket with jobs in it.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// Whose jobs.
    pub tenant: TenantId,
    /// What they share.
    pub bucket: BucketId,
    /// Where they go.
    pub upstream: UpstreamId,
    /// Model of all of them.
    pub model: String,
    /// How many may go now.
    pub items: u64,
    /// Sum of the lengths of their params; with others in backoff, an estimate.
    pub bytes: u64,
    /// When the first one that may go now became ready.
    pub oldest: OffsetDateTime,
    /// When the last one that may go now became ready.
    pub newest: OffsetDateTime,
    /// The earliest deadline of any of them.
    pub deadline: Option<OffsetDateTime>,
    /// At most so many in a batch, after a batch with them was refused.
    pub max_items: Option<u32>,
    /// The tenant's weight.
    pub weight: u32,
    /// The tenant's virtual time on this upstream; none before its first batch.
    pub vtime: Option<i64>,
    /// Tokens of what all of them begin with; zero where they share nothing.
    pub prefix_tokens: u32,
    /// SHA-256 of that.
    pub prefix_hash: Option<Vec<u8>>,
}

/// Every bucket with at least one job that may go at `now` and is not kept back:
/// `first_free` is the first that is not. Its cost depends on the number of such
/// buckets, not on how many jobs wait in them, unless some are kept back.
pub async fn waiting(
    system: &System,
    now: OffsetDateTime,
    first_free: JobId,
) -> Result<Vec<Waiting>> {
    let rows = sqlx::query!(
        r#"WITH sums AS (
               SELECT tenant_id, key, sum(n) AS n, sum(bytes) AS bytes
                 FROM (SELECT tenant_id, key, n, bytes FROM tally
                        WHERE scope = 'bucket' AND n <> 0
                        UNION ALL
                       SELECT tenant_id, key, n, bytes FROM delta
                        WHERE scope = 'bucket') AS change
                GROUP BY tenant_id, key
               HAVING sum(n) > 0)
           SELECT s.tenant_id AS "tenant_id!", s.key AS "key!", b.upstream_id, b.model,
                  s.n::bigint AS "n!", s.bytes::bigint AS "bytes!",
                  later.n + held.n + called.n AS "later!",
                  head.oldest AS "oldest!", head.newest AS "newest!", head.max_items,
                  hurry.deadline AS "deadline?",
                  t.weight, share.vtime AS "vtime?", prefix.tokens AS "prefix_tokens?",
                  prefix.hash AS "prefix_hash?"
             FROM sums s
             JOIN bucket b ON b.tenant_id = s.tenant_id AND b.id = s.key
             JOIN tenant t ON t.id = s.tenant_id
             LEFT JOIN share ON share.tenant_id = s.tenant_id AND share.upstream_id = b.upstream_id
             LEFT JOIN prefix ON prefix.tenant_id = s.tenant_id AND prefix.bucket_id = s.key
            CROSS JOIN LATERAL (
                  -- Two probes of the claim's index for each priority, instead
                  -- of a walk over all that waits.
                  SELECT min(first.not_before) AS oldest,
                         max(last.not_before) AS newest,
                         min(first.max_items) AS max_items
                    FROM (VALUES (-1::smallint), (0::smallint), (1::smallint)) AS p (priority)
                   CROSS JOIN LATERAL (
                         SELECT not_before, max_items FROM ready
                          WHERE tenant_id = s.tenant_id AND bucket_id = s.key
                            AND priority = p.priority AND not_before <= $1 AND id >= $2
                            AND lane = 'batch'
                          ORDER BY not_before, id LIMIT 1) AS first
                   CROSS JOIN LATERAL (
                         SELECT not_before FROM ready
                          WHERE tenant_id = s.tenant_id AND bucket_id = s.key
                            AND priority = p.priority AND not_before <= $1 AND id >= $2
                            AND lane = 'batch'
                          ORDER BY not_before DESC, id DESC LIMIT 1) AS last) AS head
            CROSS JOIN LATERAL (
                  -- Those in backoff stand at the end of the same index, and are few.
                  SELECT coalesce(sum(n), 0)::bigint AS n
                    FROM (VALUES (-1::smallint), (0::smallint), (1::smallint)) AS p (priority)
                   CROSS JOIN LATERAL (
                         SELECT count(*) AS n
                           FROM (SELECT FROM ready
                                  WHERE tenant_id = s.tenant_id AND bucket_id = s.key
                                    AND priority = p.priority AND not_before > $1
                                    AND lane = 'batch'
                                  LIMIT 100000) AS waiting) AS counted) AS later
            CROSS JOIN LATERAL (
                  -- Counted only where something is kept back at all.
                  SELECT count(*) AS n
                    FROM (SELECT FROM ready
                           WHERE $2 <> '00000000-0000-0000-0000-000000000000'::uuid
                             AND tenant_id = s.tenant_id AND bucket_id = s.key
                             AND not_before <= $1 AND id < $2 AND lane = 'batch'
                           LIMIT 100000) AS back) AS held
            CROSS JOIN LATERAL (
                  -- Those that are called for directly, or follow another: few, and with
                  -- an index of their own.
                  SELECT count(*) AS n
                    FROM (SELECT FROM ready
                           WHERE tenant_id = s.tenant_id AND bucket_id = s.key
                             AND lane <> 'batch'
                           LIMIT 100000) AS beside) AS called
            CROSS JOIN LATERAL (
                  SELECT min(deadline) AS deadline FROM ready
                   WHERE tenant_id = s.tenant_id AND bucket_id = s.key
                     AND lane = 'batch' AND deadline IS NOT NULL) AS hurry
            WHERE head.oldest IS NOT NULL
            -- The longest wait first, so that nobody is cut off for ever.
            ORDER BY head.oldest, s.tenant_id, s.key
            LIMIT 20000"#,
        now,
        first_free.as_uuid(),
    )
    .fetch_all(&system.pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Waiting {
            tenant: TenantId::from_uuid(row.tenant_id),
            bucket: BucketId::from_uuid(row.key),
            upstream: UpstreamId::from_uuid(row.upstream_id),
            model: row.model,
            items: u64::try_from(row.n - row.later).unwrap_or(0).max(1),
            bytes: share_of(row.bytes, row.n - row.later, row.n),
            oldest: row.oldest,
            newest: row.newest,
            deadline: row.deadline,
            max_items: row.max_items.and_then(|cap| u32::try_from(cap).ok()),
            weight: u32::try_from(row.weight).unwrap_or(1),
            vtime: row.vtime,
            prefix_tokens: row
                .prefix_tokens
                .and_then(|tokens| u32::try_from(tokens).ok())
                .unwrap_or(0),
            prefix_hash: row.prefix_hash,
        })
        .collect())
}

/// The part of `bytes` that falls on `some` of `all` jobs.
fn share_of(bytes: i64, some: i64, all: i64) -> u64 {
    let share = i128::from(bytes) * i128::from(some.max(0)) / i128::from(all.max(1));
    u64::try_from(share).unwrap_or(0)
}

/// What a batch is to be made of.
#[derive(Clone, Debug)]
pub struct Claim<'a> {
    /// Id of the new batch.
    pub batch: BatchId,
    /// Whose jobs.
    pub tenant: TenantId,
    /// From where.
    pub bucket: BucketId,
    /// To where.
    pub upstream: UpstreamId,
    /// Model of all of them.
    pub model: &'a str,
    /// When the first that waits became ready, as [`waiting`] read it just now.
    /// One that turns up before that is taken by the next claim.
    pub since: OffsetDateTime,
    /// At most so many.
    pub max_items: u32,
    /// At most so many bytes of body; a single longer job still goes, alone.
    pub max_bytes: u64,
    /// What each job adds to the body beside its params.
    pub item_overhead: u64,
    /// Why the batch is closed now.
    pub reason: CloseReason,
    /// The first job that nothing keeps back.
    pub first_free: JobId,
    /// Tokens of what all of them begin with.
    pub prefix_tokens: u32,
    /// SHA-256 of that.
    pub prefix_hash: Option<&'a [u8]>,
}

/// What a claim took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// Jobs in the batch.
    pub items: u32,
    /// Sum of the lengths of their params.
    pub params_bytes: u64,
}

/// Moves the first jobs of a bucket that may go at `now` into a new batch in state `planned`; the
/// caller says what the body's exact length is before it is marked, decides how
/// it is marked, and commits. Takes nothing and makes no batch when another
/// process was faster.
pub async fn claim(
    tx: &mut SystemTx,
    now: OffsetDateTime,
    claim: &Claim<'_>,
    body_len: impl FnOnce(Claimed) -> u64,
    cache: impl FnOnce(Claimed) -> Decision,
) -> Result<Option<Claimed>> {
    let taken = sqlx::query!(
        r#"WITH head AS MATERIALIZED (
               SELECT id, bytes, max_items, priority, not_before
                 FROM ready
                WHERE tenant_id = $1 AND bucket_id = $2 AND not_before <= $3
                  -- What was taken before stands at the head of the index as long
                  -- as an old transaction keeps it: so none of it is looked at.
                  AND not_before >= $8
                  AND id >= $9
                  AND lane = 'batch'
                ORDER BY priority DESC, not_before, id
                LIMIT $4
                  FOR UPDATE SKIP LOCKED),
           measured AS (
               SELECT id,
                      row_number() OVER first_come AS place,
                      sum(bytes + $6::bigint) OVER first_come AS body,
                      min(coalesce(max_items, $4)) OVER first_come AS cap
                 FROM head
               WINDOW first_come AS (ORDER BY priority DESC, not_before, id)),
           -- By one uncorrelated array: a join here is two to three times slower.
           gone AS (
               DELETE FROM ready
                WHERE tenant_id = $1
                  AND id = ANY (ARRAY(SELECT id FROM measured
                                       WHERE place <= cap AND (body <= $5::bigint OR place = 1)))
               RETURNING tenant_id, id, group_id, attempt, tries, bytes, deadline, on_late),
           moved AS (
               INSERT INTO inflight (tenant_id, batch_id, id, group_id, attempt, tries, bytes,
                                     deadline, on_late)
               SELECT tenant_id, $7, id, group_id, attempt, tries, bytes, deadline, on_late
                 FROM gone)
           SELECT count(*) AS "items!", coalesce(sum(bytes), 0)::bigint AS "bytes!" FROM gone"#,
        claim.tenant.as_uuid(),
        claim.bucket.as_uuid(),
        now,
        i64::from(claim.max_items),
        i64::try_from(claim.max_bytes).unwrap_or(i64::MAX),
        i64::try_from(claim.item_overhead).unwrap_or(0),
        claim.batch.as_uuid(),
        claim.since,
        claim.first_free.as_uuid(),
    )
    .fetch_one(tx.conn())
    .await?;
    if taken.items == 0 {
        return Ok(None);
    }
    let claimed = Claimed {
        items: u32::try_from(taken.items).unwrap_or(u32::MAX),
        params_bytes: u64::try_from(taken.bytes).unwrap_or(0),
    };
    let cache = cache(claimed);
    let pico = |amount: Pico| amount.as_i64().unwrap_or(i64::MAX);
    sqlx::query!(
        "INSERT INTO batch (tenant_id, id, upstream_id, bucket_id, model, state, close_reason,
                            items, body_bytes, planned_at, not_before, cache_mark, prime,
                            cache_reason, cache_tokens, cache_per_mille, cache_with_pico,
                            cache_without_pico, prefix_hash)
         VALUES ($1, $2, $3, $4, $5, 'planned', $6, $7, $8, $9, $9, $10, $11, $12, $13, $14, $15,
                 $16, $17)",
        claim.tenant.as_uuid(),
        claim.batch.as_uuid(),
        claim.upstream.as_uuid(),
        claim.bucket.as_uuid(),
        claim.model,
        claim.reason.as_str(),
        i32::try_from(taken.items).unwrap_or(i32::MAX),
        i64::try_from(body_len(claimed)).unwrap_or(i64::MAX),
        now,
        cache.mark.as_str(),
        cache.prime,
        cache.reason.as_str(),
        i32::try_from(claim.prefix_tokens).unwrap_or(i32::MAX),
        i32::try_from(cache.predicted.hits_per_mille).unwrap_or(1000),
        pico(cache.predicted.with),
        pico(cache.predicted.without),
        claim.prefix_hash,
    )
    .execute(tx.conn())
    .await?;
    delta::append(
        tx.conn(),
        claim.tenant,
        [Change::ready(claim.bucket, -taken.items, -taken.bytes)],
    )
    .await?;
    let key = Key {
        tenant: claim.tenant,
        batch: claim.batch,
    };
    event::batch(tx.conn(), key, State::Planned).await?;
    Ok(Some(claimed))
}

/// Writes down how much virtual time each waiting tenant has received on an
/// upstream. Whoever does not wait is forgotten, and begins level with the
/// furthest behind when it comes back.
pub async fn set_shares(
    system: &System,
    upstream: UpstreamId,
    shares: &[(TenantId, i64)],
) -> Result<()> {
    let tenants: Vec<_> = shares.iter().map(|share| share.0.as_uuid()).collect();
    let vtimes: Vec<i64> = shares.iter().map(|share| share.1).collect();
    sqlx::query!(
        "WITH gone AS (
             DELETE FROM share WHERE upstream_id = $1 AND tenant_id <> ALL ($2::uuid[]))
         INSERT INTO share (upstream_id, tenant_id, vtime)
         SELECT $1, * FROM unnest($2::uuid[], $3::bigint[])
             ON CONFLICT (tenant_id, upstream_id) DO UPDATE SET vtime = excluded.vtime
          WHERE share.vtime <> excluded.vtime",
        upstream.as_uuid(),
        &tenants,
        &vtimes,
    )
    .write(system)
    .await?;
    Ok(())
}

/// What the batches of the last week took that ran to their end, up to `limit`
/// of the latest.
pub async fn took(
    system: &System,
    upstream: UpstreamId,
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<Took>> {
    let rows = sqlx::query!(
        r#"SELECT items, extract(epoch FROM ended_at - created_at)::bigint AS "seconds!"
             FROM batch
            WHERE upstream_id = $1 AND sent_at > $2::timestamptz - interval '7 days'
              AND ended_at IS NOT NULL AND created_at IS NOT NULL
              -- What was canceled or ran out says nothing about its size.
              AND coalesce(canceled, 0) = 0 AND coalesce(expired, 0) = 0
            ORDER BY sent_at DESC
            LIMIT $3"#,
        upstream.as_uuid(),
        now,
        limit,
    )
    .fetch_all(&system.pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Took {
            items: u32::try_from(row.items).unwrap_or(0),
            time: Duration::from_secs(u64::try_from(row.seconds).unwrap_or(0)),
        })
        .collect())
}

/// How much of an upstream's budgets is spent, and by whom.
#[derive(Clone, Debug)]
pub struct Spent {
    /// By each tenant that has spent something, with its weight.
    pub by: BTreeMap<TenantId, (Held, u32)>,
    /// Whether there is more than one tenant who may: not of a tenant's own upstream.
    pub shared: bool,
}

/// Counts what is spent of an upstream's budgets: creates in the last minute, batches
/// planned but not sent, and requests that wait upstream or are about to.
pub async fn spent(system: &System, upstream: UpstreamId, now: OffsetDateTime) -> Result<Spent> {
    let rows = sqlx::query!(
        r#"SELECT tenant_id AS "tenant_id!", t.weight AS "weight!",
                  sum(creates)::bigint AS "creates!", sum(items)::bigint AS "items!"
             FROM (SELECT tenant_id, 1 AS creates, 0 AS items FROM batch
                    WHERE upstream_id = $1 AND sent_at > $2::timestamptz - interval '1 minute'
                    UNION ALL
                   SELECT tenant_id, 1, 0 FROM batch
                    WHERE upstream_id = $1 AND state = 'planned'
                    UNION ALL
                   SELECT tenant_id, 0, items FROM batch
                    WHERE upstream_id = $1
                      AND state IN ('planned', 'sending', 'uncertain', 'in_progress', 'canceling'))
                  AS spent
             JOIN tenant t ON t.id = spent.tenant_id
            GROUP BY tenant_id, t.weight"#,
        upstream.as_uuid(),
        now,
    )
    .fetch_all(&system.pool)
    .await?;
    let tenants = sqlx::query_scalar!(
        r#"SELECT count(*) AS "n!" FROM (SELECT FROM tenant LIMIT 2) AS first"#
    )
    .fetch_one(&system.pool)
    .await?;
    let held = rows.into_iter().map(|row| {
        let held = Held {
            creates: u32::try_from(row.creates).unwrap_or(u32::MAX),
            items: u64::try_from(row.items).unwrap_or(0),
        };
        let weight = u32::try_from(row.weight).unwrap_or(1);
        (TenantId::from_uuid(row.tenant_id), (held, weight))
    });
    Ok(Spent {
        by: held.collect(),
        shared: tenants > 1 && upstream == crate::upstream::OWN,
    })
}

impl Spent {
    /// By all of them.
    pub fn sum(&self) -> Held {
        self.by
            .values()
            .fold(Held::default(), |sum, (held, _)| Held {
                items: sum.items.saturating_add(held.items),
                creates: sum.creates.saturating_add(held.creates),
            })
    }
}
