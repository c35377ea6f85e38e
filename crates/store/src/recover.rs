//! Message batches of ours whose row was lost with the database that had it:
//! their lines name the jobs, so the row is made anew and takes them.

use offpeak_domain::batch::{CloseReason, State as BatchState};
use offpeak_domain::id::{BatchId, BucketId, JobId, TenantId, UpstreamId};
use offpeak_domain::job::State;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::batch::{self, Key};
use crate::delta::{self, Change};
use crate::{Result, System, SystemTx, event};

/// Requests of one message batch, at most.
const MOST: i64 = 100_000;

/// The jobs of a lost batch that wait to be sent, as if for the first time.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// Whose.
    pub tenant: TenantId,
    /// What they share.
    pub bucket: BucketId,
    /// Model of all of them.
    pub model: String,
    /// Which, in the order of their ids.
    pub jobs: Vec<JobId>,
}

/// Finds those of these jobs that stand in the queue, or in a batch that was
/// never sent. Nothing when there are none: then nothing can be sent twice.
///
/// Reads the whole queue once; a batch is lost at most after a restore.
pub async fn waiting(
    system: &System,
    upstream: UpstreamId,
    jobs: &[JobId],
) -> Result<Option<Waiting>> {
    let ids: Vec<Uuid> = jobs.iter().map(|job| job.as_uuid()).collect();
    let rows = sqlx::query!(
        r#"SELECT tenant_id AS "tenant_id!", id AS "id!", bucket_id AS "bucket_id!",
                  model AS "model!"
             FROM (SELECT r.tenant_id, r.id, r.bucket_id, b.model
                     FROM unnest($2::uuid[]) AS named (id)
                     JOIN ready r ON r.id = named.id
                     JOIN bucket b ON b.tenant_id = r.tenant_id AND b.id = r.bucket_id
                    WHERE b.upstream_id = $1
                    UNION ALL
                   SELECT i.tenant_id, i.id, p.bucket_id, p.model
                     FROM batch p
                     JOIN inflight i ON i.tenant_id = p.tenant_id AND i.batch_id = p.id
                     JOIN unnest($2::uuid[]) AS named (id) ON named.id = i.id
                    WHERE p.upstream_id = $1 AND p.state = 'planned') AS found
            ORDER BY id
            LIMIT $3"#,
        upstream.as_uuid(),
        &ids,
        MOST,
    )
    .fetch_all(&system.pool)
    .await?;
    let Some(first) = rows.first() else {
        return Ok(None);
    };
    // A message batch holds one tenant's jobs, of one bucket.
    let (tenant, bucket) = (first.tenant_id, first.bucket_id);
    let model = first.model.clone();
    Ok(Some(Waiting {
        tenant: TenantId::from_uuid(tenant),
        bucket: BucketId::from_uuid(bucket),
        model,
        jobs: rows
            .into_iter()
            .filter(|row| row.tenant_id == tenant && row.bucket_id == bucket)
            .map(|row| JobId::from_uuid(row.id))
            .collect(),
    }))
}

/// A lost batch as its message batch shows it.
#[derive(Clone, Debug)]
pub struct Lost<'a> {
    /// Its id, which the lines name.
    pub batch: BatchId,
    /// Where it is.
    pub upstream: UpstreamId,
    /// Its id there.
    pub upstream_batch_id: &'a str,
    /// Requests in it, jobs that this database does not know included.
    pub items: u64,
    /// Its time of creation, on Anthropic's clock.
    pub created_at: OffsetDateTime,
    /// When it had to end at the latest.
    pub expires_at: OffsetDateTime,
    /// What each job adds to a body beside its params.
    pub item_overhead: u64,
}

/// Makes the row anew, as in progress, and moves into it those of the jobs that
/// still wait. Nothing comes back when none does, or the batch is known by now.
pub async fn adopt(
    system: &System,
    lost: &Lost<'_>,
    waiting: &Waiting,
    now: OffsetDateTime,
) -> Result<Option<Key>> {
    let key = Key {
        tenant: waiting.tenant,
        batch: lost.batch,
    };
    let mut tx = system.begin().await?;
    batch::alone_with(tx.conn(), lost.upstream_batch_id).await?;
    let known = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM batch
                           WHERE id = $1 OR (upstream_id = $2 AND upstream_batch_id = $3))
                  AS "known!""#,
        lost.batch.as_uuid(),
        lost.upstream.as_uuid(),
        lost.upstream_batch_id,
    )
    .fetch_one(tx.conn())
    .await?;
    if known {
        return Ok(None);
    }
    let ids: Vec<Uuid> = waiting.jobs.iter().map(|job| job.as_uuid()).collect();
    let moved = from_queue(&mut tx, key, &ids).await?
        + from_planned(&mut tx, key, &ids, lost.item_overhead).await?;
    if moved == 0 {
        return Ok(None);
    }
    sqlx::query!(
        "INSERT INTO batch (tenant_id, id, upstream_id, bucket_id, model, state, close_reason,
                            items, body_bytes, planned_at, not_before, sent_at, first_sent_at,
                            upstream_batch_id, created_at, expires_at, next_poll_at, last_error)
         VALUES ($1, $2, $3, $4, $5, 'in_progress', $6, $7, 0, $8, $8, $8, $8, $9, $8, $10, $11,
                 'its row was lost, and made anew from what Anthropic holds')",
        key.tenant.as_uuid(),
        key.batch.as_uuid(),
        lost.upstream.as_uuid(),
        waiting.bucket.as_uuid(),
        waiting.model,
        // Why it was closed is lost.
        CloseReason::Age.as_str(),
        i32::try_from(lost.items).unwrap_or(i32::MAX),
        lost.created_at,
        lost.upstream_batch_id,
        lost.expires_at,
        now,
    )
    .execute(tx.conn())
    .await?;
    delta::move_batch(
        tx.conn(),
        key.tenant,
        key.batch,
        State::Queued,
        State::Submitted,
    )
    .await?;
    event::batch(tx.conn(), key, BatchState::InProgress).await?;
    tx.commit().await?;
    Ok(Some(key))
}

async fn from_queue(tx: &mut SystemTx, key: Key, ids: &[Uuid]) -> Result<i64> {
    let moved = sqlx::query!(
        r#"WITH gone AS (
               DELETE FROM ready
                WHERE tenant_id = $1 AND id = ANY ($3)
               RETURNING id, bucket_id, group_id, attempt, tries, bytes, deadline, on_late),
           moved AS (
               INSERT INTO inflight (tenant_id, batch_id, id, group_id, attempt, tries, bytes,
                                     deadline, on_late)
               SELECT $1, $2, id, group_id, attempt, tries, bytes, deadline, on_late FROM gone)
           SELECT bucket_id, count(*) AS "items!", sum(bytes)::bigint AS "bytes!"
             FROM gone
            GROUP BY bucket_id
            ORDER BY bucket_id
            LIMIT 100000"#,
        key.tenant.as_uuid(),
        key.batch.as_uuid(),
        ids,
    )
    .fetch_all(tx.conn())
    .await?;
    let items = moved.iter().map(|row| row.items).sum();
    let changes = moved
        .into_iter()
        .map(|row| Change::ready(BucketId::from_uuid(row.bucket_id), -row.items, -row.bytes));
    delta::append(tx.conn(), key.tenant, changes).await?;
    Ok(items)
}

/// A batch that loses all its jobs is not sent; one that loses some is the
/// shorter for it, by what each added to its body.
async fn from_planned(
    tx: &mut SystemTx,
    key: Key,
    ids: &[Uuid],
    item_overhead: u64,
) -> Result<i64> {
    let taken = sqlx::query!(
        r#"WITH locked AS MATERIALIZED (
               SELECT p.id, p.items, p.body_bytes
                 FROM batch p
                WHERE p.tenant_id = $1 AND p.state = 'planned'
                  AND EXISTS (SELECT FROM inflight i
                               WHERE i.tenant_id = $1 AND i.batch_id = p.id AND i.id = ANY ($3))
                  FOR UPDATE),
           gone AS (
               DELETE FROM inflight i
                USING locked
                WHERE i.tenant_id = $1 AND i.batch_id = locked.id AND i.id = ANY ($3)
               RETURNING i.batch_id, i.id, i.group_id, i.attempt, i.tries, i.bytes, i.canceled,
                         i.dropped, i.deadline, i.on_late),
           moved AS (
               INSERT INTO inflight (tenant_id, batch_id, id, group_id, attempt, tries, bytes,
                                     canceled, deadline, on_late)
               SELECT $1, $2, id, group_id, attempt, tries, bytes, canceled, deadline, on_late
                 FROM gone),
           shorter AS (
               UPDATE batch p
                  SET items = greatest(p.items - taken.kept, 1),
                      body_bytes = p.body_bytes - taken.bytes - taken.kept * $4::bigint,
                      state = CASE WHEN taken.kept = p.items THEN 'rejected' ELSE p.state END,
                      freed_at = CASE WHEN taken.kept = p.items THEN clock_timestamp() END,
                      last_error = CASE WHEN taken.kept = p.items
                                        THEN 'every job in it was found in another batch' END
                 FROM (SELECT batch_id, count(*)::integer AS items,
                              (count(*) FILTER (WHERE NOT dropped))::integer AS kept,
                              coalesce(sum(bytes) FILTER (WHERE NOT dropped), 0)::bigint AS bytes
                         FROM gone GROUP BY batch_id) AS taken
                WHERE p.tenant_id = $1 AND p.id = taken.batch_id
               RETURNING p.id, p.state, taken.items)
           SELECT id, state = 'rejected' AS "emptied!", items FROM shorter"#,
        key.tenant.as_uuid(),
        key.batch.as_uuid(),
        ids,
        i64::try_from(item_overhead).unwrap_or(0),
    )
    .fetch_all(tx.conn())
    .await?;
    let mut items = 0;
    for row in taken {
        items += i64::from(row.items.unwrap_or(0));
        if row.emptied {
            let emptied = batch::key(key.tenant.as_uuid(), row.id);
            event::batch(tx.conn(), emptied, BatchState::Rejected).await?;
        }
    }
    Ok(items)
}
