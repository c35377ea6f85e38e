//! Retry by a user: the one way in which a final state changes. The old result
//! moves into `attempt`, and the job stands in the queue again.

use std::collections::{BTreeMap, HashMap};

use offpeak_domain::budget::Expected;
use offpeak_domain::id::{BucketId, GroupId, JobId};
use offpeak_domain::job::{Lane, Outcome, State};
use uuid::Uuid;

use crate::budget::{self, Wanted};
use crate::delta::{self, Change};
use crate::event::{self, Told};
use crate::job::known;
use crate::share::{self, Left};
use crate::{Error, Result, TenantTx};

/// How the jobs ended that have no answer to lose.
pub const TROUBLED: &[Outcome] = &[Outcome::Failed, Outcome::Canceled];

/// What a retry did.
#[derive(Clone, Debug, Default)]
pub struct Retried {
    /// Jobs that are queued again.
    pub retried: Vec<JobId>,
    /// Canceled jobs whose attempt has not come back from Anthropic: retried
    /// now they could be paid for twice at once.
    pub in_flight: Vec<JobId>,
}

/// A job that a retry would queue, as far as its cost goes.
#[derive(Clone, Debug)]
pub struct Again {
    /// Which.
    pub job: JobId,
    /// Its type, without the version.
    pub job_type: Option<String>,
    /// The model that it asks for.
    pub model: String,
    /// How it is to reach Anthropic.
    pub lane: Lane,
}

/// Those of these jobs that ended with one of `outcomes`: what [`jobs`] may queue
/// again.
pub async fn ended(tx: &mut TenantTx, ids: &[JobId], outcomes: &[Outcome]) -> Result<Vec<Again>> {
    let rows = sqlx::query!(
        r#"SELECT j.id AS "id!", j.type AS "type?", j.model AS "model!", j.lane AS "lane!"
             FROM unnest($2::uuid[]) AS asked (id)
            CROSS JOIN LATERAL (
                  SELECT outcome FROM result
                   WHERE tenant_id = $1 AND id = asked.id AND outcome = ANY ($3)
                   LIMIT 1) AS r
            CROSS JOIN LATERAL (
                  SELECT id, type, model, lane FROM job
                   WHERE tenant_id = $1 AND id = asked.id
                   LIMIT 1) AS j
            ORDER BY j.id"#,
        tx.tenant().as_uuid(),
        &ids.iter().map(|id| id.as_uuid()).collect::<Vec<_>>(),
        &outcomes.iter().map(|one| one.as_str()).collect::<Vec<_>>() as &[&str],
    )
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Again {
                job: JobId::from_uuid(row.id),
                job_type: row.r#type,
                model: row.model,
                lane: known("job.lane", row.lane)?,
            })
        })
        .collect()
}

/// Queues again those of these jobs that ended with one of `outcomes`; the
/// others are left alone. Up to about a thousand at a time. What they are `expected`
/// to cost is reserved like a submit's, which a hard budget may refuse
/// ([`Error::OverBudget`]). Those whose input is gone are left alone, too.
pub async fn jobs(
    tx: &mut TenantTx,
    ids: &[JobId],
    outcomes: &[Outcome],
    expected: &BTreeMap<JobId, Expected>,
) -> Result<Retried> {
    let (tenant, now) = (tx.tenant(), tx.now());
    let mut ids: Vec<Uuid> = ids.iter().map(|id| id.as_uuid()).collect();
    ids.sort_unstable();
    let outcomes: Vec<String> = outcomes
        .iter()
        .map(|outcome| outcome.as_str().to_owned())
        .collect();
    let rows = sqlx::query!(
        r#"WITH gone AS (
               DELETE FROM result r
                WHERE r.tenant_id = $1 AND r.id = ANY ($2) AND r.outcome = ANY ($3)
                  AND NOT EXISTS (SELECT FROM inflight i
                                   WHERE i.tenant_id = r.tenant_id AND i.id = r.id)
                  -- Its retention is over: there is nothing to send.
                  AND EXISTS (SELECT FROM payload p
                               WHERE p.tenant_id = r.tenant_id AND p.id = r.id)
               RETURNING r.id, r.outcome, r.label, r.batch_id, r.attempt, r.group_id,
                         r.ended_at, r.cost_pico, r.line_hash,
                         -- It was called for beside the batch that gave its result.
                         (SELECT max(a.attempt) FROM attempt a
                           WHERE a.tenant_id = r.tenant_id AND a.id = r.id) AS called),
           lines AS (
               DELETE FROM output o
                WHERE o.tenant_id = $1 AND o.id = ANY ($2)
                  AND EXISTS (SELECT FROM gone WHERE gone.id = o.id)
               RETURNING o.id, o.line, o.key_id),
           kept AS (
               INSERT INTO attempt (tenant_id, id, attempt, outcome, label, batch_id,
                                    ended_at, cost_pico, line, key_id, line_hash)
               SELECT $1, g.id, g.attempt, g.outcome, g.label, g.batch_id,
                      g.ended_at, g.cost_pico, l.line, coalesce(l.key_id, 0),
                      g.line_hash
                 FROM gone g
                 LEFT JOIN lines l ON l.id = g.id
                -- The late line of a canceled job may stand there already, and
                -- says more.
                   ON CONFLICT DO NOTHING)
           SELECT id AS "id!", outcome AS "outcome!",
                  greatest(attempt, called) AS "attempt!", group_id,
                  true AS "gone!"
             FROM gone
            UNION ALL
           -- In one look with those that went: asked for afterwards, one whose
           -- line has come in between would be neither.
           SELECT r.id, r.outcome, r.attempt, r.group_id, false
             FROM result r
            WHERE r.tenant_id = $1 AND r.id = ANY ($2) AND r.outcome = ANY ($3)
              AND EXISTS (SELECT FROM inflight i
                           WHERE i.tenant_id = r.tenant_id AND i.id = r.id)
            ORDER BY 1"#,
        tenant.as_uuid(),
        &ids,
        &outcomes,
    )
    .fetch_all(tx.conn())
    .await?;

    let (rows, left): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.gone);
    let again: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let queued = sqlx::query!(
        r#"WITH again AS (
               SELECT j.tenant_id, j.id, j.bucket_id, j.group_id, j.priority, j.bytes,
                      j.user_label, j.type, j.lane, j.deliver_within, j.on_late, j.hash, t.attempt
                 FROM unnest($3::uuid[], $4::int[]) AS t (id, attempt)
                 JOIN job j ON j.tenant_id = $1 AND j.id = t.id
                -- Asked once more with the results locked: they may have been waited
                -- for while their inputs went.
                 JOIN payload p ON p.tenant_id = $1 AND p.id = t.id),
           queued AS (
               INSERT INTO ready (tenant_id, id, bucket_id, group_id, priority, not_before,
                                  bytes, attempt, lane, deadline, on_late)
               SELECT tenant_id, id, bucket_id, group_id, priority, $2, bytes, attempt, lane,
                      $2::timestamptz + make_interval(secs => deliver_within), on_late
                 FROM again
                ORDER BY id)
           SELECT id AS "id!", bucket_id AS "bucket_id!", group_id, bytes AS "bytes!", user_label,
                  hash, type
             FROM again
            ORDER BY id"#,
        tenant.as_uuid(),
        now,
        &again,
        &rows
            .iter()
            .map(|row| row.attempt.saturating_add(1))
            .collect::<Vec<_>>(),
    )
    .fetch_all(tx.conn())
    .await?;

    if let Some(lost) = again
        .iter()
        .find(|id| !queued.iter().any(|row| row.id == **id))
        .filter(|_| queued.len() < again.len())
    {
        return Err(Error::InputGone(JobId::from_uuid(*lost)));
    }
    // Nobody takes a result that is gone. Those who have wait for the next one.
    let results: Vec<Left> = queued
        .iter()
        .filter(|row| row.hash.is_some())
        .map(|row| Left {
            job: row.id,
            hash: row.hash.clone(),
            completed: false,
        })
        .collect();
    share::leave(tx.conn(), tenant, now, &results).await?;
    let mut changes: Vec<Change> = queued
        .iter()
        .map(|row| Change::ready(BucketId::from_uuid(row.bucket_id), 1, i64::from(row.bytes)))
        .collect();
    let mut moved = HashMap::<(Option<GroupId>, Outcome), i64>::new();
    for row in rows {
        let outcome: Outcome = known("result.outcome", row.outcome)?;
        *moved
            .entry((row.group_id.map(GroupId::from_uuid), outcome))
            .or_default() += 1;
    }
    for ((group, outcome), n) in moved {
        changes.extend(Change::moved(group, State::from(outcome), State::Queued, n));
    }
    delta::append(tx.conn(), tenant, changes).await?;
    let told: Vec<Told> = queued
        .iter()
        .map(|row| {
            let group = row.group_id.map(GroupId::from_uuid);
            let job = JobId::from_uuid(row.id);
            Told::moved(job, State::Queued, group, row.user_label.as_deref())
        })
        .collect();
    event::jobs(tx.conn(), tenant, None, told).await?;
    let wanted: Vec<Wanted<'_>> = queued
        .iter()
        .map(|row| Wanted {
            job: JobId::from_uuid(row.id),
            user: row.user_label.as_deref(),
            job_type: row.r#type.as_deref(),
            expected: expected.get(&JobId::from_uuid(row.id)).copied(),
        })
        .collect();
    budget::reserve_all(tx, now, &wanted).await?;

    Ok(Retried {
        retried: again.into_iter().map(JobId::from_uuid).collect(),
        in_flight: left
            .into_iter()
            .map(|row| JobId::from_uuid(row.id))
            .collect(),
    })
}
