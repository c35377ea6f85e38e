//! Batches that Anthropic does not hold: their jobs are free again. Done in
//! chunks; a crash between two leaves the rest to the next call.

use std::time::Duration;

use offpeak_domain::batch::State;
use offpeak_domain::id::UpstreamId;
use offpeak_domain::job::{Failure, Lane, Outcome};
use time::OffsetDateTime;

use crate::batch::{Sent, key};
use crate::settle::{Chunk, Effect, Measured, Next};
use crate::{Result, System, event, pause, point};

/// This send was refused as a whole: `sending`, or `uncertain` if somebody
/// declared it so, becomes `rejected`. If that tells something about the
/// upstream and the batch has a single job, it is counted there.
pub async fn reject(system: &System, sent: &Sent, why: &str, telling: bool) -> Result<()> {
    let mut tx = system.begin_write().await?;
    let rejected = sqlx::query!(
        "UPDATE batch SET state = 'rejected', sender = NULL, last_error = $5
          WHERE tenant_id = $1 AND id = $2 AND sent_at = $4
            AND ((state = 'sending' AND sender = $3) OR state = 'uncertain')
         RETURNING items, upstream_id",
        sent.key.tenant.as_uuid(),
        sent.key.batch.as_uuid(),
        sent.sender,
        sent.at,
        why,
    )
    .fetch_optional(tx.conn())
    .await?;
    if rejected.is_some() {
        event::batch(tx.conn(), sent.key, State::Rejected).await?;
    }
    if let Some(row) = rejected.filter(|row| telling && row.items == 1) {
        let upstream = UpstreamId::from_uuid(row.upstream_id);
        pause::refused(tx.conn(), upstream, sent.key.tenant).await?;
    }
    tx.commit().await
}

/// Frees up to `limit` jobs of one refuted or rejected batch. Jobs of a
/// rejected batch go on in batches of half its size; rejected alone, a job
/// fails. Returns how many batches and jobs it freed: zero means that nothing
/// is left.
pub async fn free_some(system: &System, now: OffsetDateTime, limit: i64) -> Result<u64> {
    let mut tx = system.begin().await?;
    let Some(batch) = sqlx::query!(
        "SELECT b.tenant_id, b.id, b.state, b.items
           FROM batch b
          WHERE b.state IN ('refuted', 'rejected') AND b.freed_at IS NULL
          ORDER BY b.planned_at
          LIMIT 1
            FOR UPDATE OF b SKIP LOCKED"
    )
    .fetch_optional(tx.conn())
    .await?
    else {
        return Ok(0);
    };
    let rejected = batch.state == "rejected";
    let key = key(batch.tenant_id, batch.id);
    let (mut chunk, released) = Chunk::of_unsent(tx, key, limit).await?;
    let count = released.len() as u64;
    if released.is_empty() {
        chunk.freed().await?;
    }
    let effects: Vec<Effect> = released
        .into_iter()
        // A canceled one has its result; nothing came of the attempt.
        .filter(|released| !released.has_ended() || released.is_beside())
        .map(|released| Effect {
            next: if released.has_ended() {
                Next::SetAside {
                    as_outcome: if rejected { "rejected" } else { "refuted" },
                }
            } else if released.is_one_of_two() {
                Next::Leave {
                    as_outcome: if rejected { "rejected" } else { "refuted" },
                    label: None,
                    after: None,
                }
            } else if rejected && batch.items == 1 {
                Next::End {
                    outcome: Outcome::Failed,
                    failure: Some(Failure::RejectedAlone),
                    stop_reason: None,
                }
            } else {
                Next::Again {
                    as_outcome: if rejected { "rejected" } else { "refuted" },
                    label: None,
                    counts: false,
                    after: Duration::ZERO,
                    max_items: rejected.then(|| (batch.items / 2).max(1)),
                }
            },
            released,
            line: None,
            line_hash: None,
            model: None,
            lane: Lane::Batch,
            measured: Measured::default(),
            billed: false,
        })
        .collect();
    point!("rescue.freeing");
    chunk.commit(now, now.date(), &effects).await?;
    Ok(count.max(1))
}
