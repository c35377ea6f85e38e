//! The one request that goes ahead of a batch, so that its prefix is in the cache
//! when the batch runs: intent, answer, money.
//!
//! It is sent at most once, whatever becomes of it, and the batch is sent when it
//! has ended. What it costs stands in the ledger under the batch's own id, beside
//! its jobs. If nobody knows whether it was billed, what it would have cost is the
//! deployment's own, with an incident.

use std::time::Duration;

use offpeak_domain::cache::Mark;
use offpeak_domain::id::UpstreamId;
use offpeak_domain::incident::Kind;
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use crate::batch::{Key, Marked};
use crate::bounded::Connection;
use crate::delta::{self, BILLED, Change, Of};
use crate::event::{self, Billed};
use crate::incident::{self, Note};
use crate::lease::interval;
use crate::sendable::Sendable;
use crate::settle::Measured;
use crate::{Error, Result, System, budget, point};

/// How the request begins.
#[derive(Clone, Copy, Debug)]
pub struct Begin<'a> {
    /// By whose key it is sent.
    pub upstream: UpstreamId,
    /// When.
    pub now: OffsetDateTime,
    /// The longest that it may last.
    pub within: Duration,
    /// The process that sends it.
    pub primer: Uuid,
    /// The lease by which that is seen to be alive.
    pub primer_lease: &'a str,
}

/// One that may be sent now.
#[derive(Clone, Copy, Debug)]
pub struct Sending {
    /// Of which batch.
    pub key: Key,
    /// When it began; none if there is nothing to send.
    pub at: OffsetDateTime,
    /// How the prefix is marked.
    pub marked: Option<Marked>,
}

/// What came of it.
#[derive(Clone, Debug)]
pub enum Ended {
    /// It was answered by this model, and billed.
    Primed(String, Measured),
    /// It was not billed.
    Refused,
    /// Nobody knows. Had it been billed, then so.
    Unknown(String, Measured),
}

/// Commits the intent to send it. Nothing comes back when somebody did before, when the
/// sender's lease has run out, or when the batch goes by another upstream now or that
/// one's key was removed: then nothing may be sent.
pub async fn begin(system: &System, key: Key, begin: &Begin<'_>) -> Result<Option<Sending>> {
    let mut tx = system.begin_write().await?;
    let taken = sqlx::query!(
        r#"UPDATE batch
              SET primer = $3, prime_sent_at = $4,
                  prime_deadline = $4::timestamptz + $5::interval
            WHERE tenant_id = $1 AND id = $2 AND state = 'planned'
              AND prime AND prime_sent_at IS NULL AND prime_ended_at IS NULL
              AND upstream_id = $7 AND has_key(upstream_id)
              AND EXISTS (SELECT FROM lease
                           WHERE name = $6 AND holder = $3 AND expires_at > clock_timestamp())
           RETURNING cache_mark, prime_sent_at AS "at!",
                     (SELECT p.mark_at FROM prefix p
                       WHERE p.tenant_id = batch.tenant_id AND p.bucket_id = batch.bucket_id)
                         AS mark_at"#,
        key.tenant.as_uuid(),
        key.batch.as_uuid(),
        begin.primer,
        begin.now,
        interval(begin.within),
        begin.primer_lease,
        begin.upstream.as_uuid(),
    )
    .fetch_optional(tx.conn())
    .await?;
    let Some(taken) = taken else { return Ok(None) };
    tx.commit().await?;
    let mark: Mark = taken.cache_mark.parse().unwrap_or(Mark::None);
    Ok(Some(Sending {
        key,
        at: taken.at,
        marked: taken
            .mark_at
            .and_then(|at| usize::try_from(at).ok())
            .filter(|_| mark != Mark::None)
            .map(|at| Marked { mark, at }),
    }))
}

/// Writes down what came of the request that began `at`, with its money, once;
/// from here on the batch may be sent. [`Error::Moved`] when it was written down
/// before.
pub async fn end(
    system: &System,
    batch: &Sendable,
    at: OffsetDateTime,
    now: OffsetDateTime,
    ended: &Ended,
) -> Result<()> {
    let key = batch.key;
    let outcome = match ended {
        Ended::Primed(..) => "primed",
        Ended::Refused => "refused",
        Ended::Unknown(..) => "unknown",
    };
    let mut tx = system.begin_write().await?;
    let done = sqlx::query!(
        "UPDATE batch SET prime_ended_at = $4, prime_outcome = $5, primer = NULL
          WHERE tenant_id = $1 AND id = $2 AND prime_sent_at = $3 AND prime_ended_at IS NULL",
        key.tenant.as_uuid(),
        key.batch.as_uuid(),
        at,
        now,
        outcome,
    )
    .execute(tx.conn())
    .await?;
    if done.rows_affected() != 1 {
        return Err(Error::Moved(key.batch));
    }
    match ended {
        Ended::Refused => {}
        Ended::Primed(model, measured) => {
            book(tx.conn(), key, now, model, measured).await?;
            let cost = measured.cost_pico;
            budget::spend_beside_jobs(tx.conn(), key.tenant, now, cost).await?;
        }
        Ended::Unknown(model, measured) => absorb(tx.conn(), batch, now, model, measured).await?,
    }
    point!("prime.booked_open");
    tx.commit().await
}

async fn book(
    conn: &mut Connection,
    key: Key,
    now: OffsetDateTime,
    model: &str,
    measured: &Measured,
) -> Result<()> {
    let day: Date = now.date();
    sqlx::query!(
        "INSERT INTO ledger (tenant_id, batch_id, id, attempt, at, day, lane, model, input_tokens,
                             output_tokens, cache_write_5m, cache_write_1h, cache_read_tokens,
                             web_searches, cost_pico, sync_pico, saved_batch_pico,
                             saved_cache_pico, saved_reuse_pico, unpriced)
         VALUES ($1, $2, $2, 0, $3, $4, 'direct', $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,
                 $16, $17)",
        key.tenant.as_uuid(),
        key.batch.as_uuid(),
        now,
        day,
        model,
        measured.input_tokens,
        measured.output_tokens,
        measured.cache_write_5m,
        measured.cache_write_1h,
        measured.cache_read,
        measured.web_searches,
        measured.cost_pico,
        measured.sync_pico,
        measured.saved_batch_pico,
        measured.saved_cache_pico,
        measured.saved_reuse_pico,
        measured.unpriced,
    )
    .execute(&mut *conn)
    .await?;
    let change = Change {
        input_tokens: measured.input_tokens,
        output_tokens: measured.output_tokens,
        cost_pico: measured.cost_pico,
        sync_pico: measured.sync_pico,
        ..Change::count(Of::Tenant, BILLED, 1)
    };
    delta::append(conn, key.tenant, [change]).await?;
    let billed = Billed {
        n: 1,
        input_tokens: measured.input_tokens,
        output_tokens: measured.output_tokens,
        cost_pico: measured.cost_pico,
        sync_pico: measured.sync_pico,
        unpriced: i64::from(measured.unpriced),
    };
    event::billed(conn, key, billed).await
}

async fn absorb(
    conn: &mut Connection,
    batch: &Sendable,
    now: OffsetDateTime,
    model: &str,
    measured: &Measured,
) -> Result<()> {
    let key = batch.key;
    // It has no id at Anthropic: ours stands for it.
    let name = key.batch.to_string();
    sqlx::query!(
        "INSERT INTO absorbed (upstream_id, upstream_batch_id, custom_id, at, day, model,
                               input_tokens, output_tokens, cache_write_5m, cache_write_1h,
                               cache_read_tokens, web_searches, cost_pico, sync_pico, unpriced)
         VALUES ($1, $2, 'prime', $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        batch.upstream.as_uuid(),
        name,
        now,
        now.date(),
        model,
        measured.input_tokens,
        measured.output_tokens,
        measured.cache_write_5m,
        measured.cache_write_1h,
        measured.cache_read,
        measured.web_searches,
        measured.cost_pico,
        measured.sync_pico,
        measured.unpriced,
    )
    .execute(&mut *conn)
    .await?;
    let note = Note {
        kind: Kind::PrimeUnknown,
        at: now,
        upstream: Some(batch.upstream),
        tenant: Some(key.tenant),
        batch: Some(key.batch),
        upstream_batch_id: Some(&name),
        detail: "the answer to the request that went ahead of this batch was lost",
    };
    incident::note_within(&mut *conn, &note).await?;
    sqlx::query!(
        "UPDATE incident
            SET absorbed_pico = absorbed_pico + $4::bigint,
                absorbed_sync_pico = absorbed_sync_pico + $5::bigint
          WHERE kind = $1 AND upstream_id = $2 AND upstream_batch_id = $3",
        note.kind.as_str(),
        batch.upstream.as_uuid(),
        name,
        measured.cost_pico,
        measured.sync_pico,
    )
    .execute(conn)
    .await?;
    Ok(())
}
