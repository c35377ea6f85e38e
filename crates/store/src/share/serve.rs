//! What becomes of those who followed a job that has ended: they get a copy of its
//! result, or go on without it.

use offpeak_domain::id::{BatchId, BucketId, GroupId, JobId, TenantId};
use offpeak_domain::job::{Failure, Outcome, State};
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use super::let_go::let_go;
use crate::batch::Key;
use crate::delta::{self, Change, Of};
use crate::event::{self, Billed, Told, UserKey};
use crate::job::known;
use crate::sealed::Piece;
use crate::{Error, Result, System, SystemTx, budget, point, took};

/// Followers in one transaction, at most.
pub(super) const FOLLOWERS: i64 = 500;
/// Bytes of result lines that it copies, at most, unless one alone is longer.
const BYTES: i64 = 8_000_000;

/// What was done for the followers of one job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// Jobs that ended by its result.
    pub ended: u64,
    /// Of those, the ones that ended after their deadline.
    pub late: u64,
    /// Jobs that go on without it.
    pub let_go: u64,
    /// Nothing could be done: somebody else is at its followers at this moment.
    pub held: bool,
}

/// A job that has ended and has followers.
pub(super) struct Source {
    pub(super) tenant: TenantId,
    pub(super) id: Uuid,
}

/// How it ended.
struct End {
    state: State,
    failure: Option<Failure>,
    /// The batch, or call, in which it was billed, and what the same would have cost
    /// synchronously; none where nothing was billed.
    billed: Option<(BatchId, i64)>,
    /// The length of its line.
    bytes: i64,
    /// Its line, where that is sealed: nobody else's row opens what is sealed for its own.
    sealed: Option<Vec<u8>>,
    /// It completed, and its answer was deleted since, or does not open.
    gone: bool,
}

impl End {
    /// Whether those who waited for it end in the same way.
    fn is_shared(&self) -> bool {
        !self.gone && self.state != State::Canceled && self.failure.is_none_or(Failure::is_shared)
    }
}

/// Serves some of the followers of one job that has ended, the one that has waited
/// the longest; `day` is today. Nothing when there is none that nobody else is at.
pub async fn serve(system: &System, now: OffsetDateTime, day: Date) -> Result<Option<Served>> {
    let mut tx = system.begin().await?;
    let waits = sqlx::query!(
        "SELECT tenant_id, id FROM shared ORDER BY at, id LIMIT 1 FOR UPDATE SKIP LOCKED"
    )
    .fetch_optional(tx.conn())
    .await?;
    let Some(waits) = waits else { return Ok(None) };
    let source = Source {
        tenant: TenantId::from_uuid(waits.tenant_id),
        id: waits.id,
    };
    let mut served = Served::default();
    let more = match end_of(&mut tx, &source).await? {
        Some(end) if end.is_shared() => {
            // Before the followers are looked for: who joins later waits for this.
            let joined = is_being_joined(&mut tx, &source).await?;
            served = answer(&mut tx, &source, &end, (now, day)).await?;
            joined || is_followed(&mut tx, &source).await?
        }
        // Queued again by its user: it ends once more, and its followers wait for that.
        None if is_there(&mut tx, &source).await? => false,
        Some(_) | None => {
            served.let_go = let_go(&mut tx, &source, now).await?;
            is_followed(&mut tx, &source).await?
        }
    };
    // One that cannot be served at this moment lets the others pass.
    served.held = more && served.ended + served.let_go == 0;
    let (tenant, id) = (source.tenant.as_uuid(), source.id);
    sqlx::query!(
        "WITH later AS (
             UPDATE shared SET at = $4 WHERE tenant_id = $1 AND id = $2 AND $3 AND $5)
         DELETE FROM shared WHERE tenant_id = $1 AND id = $2 AND NOT $3",
        tenant,
        id,
        more,
        now,
        served.held,
    )
    .execute(tx.conn())
    .await?;
    point!("share.open");
    tx.commit().await?;
    Ok(Some(served))
}

/// How it ended, if it has. Nobody queues it again before this transaction is over.
async fn end_of(tx: &mut SystemTx, source: &Source) -> Result<Option<End>> {
    let row = sqlx::query!(
        r#"SELECT r.outcome, r.label, r.batch_id,
                  octet_length(o.line) AS "bytes?", o.key_id AS "key_id?",
                  CASE WHEN o.key_id <> 0 THEN o.line END AS sealed,
                  (SELECT l.sync_pico FROM ledger l
                    WHERE l.tenant_id = $1 AND l.batch_id = r.batch_id AND l.id = $2) AS sync_pico
             FROM result r
             LEFT JOIN output o ON o.tenant_id = r.tenant_id AND o.id = r.id
            WHERE r.tenant_id = $1 AND r.id = $2
              FOR SHARE OF r"#,
        source.tenant.as_uuid(),
        source.id,
    )
    .fetch_optional(tx.conn())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let outcome: Outcome = known("result.outcome", row.outcome)?;
    let mut unread = false;
    let sealed = match row.sealed.zip(row.key_id) {
        Some((line, key_id)) => {
            let seal = tx.opener(source.tenant).await?;
            match seal.open(Piece::Line(source.id), key_id, line) {
                Ok(line) => Some(line),
                // Nobody can be given it, and nobody waits for that: as if it were deleted.
                Err(Error::Unopened { .. }) => {
                    unread = true;
                    None
                }
                Err(error) => return Err(error),
            }
        }
        None => None,
    };
    let bytes = sealed
        .as_ref()
        .and_then(|line| i64::try_from(line.len()).ok());
    Ok(Some(End {
        state: State::from(outcome),
        // One of a newer version is not known here.
        failure: (outcome == Outcome::Failed).then(|| {
            row.label
                .and_then(|label| label.parse().ok())
                .unwrap_or(Failure::Internal)
        }),
        billed: row.batch_id.map(BatchId::from_uuid).zip(row.sync_pico),
        bytes: bytes.unwrap_or_else(|| i64::from(row.bytes.unwrap_or(0))),
        gone: unread || outcome == Outcome::Completed && row.bytes.is_none(),
        sealed,
    }))
}

async fn is_there(tx: &mut SystemTx, source: &Source) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM job WHERE tenant_id = $1 AND id = $2) AS "is!""#,
        source.tenant.as_uuid(),
        source.id,
    )
    .fetch_one(tx.conn())
    .await?)
}

/// Whether somebody is taking its result at this moment, whose commit is to come. If
/// not, nobody does before this transaction is over.
async fn is_being_joined(tx: &mut SystemTx, source: &Source) -> Result<bool> {
    let held = sqlx::query_scalar!(
        r#"SELECT true AS "held!"
             FROM job j
             JOIN alike a ON a.tenant_id = j.tenant_id AND a.hash = j.hash AND a.job_id = j.id
            WHERE j.tenant_id = $1 AND j.id = $2
              FOR UPDATE OF a SKIP LOCKED"#,
        source.tenant.as_uuid(),
        source.id,
    )
    .fetch_optional(tx.conn())
    .await?;
    if held.is_some() {
        return Ok(false);
    }
    Ok(sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM job j
                            JOIN alike a ON a.tenant_id = j.tenant_id AND a.hash = j.hash
                                        AND a.job_id = j.id
                           WHERE j.tenant_id = $1 AND j.id = $2) AS "is!""#,
        source.tenant.as_uuid(),
        source.id,
    )
    .fetch_one(tx.conn())
    .await?)
}

async fn is_followed(tx: &mut SystemTx, source: &Source) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM ready
                           WHERE tenant_id = $1 AND lane = 'follow' AND source_id = $2) AS "is!""#,
        source.tenant.as_uuid(),
        source.id,
    )
    .fetch_one(tx.conn())
    .await?)
}

/// Stores a line for each of these jobs, sealed for its own row. It was sealed, so that
/// there is a key.
async fn copies(tx: &mut SystemTx, tenant: TenantId, ids: &[Uuid], line: &[u8]) -> Result<()> {
    let seal = tx.seal(tenant).await?;
    let (bytes, key_ids) = seal.columns(ids.iter().map(|id| (Piece::Line(*id), line)))?;
    let bytes: Vec<&[u8]> = bytes.iter().map(AsRef::as_ref).collect();
    sqlx::query!(
        "INSERT INTO output (tenant_id, id, line, key_id)
         SELECT $1, unnest($2::uuid[]), unnest($3::bytea[]), unnest($4::int[])",
        tenant.as_uuid(),
        ids,
        &bytes as &[&[u8]],
        &key_ids,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Ends followers by copies of the result, and books that they cost nothing.
async fn answer(
    tx: &mut SystemTx,
    source: &Source,
    end: &End,
    (now, day): (OffsetDateTime, Date),
) -> Result<Served> {
    let tenant = source.tenant;
    let rows = sqlx::query!(
        r#"WITH few AS MATERIALIZED (
               SELECT id FROM ready
                WHERE tenant_id = $1 AND lane = 'follow' AND source_id = $2
                ORDER BY id
                LIMIT $3
                  FOR UPDATE SKIP LOCKED),
           gone AS (
               DELETE FROM ready
                WHERE tenant_id = $1 AND id = ANY (ARRAY(SELECT id FROM few))
               RETURNING id, bucket_id, bytes, attempt, deadline),
           ended AS (
               INSERT INTO result (tenant_id, id, outcome, label, message, group_id, type,
                                   user_label, model, attempt, ended_at, stop_reason, sync_pico,
                                   source_id)
               SELECT $1, g.id, s.outcome, s.label, s.message, j.group_id, j.type, j.user_label,
                      s.model, g.attempt, $4, s.stop_reason, $6, s.id
                 FROM (SELECT id, outcome, label, message, model, stop_reason FROM result
                        WHERE tenant_id = $1 AND id = $2) AS s
                CROSS JOIN gone g
                     -- The limit keeps this a probe for each job.
                CROSS JOIN LATERAL (
                      SELECT group_id, type, user_label FROM job
                       WHERE tenant_id = $1 AND id = g.id
                       LIMIT 1) AS j
               RETURNING id, group_id, type, user_label, attempt),
           answers AS (
               INSERT INTO output (tenant_id, id, line, key_id)
               SELECT $1, g.id, o.line, o.key_id
                 FROM (SELECT line, key_id FROM output
                        WHERE tenant_id = $1 AND id = $2 AND key_id = 0) AS o
                CROSS JOIN gone g),
           booked AS (
               INSERT INTO ledger (tenant_id, batch_id, id, attempt, at, day, group_id, type,
                                   user_label, model, lane, input_tokens, output_tokens,
                                   cache_write_5m, cache_write_1h, cache_read_tokens, web_searches,
                                   cost_pico, sync_pico, saved_batch_pico, saved_reuse_pico,
                                   source_id)
               SELECT $1, l.batch_id, e.id, e.attempt, $4, $5, e.group_id, e.type, e.user_label,
                      l.model, l.lane, 0, 0, 0, 0, 0, 0, 0, $6, 0, $6, $2
                 FROM ended e
                CROSS JOIN (SELECT batch_id, model, lane FROM ledger
                             WHERE tenant_id = $1 AND batch_id = $7 AND id = $2) AS l)
           SELECT g.id AS "id!", g.bucket_id AS "bucket_id!", g.bytes AS "bytes!", g.deadline,
                  e.group_id, e.user_label, e.type
             FROM gone g
             JOIN ended e ON e.id = g.id
            ORDER BY g.id"#,
        tenant.as_uuid(),
        source.id,
        (BYTES / end.bytes.max(1)).clamp(1, FOLLOWERS),
        now,
        day,
        end.billed.map_or(0, |billed| billed.1),
        end.billed.map(|billed| billed.0.as_uuid()),
    )
    .fetch_all(tx.conn())
    .await?;
    let mut served = Served::default();
    let ended: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    if let Some(line) = &end.sealed {
        copies(tx, tenant, &ended, line).await?;
    }
    let (mut told, mut changes, mut completed) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        if end.state == State::Completed {
            completed.push((JobId::from_uuid(row.id), row.r#type));
        }
        let group = row.group_id.map(GroupId::from_uuid);
        let bucket = BucketId::from_uuid(row.bucket_id);
        changes.push(Change::ready(bucket, -1, -i64::from(row.bytes)));
        changes.extend(Change::moved(group, State::Queued, end.state, 1));
        if let Some((_, sync_pico)) = end.billed {
            let of = [Some(Of::Tenant), group.map(Of::Group)];
            changes.extend(of.into_iter().flatten().map(|of| Change {
                sync_pico,
                ..Change::count(of, delta::BILLED, 1)
            }));
        }
        served.ended += 1;
        served.late += u64::from(row.deadline.is_some_and(|deadline| deadline < now));
        told.push(Told {
            job: JobId::from_uuid(row.id),
            state: end.state,
            label: end.failure.map(Failure::label),
            group,
            user: row.user_label.as_deref().map(UserKey::of),
            cost: Some(0),
        });
    }
    delta::append(tx.conn(), tenant, changes).await?;
    event::jobs(tx.conn(), tenant, None, told).await?;
    if let Some((batch, sync_pico)) = end.billed {
        let n = i64::try_from(served.ended).unwrap_or(i64::MAX);
        let sum = Billed {
            n,
            sync_pico: sync_pico.saturating_mul(n),
            ..Billed::default()
        };
        event::billed(tx.conn(), Key { tenant, batch }, sum).await?;
    }
    let completed = completed.iter().map(|(job, of)| (*job, of.as_deref()));
    took::note(tx.conn(), tenant, now, completed).await?;
    budget::settle(tx.conn(), tenant, now, &ended, &[]).await?;
    Ok(served)
}
