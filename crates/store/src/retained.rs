//! Retention: what is over goes. Whole partitions where it is over for everybody, else
//! a tenant's rows in the order of their ids, a bounded number in a transaction.
//!
//! A job that is open keeps what it was asked, and its answer stays for a day after it
//! ended, however old the job is. Everything here is safe to run again.

use offpeak_domain::id::TenantId;
use offpeak_domain::retention::Days;
use time::{Date, Duration, OffsetDateTime};
use uuid::Uuid;

use crate::bounded::Connection;
use crate::{Result, System};

/// What ended later than so long ago is not taken away yet.
const FRESH: Duration = Duration::DAY;
/// Between two looks at what could not go.
const AGAIN: Duration = Duration::minutes(30);

/// What was taken away, in rows; partitions apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gone {
    /// Jobs that were looked at.
    pub looked: u64,
    /// Inputs and results that went.
    pub rows: u64,
}

/// Draws the bounds for every tenant, from its own times or else those of the
/// deployment. Returns how many have moved: on most calls none.
pub async fn advance(system: &System, now: OffsetDateTime, days: Days) -> Result<u64> {
    let mut tx = system.begin().await?;
    let done = sqlx::query!(
        "INSERT INTO retained AS old (tenant_id, inputs_before, results_before)
         SELECT t.id, v7_floor($1::date - least(inputs, results)), v7_floor($1::date - results)
           FROM tenant t
           LEFT JOIN retention r ON r.tenant_id = t.id
          CROSS JOIN LATERAL (SELECT coalesce(r.inputs_days, $2) AS inputs,
                                     coalesce(r.results_days, $3) AS results) AS days
           LEFT JOIN retained k ON k.tenant_id = t.id
          WHERE NOT EXISTS (SELECT FROM erasure e WHERE e.tenant_id = t.id)
            AND (k.tenant_id IS NULL
             OR k.inputs_before < v7_floor($1::date - least(inputs, results))
             OR k.results_before < v7_floor($1::date - results))
             ON CONFLICT (tenant_id) DO UPDATE
            -- What is over stays over, whoever keeps things for longer now.
            SET inputs_before = greatest(old.inputs_before, excluded.inputs_before),
                results_before = greatest(old.results_before, excluded.results_before)",
        now.date(),
        i32::try_from(days.inputs).unwrap_or(i32::MAX),
        i32::try_from(days.results).unwrap_or(i32::MAX),
    )
    .execute(tx.conn())
    .await?;
    tx.commit().await?;
    Ok(done.rows_affected())
}

/// A partition that is over for every tenant.
struct Over {
    table: String,
    day: Date,
}

/// Drops up to `limit` partitions that are over for every tenant and of whose jobs none
/// is open or has ended less than a day ago. Returns how many went.
pub async fn drop_partitions(system: &System, now: OffsetDateTime, limit: i64) -> Result<u64> {
    let mut gone = 0;
    for over in over(system, limit).await? {
        let mut tx = system.begin().await?;
        let held = sqlx::query_scalar!(
            r#"SELECT hold_content($1, $2) AS "held!""#,
            over.table,
            over.day,
        )
        .fetch_one(tx.conn())
        .await?;
        if !held || is_needed(tx.conn(), &over, now).await? {
            continue;
        }
        sqlx::query!("SELECT drop_content($1, $2) AS done", over.table, over.day)
            .execute(tx.conn())
            .await?;
        tx.commit().await?;
        gone += 1;
    }
    Ok(gone)
}

async fn over(system: &System, limit: i64) -> Result<Vec<Over>> {
    let mut tx = system.begin().await?;
    let rows = sqlx::query!(
        r#"WITH each AS (
               -- A tenant without a row has just been made.
               SELECT coalesce(k.inputs_before, v7_floor('1970-01-01')) AS inputs,
                      coalesce(k.results_before, v7_floor('1970-01-01')) AS results
                 FROM tenant t
                 LEFT JOIN retained k ON k.tenant_id = t.id
                WHERE NOT EXISTS (SELECT FROM erasure e WHERE e.tenant_id = t.id)),
           bound AS (
               SELECT (SELECT inputs FROM each ORDER BY inputs LIMIT 1) AS payload,
                      (SELECT results FROM each ORDER BY results LIMIT 1) AS output)
           SELECT part.of AS "of!", part.day AS "day!"
             FROM bound
            CROSS JOIN LATERAL (
                  SELECT p.relname::text AS of, to_date(right(c.relname, 8), 'YYYYMMDD') AS day
                    FROM pg_inherits h
                    JOIN pg_class c ON c.oid = h.inhrelid
                    JOIN pg_class p ON p.oid = h.inhparent
                   WHERE h.inhparent IN ('offpeak.payload'::regclass, 'offpeak.output'::regclass)
                     AND c.relname ~ '_[0-9]{8}$') AS part
            WHERE v7_floor(part.day + 1)
                  <= CASE part.of WHEN 'payload' THEN bound.payload ELSE bound.output END
            ORDER BY part.day, part.of
            LIMIT $1"#,
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Over {
            table: row.of,
            day: row.day,
        })
        .collect())
}

/// Whether a job of that day is open, or its answer fresh.
async fn is_needed(conn: &mut Connection, over: &Over, now: OffsetDateTime) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        r#"WITH of_day AS (SELECT v7_floor($1) AS first, v7_floor($1::date + 1) AS next)
           SELECT EXISTS (
                      -- A tenant's own part of each index, not a walk through the queue.
                      SELECT FROM of_day, tenant t
                       WHERE EXISTS (SELECT FROM ready q
                                      WHERE q.tenant_id = t.id AND q.id >= of_day.first
                                        AND q.id < of_day.next)
                          OR EXISTS (SELECT FROM inflight i
                                      WHERE i.tenant_id = t.id AND i.id >= of_day.first
                                        AND i.id < of_day.next))
                  OR $3 AND EXISTS (
                      SELECT FROM of_day, result r
                       WHERE r.id >= of_day.first AND r.id < of_day.next AND r.ended_at > $2)
                  AS "needed!""#,
        over.day,
        now - FRESH,
        over.table == "output",
    )
    .fetch_one(conn)
    .await?)
}

/// Looks at up to `limit` jobs of one tenant that has some to be looked at, and takes
/// away what is over. Nothing looked at: there is no such tenant.
pub async fn walk(system: &System, now: OffsetDateTime, limit: i64) -> Result<Gone> {
    let mut tx = system.begin().await?;
    let Some(at) = sqlx::query!(
        "SELECT tenant_id, inputs_before, results_before, inputs_at, results_at
           FROM retained
          WHERE inputs_at < inputs_before OR results_at < results_before
          ORDER BY tenant_id
          LIMIT 1
            FOR UPDATE SKIP LOCKED"
    )
    .fetch_optional(tx.conn())
    .await?
    else {
        return Ok(Gone::default());
    };
    let tenant = TenantId::from_uuid(at.tenant_id);
    let mut gone = Gone::default();
    let (mut inputs_at, mut results_at) = (at.inputs_at, at.results_at);
    if inputs_at < at.inputs_before {
        let ids = heads(tx.conn(), tenant, inputs_at, at.inputs_before, limit).await?;
        inputs_at = next(&ids, at.inputs_before, limit);
        gone.looked += ids.len() as u64;
        gone.rows += inputs(tx.conn(), tenant, &ids, now).await?;
    } else {
        // Behind the inputs: those who have none left run nothing again.
        let ids = heads(tx.conn(), tenant, results_at, at.results_before, limit).await?;
        results_at = next(&ids, at.results_before, limit);
        gone.looked += ids.len() as u64;
        gone.rows += results(tx.conn(), tenant, &ids, now).await?;
    }
    sqlx::query!(
        "UPDATE retained SET inputs_at = $2, results_at = $3 WHERE tenant_id = $1",
        at.tenant_id,
        inputs_at,
        results_at,
    )
    .execute(tx.conn())
    .await?;
    tx.commit().await?;
    // A tenant without old jobs is done, and counts as one look.
    gone.looked = gone.looked.max(1);
    Ok(gone)
}

/// Where the next step begins.
fn next(ids: &[Uuid], before: Uuid, limit: i64) -> Uuid {
    match ids.last() {
        Some(last) if i64::try_from(ids.len()).unwrap_or(i64::MAX) >= limit => *last,
        _ => before,
    }
}

async fn heads(
    conn: &mut Connection,
    tenant: TenantId,
    after: Uuid,
    before: Uuid,
    limit: i64,
) -> Result<Vec<Uuid>> {
    Ok(sqlx::query_scalar!(
        "SELECT id FROM job
          WHERE tenant_id = $1 AND id > $2 AND id < $3
          ORDER BY id
          LIMIT $4",
        tenant.as_uuid(),
        after,
        before,
        limit,
    )
    .fetch_all(conn)
    .await?)
}

/// Takes away the inputs of those that have ended; the others are looked at later.
async fn inputs(
    conn: &mut Connection,
    tenant: TenantId,
    ids: &[Uuid],
    now: OffsetDateTime,
) -> Result<u64> {
    if ids.is_empty() {
        return Ok(0);
    }
    // With its result locked a job is not queued again before this is over, and then
    // it has no input and is refused.
    let ended = sqlx::query_scalar!(
        "SELECT r.id FROM result r
          WHERE r.tenant_id = $1 AND r.id = ANY ($2)
            AND NOT EXISTS (SELECT FROM inflight i
                             WHERE i.tenant_id = $1 AND i.id = r.id)
            AND (EXISTS (SELECT FROM payload p WHERE p.tenant_id = $1 AND p.id = r.id)
                 OR EXISTS (SELECT FROM job j WHERE j.tenant_id = $1 AND j.id = r.id
                                                AND j.metadata IS NOT NULL))
          ORDER BY r.id
            FOR UPDATE",
        tenant.as_uuid(),
        ids,
    )
    .fetch_all(&mut *conn)
    .await?;
    let gone = sqlx::query_scalar!(
        r#"WITH noted AS (
               UPDATE job SET metadata = NULL
                WHERE tenant_id = $1 AND id = ANY ($2) AND metadata IS NOT NULL),
           gone AS (
               DELETE FROM payload WHERE tenant_id = $1 AND id = ANY ($2) RETURNING id)
           SELECT count(*) AS "n!" FROM gone"#,
        tenant.as_uuid(),
        &ended,
    )
    .fetch_one(&mut *conn)
    .await?;
    keep(conn, tenant, ids, now).await?;
    Ok(u64::try_from(gone).unwrap_or(0))
}

/// Takes away the answers of those that ended long enough ago and have no input left.
async fn results(
    conn: &mut Connection,
    tenant: TenantId,
    ids: &[Uuid],
    now: OffsetDateTime,
) -> Result<u64> {
    if ids.is_empty() {
        return Ok(0);
    }
    let gone = sqlx::query_scalar!(
        r#"WITH over AS (
               SELECT r.id FROM result r
                WHERE r.tenant_id = $1 AND r.id = ANY ($2) AND r.ended_at <= $3
                  AND NOT EXISTS (SELECT FROM inflight i
                                   WHERE i.tenant_id = $1 AND i.id = r.id)
                  AND NOT EXISTS (SELECT FROM payload p
                                   WHERE p.tenant_id = $1 AND p.id = r.id)),
           aside AS (
               UPDATE attempt SET line = NULL
                WHERE tenant_id = $1 AND id = ANY ($2) AND line IS NOT NULL
                  AND id IN (SELECT id FROM over)
               RETURNING id),
           gone AS (
               DELETE FROM output
                WHERE tenant_id = $1 AND id = ANY ($2) AND id IN (SELECT id FROM over)
               RETURNING id)
           SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM aside) AS "n!""#,
        tenant.as_uuid(),
        ids,
        now - FRESH,
    )
    .fetch_one(&mut *conn)
    .await?;
    keep(conn, tenant, ids, now).await?;
    Ok(u64::try_from(gone).unwrap_or(0))
}

/// Notes those of these jobs of which something is left that could not go, and forgets
/// the others.
async fn keep(
    conn: &mut Connection,
    tenant: TenantId,
    ids: &[Uuid],
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "WITH bounds AS (
             SELECT inputs_before, results_before FROM retained WHERE tenant_id = $1),
         left_over AS (
             SELECT p.id FROM payload p, bounds
              WHERE p.tenant_id = $1 AND p.id = ANY ($2) AND p.id < bounds.inputs_before
              UNION
             -- Its answer is still to come.
             SELECT i.id FROM inflight i WHERE i.tenant_id = $1 AND i.id = ANY ($2)
              UNION
             SELECT o.id FROM output o, bounds
              WHERE o.tenant_id = $1 AND o.id = ANY ($2) AND o.id < bounds.results_before
              UNION
             -- Set aside by a retry, or come after a cancel.
             SELECT a.id FROM attempt a, bounds
              WHERE a.tenant_id = $1 AND a.id = ANY ($2) AND a.line IS NOT NULL
                AND a.id < bounds.results_before),
         done AS (
             DELETE FROM kept_over
              WHERE tenant_id = $1 AND id = ANY ($2) AND id NOT IN (SELECT id FROM left_over))
         INSERT INTO kept_over (tenant_id, id, look_at)
         SELECT $1, id, $3 FROM left_over ORDER BY id
             ON CONFLICT (tenant_id, id) DO UPDATE SET look_at = $3",
        tenant.as_uuid(),
        ids,
        now + AGAIN,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Looks again at up to `limit` jobs of one tenant that could not go when they were
/// over. Nothing looked at: it is nobody's time.
pub async fn look_again(system: &System, now: OffsetDateTime, limit: i64) -> Result<Gone> {
    let mut tx = system.begin().await?;
    let Some(due) = sqlx::query_scalar!(
        // Of a tenant that is being erased, the erasure takes everything.
        "SELECT o.tenant_id FROM kept_over o
          WHERE o.look_at <= $1
            AND EXISTS (SELECT FROM retained r WHERE r.tenant_id = o.tenant_id)
          ORDER BY o.look_at, o.id
          LIMIT 1",
        now,
    )
    .fetch_optional(tx.conn())
    .await?
    else {
        return Ok(Gone::default());
    };
    let tenant = TenantId::from_uuid(due);
    let ids = sqlx::query_scalar!(
        "SELECT id FROM kept_over
          WHERE tenant_id = $1 AND look_at <= $2
          ORDER BY id
          LIMIT $3
            FOR UPDATE",
        due,
        now,
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    let bounds = sqlx::query!(
        "SELECT results_before FROM retained WHERE tenant_id = $1",
        due
    )
    .fetch_one(tx.conn())
    .await?;
    let mut rows = inputs(tx.conn(), tenant, &ids, now).await?;
    let (over, others): (Vec<Uuid>, Vec<Uuid>) =
        ids.iter().partition(|id| **id < bounds.results_before);
    rows += results(tx.conn(), tenant, &over, now).await?;
    keep(tx.conn(), tenant, &others, now).await?;
    tx.commit().await?;
    Ok(Gone {
        looked: ids.len() as u64,
        rows,
    })
}

/// Takes away up to `limit` lines that were put aside, of tenants whose time for results
/// is over for them. Returns how many.
pub async fn quarantined(system: &System, limit: i64) -> Result<u64> {
    let mut tx = system.begin().await?;
    let done = sqlx::query!(
        "DELETE FROM quarantine
          WHERE (tenant_id, batch_id, line_hash, kind) IN (
                SELECT q.tenant_id, q.batch_id, q.line_hash, q.kind
                  FROM retained k
                 CROSS JOIN LATERAL (
                       SELECT * FROM quarantine q
                        WHERE q.tenant_id = k.tenant_id AND q.batch_id < k.results_before
                        ORDER BY q.batch_id
                        LIMIT $1) AS q
                 LIMIT $1)",
        limit,
    )
    .execute(tx.conn())
    .await?;
    tx.commit().await?;
    Ok(done.rows_affected())
}
