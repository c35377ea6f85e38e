//! What an operator sees: counts of every tenant, and how upstreams stand.

use offpeak_domain::id::{BatchId, IncidentId, TenantId, UpstreamId};
use offpeak_domain::money::Pico;
use time::{Date, OffsetDateTime};

use crate::group::pico;
use crate::{OperatorTx, Result};

/// What a tenant has and gets.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// Which.
    pub id: TenantId,
    /// Its name.
    pub name: String,
    /// Share of the upstream against other tenants; 100 is the usual.
    pub weight: u32,
    /// Since when.
    pub created_at: OffsetDateTime,
    /// Jobs that wait.
    pub queued: u64,
    /// Jobs at Anthropic.
    pub submitted: u64,
    /// Jobs whose results are being read.
    pub processing: u64,
    /// Jobs that went out in batches since the time that was asked for.
    pub sent: u64,
    /// Since when the first of its oldest jobs has been waiting.
    pub waiting_since: Option<OffsetDateTime>,
}

/// All tenants together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct All {
    /// How many there are.
    pub tenants: u64,
    /// How many of them have a job that waits.
    pub waiting: u64,
    /// The sum of their weights.
    pub waiting_weight: u64,
    /// Jobs that went out in batches since the time that was asked for.
    pub sent: u64,
}

/// Those with the most under way first, then by name: at most `limit`, of those whose
/// name holds `part`. What was sent is counted from `since` on.
pub async fn tenants(
    tx: &mut OperatorTx,
    part: &str,
    since: OffsetDateTime,
    limit: i64,
) -> Result<(Vec<Tenant>, All)> {
    // Ids of batches begin with their time: the rows of an hour are found by key.
    let from = BatchId::first_at(since);
    let rows = sqlx::query!(
        r#"WITH every AS MATERIALIZED (
               SELECT t.id, t.name, t.weight, t.created_at,
                      coalesce(c.queued, 0) AS queued, coalesce(c.submitted, 0) AS submitted,
                      coalesce(c.processing, 0) AS processing, coalesce(b.sent, 0) AS sent
                 FROM tenant t
                CROSS JOIN LATERAL (
                      SELECT sum(n) FILTER (WHERE name = 'queued') AS queued,
                             sum(n) FILTER (WHERE name = 'submitted') AS submitted,
                             sum(n) FILTER (WHERE name = 'processing') AS processing
                        FROM (SELECT name, n FROM tally
                               WHERE tenant_id = t.id AND scope = 'tenant'
                                 AND key = '00000000-0000-0000-0000-000000000000'
                               UNION ALL
                              SELECT name, n FROM delta
                               WHERE tenant_id = t.id AND scope = 'tenant'
                                 AND key = '00000000-0000-0000-0000-000000000000') AS both_parts
                      ) AS c
                CROSS JOIN LATERAL (
                      SELECT sum(items) AS sent FROM batch
                       WHERE tenant_id = t.id AND id >= $2 AND sent_at IS NOT NULL
                         AND state NOT IN ('refuted', 'rejected')) AS b),
           busiest AS MATERIALIZED (
               SELECT * FROM every
                WHERE position(lower($1) IN name) > 0
                ORDER BY queued + submitted + processing DESC, name
                LIMIT $3)
           SELECT s.id, s.name, s.weight, s.created_at,
                  s.queued::bigint AS "queued!", s.submitted::bigint AS "submitted!",
                  s.processing::bigint AS "processing!", s.sent::bigint AS "sent!",
                  (SELECT min(head.not_before)
                     FROM (SELECT key FROM tally
                            WHERE tenant_id = s.id AND scope = 'bucket' AND n <> 0
                            ORDER BY key
                            LIMIT 300) AS bucket
                    CROSS JOIN (VALUES (1::smallint), (0::smallint), (-1::smallint))
                               AS p (priority)
                    CROSS JOIN LATERAL (
                          SELECT not_before FROM ready
                           WHERE tenant_id = s.id AND bucket_id = bucket.key
                             AND priority = p.priority
                           ORDER BY not_before
                           LIMIT 1) AS head) AS waiting_since,
                  (SELECT count(*) FROM every) AS "tenants!",
                  (SELECT count(*) FROM every WHERE queued > 0) AS "waiting!",
                  (SELECT coalesce(sum(weight) FILTER (WHERE queued > 0), 0) FROM every)
                      AS "waiting_weight!",
                  (SELECT coalesce(sum(sent), 0)::bigint FROM every) AS "all_sent!"
             FROM busiest s
            ORDER BY s.queued + s.submitted + s.processing DESC, s.name"#,
        part,
        from.as_uuid(),
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    let count = |n: i64| u64::try_from(n).unwrap_or(0);
    let all = rows.first().map_or(All::default(), |row| All {
        tenants: count(row.tenants),
        waiting: count(row.waiting),
        waiting_weight: count(row.waiting_weight),
        sent: count(row.all_sent),
    });
    let shown = rows
        .into_iter()
        .map(|row| Tenant {
            id: TenantId::from_uuid(row.id),
            name: row.name,
            weight: u32::try_from(row.weight).unwrap_or(1),
            created_at: row.created_at,
            queued: count(row.queued),
            submitted: count(row.submitted),
            processing: count(row.processing),
            sent: count(row.sent),
            waiting_since: row.waiting_since,
        })
        .collect();
    Ok((shown, all))
}

/// What a tenant was billed on one day.
#[derive(Clone, Debug)]
pub struct Day {
    /// Which, UTC.
    pub day: Date,
    /// What it cost.
    pub cost: Pico,
    /// What the same would have cost synchronously.
    pub sync: Pico,
}

/// What a tenant was billed in the last `days` days, newest first; days without are
/// left out.
pub async fn spend(tx: &mut OperatorTx, tenant: TenantId, days: i32) -> Result<Vec<Day>> {
    let rows = sqlx::query!(
        r#"SELECT day, sum(cost_pico)::text AS cost, sum(sync_pico)::text AS sync
             FROM ledger
            WHERE tenant_id = $1 AND day > $2::timestamptz::date - $3::integer
            GROUP BY day
            ORDER BY day DESC
            LIMIT 400"#,
        tenant.as_uuid(),
        tx.now(),
        days,
    )
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Day {
                day: row.day,
                cost: pico("ledger.cost_pico", row.cost)?,
                sync: pico("ledger.sync_pico", row.sync)?,
            })
        })
        .collect()
}

/// How an upstream stands.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Which.
    pub id: UpstreamId,
    /// For a person.
    pub name: String,
    /// Batch creates allowed a minute.
    pub creates_per_minute: u32,
    /// Batches that were sent in the last minute.
    pub creates_last_minute: u64,
    /// Requests that may wait upstream at once.
    pub max_queued_items: u64,
    /// Requests of the batches that are open there.
    pub queued_items: u64,
    /// Batches that are open there.
    pub open_batches: u64,
    /// Why nothing is sent, and when one more try is made.
    pub pause: Option<(String, OffsetDateTime)>,
    /// When its list of batches was last read whole.
    pub swept_at: Option<OffsetDateTime>,
}

/// Every upstream, by name; at most 1,000.
pub async fn upstreams(tx: &mut OperatorTx) -> Result<Vec<Upstream>> {
    let rows = sqlx::query!(
        r#"SELECT u.id, u.name, u.creates_per_minute, u.max_queued_items, u.paused_reason,
                  u.paused_until, w.swept_at AS "swept_at?",
                  coalesce(o.items, 0)::bigint AS "queued_items!", o.batches AS "open_batches!",
                  (SELECT count(*) FROM batch
                    WHERE upstream_id = u.id AND sent_at > $1::timestamptz - interval '1 minute')
                      AS "creates!"
             FROM upstream u
             LEFT JOIN sweep w ON w.upstream_id = u.id
            CROSS JOIN LATERAL (
                  SELECT sum(items) AS items, count(*) AS batches FROM batch
                   WHERE upstream_id = u.id
                     AND state IN ('sending', 'uncertain', 'in_progress', 'canceling')) AS o
            ORDER BY u.name, u.id
            LIMIT 1000"#,
        tx.now(),
    )
    .fetch_all(tx.conn())
    .await?;
    let count = |n: i64| u64::try_from(n).unwrap_or(0);
    Ok(rows
        .into_iter()
        .map(|row| Upstream {
            id: UpstreamId::from_uuid(row.id),
            name: row.name,
            creates_per_minute: u32::try_from(row.creates_per_minute).unwrap_or(1),
            creates_last_minute: count(row.creates),
            max_queued_items: count(row.max_queued_items),
            queued_items: count(row.queued_items),
            open_batches: count(row.open_batches),
            pause: row.paused_reason.zip(row.paused_until),
            swept_at: row.swept_at,
        })
        .collect())
}

/// Something that nobody has dealt with.
#[derive(Clone, Debug)]
pub struct Incident {
    /// Which.
    pub id: IncidentId,
    /// A word of `offpeak_domain::incident::Kind`, or one of a newer version.
    pub kind: String,
    /// When it was seen first.
    pub at: OffsetDateTime,
    /// Whose jobs it concerns.
    pub tenant: Option<TenantId>,
    /// The name of that tenant.
    pub tenant_name: Option<String>,
    /// Where.
    pub upstream: Option<UpstreamId>,
    /// Its id at Anthropic.
    pub upstream_batch_id: Option<String>,
    /// One sentence for a person.
    pub detail: String,
    /// What it cost beyond what tenants pay.
    pub absorbed: Pico,
}

/// What is open, newest first; at most `limit`, and how many there are.
pub async fn incidents(tx: &mut OperatorTx, limit: i64) -> Result<(Vec<Incident>, u64)> {
    let rows = sqlx::query!(
        r#"SELECT i.id, i.kind, i.at, i.subject_tenant, t.name AS "tenant_name?", i.upstream_id,
                  i.upstream_batch_id, i.detail, i.absorbed_pico::text AS absorbed,
                  count(*) OVER () AS "all!"
             FROM incident i
             LEFT JOIN tenant t ON t.id = i.subject_tenant
            WHERE i.resolved_at IS NULL
            ORDER BY i.at DESC, i.id
            LIMIT $1"#,
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    let all = rows.first().map_or(0, |row| row.all);
    let shown = rows
        .into_iter()
        .map(|row| {
            Ok(Incident {
                id: IncidentId::from_uuid(row.id),
                kind: row.kind,
                at: row.at,
                tenant: row.subject_tenant.map(TenantId::from_uuid),
                tenant_name: row.tenant_name,
                upstream: row.upstream_id.map(UpstreamId::from_uuid),
                upstream_batch_id: row.upstream_batch_id,
                detail: row.detail,
                absorbed: pico("incident.absorbed_pico", row.absorbed)?,
            })
        })
        .collect::<Result<_>>()?;
    Ok((shown, u64::try_from(all).unwrap_or(0)))
}

/// Gives a tenant another share. False when there is no such tenant.
pub async fn set_weight(tx: &mut OperatorTx, id: TenantId, weight: u32) -> Result<bool> {
    let done = sqlx::query!(
        "UPDATE tenant SET weight = $2 WHERE id = $1",
        id.as_uuid(),
        i32::try_from(weight).unwrap_or(i32::MAX),
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The name of a tenant; none when there is no such tenant.
pub async fn tenant_name(tx: &mut OperatorTx, id: TenantId) -> Result<Option<String>> {
    Ok(
        sqlx::query_scalar!("SELECT name FROM tenant WHERE id = $1", id.as_uuid())
            .fetch_optional(tx.conn())
            .await?,
    )
}
