//! Two open attempts of one job: one in a batch, one called for beside it because
//! a deadline was near. The direct one leads, and the other's row is marked; the
//! first good result wins, and what comes afterwards is set aside and booked.

use offpeak_domain::id::{BatchId, JobId};
use offpeak_domain::incident::Kind;
use offpeak_domain::job::State;
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use super::{Effect, Next, Other, Released};
use crate::Result;
use crate::batch::Key;
use crate::bounded::Connection;
use crate::cancel::counted_as;
use crate::job::known;

/// Finds what leads the jobs whose rows were marked. It stays locked: nobody
/// decides about the same job at the same time.
///
/// Who settles a call has locked the row in the batch before its own, as who
/// settles a batch does.
pub(super) async fn leading(
    conn: &mut Connection,
    key: Key,
    released: &mut [Released],
) -> Result<()> {
    let marked: Vec<Uuid> = released
        .iter()
        .filter(|row| row.canceled)
        .map(|row| row.job.as_uuid())
        .collect();
    if marked.is_empty() {
        return Ok(());
    }
    let calls = sqlx::query!(
        "SELECT i.id, i.batch_id
           FROM inflight i
          WHERE i.tenant_id = $1 AND i.id = ANY ($2) AND i.batch_id <> $3 AND NOT i.canceled
          ORDER BY i.id, i.batch_id
            FOR UPDATE",
        key.tenant.as_uuid(),
        &marked,
        key.batch.as_uuid(),
    )
    .fetch_all(&mut *conn)
    .await?;
    let ended = sqlx::query!(
        "SELECT id, attempt FROM result WHERE tenant_id = $1 AND id = ANY ($2) ORDER BY id",
        key.tenant.as_uuid(),
        &marked,
    )
    .fetch_all(conn)
    .await?;
    for row in released.iter_mut().filter(|row| row.canceled) {
        let id = row.job.as_uuid();
        row.other = calls.iter().find(|call| call.id == id).map(|call| Other {
            batch: BatchId::from_uuid(call.batch_id),
            state: State::Processing,
        });
        row.ended_by = ended
            .iter()
            .find(|ended| ended.id == id)
            .map(|ended| ended.attempt);
    }
    Ok(())
}

/// Locks the rows of a job that was called for, the one in the batch first, and
/// says in which batch it stands besides.
pub(crate) async fn lock(
    conn: &mut Connection,
    call: Key,
    job: JobId,
    beside: Option<BatchId>,
) -> Result<Option<(BatchId, State)>> {
    let Some(batch) = beside else {
        return Ok(None);
    };
    // With it the state that the job is counted in stays as it is.
    let state = sqlx::query_scalar!(
        "SELECT state FROM batch WHERE tenant_id = $1 AND id = $2 FOR SHARE",
        call.tenant.as_uuid(),
        batch.as_uuid(),
    )
    .fetch_optional(&mut *conn)
    .await?;
    let there = sqlx::query_scalar!(
        r#"SELECT true AS "there!"
             FROM inflight
            WHERE tenant_id = $1 AND batch_id = $2 AND id = $3
              -- Its batch was sent without it: there is nothing to wait for.
              AND NOT dropped
              FOR UPDATE"#,
        call.tenant.as_uuid(),
        batch.as_uuid(),
        job.as_uuid(),
    )
    .fetch_optional(conn)
    .await?;
    match (state, there) {
        (Some(state), Some(_)) => Ok(Some((batch, counted_as(known("batch.state", state)?)))),
        _ => Ok(None),
    }
}

impl Released {
    /// It was called for beside this batch, where it still stands.
    pub(super) fn stands_in(&mut self, batch: BatchId, state: State) {
        // Marked itself, it has ended: the other row is marked for that as well.
        if !self.canceled {
            self.other = Some(Other { batch, state });
        }
    }
}

/// What becomes of the other attempts: one that has lost is marked, one that is
/// left alone leads.
pub(super) async fn others(
    conn: &mut Connection,
    key: Key,
    now: OffsetDateTime,
    effects: &[Effect],
) -> Result<()> {
    for effect in effects {
        let released = &effect.released;
        let Some(other) = released.other else {
            continue;
        };
        let (marked, direct_from) = match &effect.next {
            Next::End { .. } => (true, None),
            Next::Leave { after, .. } if !released.canceled => {
                (false, after.map(|after| now + after))
            }
            Next::Leave { .. } | Next::SetAside { .. } | Next::Again { .. } => continue,
        };
        sqlx::query!(
            "UPDATE inflight SET canceled = $4, direct_from = $5
              WHERE tenant_id = $1 AND batch_id = $2 AND id = $3",
            key.tenant.as_uuid(),
            other.batch.as_uuid(),
            released.job.as_uuid(),
            marked,
            direct_from,
        )
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// Books what lost calls of the same jobs may have billed, now that an answer to
/// the same request says how much that is: the deployment's own cost, each with
/// its incident.
pub(super) async fn absorb(
    conn: &mut Connection,
    key: Key,
    (now, day): (OffsetDateTime, Date),
    effects: &[Effect],
) -> Result<()> {
    let billed = effects
        .iter()
        .filter(|effect| effect.billed && effect.released.may_have_lost_calls());
    for effect in billed {
        let (job, measured) = (effect.released.job, &effect.measured);
        let model = effect.model.as_deref();
        sqlx::query!(
            r#"WITH lost AS (
                   SELECT c.id, c.upstream_id, c.attempt, 'call_' || replace(c.id::text, '-', '')
                              AS name
                     FROM call c
                    WHERE c.tenant_id = $1 AND c.job_id = $2 AND c.state = 'unknown'
                      AND c.id <> $3),
               booked AS (
                   INSERT INTO absorbed (upstream_id, upstream_batch_id, custom_id, at, day, model,
                                         input_tokens, output_tokens, cache_write_5m,
                                         cache_write_1h, cache_read_tokens, web_searches,
                                         cost_pico, sync_pico, unpriced)
                   SELECT upstream_id, name, name, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13,
                          $15, $16
                     FROM lost
                       ON CONFLICT DO NOTHING
                   RETURNING upstream_id, upstream_batch_id, cost_pico, sync_pico)
               UPDATE incident i
                  SET absorbed_pico = i.absorbed_pico + booked.cost_pico,
                      absorbed_sync_pico = i.absorbed_sync_pico + booked.sync_pico
                 FROM booked
                WHERE i.kind = $14 AND i.upstream_id = booked.upstream_id
                  AND i.upstream_batch_id = booked.upstream_batch_id"#,
            key.tenant.as_uuid(),
            job.as_uuid(),
            key.batch.as_uuid(),
            now,
            day,
            model.unwrap_or(&effect.released.model),
            measured.input_tokens,
            measured.output_tokens,
            measured.cache_write_5m,
            measured.cache_write_1h,
            measured.cache_read,
            measured.web_searches,
            // What the batch saved, a call has not.
            measured.cost_pico + measured.saved_batch_pico,
            Kind::OutcomeUnknown.as_str(),
            measured.sync_pico,
            measured.unpriced,
        )
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}
