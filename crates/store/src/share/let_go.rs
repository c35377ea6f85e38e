//! Followers whose source has ended in a way that says nothing of them.

use time::OffsetDateTime;
use uuid::Uuid;

use super::serve::{FOLLOWERS, Source};
use crate::{Result, SystemTx};

/// A follower, with what it asked for.
struct Follower {
    id: Uuid,
    lane: String,
    priority: i16,
    deadline: Option<OffsetDateTime>,
    hash: Vec<u8>,
    reuse_for: Option<i32>,
}

/// Lets some of its followers go on: behind whoever leads those that ask the same by
/// now, or else behind the most urgent of them. One that is in a greater hurry goes
/// alone. Returns how many.
pub(super) async fn let_go(tx: &mut SystemTx, source: &Source, now: OffsetDateTime) -> Result<u64> {
    let tenant = source.tenant.as_uuid();
    let few = sqlx::query_as!(
        Follower,
        r#"WITH few AS MATERIALIZED (
               SELECT id, priority, deadline FROM ready
                WHERE tenant_id = $1 AND lane = 'follow' AND source_id = $2
                ORDER BY id
                LIMIT $3
                  FOR UPDATE SKIP LOCKED)
           SELECT few.id AS "id!", j.lane AS "lane!", few.priority AS "priority!", few.deadline,
                  j.hash AS "hash!", j.reuse_for
             FROM few
            CROSS JOIN LATERAL (
                  SELECT lane, hash, reuse_for FROM job
                   WHERE tenant_id = $1 AND id = few.id
                   LIMIT 1) AS j
            ORDER BY (j.lane = 'direct') DESC, few.deadline NULLS LAST, few.priority DESC, few.id"#,
        tenant,
        source.id,
        FOLLOWERS,
    )
    .fetch_all(tx.conn())
    .await?;
    let Some(first) = few.first() else {
        return Ok(0);
    };
    // It stays open, and stays the leader, until this commits.
    let leads = sqlx::query_scalar!(
        "SELECT a.job_id
           FROM alike a
          WHERE a.tenant_id = $1 AND a.hash = $2 AND a.job_id <> $3 AND a.ended_at IS NULL
            AND serves(a, $4, NULL, $5, $6, $7)
            AND NOT EXISTS (SELECT FROM result r WHERE r.tenant_id = $1 AND r.id = a.job_id)
            FOR UPDATE OF a",
        tenant,
        first.hash,
        source.id,
        now,
        first.lane,
        first.priority,
        first.deadline,
    )
    .fetch_optional(tx.conn())
    .await?;
    if leads.is_none() {
        lead(tx, tenant, first).await?;
    }
    sqlx::query!(
        "WITH moved AS (
             SELECT f.id, f.lane,
                    CASE WHEN f.id <> a.job_id
                          AND soon_enough(a.lane, a.priority, a.deadline, f.lane, f.priority,
                                          f.deadline)
                         THEN a.job_id END AS source_id
               FROM unnest($3::uuid[], $4::text[], $5::smallint[], $6::timestamptz[])
                    AS f (id, lane, priority, deadline)
               JOIN alike a ON a.tenant_id = $1 AND a.hash = $2)
         UPDATE ready q
            SET lane = CASE WHEN moved.source_id IS NULL THEN moved.lane ELSE 'follow' END,
                source_id = moved.source_id
           FROM moved
          WHERE q.tenant_id = $1 AND q.id = moved.id",
        tenant,
        first.hash,
        &few.iter().map(|one| one.id).collect::<Vec<_>>(),
        &few.iter().map(|one| one.lane.clone()).collect::<Vec<_>>(),
        &few.iter().map(|one| one.priority).collect::<Vec<_>>(),
        &few.iter().map(|one| one.deadline).collect::<Vec<_>>() as &[Option<OffsetDateTime>],
    )
    .execute(tx.conn())
    .await?;
    Ok(few.len() as u64)
}

/// Makes a follower the leader of those that ask the same.
async fn lead(tx: &mut SystemTx, tenant: Uuid, first: &Follower) -> Result<()> {
    sqlx::query!(
        "INSERT INTO alike (tenant_id, hash, job_id, lane, priority, deadline, reuse_for)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (tenant_id, hash) DO UPDATE
            SET job_id = excluded.job_id, lane = excluded.lane, priority = excluded.priority,
                deadline = excluded.deadline, reuse_for = excluded.reuse_for,
                ended_at = NULL, kept_until = NULL",
        tenant,
        first.hash,
        first.id,
        first.lane,
        first.priority,
        first.deadline,
        first.reuse_for,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
