//! Batches as their tenant sees them.

use offpeak_domain::batch::{CloseReason, State};
use offpeak_domain::id::BatchId;
use offpeak_domain::money::Pico;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::job::known;
use crate::{Result, TenantTx};

/// One batch.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Which.
    pub id: BatchId,
    /// Where it stands.
    pub state: State,
    /// Anthropic's id, once known.
    pub upstream_batch: Option<String>,
    /// The model of all its jobs.
    pub model: String,
    /// Jobs in it when it was planned.
    pub items: u64,
    /// Length of its body.
    pub bytes: u64,
    /// Why it was closed.
    pub close_reason: CloseReason,
    /// When its jobs were grouped.
    pub planned_at: OffsetDateTime,
    /// When the last call that sends it began.
    pub sent_at: Option<OffsetDateTime>,
    /// When Anthropic created it.
    pub created_at: Option<OffsetDateTime>,
    /// When Anthropic gives up on what is unfinished.
    pub expires_at: Option<OffsetDateTime>,
    /// When it had ended there.
    pub ended_at: Option<OffsetDateTime>,
    /// When the last result was stored.
    pub ingested_at: Option<OffsetDateTime>,
    /// Succeeded, errored, canceled, expired: once Anthropic has reported them.
    pub counts: Option<[u64; 4]>,
    /// How it is marked for the cache; none when nothing was decided.
    pub cache: Option<Cache>,
}

/// How a batch is marked for Anthropic's cache, what was expected of it when it
/// was planned, and what came of it.
#[derive(Clone, Debug)]
pub struct Cache {
    /// A word of `offpeak_domain::cache::Mark`, or one of a newer version.
    pub mark: String,
    /// The same of `offpeak_domain::cache::Reason`.
    pub reason: String,
    /// Tokens of what its jobs begin with.
    pub tokens: u64,
    /// Requests of a thousand that were expected to find it.
    pub predicted: u32,
    /// What was expected to be paid for it, …
    pub with: Pico,
    /// … and without marks.
    pub without: Pico,
    /// Read from the cache and written to it, in tokens; once all results are stored.
    pub real: Option<(u64, u64)>,
    /// What came of the request that went ahead: `primed`, `refused` or `unknown`.
    pub prime_outcome: Option<String>,
    /// What that one cost the tenant, if it was billed.
    pub prime_cost: Option<Pico>,
}

/// One batch of the tenant.
pub async fn get(tx: &mut TenantTx, id: BatchId) -> Result<Option<Batch>> {
    let below = Uuid::from_u128(id.as_uuid().as_u128().saturating_add(1));
    let found = select(tx, below, 1).await?.pop();
    Ok(found.filter(|batch| batch.id == id))
}

/// Batches older than `before`, newest first.
pub async fn list(tx: &mut TenantTx, before: Option<BatchId>, limit: i64) -> Result<Vec<Batch>> {
    select(tx, before.map_or(Uuid::max(), BatchId::as_uuid), limit).await
}

async fn select(tx: &mut TenantTx, below: Uuid, limit: i64) -> Result<Vec<Batch>> {
    let rows = sqlx::query!(
        "SELECT id, state, upstream_batch_id, model, items, body_bytes, close_reason,
                planned_at, sent_at, created_at, expires_at, ended_at, ingested_at,
                succeeded, errored, canceled, expired,
                cache_mark, cache_reason, cache_tokens, cache_per_mille, cache_with_pico,
                cache_without_pico, cache_read, cache_written, prime_outcome,
                (SELECT l.cost_pico FROM ledger l
                  WHERE l.tenant_id = batch.tenant_id AND l.batch_id = batch.id
                    AND l.id = batch.id AND batch.prime) AS prime_pico
           FROM batch
          WHERE tenant_id = $1 AND id < $2
          ORDER BY id DESC
          LIMIT $3",
        tx.tenant().as_uuid(),
        below,
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    let count = |n: Option<i32>| n.and_then(|n| u64::try_from(n).ok());
    let tokens = |n: Option<i64>| n.and_then(|n| u64::try_from(n).ok());
    let pico = |n: Option<i64>| Pico(i128::from(n.unwrap_or(0)));
    rows.into_iter()
        .map(|row| {
            Ok(Batch {
                id: BatchId::from_uuid(row.id),
                state: known("batch.state", row.state)?,
                upstream_batch: row.upstream_batch_id,
                model: row.model,
                items: u64::try_from(row.items).unwrap_or(0),
                bytes: u64::try_from(row.body_bytes).unwrap_or(0),
                close_reason: known("batch.close_reason", row.close_reason)?,
                planned_at: row.planned_at,
                sent_at: row.sent_at,
                created_at: row.created_at,
                expires_at: row.expires_at,
                ended_at: row.ended_at,
                ingested_at: row.ingested_at,
                counts: count(row.succeeded)
                    .zip(count(row.errored))
                    .zip(count(row.canceled).zip(count(row.expired)))
                    .map(|((succeeded, errored), (canceled, expired))| {
                        [succeeded, errored, canceled, expired]
                    }),
                cache: row.cache_reason.map(|reason| Cache {
                    mark: row.cache_mark,
                    reason,
                    tokens: count(row.cache_tokens).unwrap_or(0),
                    predicted: row
                        .cache_per_mille
                        .and_then(|rate| u32::try_from(rate).ok())
                        .unwrap_or(0),
                    with: pico(row.cache_with_pico),
                    without: pico(row.cache_without_pico),
                    real: tokens(row.cache_read).zip(tokens(row.cache_written)),
                    prime_outcome: row.prime_outcome,
                    prime_cost: row.prime_pico.map(|cost| Pico(i128::from(cost))),
                }),
            })
        })
        .collect()
}
