//! Erasure of all that a tenant has, in steps that are safe to run again. What says how
//! far it is, is one row; from its commit on nothing of the tenant's is opened or taken.
//!
//! Content goes at once. Ids of jobs and batches that Anthropic works on, or still keeps,
//! stay until it does not; then those go, too. The ledger stays as numbers, without
//! labels, types and groups, and the tenant's row as a mark, without its name.

pub mod leave;

use std::time::Duration;

use offpeak_domain::id::{JobId, PersonId, TenantId, UpstreamId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::access::Write as _;
use crate::batch::{Key, key};
use crate::upstream_copy::Copy;
use crate::{OperatorTx, Result, System, SystemTx, cancel};

/// How long a transaction from before the row may still come to its end.
const LAST_WRITERS: Duration = Duration::from_mins(1);

/// How far the erasure of a tenant is.
#[derive(Clone, Debug)]
pub struct Erasure {
    /// Of whom.
    pub tenant: TenantId,
    /// `refusing`, `canceling`, `deleting` or `done`; a newer version may know more.
    pub state: String,
    /// Since when.
    pub asked_at: OffsetDateTime,
    /// When the last of it went.
    pub done_at: Option<OffsetDateTime>,
    /// Jobs that are gone.
    pub jobs: u64,
    /// Message batches that were deleted at Anthropic.
    pub batches: u64,
    /// Everything else that is gone, in rows.
    pub rows: u64,
    /// Whether what the tenant's own upstream holds is to be left there.
    pub leaves: bool,
    /// Message batches that were.
    pub batches_left: u64,
}

macro_rules! erasure {
    ($row:expr) => {{
        let row = $row;
        let count = |n: i64| u64::try_from(n).unwrap_or(0);
        Erasure {
            tenant: TenantId::from_uuid(row.tenant_id),
            state: row.state,
            asked_at: row.asked_at,
            done_at: row.done_at,
            jobs: count(row.jobs),
            batches: count(row.batches),
            rows: count(row.rows_gone),
            leaves: row.leaves,
            batches_left: count(row.batches_left),
        }
    }};
}

/// Begins it, on the word of an operator. False when it was begun before.
pub async fn begin(tx: &mut OperatorTx, tenant: TenantId, by: PersonId) -> Result<bool> {
    let now = tx.now();
    let done = sqlx::query!(
        "INSERT INTO erasure (tenant_id, state, asked_at, asked_by) VALUES ($1, 'refusing', $2, $3)
             ON CONFLICT DO NOTHING",
        tenant.as_uuid(),
        now,
        by.as_uuid(),
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The same on the word of whoever has the server's machine.
pub async fn begin_here(tx: &mut SystemTx, tenant: TenantId) -> Result<bool> {
    let done = sqlx::query!(
        "INSERT INTO erasure (tenant_id, state, asked_at)
         VALUES ($1, 'refusing', clock_timestamp())
             ON CONFLICT DO NOTHING",
        tenant.as_uuid(),
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// How far it is; none when nobody asked for it.
pub async fn get(tx: &mut OperatorTx, tenant: TenantId) -> Result<Option<Erasure>> {
    let row = sqlx::query!(
        r#"SELECT tenant_id, state, asked_at, done_at, jobs, batches, rows_gone, batches_left,
                  leave_asked_at IS NOT NULL AS "leaves!"
             FROM erasure WHERE tenant_id = $1"#,
        tenant.as_uuid(),
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|row| erasure!(row)))
}

/// Those that are not done, the oldest first; at most a hundred.
pub async fn open(system: &System) -> Result<Vec<Erasure>> {
    let rows = sqlx::query!(
        r#"SELECT tenant_id, state, asked_at, done_at, jobs, batches, rows_gone, batches_left,
                  leave_asked_at IS NOT NULL AS "leaves!"
             FROM erasure WHERE state <> 'done' ORDER BY asked_at, tenant_id LIMIT 100"#
    )
    .fetch_all(&system.pool)
    .await?;
    Ok(rows.into_iter().map(|row| erasure!(row)).collect())
}

/// Ends up to `limit` of the tenant's open jobs. Returns how many; none are left when it
/// returns zero.
pub async fn cancel_some(system: &System, tenant: TenantId, limit: i64) -> Result<u64> {
    let mut tx = system.begin().await?;
    let ids = sqlx::query_scalar!(
        r#"SELECT id AS "id!"
             FROM ((SELECT id FROM ready WHERE tenant_id = $1 ORDER BY id LIMIT $2)
                    UNION
                   (SELECT i.id FROM inflight i
                     WHERE i.tenant_id = $1 AND NOT i.canceled
                       -- Of two open attempts one is marked from the beginning.
                       AND NOT EXISTS (SELECT FROM result r
                                        WHERE r.tenant_id = $1 AND r.id = i.id)
                     ORDER BY i.id LIMIT $2)) AS open
            ORDER BY id
            LIMIT $2"#,
        tenant.as_uuid(),
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    if ids.is_empty() {
        return Ok(0);
    }
    let now = tx.now();
    let ids: Vec<JobId> = ids.into_iter().map(JobId::from_uuid).collect();
    let done = cancel::of_tenant(tx.conn(), tenant, now, &ids).await?;
    tx.commit().await?;
    Ok(done.canceled.len() as u64)
}

/// Up to `limit` message batches of tenants that are being erased, which run at this
/// upstream and are not asked to end. None that only looks like ours.
pub async fn to_cancel(
    system: &System,
    upstream: UpstreamId,
    limit: i64,
) -> Result<Vec<(Key, String)>> {
    let rows = sqlx::query!(
        r#"SELECT b.tenant_id, b.id, b.upstream_batch_id AS "upstream_batch_id!"
             FROM erasure e
             JOIN batch b ON b.tenant_id = e.tenant_id
            WHERE e.state <> 'done' AND b.upstream_id = $1
              AND b.state = 'in_progress' AND b.verified AND b.cancel_asked_at IS NULL
            ORDER BY b.tenant_id, b.id
            LIMIT $2"#,
        upstream.as_uuid(),
        limit,
    )
    .fetch_all(&system.pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (key(row.tenant_id, row.id), row.upstream_batch_id))
        .collect())
}

/// It is asked to end.
pub async fn cancel_asked(system: &System, key: Key, now: OffsetDateTime) -> Result<()> {
    sqlx::query!(
        "UPDATE batch SET cancel_asked_at = $3 WHERE tenant_id = $1 AND id = $2",
        key.tenant.as_uuid(),
        key.batch.as_uuid(),
        now,
    )
    .write(system)
    .await?;
    Ok(())
}

/// Up to `limit` message batches of tenants that are being erased that have ended and
/// that this upstream still keeps, for `kept` from their creation.
pub async fn copies(
    system: &System,
    upstream: UpstreamId,
    now: OffsetDateTime,
    kept: Duration,
    limit: i64,
) -> Result<Vec<Copy>> {
    let rows = sqlx::query!(
        r#"SELECT b.tenant_id, b.id, b.upstream_batch_id AS "upstream_batch_id!",
                  b.created_at AS "created_at!", e.asked_at, b.delete_tries
             FROM erasure e
             JOIN batch b ON b.tenant_id = e.tenant_id
            WHERE e.state <> 'done' AND b.upstream_id = $1
              AND b.state = 'ingested' AND b.verified AND b.upstream_deleted_at IS NULL
              AND b.created_at > $2
              AND (b.delete_at IS NULL OR b.delete_at <= $3)
            ORDER BY b.tenant_id, b.ingested_at
            LIMIT $4"#,
        upstream.as_uuid(),
        now - kept,
        now,
        limit,
    )
    .fetch_all(&system.pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Copy {
            key: key(row.tenant_id, row.id),
            upstream_batch_id: row.upstream_batch_id,
            created_at: row.created_at,
            since: row.asked_at,
            tries: u32::try_from(row.delete_tries).unwrap_or(0),
        })
        .collect())
}

/// Looks at the next `limit` of the tenant's jobs: those of which nothing is at Anthropic
/// go, of the others what they were asked and answered. True at the end of a round.
pub async fn sweep_jobs(system: &System, tenant: TenantId, limit: i64) -> Result<bool> {
    let tenant = tenant.as_uuid();
    let mut tx = system.begin().await?;
    let place = sqlx::query_scalar!(
        "SELECT place FROM erasure WHERE tenant_id = $1 FOR UPDATE",
        tenant,
    )
    .fetch_one(tx.conn())
    .await?;
    let ids = sqlx::query_scalar!(
        "SELECT id FROM job WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT $3",
        tenant,
        place,
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    let held = sqlx::query!(
        r#"SELECT i.id, bool_or(b.state IN ('planned', 'sending')) AS sends
             FROM inflight i
             LEFT JOIN batch b ON b.tenant_id = i.tenant_id AND b.id = i.batch_id
            WHERE i.tenant_id = $1 AND i.id = ANY ($2)
            GROUP BY i.id"#,
        tenant,
        &ids,
    )
    .fetch_all(tx.conn())
    .await?;
    let stays: Vec<Uuid> = held.iter().map(|row| row.id).collect();
    // What is being sent is read while it goes; the next round finds it.
    let sends: Vec<Uuid> = held
        .iter()
        .filter(|row| row.sends == Some(true))
        .map(|row| row.id)
        .collect();
    let gone = sqlx::query_scalar!(
        r#"WITH gone AS (
               DELETE FROM job j
                WHERE j.tenant_id = $1 AND j.id = ANY ($2) AND j.id <> ALL ($3)
                  AND NOT EXISTS (SELECT FROM ready q
                                   WHERE q.tenant_id = $1 AND q.id = j.id)
               RETURNING j.id),
           heads AS (
               UPDATE job SET metadata = NULL, user_label = NULL
                WHERE tenant_id = $1 AND id = ANY ($3)
                  AND (metadata IS NOT NULL OR user_label IS NOT NULL)),
           ends AS (
               UPDATE result SET user_label = NULL, message = NULL
                WHERE tenant_id = $1 AND id = ANY ($3)
                  AND (user_label IS NOT NULL OR message IS NOT NULL)),
           asked AS (
               DELETE FROM payload
                WHERE tenant_id = $1 AND id = ANY ($2) AND id <> ALL ($4)
                  AND (id IN (SELECT id FROM gone) OR id = ANY ($3))),
           answered AS (
               DELETE FROM output
                WHERE tenant_id = $1 AND id = ANY ($2)
                  AND (id IN (SELECT id FROM gone) OR id = ANY ($3))),
           tried AS (
               DELETE FROM attempt
                WHERE tenant_id = $1 AND id = ANY ($2)
                  AND (id IN (SELECT id FROM gone) OR id = ANY ($3))),
           ended AS (
               DELETE FROM result
                WHERE tenant_id = $1 AND id = ANY ($2) AND id IN (SELECT id FROM gone))
           SELECT count(*) AS "n!" FROM gone"#,
        tenant,
        &ids,
        &stays,
        &sends,
    )
    .fetch_one(tx.conn())
    .await?;
    let full = i64::try_from(ids.len()).unwrap_or(i64::MAX) >= limit;
    let next = ids.last().filter(|_| full).copied().unwrap_or_default();
    sqlx::query!(
        "UPDATE erasure SET place = $2, jobs = jobs + $3 WHERE tenant_id = $1",
        tenant,
        next,
        gone,
    )
    .execute(tx.conn())
    .await?;
    tx.commit().await?;
    Ok(!full)
}

/// Deletes up to `limit` rows of each other table of the tenant's, those that say where
/// its batches stand only when `last`, and takes labels out of the ledger. Returns how
/// many rows changed: none are left when it returns zero.
pub async fn sweep_rest(
    system: &System,
    tenant: TenantId,
    now: OffsetDateTime,
    kept: Duration,
    last: bool,
    limit: i32,
) -> Result<u64> {
    let tenant = tenant.as_uuid();
    let mut tx = system.begin().await?;
    sqlx::query!(
        "UPDATE erasure SET audit_entries = a.seq, audit_hash = a.hash
           FROM (SELECT seq, hash FROM audit WHERE tenant_id = $1
                  ORDER BY seq DESC LIMIT 1) a
          WHERE erasure.tenant_id = $1 AND erasure.audit_hash IS NULL",
        tenant,
    )
    .execute(tx.conn())
    .await?;
    let mut gone = sqlx::query_scalar!(
        r#"SELECT erase_rows($1, $2, $3) AS "n!""#,
        tenant,
        last,
        limit,
    )
    .fetch_one(tx.conn())
    .await?;
    let mut booked = sqlx::query!(
        "UPDATE ledger SET user_label = NULL, type = NULL, group_id = NULL
          WHERE tenant_id = $1
            AND (batch_id, id) IN (
                SELECT batch_id, id FROM ledger
                 WHERE tenant_id = $1
                   AND (user_label IS NOT NULL OR type IS NOT NULL OR group_id IS NOT NULL)
                 ORDER BY batch_id, id
                 LIMIT $2)",
        tenant,
        i64::from(limit),
    )
    .execute(tx.conn())
    .await?
    .rows_affected();
    // What Anthropic said of one may repeat what it was sent.
    booked += sqlx::query!(
        "UPDATE batch SET last_error = NULL WHERE tenant_id = $1 AND last_error IS NOT NULL",
        tenant,
    )
    .execute(tx.conn())
    .await?
    .rows_affected();
    if last {
        gone += sqlx::query_scalar!(
            r#"WITH gone AS (
                   DELETE FROM batch
                    WHERE tenant_id = $1
                      AND state IN ('ingested', 'refuted', 'rejected')
                      AND NOT EXISTS (SELECT FROM inflight i
                                       WHERE i.tenant_id = $1 AND i.batch_id = batch.id)
                      AND (upstream_batch_id IS NULL OR upstream_deleted_at IS NOT NULL
                           OR NOT verified OR created_at <= $2)
                   RETURNING upstream_deleted_at),
               noted AS (
                   UPDATE erasure SET batches = batches
                          + (SELECT count(upstream_deleted_at) FROM gone)
                    WHERE tenant_id = $1)
               SELECT count(*) AS "n!" FROM gone"#,
            tenant,
            now - kept,
        )
        .fetch_one(tx.conn())
        .await?;
    }
    sqlx::query!(
        "UPDATE erasure SET rows_gone = rows_gone + $2::bigint WHERE tenant_id = $1",
        tenant,
        gone,
    )
    .execute(tx.conn())
    .await?;
    tx.commit().await?;
    booked += u64::try_from(gone).unwrap_or(0);
    Ok(booked)
}

impl Erasure {
    /// A transaction from before the row may still be under way.
    pub fn is_young(&self, now: OffsetDateTime) -> bool {
        now < self.asked_at + LAST_WRITERS
    }
}

/// What is left of a tenant, as far as the next state depends on it.
#[derive(Clone, Copy, Debug)]
pub struct Left {
    /// Something of it may still be sent, runs at Anthropic, or is to be read.
    pub open: bool,
    /// Jobs or batches are known.
    pub known: bool,
    /// A late twin of it is still at Anthropic.
    pub twins: bool,
}

/// What is left.
pub async fn left(
    system: &System,
    erasure: &Erasure,
    now: OffsetDateTime,
    kept: Duration,
) -> Result<Left> {
    let row = sqlx::query!(
        r#"SELECT EXISTS (SELECT FROM ready WHERE tenant_id = $1)
                  OR EXISTS (SELECT FROM inflight WHERE tenant_id = $1)
                  OR EXISTS (SELECT FROM call WHERE tenant_id = $1 AND state = 'sending')
                  OR EXISTS (SELECT FROM batch
                              WHERE tenant_id = $1
                                AND (state NOT IN ('ingested', 'refuted', 'rejected')
                                     OR state IN ('refuted', 'rejected') AND freed_at IS NULL))
                      AS "open!",
                  EXISTS (SELECT FROM job WHERE tenant_id = $1)
                  OR EXISTS (SELECT FROM batch WHERE tenant_id = $1) AS "known!",
                  EXISTS (SELECT FROM twin
                           WHERE of_tenant = $1 AND deleted_at IS NULL AND found_at > $2)
                      AS "twins!""#,
        erasure.tenant.as_uuid(),
        now - kept,
    )
    .fetch_one(&system.pool)
    .await?;
    Ok(Left {
        open: row.open,
        known: row.known,
        twins: row.twins,
    })
}

/// It goes on to the next state.
pub async fn moved(system: &System, tenant: TenantId, to: &'static str) -> Result<()> {
    system.sealer.forget(tenant);
    let mut tx = system.begin().await?;
    let now = tx.now();
    sqlx::query!(
        "UPDATE erasure
            SET state = $2, done_at = CASE WHEN $2 = 'done' THEN $3::timestamptz END
          WHERE tenant_id = $1 AND state <> 'done'",
        tenant.as_uuid(),
        to,
        now,
    )
    .execute(tx.conn())
    .await?;
    // A name may be a person's, too.
    sqlx::query!(
        "UPDATE tenant SET name = 'erased-' || replace(id::text, '-', '')
          WHERE id = $1 AND $2 = 'done'",
        tenant.as_uuid(),
        to,
    )
    .execute(tx.conn())
    .await?;
    sqlx::query!(
        "UPDATE upstream u SET name = t.name FROM tenant t
          WHERE u.id = $1 AND t.id = u.id AND $2 = 'done'",
        tenant.as_uuid(),
        to,
    )
    .execute(tx.conn())
    .await?;
    tx.commit().await
}
