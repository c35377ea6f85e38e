//! Jobs that ask the same share one attempt: one of them leads, the others wait for
//! its result as `ready` rows in the lane `follow`, which nobody claims.
//!
//! `alike` says who leads those that ask the same. Who joins it holds its row until
//! his commit; who ends it takes the row away first and looks for followers then.
//! So a follower is either seen, or finds no leader. What is seen goes into `shared`,
//! from where [`serve`] takes it.

mod let_go;
mod serve;

use std::time::Duration;

use offpeak_domain::id::{GroupId, TenantId, UpstreamId};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::access::Write as _;
use crate::bounded::Connection;
use crate::{Result, System};

pub use serve::{Served, serve};

/// That a job may share its attempt with others, and with which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sharing {
    /// Equal for jobs that ask the same.
    pub hash: [u8; 32],
    /// How old a result may be that it takes; none for no result at all.
    pub reuse_for: Option<Duration>,
}

impl Sharing {
    /// With others that send the same params to the same place.
    pub fn of(upstream: UpstreamId, params: &[u8], reuse_for: Option<Duration>) -> Self {
        let mut hash = Sha256::new();
        hash.update(upstream.as_uuid().as_bytes());
        hash.update(params);
        Self {
            hash: hash.finalize().into(),
            reuse_for,
        }
    }
}

/// Which jobs have just been put into the queue.
#[derive(Clone, Copy, Debug)]
pub(crate) enum New<'a> {
    /// These.
    Jobs(&'a [Uuid]),
    /// All of a group.
    Group(GroupId),
}

/// Lets those of these jobs follow others for whose result they may wait: of the
/// queue, or of themselves. In the transaction that put them into the queue.
///
/// Of those that ask the same the most urgent one leads. Where somebody leads already
/// who does not come soon enough, it leads the others here and nobody else: to take
/// the row over, as a single job does, would be to wait for others in any order.
pub(crate) async fn join(
    conn: &mut Connection,
    tenant: TenantId,
    now: OffsetDateTime,
    new: New<'_>,
) -> Result<()> {
    let (ids, group) = match new {
        New::Jobs(ids) => (Some(ids), None),
        New::Group(group) => (None, Some(group.as_uuid())),
    };
    // In order of hash, as everywhere, so that nobody waits for another in a ring.
    sqlx::query!(
        "INSERT INTO alike (tenant_id, hash, job_id, lane, priority, deadline, reuse_for)
         SELECT DISTINCT ON (j.hash) j.tenant_id, j.hash, j.id, j.lane, j.priority, q.deadline,
                j.reuse_for
           FROM job j
           JOIN ready q ON q.tenant_id = j.tenant_id AND q.id = j.id
          WHERE j.tenant_id = $1 AND j.hash IS NOT NULL
            AND ($2::uuid[] IS NULL OR j.id = ANY ($2)) AND ($3::uuid IS NULL OR j.group_id = $3)
          ORDER BY j.hash, (j.lane = 'direct') DESC, q.deadline NULLS LAST, j.priority DESC, j.id
             ON CONFLICT DO NOTHING",
        tenant.as_uuid(),
        ids as Option<&[Uuid]>,
        group,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "WITH late AS MATERIALIZED (
             SELECT j.id, j.hash, j.lane, j.priority, q.deadline, j.reuse_for
               FROM job j
               JOIN ready q ON q.tenant_id = j.tenant_id AND q.id = j.id
              WHERE j.tenant_id = $1 AND j.hash IS NOT NULL
                AND ($2::uuid[] IS NULL OR j.id = ANY ($2))
                AND ($3::uuid IS NULL OR j.group_id = $3)
                -- Those who lead are done.
                AND NOT EXISTS (SELECT FROM alike a
                                 WHERE a.tenant_id = $1 AND a.hash = j.hash AND a.job_id = j.id)),
         held AS MATERIALIZED (
             SELECT a.*
               FROM alike a
              WHERE a.tenant_id = $1 AND a.hash IN (SELECT hash FROM late)
                -- The version before ends a job and tells nobody.
                AND (a.ended_at IS NOT NULL
                     OR NOT EXISTS (SELECT FROM result r
                                     WHERE r.tenant_id = $1 AND r.id = a.job_id))
              ORDER BY a.hash
                FOR SHARE OF a),
         served AS (
             SELECT late.id, late.hash, held.job_id AS source_id, held.ended_at
               FROM late
               JOIN held ON held.hash = late.hash
              WHERE serves(ROW(held.*)::alike, $4, late.reuse_for, late.lane, late.priority,
                           late.deadline)),
         alone AS (
             SELECT late.*, row_number() OVER (
                        PARTITION BY hash
                            ORDER BY (lane = 'direct') DESC, deadline NULLS LAST, priority DESC, id)
                        AS place
               FROM late
              WHERE NOT EXISTS (SELECT FROM served WHERE served.id = late.id)),
         follows AS (
             SELECT id, source_id, ended_at FROM served
              UNION ALL
             SELECT other.id, lead.id, NULL
               FROM alone lead
               JOIN alone other ON other.hash = lead.hash AND other.place > 1
              WHERE lead.place = 1
                AND soon_enough(lead.lane, lead.priority, lead.deadline,
                                other.lane, other.priority, other.deadline)),
         reused AS (
             INSERT INTO shared (tenant_id, id, at)
             SELECT DISTINCT $1::uuid, source_id, $4::timestamptz
               FROM follows
              WHERE ended_at IS NOT NULL
              ORDER BY source_id
                 ON CONFLICT DO NOTHING)
         UPDATE ready q
            SET lane = 'follow', source_id = follows.source_id
           FROM follows
          WHERE q.tenant_id = $1 AND q.id = follows.id",
        tenant.as_uuid(),
        ids as Option<&[Uuid]>,
        group,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A job that leads nobody any more.
#[derive(Clone, Debug)]
pub(crate) struct Left {
    pub(crate) job: Uuid,
    /// None for one that shares nothing.
    pub(crate) hash: Option<Vec<u8>>,
    /// It has a good result, which others may take for a while.
    pub(crate) completed: bool,
}

/// What has to be done wherever jobs end, with their results written in the same
/// transaction: from now on nobody joins them, and those who have are to be served.
pub(crate) async fn ended(
    conn: &mut Connection,
    tenant: TenantId,
    now: OffsetDateTime,
    mut left: Vec<Left>,
) -> Result<()> {
    left.retain(|one| one.hash.is_some());
    if left.is_empty() {
        return Ok(());
    }
    leave(conn, tenant, now, &left).await?;
    // A statement of its own, which sees who joined before the rows were taken away.
    // One probe each, nearly always in vain.
    sqlx::query!(
        "INSERT INTO shared (tenant_id, id, at)
         SELECT $1, ended.id, $3
           FROM unnest($2::uuid[]) AS ended (id)
          CROSS JOIN LATERAL (
                SELECT FROM ready q
                 WHERE q.tenant_id = $1 AND q.lane = 'follow' AND q.source_id = ended.id
                 LIMIT 1) AS follower
          ORDER BY ended.id
             -- Whoever is serving it at this moment does not know of this end.
             ON CONFLICT (tenant_id, id) DO UPDATE SET at = excluded.at",
        tenant.as_uuid(),
        &left.iter().map(|one| one.job).collect::<Vec<_>>(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The same for jobs whose hashes are not at hand.
pub(crate) async fn ended_without_answer(
    conn: &mut Connection,
    tenant: TenantId,
    now: OffsetDateTime,
    ids: &[Uuid],
) -> Result<()> {
    let left = sqlx::query!(
        "SELECT id, hash FROM job WHERE tenant_id = $1 AND id = ANY ($2) ORDER BY id",
        tenant.as_uuid(),
        ids,
    )
    .fetch_all(&mut *conn)
    .await?
    .into_iter()
    .map(|row| Left {
        job: row.id,
        hash: row.hash,
        completed: false,
    })
    .collect();
    ended(conn, tenant, now, left).await
}

/// Nobody joins these any more, but who takes their results for as long as they are
/// kept.
pub(crate) async fn leave(
    conn: &mut Connection,
    tenant: TenantId,
    now: OffsetDateTime,
    left: &[Left],
) -> Result<()> {
    sqlx::query!(
        "WITH mine AS MATERIALIZED (
             SELECT a.hash, gone.completed AND a.reuse_for IS NOT NULL AS kept
               FROM unnest($2::uuid[], $3::bytea[], $4::boolean[]) AS gone (id, hash, completed)
               JOIN alike a ON a.tenant_id = $1 AND a.hash = gone.hash AND a.job_id = gone.id
              ORDER BY a.hash
                FOR UPDATE OF a),
         kept AS (
             UPDATE alike a
                SET ended_at = $5, kept_until = $5::timestamptz + make_interval(secs => a.reuse_for)
               FROM mine
              WHERE a.tenant_id = $1 AND a.hash = mine.hash AND mine.kept)
         DELETE FROM alike a
          USING mine
          WHERE a.tenant_id = $1 AND a.hash = mine.hash AND NOT mine.kept",
        tenant.as_uuid(),
        &left.iter().map(|one| one.job).collect::<Vec<_>>(),
        &left.iter().map(|one| one.hash.clone()).collect::<Vec<_>>() as &[Option<Vec<u8>>],
        &left.iter().map(|one| one.completed).collect::<Vec<_>>(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets up to `limit` leaders whose results are too old to be taken. Returns how many.
pub async fn purge(system: &System, now: OffsetDateTime, limit: i64) -> Result<u64> {
    let done = sqlx::query!(
        "DELETE FROM alike a
          USING (SELECT tenant_id, hash FROM alike
                  WHERE kept_until <= $1
                  ORDER BY kept_until
                  LIMIT $2
                    FOR UPDATE SKIP LOCKED) AS old
          WHERE a.tenant_id = old.tenant_id AND a.hash = old.hash",
        now,
        limit,
    )
    .write(system)
    .await?;
    Ok(done.rows_affected())
}

/// Finds leaders that a process of the version before has ended, which tells nobody:
/// they lead no longer, and who followed them is served. Returns how many.
///
/// Reads all who lead, so it is done now and then.
pub async fn mend(system: &System, now: OffsetDateTime) -> Result<u64> {
    let mut tx = system.begin_write().await?;
    let gone = sqlx::query!(
        "DELETE FROM alike a
          USING (SELECT lead.tenant_id, lead.hash
                   FROM alike lead
                  CROSS JOIN LATERAL (
                        SELECT FROM result r
                         WHERE r.tenant_id = lead.tenant_id AND r.id = lead.job_id
                         LIMIT 1) AS ended
                  WHERE lead.ended_at IS NULL
                    FOR UPDATE OF lead SKIP LOCKED) AS old
          WHERE a.tenant_id = old.tenant_id AND a.hash = old.hash",
    )
    .execute(tx.conn())
    .await?;
    // Afterwards, as where jobs end.
    let found = sqlx::query!(
        "INSERT INTO shared (tenant_id, id, at)
         SELECT lead.tenant_id, lead.source_id, $1
           FROM (SELECT DISTINCT tenant_id, source_id FROM ready
                  WHERE lane = 'follow' AND source_id IS NOT NULL) AS lead
          CROSS JOIN LATERAL (
                SELECT FROM result r
                 WHERE r.tenant_id = lead.tenant_id AND r.id = lead.source_id
                 LIMIT 1) AS ended
          ORDER BY lead.tenant_id, lead.source_id
             ON CONFLICT DO NOTHING",
        now,
    )
    .execute(tx.conn())
    .await?;
    tx.commit().await?;
    Ok(gone.rows_affected() + found.rows_affected())
}
