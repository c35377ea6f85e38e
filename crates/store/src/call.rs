//! Direct calls: a job's intent to be called for, committed before the first byte
//! leaves, and what became of it.
//!
//! A call stands in `inflight` under an id of its own, as a batch does, so that it
//! is settled by the same code. It is made once: who finds one left behind does
//! not know whether it was made, and never makes it again.

mod line;
mod lost;
mod marked;

use std::time::Duration;

use offpeak_domain::cache::{Mark, Reason};
use offpeak_domain::id::{BatchId, BucketId, GroupId, JobId, TenantId, UpstreamId};
use offpeak_domain::job::{OnUnknown, State};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::access::Write as _;
use crate::batch::{Key, Marked, key};
use crate::cancel::counted_as;
use crate::delta::{self, Change};
use crate::event::{self, Told};
use crate::job::known;
use crate::lease::interval;
use crate::sealed::Piece;
use crate::{Error, Result, System, SystemTx, budget, point};

pub use line::{candidates, next_due};
pub use lost::{came_late, left_behind};
pub use marked::Alike;

/// A job that may be called for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Whose.
    pub tenant: TenantId,
    /// Which.
    pub job: JobId,
    /// The batch beside which; none when it waits.
    pub beside: Option<BatchId>,
}

/// A call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its id, as a batch's.
    pub key: Key,
    /// The job.
    pub job: JobId,
    /// The number of this attempt.
    pub attempt: i32,
    /// The batch beside which it was begun.
    pub beside: Option<BatchId>,
    /// What is done if its answer is lost.
    pub on_unknown: OnUnknown,
}

impl Call {
    /// Its name in incidents, and in what is absorbed.
    pub fn name(&self) -> String {
        format!("call_{}", self.key.batch.as_uuid().simple())
    }
}

/// A call that this process may make now.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Which.
    pub call: Call,
    /// The Messages params.
    pub params: Vec<u8>,
    /// What is put into them, if they begin as others do.
    pub marked: Option<Marked>,
}

/// How a call begins.
#[derive(Clone, Copy, Debug)]
pub struct Begin<'a> {
    /// Its id.
    pub id: BatchId,
    /// To where.
    pub upstream: UpstreamId,
    /// When.
    pub now: OffsetDateTime,
    /// The longest that it may last.
    pub within: Duration,
    /// The process that makes it.
    pub sender: Uuid,
    /// The lease by which that is seen to be alive.
    pub sender_lease: &'a str,
    /// Calls to this upstream at the same time, at most.
    pub parallel: u32,
}

/// What a job brings from where it stood.
struct Taken {
    group: Option<GroupId>,
    attempt: i32,
    tries: i32,
    bytes: i32,
    deadline: Option<OffsetDateTime>,
    on_late: Option<String>,
    from: State,
}

/// Commits the intent to call: from here on bytes may leave. Nothing comes back
/// when another process was faster, when enough calls are under way, when the
/// sender's own lease has run out, or when what the upstream holds was not compared
/// with this very database. `mark` decides whether what it begins with is marked.
pub async fn open(
    system: &System,
    candidate: &Candidate,
    begin: &Begin<'_>,
    mark: impl FnOnce(&Alike) -> (Mark, Reason),
) -> Result<Option<Opened>> {
    let mut tx = system.begin().await?;
    if !may_open(&mut tx, begin).await? {
        return Ok(None);
    }
    let taken = match candidate.beside {
        None => from_queue(&mut tx, candidate, begin).await?,
        Some(batch) => from_batch(&mut tx, candidate, batch, begin).await?,
    };
    let Some(taken) = taken else { return Ok(None) };
    let call = key(candidate.tenant.as_uuid(), begin.id.as_uuid());
    let head = sqlx::query!(
        r#"WITH called AS (
               INSERT INTO call (tenant_id, id, upstream_id, job_id, model, attempt, beside, state,
                                 sender, sent_at, send_deadline)
               SELECT tenant_id, $3, $4, id, model, $5, $6, 'sending', $7, $8,
                      $8::timestamptz + $9::interval
                 FROM job
                WHERE tenant_id = $1 AND id = $2),
           moved AS (
               INSERT INTO inflight (tenant_id, batch_id, id, group_id, attempt, tries, bytes,
                                     deadline, on_late)
               VALUES ($1, $3, $2, $10, $5, $11, $12, $13, $14))
           SELECT j.on_unknown, j.user_label, p.params, p.key_id
             FROM job j
             JOIN payload p ON p.tenant_id = j.tenant_id AND p.id = j.id
            WHERE j.tenant_id = $1 AND j.id = $2"#,
        call.tenant.as_uuid(),
        candidate.job.as_uuid(),
        call.batch.as_uuid(),
        begin.upstream.as_uuid(),
        taken.attempt,
        candidate.beside.map(BatchId::as_uuid),
        begin.sender,
        begin.now,
        interval(begin.within),
        taken.group.map(GroupId::as_uuid),
        taken.tries,
        taken.bytes,
        taken.deadline,
        taken.on_late,
    )
    .fetch_one(tx.conn())
    .await?;
    // What does not open is not called for.
    let seal = tx.opener(call.tenant).await?;
    let params = seal.open(
        Piece::Params(candidate.job.as_uuid()),
        head.key_id,
        head.params,
    )?;
    moved(
        &mut tx,
        call,
        candidate.job,
        (taken.group, head.user_label.as_deref()),
        (taken.from, State::Processing),
    )
    .await?;
    let of = (call, begin.upstream, candidate.job);
    let marked = marked::mark(tx.conn(), of, begin.now, mark).await?;
    point!("direct.intent_open");
    tx.commit().await?;
    Ok(Some(Opened {
        call: Call {
            key: call,
            job: candidate.job,
            attempt: taken.attempt,
            beside: candidate.beside,
            on_unknown: on_unknown(head.on_unknown),
        },
        params,
        marked,
    }))
}

/// Lets others go before it until then. One that somebody else has in hand stays as it is.
pub async fn put_off(system: &System, candidate: &Candidate, until: OffsetDateTime) -> Result<()> {
    sqlx::query!(
        "UPDATE ready SET not_before = $3
          WHERE tenant_id = $1 AND id = $2 AND lane = 'direct'",
        candidate.tenant.as_uuid(),
        candidate.job.as_uuid(),
        until,
    )
    .write(system)
    .await?;
    Ok(())
}

/// Whether one more call may be made now, and whether by that key still. Those who ask stand in a line, so that
/// the number of calls under way is right.
async fn may_open(tx: &mut SystemTx, begin: &Begin<'_>) -> Result<bool> {
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(hashtextextended('offpeak.call/' || $1::text, 0)) AS locked",
        begin.upstream.as_uuid().to_string(),
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(sqlx::query_scalar!(
        r#"SELECT (SELECT count(*) FROM call WHERE upstream_id = $1 AND state = 'sending') < $2
                  AND has_key($1)
                  AND EXISTS (SELECT FROM lease
                               WHERE name = $3 AND holder = $4 AND expires_at > clock_timestamp())
                  AND EXISTS (SELECT FROM comparison c
                               WHERE c.upstream_id = $1 AND c.incarnation = incarnation()
                                 AND c.started_at = pg_postmaster_start_time()) AS "may!""#,
        begin.upstream.as_uuid(),
        i64::from(begin.parallel),
        begin.sender_lease,
        begin.sender,
    )
    .fetch_one(tx.conn())
    .await?)
}

async fn from_queue(
    tx: &mut SystemTx,
    candidate: &Candidate,
    begin: &Begin<'_>,
) -> Result<Option<Taken>> {
    let Some(row) = sqlx::query!(
        "DELETE FROM ready
          WHERE tenant_id = $1 AND id = $2 AND lane = 'direct' AND not_before <= $3
            AND NOT EXISTS (SELECT FROM hold h WHERE h.upstream_id = $4 AND h.first_free > $2)
         RETURNING bucket_id, group_id, attempt, tries, bytes, deadline, on_late",
        candidate.tenant.as_uuid(),
        candidate.job.as_uuid(),
        begin.now,
        begin.upstream.as_uuid(),
    )
    .fetch_optional(tx.conn())
    .await?
    else {
        return Ok(None);
    };
    let bucket = BucketId::from_uuid(row.bucket_id);
    let left = Change::ready(bucket, -1, -i64::from(row.bytes));
    delta::append(tx.conn(), candidate.tenant, [left]).await?;
    Ok(Some(Taken {
        group: row.group_id.map(GroupId::from_uuid),
        attempt: row.attempt,
        tries: row.tries,
        bytes: row.bytes,
        deadline: row.deadline,
        on_late: row.on_late,
        from: State::Queued,
    }))
}

/// Marks the row in the batch: from now on the call leads.
async fn from_batch(
    tx: &mut SystemTx,
    candidate: &Candidate,
    batch: BatchId,
    begin: &Begin<'_>,
) -> Result<Option<Taken>> {
    // With its row held the batch does not change its state, and with that the
    // one that its jobs are counted in.
    let Some(state) = sqlx::query_scalar!(
        "SELECT state FROM batch
          WHERE tenant_id = $1 AND id = $2
            AND state IN ('sending', 'uncertain', 'in_progress', 'canceling')
            FOR SHARE",
        candidate.tenant.as_uuid(),
        batch.as_uuid(),
    )
    .fetch_optional(tx.conn())
    .await?
    else {
        return Ok(None);
    };
    let row = sqlx::query!(
        r#"UPDATE inflight
              SET canceled = true, direct_from = NULL,
                  next_attempt = coalesce(next_attempt, attempt + 1) + 1
            WHERE tenant_id = $1 AND batch_id = $2 AND id = $3 AND NOT canceled
              AND direct_from <= $4
           RETURNING group_id, next_attempt - 1 AS "attempt!", tries, bytes, deadline, on_late"#,
        candidate.tenant.as_uuid(),
        batch.as_uuid(),
        candidate.job.as_uuid(),
        begin.now,
    )
    .fetch_optional(tx.conn())
    .await?;
    let from = counted_as(known("batch.state", state)?);
    Ok(row.map(|row| Taken {
        group: row.group_id.map(GroupId::from_uuid),
        attempt: row.attempt,
        tries: row.tries,
        bytes: row.bytes,
        deadline: row.deadline,
        on_late: row.on_late,
        from,
    }))
}

/// Counts and tells that a job came from one state into another.
async fn moved(
    tx: &mut SystemTx,
    call: Key,
    job: JobId,
    (group, user): (Option<GroupId>, Option<&str>),
    (from, to): (State, State),
) -> Result<()> {
    if from == to {
        return Ok(());
    }
    let changes = Change::moved(group, from, to, 1);
    delta::append(tx.conn(), call.tenant, changes).await?;
    let told = vec![Told::moved(job, to, group, user)];
    event::jobs(tx.conn(), call.tenant, None, told).await
}

fn on_unknown(word: Option<String>) -> OnUnknown {
    // One of a newer version is not known here, and nothing is paid twice by `fail`.
    word.and_then(|word| word.parse().ok())
        .unwrap_or(OnUnknown::Fail)
}

/// Whether nobody has given this call up.
pub async fn is_sending(system: &System, call: &Call, sender: Uuid) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM call
                           WHERE tenant_id = $1 AND id = $2 AND state = 'sending'
                             AND sender = $3) AS "is!""#,
        call.key.tenant.as_uuid(),
        call.key.batch.as_uuid(),
        sender,
    )
    .fetch_one(&system.pool)
    .await?)
}

/// Nothing came of it, for certain: the job waits again, not before `at`, and this
/// was no attempt.
pub async fn not_made(
    system: &System,
    call: &Call,
    sender: Uuid,
    at: OffsetDateTime,
) -> Result<()> {
    let mut tx = system.begin().await?;
    let (tenant, id) = (call.key.tenant.as_uuid(), call.key.batch.as_uuid());
    let besides = crate::settle::lock_both(tx.conn(), call.key, call.job, call.beside).await?;
    let gone = sqlx::query!(
        "DELETE FROM call WHERE tenant_id = $1 AND id = $2 AND state = 'sending' AND sender = $3",
        tenant,
        id,
        sender,
    )
    .execute(tx.conn())
    .await?;
    if gone.rows_affected() == 0 {
        return Err(Error::Moved(call.key.batch));
    }
    let row = sqlx::query!(
        r#"WITH gone AS (
               DELETE FROM inflight
                WHERE tenant_id = $1 AND batch_id = $2 AND id = $3
               RETURNING id, group_id, attempt, tries, canceled, deadline, on_late)
           SELECT g.group_id AS "group_id?", g.attempt AS "attempt!", g.tries AS "tries!",
                  g.canceled AS "canceled!", g.deadline AS "deadline?", g.on_late AS "on_late?",
                  j.bucket_id AS "bucket_id!", j.priority AS "priority!", j.bytes AS "bytes!",
                  j.user_label AS "user_label?"
             FROM gone g
             JOIN job j ON j.tenant_id = $1 AND j.id = g.id"#,
        tenant,
        id,
        call.job.as_uuid(),
    )
    .fetch_one(tx.conn())
    .await?;
    // Its result stands already: nothing is left to be done.
    if row.canceled {
        let ended = [call.job.as_uuid()];
        budget::settle(tx.conn(), call.key.tenant, at, &ended, &[]).await?;
        return tx.commit().await;
    }
    let state = if let Some((batch, state)) = besides {
        sqlx::query!(
            "UPDATE inflight SET canceled = false, direct_from = $4, next_attempt = $5
              WHERE tenant_id = $1 AND batch_id = $2 AND id = $3",
            tenant,
            batch.as_uuid(),
            call.job.as_uuid(),
            at,
            row.attempt,
        )
        .execute(tx.conn())
        .await?;
        state
    } else {
        sqlx::query!(
            "INSERT INTO ready (tenant_id, id, bucket_id, group_id, priority, not_before, bytes,
                                attempt, tries, lane, deadline, on_late)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'direct', $10, $11)",
            tenant,
            call.job.as_uuid(),
            row.bucket_id,
            row.group_id,
            row.priority,
            at,
            row.bytes,
            row.attempt,
            row.tries,
            row.deadline,
            row.on_late,
        )
        .execute(tx.conn())
        .await?;
        let bucket = BucketId::from_uuid(row.bucket_id);
        let back = Change::ready(bucket, 1, i64::from(row.bytes));
        delta::append(tx.conn(), call.key.tenant, [back]).await?;
        State::Queued
    };
    let group = row.group_id.map(GroupId::from_uuid);
    let of = (group, row.user_label.as_deref());
    let change = (State::Processing, state);
    moved(&mut tx, call.key, call.job, of, change).await?;
    tx.commit().await
}
