//! Operations: what is done with every job that a filter finds, a chunk at a time.
//!
//! A chunk is one transaction within the walls of its tenant: what it does with its
//! jobs, and how far the operation is after it, are committed together, so that a
//! death at any point repeats nothing and loses nothing. The row is locked by whoever
//! does a chunk, and passed by by everybody else.

use std::time::Duration;

use offpeak_domain::id::{BatchId, GroupId, JobId, OperationId, TenantId};
use offpeak_domain::operation::{Action, State};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::access::Write;
use crate::event;
use crate::job::{Job, known};
use crate::lease::interval;
use crate::list::{Count, Filter};
use crate::{Result, System, TenantTx};

/// An operation, as it stands.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Which.
    pub id: OperationId,
    /// What it does.
    pub action: Action,
    /// Who asked for it: the hint of a key, or the name of a person.
    pub by: String,
    /// When that was.
    pub created_at: OffsetDateTime,
    /// Which jobs, and from where its walk goes on ([`Filter::before`]). Its states are
    /// those in which the action can change a job.
    pub filter: Filter,
    /// How many jobs were found when it was asked for.
    pub expected: Count,
    /// Jobs that it changed.
    pub done: u64,
    /// Jobs that it found and left as they are.
    pub left: u64,
    /// How far it is.
    pub state: State,
    /// When it was done, or stopped.
    pub ended_at: Option<OffsetDateTime>,
    /// What went wrong last, for a person.
    pub problem: Option<String>,
    again: bool,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct New {
    /// Which it is to be.
    pub id: OperationId,
    /// What it is to do.
    pub action: Action,
    /// Who asks.
    pub by: String,
    /// With which jobs. Its states are those in which the action can change a job.
    pub filter: Filter,
    /// How many there are now.
    pub expected: Count,
}

/// What a chunk did.
#[derive(Clone, Copy, Debug)]
pub struct Chunk {
    /// Jobs that it changed.
    pub done: u64,
    /// Jobs that it left as they are.
    pub left: u64,
    /// Where the walk goes on; none at its end.
    pub next: Option<JobId>,
}

struct Row {
    id: Uuid,
    action: String,
    asked_by: String,
    created_at: OffsetDateTime,
    states: Vec<String>,
    group_id: Option<Uuid>,
    r#type: Option<String>,
    user_label: Option<String>,
    model: Option<String>,
    label: Option<String>,
    batch_id: Option<Uuid>,
    since: Option<OffsetDateTime>,
    until: Option<OffsetDateTime>,
    bound: Uuid,
    expected: i64,
    expected_whole: bool,
    place: Option<Uuid>,
    again: bool,
    done: i64,
    left_alone: i64,
    state: String,
    ended_at: Option<OffsetDateTime>,
    problem: Option<String>,
}

impl Row {
    fn read(self) -> Result<Operation> {
        let count = |n: i64| u64::try_from(n).unwrap_or(0);
        let states = self.states.into_iter();
        let states = states.map(|state| known("operation.states", state));
        Ok(Operation {
            id: OperationId::from_uuid(self.id),
            action: known("operation.action", self.action)?,
            by: self.asked_by,
            created_at: self.created_at,
            filter: Filter {
                states: states.collect::<Result<_>>()?,
                group: self.group_id.map(GroupId::from_uuid),
                job_type: self.r#type,
                user: self.user_label,
                model: self.model,
                label: self.label,
                batch: self.batch_id.map(BatchId::from_uuid),
                since: self.since,
                until: self.until,
                before: Some(
                    self.place
                        .map_or_else(|| past(self.bound), JobId::from_uuid),
                ),
            },
            expected: Count {
                jobs: count(self.expected),
                whole: self.expected_whole,
            },
            done: count(self.done),
            left: count(self.left_alone),
            state: known("operation.state", self.state)?,
            ended_at: self.ended_at,
            problem: self.problem,
            again: self.again,
        })
    }
}

/// Right after this one.
fn past(id: Uuid) -> JobId {
    JobId::from_uuid(Uuid::from_u128(id.as_u128().saturating_add(1)))
}

/// Writes one down, for the jobs that are there now; it runs from the commit on.
pub async fn create(tx: &mut TenantTx, new: New) -> Result<Operation> {
    let (tenant, now) = (tx.tenant(), tx.now());
    let New {
        id,
        action,
        by,
        filter,
        expected,
    } = new;
    let states: Vec<String> = filter
        .states
        .iter()
        .map(|state| state.as_str().to_owned())
        .collect();
    let begun = sqlx::query_as!(
        Row,
        r#"INSERT INTO operation (tenant_id, id, action, asked_by, created_at, states, group_id, type,
                                  user_label, model, label, batch_id, since, until, bound,
                                  expected, expected_whole, turn_at)
           SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14,
                  -- What comes from now on has a greater id than all that is there.
                  coalesce((SELECT id FROM job WHERE tenant_id = $1 ORDER BY id DESC LIMIT 1),
                           '00000000-0000-0000-0000-000000000000'),
                  $15, $16, $5
           RETURNING id, action, asked_by, created_at, states, group_id, type, user_label, model,
                     label, batch_id, since, until, bound, expected, expected_whole, place, again,
                     done, left_alone, state, ended_at, problem"#,
        tenant.as_uuid(),
        id.as_uuid(),
        action.as_str(),
        by,
        now,
        &states,
        filter.group.map(GroupId::as_uuid),
        filter.job_type,
        filter.user,
        filter.model,
        filter.label,
        filter.batch.map(BatchId::as_uuid),
        filter.since,
        filter.until,
        i64::try_from(expected.jobs).unwrap_or(i64::MAX),
        expected.whole,
    )
    .fetch_one(tx.conn())
    .await?
    .read()?;
    event::operation(tx.conn(), tenant, id, State::Running).await?;
    Ok(begun)
}

/// One of the tenant's.
pub async fn get(tx: &mut TenantTx, id: OperationId) -> Result<Option<Operation>> {
    sqlx::query_as!(
        Row,
        "SELECT id, action, asked_by, created_at, states, group_id, type, user_label, model, label,
                batch_id, since, until, bound, expected, expected_whole, place, again, done,
                left_alone, state, ended_at, problem
           FROM operation
          WHERE tenant_id = $1 AND id = $2",
        tx.tenant().as_uuid(),
        id.as_uuid(),
    )
    .fetch_optional(tx.conn())
    .await?
    .map(Row::read)
    .transpose()
}

/// The tenant's, newest first.
pub async fn list(
    tx: &mut TenantTx,
    before: Option<OperationId>,
    limit: i64,
) -> Result<Vec<Operation>> {
    sqlx::query_as!(
        Row,
        "SELECT id, action, asked_by, created_at, states, group_id, type, user_label, model, label,
                batch_id, since, until, bound, expected, expected_whole, place, again, done,
                left_alone, state, ended_at, problem
           FROM operation
          WHERE tenant_id = $1 AND ($2::uuid IS NULL OR id < $2)
          ORDER BY id DESC
          LIMIT $3",
        tx.tenant().as_uuid(),
        before.map(OperationId::as_uuid),
        limit,
    )
    .fetch_all(tx.conn())
    .await?
    .into_iter()
    .map(Row::read)
    .collect()
}

/// How many of the tenant's are running.
pub async fn running(tx: &mut TenantTx) -> Result<u64> {
    let n = sqlx::query_scalar!(
        r#"SELECT count(*) AS "n!" FROM operation WHERE tenant_id = $1 AND state = 'running'"#,
        tx.tenant().as_uuid(),
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(u64::try_from(n).unwrap_or(0))
}

/// Ends one before its time, for a reason that a person can read, or because somebody
/// asked for that. False when it has ended, or is not there. It waits for a chunk that
/// is under way.
pub async fn stop(tx: &mut TenantTx, id: OperationId, problem: Option<&str>) -> Result<bool> {
    let (tenant, now) = (tx.tenant(), tx.now());
    let done = sqlx::query!(
        "UPDATE operation SET state = 'stopped', ended_at = $3, problem = $4
          WHERE tenant_id = $1 AND id = $2 AND state = 'running'",
        tenant.as_uuid(),
        id.as_uuid(),
        now,
        problem,
    )
    .execute(tx.conn())
    .await?;
    let stopped = done.rows_affected() == 1;
    if stopped {
        event::operation(tx.conn(), tenant, id, State::Stopped).await?;
    }
    Ok(stopped)
}

/// One that is running, for a chunk of it: nobody else does one until this transaction
/// ends. None when it has ended, or somebody is at it.
pub async fn take(tx: &mut TenantTx, id: OperationId) -> Result<Option<Operation>> {
    sqlx::query_as!(
        Row,
        "SELECT id, action, asked_by, created_at, states, group_id, type, user_label, model, label,
                batch_id, since, until, bound, expected, expected_whole, place, again, done,
                left_alone, state, ended_at, problem
           FROM operation
          WHERE tenant_id = $1 AND id = $2 AND state = 'running'
            FOR UPDATE SKIP LOCKED",
        tx.tenant().as_uuid(),
        id.as_uuid(),
    )
    .fetch_optional(tx.conn())
    .await?
    .map(Row::read)
    .transpose()
}

/// Those of these jobs that were there when the operation was asked for. Lines of an
/// upload that was under way then are older than it, and came later.
pub async fn there(tx: &mut TenantTx, of: &Operation, jobs: &[Job]) -> Result<Vec<JobId>> {
    let mut groups: Vec<Uuid> = jobs
        .iter()
        .filter_map(|job| job.group)
        .map(GroupId::as_uuid)
        .collect();
    groups.sort_unstable();
    groups.dedup();
    let later = if groups.is_empty() {
        Vec::new()
    } else {
        sqlx::query_scalar!(
            "SELECT id FROM job_group
              WHERE tenant_id = $1 AND id = ANY ($2) AND opened_at > $3
              ORDER BY id",
            tx.tenant().as_uuid(),
            &groups,
            of.created_at,
        )
        .fetch_all(tx.conn())
        .await?
    };
    Ok(jobs
        .iter()
        .filter(|job| {
            job.group
                .is_none_or(|group| !later.contains(&group.as_uuid()))
        })
        .map(|job| job.id)
        .collect())
}

/// Writes down what a chunk did, in its transaction. At the end of a walk that changed
/// something a cancel goes over its jobs once more: one that moved from a batch back
/// to the queue meanwhile may have been passed by. A retry does not: what fails again
/// stays failed. Returns whether that was all.
pub async fn chunk(tx: &mut TenantTx, of: &Operation, chunk: Chunk) -> Result<bool> {
    let (tenant, now) = (tx.tenant(), tx.now());
    let changed = of.again || chunk.done > 0;
    let over = chunk.next.is_none();
    let once_more = over && changed && of.action == Action::Cancel;
    let done = over && !once_more;
    let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    sqlx::query!(
        "UPDATE operation
            SET place = $3, again = $4, done = done + $5, left_alone = left_alone + $6,
                state = CASE WHEN $7 THEN 'done' ELSE state END,
                ended_at = CASE WHEN $7 THEN $8::timestamptz END,
                turn_at = $8, problem = NULL
          WHERE tenant_id = $1 AND id = $2",
        tenant.as_uuid(),
        of.id.as_uuid(),
        chunk.next.map(JobId::as_uuid),
        changed && !over,
        count(chunk.done),
        count(chunk.left),
        done,
        now,
    )
    .execute(tx.conn())
    .await?;
    let state = if done { State::Done } else { State::Running };
    event::operation(tx.conn(), tenant, of.id, state).await?;
    Ok(done)
}

/// An operation whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Whose.
    pub tenant: TenantId,
    /// Which.
    pub id: OperationId,
}

/// Whose turn it is: of each tenant the one that has waited longest, and of the
/// tenants up to `limit` who have.
pub async fn due(system: &System, limit: i64) -> Result<Vec<Due>> {
    let rows = sqlx::query!(
        "SELECT tenant_id, id
           FROM (SELECT DISTINCT ON (tenant_id) tenant_id, id, turn_at
                   FROM operation
                  WHERE state = 'running' AND turn_at <= clock_timestamp()
                  ORDER BY tenant_id, turn_at, id) AS first
          ORDER BY turn_at, tenant_id
          LIMIT $1",
        limit,
    )
    .fetch_all(&system.pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Due {
            tenant: TenantId::from_uuid(row.tenant_id),
            id: OperationId::from_uuid(row.id),
        })
        .collect())
}

/// Puts one off whose chunk failed, so that it does not keep others waiting.
pub async fn put_off(system: &System, due: Due, by: Duration, problem: &str) -> Result<()> {
    sqlx::query!(
        "UPDATE operation SET turn_at = clock_timestamp() + $3, problem = $4
          WHERE tenant_id = $1 AND id = $2 AND state = 'running'",
        due.tenant.as_uuid(),
        due.id.as_uuid(),
        interval(by),
        problem,
    )
    .write(system)
    .await?;
    Ok(())
}

/// Forgets up to `limit` that ended before `age` ago. Returns how many.
pub async fn purge(system: &System, now: OffsetDateTime, age: Duration, limit: i64) -> Result<u64> {
    let done = sqlx::query!(
        "DELETE FROM operation
          WHERE ctid = ANY (ARRAY(SELECT ctid FROM operation
                                   WHERE ended_at < $1
                                   ORDER BY ended_at
                                   LIMIT $2))",
        now - age,
        limit,
    )
    .write(system)
    .await?;
    Ok(done.rows_affected())
}
