//! Jobs whose deadline nears: which they are, and what is done for them.

use std::collections::BTreeMap;

use offpeak_domain::id::{BatchId, BucketId, GroupId, JobId, TenantId, UpstreamId};
use offpeak_domain::job::{Failure, Outcome, State};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::access::Write as _;
use crate::cancel::counted_as;
use crate::delta::{self, Change};
use crate::event::{self, Told, UserKey};
use crate::job::known;
use crate::{Result, System, SystemTx, budget, share};

/// A job that is to be called for if its batch does not make it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Late {
    /// Whose.
    pub tenant: TenantId,
    /// Which.
    pub job: JobId,
    /// The batch that it is in; none while it waits.
    pub batch: Option<BatchId>,
    /// Until when it is wanted.
    pub deadline: OffsetDateTime,
    /// It is to be called for already, or being called for: it takes its place in
    /// the line of calls.
    pub called: bool,
}

/// The open jobs of an upstream with a deadline that escalate, the earliest
/// deadline first, and whatever else stands in the line of direct calls.
pub async fn line(system: &System, upstream: UpstreamId, limit: i64) -> Result<Vec<Late>> {
    let rows = sqlx::query!(
        r#"SELECT tenant_id AS "tenant_id!", id AS "id!", batch_id, deadline AS "deadline!",
                  called AS "called!"
             FROM (SELECT q.tenant_id, q.id, NULL::uuid AS batch_id, q.deadline,
                          q.lane = 'direct' AS called
                     FROM (SELECT tenant_id, id, bucket_id, deadline, lane FROM ready r
                            WHERE deadline IS NOT NULL
                              AND (on_late = 'escalate' OR lane = 'direct')
                              -- Nothing is faster than the call that its leader gets.
                              AND (lane <> 'follow'
                                   OR NOT is_seen_to(r.tenant_id, r.source_id, r.deadline))
                            ORDER BY deadline
                            LIMIT $2) AS q
                     JOIN bucket b ON b.tenant_id = q.tenant_id AND b.id = q.bucket_id
                    WHERE b.upstream_id = $1
                    UNION ALL
                   SELECT i.tenant_id, i.id, i.batch_id, i.deadline,
                          i.direct_from IS NOT NULL OR c.id IS NOT NULL
                     FROM (SELECT tenant_id, id, batch_id, deadline, direct_from FROM inflight
                            WHERE deadline IS NOT NULL AND NOT canceled
                              AND on_late = 'escalate'
                            ORDER BY deadline
                            LIMIT $2) AS i
                     LEFT JOIN batch b ON b.tenant_id = i.tenant_id AND b.id = i.batch_id
                     LEFT JOIN call c ON c.tenant_id = i.tenant_id AND c.id = i.batch_id
                    -- What has ended is being read at this moment.
                    WHERE (b.upstream_id = $1
                           AND b.state IN ('sending', 'uncertain', 'in_progress', 'canceling'))
                       OR c.upstream_id = $1) AS open
            ORDER BY deadline, id
            LIMIT $2"#,
        upstream.as_uuid(),
        limit,
    )
    .fetch_all(&system.pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Late {
            tenant: TenantId::from_uuid(row.tenant_id),
            job: JobId::from_uuid(row.id),
            batch: row.batch_id.map(BatchId::from_uuid),
            deadline: row.deadline,
            called: row.called,
        })
        .collect())
}

/// What an escalation moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Escalated {
    /// Jobs that waited: they are called for instead of being batched.
    pub queued: u64,
    /// Jobs in batches: they are called for besides.
    pub in_batch: u64,
}

/// Puts these jobs into the line of direct calls. Those that have moved on since
/// are left alone.
pub async fn escalate(system: &System, late: &[Late], now: OffsetDateTime) -> Result<Escalated> {
    let of = |in_batch: bool| {
        late.iter()
            .filter(move |one| one.batch.is_some() == in_batch)
    };
    let queued = sqlx::query!(
        "UPDATE ready q SET lane = 'direct', source_id = NULL
           FROM unnest($1::uuid[], $2::uuid[]) AS late (tenant_id, id)
          WHERE q.tenant_id = late.tenant_id AND q.id = late.id AND q.lane <> 'direct'",
        &of(false)
            .map(|one| one.tenant.as_uuid())
            .collect::<Vec<_>>(),
        &of(false).map(|one| one.job.as_uuid()).collect::<Vec<_>>(),
    )
    .write(system)
    .await?
    .rows_affected();
    let in_batch = sqlx::query!(
        "UPDATE inflight i SET direct_from = $4
           FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) AS late (tenant_id, batch_id, id)
          WHERE i.tenant_id = late.tenant_id AND i.batch_id = late.batch_id AND i.id = late.id
            AND NOT i.canceled AND i.direct_from IS NULL",
        &of(true).map(|one| one.tenant.as_uuid()).collect::<Vec<_>>(),
        &of(true)
            .filter_map(|one| one.batch.map(BatchId::as_uuid))
            .collect::<Vec<_>>(),
        &of(true).map(|one| one.job.as_uuid()).collect::<Vec<_>>(),
        now,
    )
    .write(system)
    .await?
    .rows_affected();
    Ok(Escalated { queued, in_batch })
}

/// When the next job that fails at its deadline does so.
pub async fn next_failing(system: &System) -> Result<Option<OffsetDateTime>> {
    Ok(sqlx::query_scalar!(
        "SELECT least((SELECT min(deadline) FROM ready
                        WHERE deadline IS NOT NULL AND on_late = 'fail'),
                      (SELECT min(deadline) FROM inflight
                        WHERE deadline IS NOT NULL AND on_late = 'fail' AND NOT canceled)) AS next"
    )
    .fetch_one(&system.pool)
    .await?)
}

/// One job that is being ended.
struct Missed {
    tenant: Uuid,
    id: Uuid,
    batch: Option<Uuid>,
    attempt: i32,
    was: State,
}

/// Ends jobs that were to fail at their deadline, as far as that has passed. What
/// is already on its way is set aside when it comes, and booked. Returns how many.
pub async fn fail(system: &System, now: OffsetDateTime, limit: i64) -> Result<u64> {
    let mut tx = system.begin().await?;
    let mut missed = from_queue(&mut tx, now, limit).await?;
    missed.extend(from_flight(&mut tx, now, limit).await?);
    if missed.is_empty() {
        return Ok(0);
    }
    end(&mut tx, now, &missed).await?;
    let mut tenants = BTreeMap::<Uuid, Vec<Uuid>>::new();
    for one in &missed {
        tenants.entry(one.tenant).or_default().push(one.id);
    }
    for (tenant, jobs) in tenants {
        let tenant = TenantId::from_uuid(tenant);
        budget::settle(tx.conn(), tenant, now, &jobs, &[]).await?;
    }
    tx.commit().await?;
    Ok(missed.len() as u64)
}

async fn from_queue(tx: &mut SystemTx, now: OffsetDateTime, limit: i64) -> Result<Vec<Missed>> {
    let rows = sqlx::query!(
        "DELETE FROM ready q
          USING (SELECT tenant_id, id FROM ready
                  WHERE deadline <= $1 AND on_late = 'fail'
                  ORDER BY deadline, id
                  LIMIT $2
                    FOR UPDATE SKIP LOCKED) AS late
          WHERE q.tenant_id = late.tenant_id AND q.id = late.id
         RETURNING q.tenant_id, q.id, q.bucket_id, q.bytes, q.attempt",
        now,
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    for row in &rows {
        let bucket = BucketId::from_uuid(row.bucket_id);
        let left = Change::ready(bucket, -1, -i64::from(row.bytes));
        delta::append(tx.conn(), TenantId::from_uuid(row.tenant_id), [left]).await?;
    }
    Ok(rows
        .into_iter()
        .map(|row| Missed {
            tenant: row.tenant_id,
            id: row.id,
            batch: None,
            attempt: row.attempt,
            was: State::Queued,
        })
        .collect())
}

/// Marks the rows in batches and calls, as a cancel does, and in the same order:
/// batches first, so that none changes the state in which its jobs are counted.
async fn from_flight(tx: &mut SystemTx, now: OffsetDateTime, limit: i64) -> Result<Vec<Missed>> {
    let late = sqlx::query!(
        "SELECT tenant_id, batch_id, id FROM inflight
          WHERE deadline <= $1 AND on_late = 'fail' AND NOT canceled
          ORDER BY deadline, id
          LIMIT $2",
        now,
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    if late.is_empty() {
        return Ok(Vec::new());
    }
    let batches: Vec<Uuid> = late.iter().map(|row| row.batch_id).collect();
    let states: BTreeMap<Uuid, String> = sqlx::query!(
        "SELECT id, state FROM batch WHERE id = ANY ($1) ORDER BY id FOR SHARE",
        &batches,
    )
    .fetch_all(tx.conn())
    .await?
    .into_iter()
    .map(|row| (row.id, row.state))
    .collect();
    sqlx::query!(
        "SELECT id FROM call WHERE id = ANY ($1) ORDER BY id FOR UPDATE",
        &batches,
    )
    .fetch_all(tx.conn())
    .await?;
    let rows = sqlx::query!(
        "UPDATE inflight i SET canceled = true, direct_from = NULL
           FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) AS late (tenant_id, batch_id, id)
          WHERE i.tenant_id = late.tenant_id AND i.batch_id = late.batch_id AND i.id = late.id
            AND NOT i.canceled
         RETURNING i.tenant_id, i.id, i.batch_id, i.attempt",
        &late.iter().map(|row| row.tenant_id).collect::<Vec<_>>(),
        &batches,
        &late.iter().map(|row| row.id).collect::<Vec<_>>(),
    )
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter()
        .map(|row| {
            let was = match states.get(&row.batch_id) {
                Some(state) => counted_as(known("batch.state", state.clone())?),
                None => State::Processing,
            };
            Ok(Missed {
                tenant: row.tenant_id,
                id: row.id,
                batch: Some(row.batch_id),
                attempt: row.attempt,
                was,
            })
        })
        .collect()
}

async fn end(tx: &mut SystemTx, now: OffsetDateTime, missed: &[Missed]) -> Result<()> {
    let failure = Failure::DeadlineMissed;
    let mut tenants: Vec<Uuid> = missed.iter().map(|one| one.tenant).collect();
    tenants.sort_unstable();
    tenants.dedup();
    for tenant in tenants {
        let of: Vec<&Missed> = missed.iter().filter(|one| one.tenant == tenant).collect();
        let ended = sqlx::query!(
            "INSERT INTO result (tenant_id, id, outcome, label, message, group_id, type, user_label,
                                 model, batch_id, attempt, ended_at)
             SELECT j.tenant_id, j.id, $2, $3, $4, j.group_id, j.type, j.user_label, j.model,
                    t.batch_id, t.attempt, $5
               FROM unnest($6::uuid[], $7::uuid[], $8::int[]) AS t (id, batch_id, attempt)
               JOIN job j ON j.tenant_id = $1 AND j.id = t.id
              ORDER BY j.id
             RETURNING id, group_id, user_label",
            tenant,
            Outcome::Failed.as_str(),
            failure.label(),
            failure.message(),
            now,
            &of.iter().map(|one| one.id).collect::<Vec<_>>(),
            &of.iter().map(|one| one.batch).collect::<Vec<_>>() as &[Option<Uuid>],
            &of.iter().map(|one| one.attempt).collect::<Vec<_>>(),
        )
        .fetch_all(tx.conn())
        .await?;
        let whose = TenantId::from_uuid(tenant);
        let (mut told, mut changes) = (Vec::new(), Vec::new());
        for row in ended {
            let group = row.group_id.map(GroupId::from_uuid);
            let was = of.iter().find(|one| one.id == row.id).map(|one| one.was);
            changes.extend(
                was.into_iter()
                    .flat_map(|was| Change::moved(group, was, State::Failed, 1)),
            );
            told.push(Told {
                job: JobId::from_uuid(row.id),
                state: State::Failed,
                label: Some(failure.label()),
                group,
                user: row.user_label.as_deref().map(UserKey::of),
                cost: Some(0),
            });
        }
        delta::append(tx.conn(), whose, changes).await?;
        event::jobs(tx.conn(), whose, None, told).await?;
        let ids: Vec<Uuid> = of.iter().map(|one| one.id).collect();
        share::ended_without_answer(tx.conn(), whose, now, &ids).await?;
    }
    Ok(())
}
