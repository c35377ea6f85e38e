//! What was reserved becomes what was spent.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use offpeak_domain::id::{GroupId, TenantId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::access::Write as _;
use crate::bounded::Connection;
use crate::lease::interval;
use crate::{Result, System};

/// What was booked for a job.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Booked<'a> {
    pub(crate) job: Uuid,
    pub(crate) cost_pico: i64,
    /// Its type and model, where it says something about estimates: it has ended by
    /// one attempt in the lane that it was estimated for, at a price that is known.
    pub(crate) tells_of: Option<(&'a str, &'a str)>,
}

/// Adds to what is spent what was booked, and gives back what was reserved for those
/// of `ended` that have their result and stand in no batch or call any more. To be
/// called at a transaction's end, with every job that came to a result, or out of
/// flight, in it.
pub(crate) async fn settle(
    conn: &mut Connection,
    tenant: TenantId,
    now: OffsetDateTime,
    ended: &[Uuid],
    booked: &[Booked<'_>],
) -> Result<()> {
    if ended.is_empty() && booked.is_empty() {
        return Ok(());
    }
    let rows = sqlx::query!(
        r#"SELECT job AS "job!", plain AS "plain!", expected AS "expected!"
             FROM settle_reserved($1, $2, false, $3, $4, $5)"#,
        tenant.as_uuid(),
        ended,
        &booked.iter().map(|one| one.job).collect::<Vec<_>>(),
        &booked.iter().map(|one| one.cost_pico).collect::<Vec<_>>(),
        now,
    )
    .fetch_all(&mut *conn)
    .await?;
    let expected: HashMap<Uuid, (i64, i64)> = rows
        .into_iter()
        .map(|row| (row.job, (row.plain, row.expected)))
        .collect();
    let mut kinds = BTreeMap::<(&str, &str), [i128; 4]>::new();
    for one in booked {
        let (Some(kind), Some((plain, expected))) = (one.tells_of, expected.get(&one.job)) else {
            continue;
        };
        if *plain > 0 {
            let sums = kinds.entry(kind).or_default();
            for (sum, more) in sums.iter_mut().zip([1, *plain, *expected, one.cost_pico]) {
                *sum += i128::from(more);
            }
        }
    }
    note(conn, tenant, &kinds).await
}

/// Notes what jobs of these types and models were expected to cost, and have cost.
async fn note(
    conn: &mut Connection,
    tenant: TenantId,
    kinds: &BTreeMap<(&str, &str), [i128; 4]>,
) -> Result<()> {
    if kinds.is_empty() {
        return Ok(());
    }
    let sums = |n: usize| -> Vec<i64> {
        let bigint = |sums: &[i128; 4]| i64::try_from(sums[n]).unwrap_or(i64::MAX);
        kinds.values().map(bigint).collect()
    };
    sqlx::query!(
        "INSERT INTO estimate_error AS e (tenant_id, type, model, jobs, plain_pico, estimated_pico,
                                          settled_pico)
         SELECT $1, *
           FROM unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[],
                       $7::bigint[])
             ON CONFLICT (tenant_id, type, model) DO UPDATE
            -- What is long ago counts for less and less.
            SET jobs = e.jobs / CASE WHEN e.jobs > 500 THEN 2 ELSE 1 END + excluded.jobs,
                plain_pico = div(e.plain_pico, CASE WHEN e.jobs > 500 THEN 2 ELSE 1 END)
                             + excluded.plain_pico,
                estimated_pico = div(e.estimated_pico, CASE WHEN e.jobs > 500 THEN 2 ELSE 1 END)
                                 + excluded.estimated_pico,
                settled_pico = div(e.settled_pico, CASE WHEN e.jobs > 500 THEN 2 ELSE 1 END)
                               + excluded.settled_pico",
        tenant.as_uuid(),
        &kinds.keys().map(|kind| kind.0).collect::<Vec<_>>() as &[&str],
        &kinds.keys().map(|kind| kind.1).collect::<Vec<_>>() as &[&str],
        &sums(0),
        &sums(1),
        &sums(2),
        &sums(3),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Gives back what was reserved for jobs that were staged and never opened.
pub(crate) async fn release_staged(
    conn: &mut Connection,
    tenant: TenantId,
    now: OffsetDateTime,
    jobs: &[Uuid],
) -> Result<()> {
    sqlx::query!(
        "SELECT job FROM settle_reserved($1, $2, true, '{}', '{}', $3)",
        tenant.as_uuid(),
        jobs,
        now,
    )
    .fetch_all(conn)
    .await?;
    Ok(())
}

/// The same for all jobs of a group.
pub(crate) async fn release_group(
    conn: &mut Connection,
    tenant: TenantId,
    now: OffsetDateTime,
    group: GroupId,
) -> Result<()> {
    sqlx::query!(
        "SELECT job
           FROM settle_reserved($1, ARRAY(SELECT id FROM job
                                           WHERE tenant_id = $1 AND group_id = $2
                                             AND EXISTS (SELECT FROM reservation
                                                          WHERE tenant_id = $1)),
                                true, '{}', '{}', $3)",
        tenant.as_uuid(),
        group.as_uuid(),
        now,
    )
    .fetch_all(conn)
    .await?;
    Ok(())
}

/// Adds what was booked for a tenant and none of its jobs.
pub(crate) async fn spend_beside_jobs(
    conn: &mut Connection,
    tenant: TenantId,
    now: OffsetDateTime,
    cost_pico: i64,
) -> Result<()> {
    sqlx::query!(
        "SELECT spend_beside_jobs($1, $2, $3) AS done",
        tenant.as_uuid(),
        cost_pico,
        now,
    )
    .fetch_one(conn)
    .await?;
    Ok(())
}

/// Settles up to `limit` jobs for which something is still reserved although they
/// have ended and are nowhere: a process of a version that knows of no budgets ended
/// them. Returns how many.
pub async fn settle_forgotten(system: &System, now: OffsetDateTime, limit: i64) -> Result<u64> {
    let mut tx = system.begin().await?;
    let rows = sqlx::query!(
        r#"SELECT v.tenant_id AS "tenant_id!", v.job_id AS "job_id!", r.cost_pico AS "cost_pico!"
             FROM (SELECT DISTINCT tenant_id, job_id FROM reservation) AS v
            CROSS JOIN LATERAL (
                  SELECT coalesce(l.cost_pico, 0) AS cost_pico
                    FROM result r
                    LEFT JOIN ledger l ON l.tenant_id = r.tenant_id AND l.batch_id = r.batch_id
                                      AND l.id = r.id
                   WHERE r.tenant_id = v.tenant_id AND r.id = v.job_id
                   LIMIT 1) AS r
            WHERE NOT EXISTS (SELECT FROM inflight i
                               WHERE i.tenant_id = v.tenant_id AND i.id = v.job_id)
            ORDER BY v.tenant_id, v.job_id
            LIMIT $1"#,
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    for of_tenant in rows.chunk_by(|a, b| a.tenant_id == b.tenant_id) {
        let Some(first) = of_tenant.first() else {
            continue;
        };
        let tenant = TenantId::from_uuid(first.tenant_id);
        let ended: Vec<Uuid> = of_tenant.iter().map(|row| row.job_id).collect();
        let booked: Vec<Booked<'_>> = of_tenant
            .iter()
            .map(|row| Booked {
                job: row.job_id,
                cost_pico: row.cost_pico,
                tells_of: None,
            })
            .collect();
        settle(tx.conn(), tenant, now, &ended, &booked).await?;
    }
    tx.commit().await?;
    Ok(rows.len() as u64)
}

/// Forgets up to `limit` rows of use whose period began longer than `age` ago, and
/// under which nothing is open. Returns how many.
pub async fn purge(system: &System, now: OffsetDateTime, age: Duration, limit: i64) -> Result<u64> {
    let done = sqlx::query!(
        "DELETE FROM budget_use
          WHERE (tenant_id, budget_id, of_name, period_start) IN (
                SELECT tenant_id, budget_id, of_name, period_start
                  FROM budget_use
                 WHERE period_start < ($1::timestamptz - $2::interval)::date
                   AND reserved_pico = 0
                 ORDER BY period_start
                 LIMIT $3
                   FOR UPDATE SKIP LOCKED)",
        now,
        interval(age),
        limit,
    )
    .write(system)
    .await?;
    Ok(done.rows_affected())
}
