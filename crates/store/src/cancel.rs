//! Cancel: what waits is taken out of the queue, what is already on its way
//! keeps its row, marked, so that its late line is set aside and still booked.

use std::collections::{HashMap, HashSet};

use offpeak_domain::id::{BucketId, GroupId, JobId, TenantId};
use offpeak_domain::job::{Outcome, State};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::bounded::Connection;
use crate::delta::{self, Change};
use crate::event::{self, Told};
use crate::job::known;
use crate::{Result, TenantTx, budget, share};

/// What a cancel did.
#[derive(Clone, Debug, Default)]
pub struct Canceled {
    /// Jobs that this call ended.
    pub canceled: Vec<JobId>,
    /// Jobs that kept moving between queue and batch while they were looked
    /// for; the same call may be made again.
    pub moving: Vec<JobId>,
}

/// One job that is being ended.
struct Taken {
    id: Uuid,
    group: Option<GroupId>,
    batch: Option<Uuid>,
    attempt: i32,
    was: State,
}

/// Ends these jobs, as far as they have not ended. Ids that are not there, or
/// only being staged, are left alone. Up to about a thousand at a time.
pub async fn jobs(tx: &mut TenantTx, ids: &[JobId]) -> Result<Canceled> {
    let (tenant, now) = (tx.tenant(), tx.now());
    of_tenant(tx.conn(), tenant, now, ids).await
}

/// A transaction, and whose jobs it ends.
struct Within<'a> {
    conn: &'a mut Connection,
    tenant: TenantId,
    now: OffsetDateTime,
}

impl Within<'_> {
    fn conn(&mut self) -> &mut Connection {
        self.conn
    }

    fn tenant(&self) -> TenantId {
        self.tenant
    }

    fn now(&self) -> OffsetDateTime {
        self.now
    }
}

/// The same in any transaction.
pub(crate) async fn of_tenant(
    conn: &mut Connection,
    tenant: TenantId,
    now: OffsetDateTime,
    ids: &[JobId],
) -> Result<Canceled> {
    let tx = &mut Within { conn, tenant, now };
    let mut rest: Vec<Uuid> = ids.iter().map(|id| id.as_uuid()).collect();
    // In one order everywhere, so that two cancels do not deadlock.
    rest.sort_unstable();
    rest.dedup();
    let mut canceled: Vec<JobId> = Vec::new();
    // Between two statements a job may move from the queue into a batch or
    // back. It stands in one of the two before and after, so looking again
    // finds it.
    for _ in 0..3 {
        if rest.is_empty() {
            break;
        }
        let mut taken = from_queue(tx, &rest).await?;
        leave(&mut rest, &taken);
        let in_batches = from_batches(tx, &rest).await?;
        leave(&mut rest, &in_batches);
        taken.extend(in_batches);
        end(tx, &taken).await?;
        canceled.extend(taken.iter().map(|taken| JobId::from_uuid(taken.id)));
        rest = still_open(tx, &rest).await?;
    }
    // What is on its way keeps what was reserved for it until it is back.
    let ended: Vec<Uuid> = canceled.iter().map(|job| job.as_uuid()).collect();
    let (tenant, now) = (tx.tenant(), tx.now());
    budget::settle(tx.conn(), tenant, now, &ended, &[]).await?;
    Ok(Canceled {
        canceled,
        moving: rest.into_iter().map(JobId::from_uuid).collect(),
    })
}

fn leave(rest: &mut Vec<Uuid>, taken: &[Taken]) {
    let gone: HashSet<Uuid> = taken.iter().map(|taken| taken.id).collect();
    rest.retain(|id| !gone.contains(id));
}

async fn from_queue(tx: &mut Within<'_>, ids: &[Uuid]) -> Result<Vec<Taken>> {
    let tenant = tx.tenant();
    let rows = sqlx::query!(
        "DELETE FROM ready
          WHERE tenant_id = $1 AND id = ANY ($2)
         RETURNING id, bucket_id, group_id, bytes, attempt",
        tenant.as_uuid(),
        ids,
    )
    .fetch_all(tx.conn())
    .await?;
    let changes = rows.iter().map(|row| {
        Change::ready(
            BucketId::from_uuid(row.bucket_id),
            -1,
            -i64::from(row.bytes),
        )
    });
    delta::append(tx.conn(), tenant, changes).await?;
    Ok(rows
        .into_iter()
        .map(|row| Taken {
            id: row.id,
            group: row.group_id.map(GroupId::from_uuid),
            batch: None,
            attempt: row.attempt,
            was: State::Queued,
        })
        .collect())
}

async fn from_batches(tx: &mut Within<'_>, ids: &[Uuid]) -> Result<Vec<Taken>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let (tenant, now) = (tx.tenant().as_uuid(), tx.now());
    let batches = sqlx::query_scalar!(
        "SELECT DISTINCT batch_id
           FROM inflight
          WHERE tenant_id = $1 AND id = ANY ($2) AND NOT canceled
          ORDER BY batch_id",
        tenant,
        ids,
    )
    .fetch_all(tx.conn())
    .await?;
    if batches.is_empty() {
        return Ok(Vec::new());
    }
    // The batch rows first: with them locked no batch changes its state, and
    // with it the state that its jobs are counted in, until this commits.
    let mut states: HashMap<Uuid, String> = sqlx::query!(
        // In one order, or two cancels that meet in two batches wait for each other.
        "UPDATE batch b SET last_cancel_at = $3
           FROM (SELECT id FROM batch
                  WHERE tenant_id = $1 AND id = ANY ($2)
                  ORDER BY id
                    FOR NO KEY UPDATE) AS locked
          WHERE b.tenant_id = $1 AND b.id = locked.id
         RETURNING b.id, b.state",
        tenant,
        &batches,
        now,
    )
    .fetch_all(tx.conn())
    .await?
    .into_iter()
    .map(|row| (row.id, row.state))
    .collect();
    // What is called for directly counts as a batch whose results are being read.
    let calls = sqlx::query_scalar!(
        "UPDATE call c SET last_cancel_at = $3
           FROM (SELECT id FROM call
                  WHERE tenant_id = $1 AND id = ANY ($2)
                  ORDER BY id
                    FOR NO KEY UPDATE) AS locked
          WHERE c.tenant_id = $1 AND c.id = locked.id
         RETURNING c.id",
        tenant,
        &batches,
        now,
    )
    .fetch_all(tx.conn())
    .await?;
    let ended = || offpeak_domain::batch::State::Ended.as_str().to_owned();
    states.extend(calls.into_iter().map(|call| (call, ended())));
    let rows = sqlx::query!(
        "UPDATE inflight SET canceled = true
          WHERE tenant_id = $1 AND id = ANY ($2) AND batch_id = ANY ($3) AND NOT canceled
         RETURNING id, batch_id, group_id, attempt",
        tenant,
        ids,
        &batches,
    )
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter()
        .map(|row| {
            let state = states.get(&row.batch_id).cloned().unwrap_or_default();
            Ok(Taken {
                id: row.id,
                group: row.group_id.map(GroupId::from_uuid),
                batch: Some(row.batch_id),
                attempt: row.attempt,
                was: counted_as(known("batch.state", state)?),
            })
        })
        .collect()
}

/// The state of a batch's jobs, as the view `job_state` says it.
pub(crate) fn counted_as(batch: offpeak_domain::batch::State) -> State {
    use offpeak_domain::batch::State as Batch;
    match batch {
        Batch::InProgress | Batch::Canceling => State::Submitted,
        Batch::Ended | Batch::Ingested => State::Processing,
        Batch::Planned | Batch::Sending | Batch::Uncertain | Batch::Refuted | Batch::Rejected => {
            State::Queued
        }
    }
}

async fn end(tx: &mut Within<'_>, taken: &[Taken]) -> Result<()> {
    if taken.is_empty() {
        return Ok(());
    }
    let (tenant, now) = (tx.tenant(), tx.now());
    let ended = sqlx::query!(
        "INSERT INTO result (tenant_id, id, outcome, group_id, type, user_label, model,
                             batch_id, attempt, ended_at)
         SELECT j.tenant_id, j.id, $2, j.group_id, j.type, j.user_label, j.model,
                t.batch_id, t.attempt, $3
           FROM unnest($4::uuid[], $5::uuid[], $6::int[]) AS t (id, batch_id, attempt)
           JOIN job j ON j.tenant_id = $1 AND j.id = t.id
          ORDER BY j.id
         RETURNING id, group_id, user_label",
        tenant.as_uuid(),
        Outcome::Canceled.as_str(),
        now,
        &taken.iter().map(|taken| taken.id).collect::<Vec<_>>(),
        &taken.iter().map(|taken| taken.batch).collect::<Vec<_>>() as &[Option<Uuid>],
        &taken.iter().map(|taken| taken.attempt).collect::<Vec<_>>(),
    )
    .fetch_all(tx.conn())
    .await?;
    let told: Vec<Told> = ended
        .iter()
        .map(|row| {
            let group = row.group_id.map(GroupId::from_uuid);
            let job = JobId::from_uuid(row.id);
            Told::moved(job, State::Canceled, group, row.user_label.as_deref())
        })
        .collect();
    event::jobs(tx.conn(), tenant, None, told).await?;
    let ids: Vec<Uuid> = taken.iter().map(|taken| taken.id).collect();
    share::ended_without_answer(tx.conn(), tenant, now, &ids).await?;
    let changes = taken
        .iter()
        .flat_map(|taken| Change::moved(taken.group, taken.was, State::Canceled, 1));
    delta::append(tx.conn(), tenant, changes).await
}

/// Which of these exist and have no result yet.
async fn still_open(tx: &mut Within<'_>, ids: &[Uuid]) -> Result<Vec<Uuid>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    Ok(sqlx::query_scalar!(
        "SELECT j.id
           FROM job j
           LEFT JOIN job_group g ON g.tenant_id = j.tenant_id AND g.id = j.group_id
          WHERE j.tenant_id = $1 AND j.id = ANY ($2)
            AND (j.group_id IS NULL OR g.opened_at IS NOT NULL)
            AND NOT EXISTS (SELECT FROM result r
                             WHERE r.tenant_id = j.tenant_id AND r.id = j.id)
          ORDER BY j.id",
        tx.tenant().as_uuid(),
        ids,
    )
    .fetch_all(tx.conn())
    .await?)
}
