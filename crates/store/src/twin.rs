//! Message batches that Anthropic holds although their jobs went on without
//! them: when to list for such, which were found, and what they billed. None of
//! it touches a tenant's rows.

use std::time::Duration;

use offpeak_domain::batch::State;
use offpeak_domain::id::{BatchId, TenantId, UpstreamId};
use offpeak_domain::reconcile::Uncertain;
use time::{Date, OffsetDateTime};

use crate::access::Write as _;
use crate::batch::{Key, key};
use crate::incident::{self, Note};
use crate::job::known as word;
use crate::lease::interval;
use crate::settle::Measured;
use crate::{Result, System, point};

/// How often an upstream is listed completely for twins.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// In the first time after a doubtful send.
    pub often: Duration,
    /// How long that time is.
    pub young: Duration,
    /// After it.
    pub seldom: Duration,
    /// After so long a send is not looked for any more.
    pub forget: Duration,
}

/// A complete listing that is owed.
#[derive(Clone, Copy, Debug)]
pub struct Due {
    /// The oldest doubtful send: the listing reaches back to it.
    pub since: OffsetDateTime,
    /// When to list.
    pub at: OffsetDateTime,
}

/// When an upstream is to be listed next; nothing while no send of it was
/// believed to have stored nothing: refuted, or refused. Of several sends of one
/// batch the first counts, since any of them may have been stored.
pub async fn due(
    system: &System,
    upstream: UpstreamId,
    now: OffsetDateTime,
    pace: &Pace,
) -> Result<Option<Due>> {
    let row = sqlx::query!(
        r#"SELECT greatest(min(coalesce(b.first_sent_at, b.sent_at)),
                           $2::timestamptz - $6::interval) AS since,
                  greatest(min(coalesce(b.first_sent_at, b.sent_at)), max(s.swept_at))
                  + CASE WHEN max(coalesce(b.sent_at, b.first_sent_at))
                              > $2::timestamptz - $4::interval
                         THEN $3::interval ELSE $5::interval END AS at
             FROM batch b
             LEFT JOIN sweep s ON s.upstream_id = b.upstream_id
            WHERE b.upstream_id = $1
              AND (b.sent_at > $2::timestamptz - $6::interval
                   -- Not being sent at the moment.
                   OR (b.sent_at IS NULL
                       AND b.first_sent_at > $2::timestamptz - $6::interval))
              AND (b.state IN ('refuted', 'rejected') OR b.sends > 0)"#,
        upstream.as_uuid(),
        now,
        interval(pace.often),
        interval(pace.young),
        interval(pace.seldom),
        interval(pace.forget),
    )
    .fetch_one(&system.pool)
    .await?;
    Ok(row.since.zip(row.at).map(|(since, at)| Due { since, at }))
}

/// A complete listing was made that began at `at`.
pub async fn swept(system: &System, upstream: UpstreamId, at: OffsetDateTime) -> Result<()> {
    sqlx::query!(
        "INSERT INTO sweep AS s (upstream_id, swept_at) VALUES ($1, $2)
             ON CONFLICT (upstream_id) DO UPDATE
            SET swept_at = greatest(s.swept_at, excluded.swept_at)",
        upstream.as_uuid(),
        at,
    )
    .write(system)
    .await?;
    Ok(())
}

/// Sends whose message batch may have been created about a moment.
#[derive(Clone, Debug, Default)]
pub struct Near {
    /// Refuted ones, and such that were sent again after an answer which said
    /// that nothing was stored, with their batches beside.
    pub refuted: Vec<Uncertain>,
    /// Their keys, in the same order.
    pub keys: Vec<Key>,
    /// Under way, uncertain, recognised in a list and not verified, or about to
    /// be sent again.
    pub open: Vec<Uncertain>,
    /// There are more than were read: nothing is unmistakable then.
    pub cut: bool,
}

/// Reads them, up to `limit`. `within` is wider than any send's window.
pub async fn near(
    system: &System,
    upstream: UpstreamId,
    moment: OffsetDateTime,
    within: Duration,
    limit: i64,
) -> Result<Near> {
    let rows = sqlx::query!(
        r#"SELECT tenant_id, id, items,
                  state = 'refuted'
                  OR (verified AND state IN ('in_progress', 'canceling', 'ended', 'ingested'))
                      AS "refuted!",
                  coalesce(first_sent_at, sent_at) AS "sent_at!",
                  coalesce(send_deadline, sent_at, not_before) AS "deadline!"
             FROM batch
            WHERE upstream_id = $1
              AND ((sent_at BETWEEN $2::timestamptz - $3::interval
                                AND $2::timestamptz + $3::interval
                    AND (state IN ('sending', 'uncertain', 'refuted')
                         OR (NOT verified AND state IN ('in_progress', 'canceling', 'ended'))))
                   -- Sent before as well: any time from the first send on.
                   OR (sends > 0 AND state <> 'rejected'
                       AND first_sent_at <= $2::timestamptz + $3::interval
                       AND coalesce(sent_at, not_before) >= $2::timestamptz - $3::interval))
            ORDER BY sent_at, id
            LIMIT $4"#,
        upstream.as_uuid(),
        moment,
        interval(within),
        limit,
    )
    .fetch_all(&system.pool)
    .await?;
    let mut near = Near {
        cut: i64::try_from(rows.len()).unwrap_or(i64::MAX) >= limit,
        ..Near::default()
    };
    for row in rows {
        let send = Uncertain {
            items: u64::try_from(row.items).unwrap_or(0),
            sent_at: row.sent_at,
            deadline: row.deadline,
        };
        if row.refuted {
            near.refuted.push(send);
            near.keys.push(key(row.tenant_id, row.id));
        } else {
            near.open.push(send);
        }
    }
    Ok(near)
}

/// The batch that a result line names.
#[derive(Clone, Debug)]
pub struct Named {
    /// Which.
    pub key: Key,
    /// Where it stands.
    pub state: State,
    /// The model that its jobs asked for.
    pub model: String,
    /// The message batch that it is.
    pub upstream_batch_id: Option<String>,
    /// False while that was only recognised in a list.
    pub verified: bool,
}

/// Finds it, if it is one of ours.
pub async fn named(system: &System, upstream: UpstreamId, batch: BatchId) -> Result<Option<Named>> {
    let row = sqlx::query!(
        "SELECT tenant_id, id, state, model, upstream_batch_id, verified
           FROM batch WHERE id = $1 AND upstream_id = $2",
        batch.as_uuid(),
        upstream.as_uuid(),
    )
    .fetch_optional(&system.pool)
    .await?;
    row.map(|row| {
        Ok(Named {
            key: key(row.tenant_id, row.id),
            state: word("batch.state", row.state)?,
            model: row.model,
            upstream_batch_id: row.upstream_batch_id,
            verified: row.verified,
        })
    })
    .transpose()
}

/// Writes down a twin with its incident. False when it was known, or is the
/// message batch of one of our batches after all.
pub async fn found(
    system: &System,
    upstream: UpstreamId,
    upstream_batch_id: &str,
    note: &Note<'_>,
) -> Result<bool> {
    let mut tx = system.begin().await?;
    let done = sqlx::query!(
        "INSERT INTO twin (upstream_id, upstream_batch_id, batch_id, of_tenant, found_at, look_at)
         SELECT $1, $2, $3, $5, $4, $4
          WHERE NOT EXISTS (SELECT FROM batch
                             WHERE upstream_id = $1 AND upstream_batch_id = $2)
             ON CONFLICT DO NOTHING",
        upstream.as_uuid(),
        upstream_batch_id,
        note.batch.map(BatchId::as_uuid),
        note.at,
        note.tenant.map(TenantId::as_uuid),
    )
    .execute(tx.conn())
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    incident::note_within(tx.conn(), note).await?;
    tx.commit().await?;
    point!("sweep.found");
    Ok(true)
}

/// A twin that is not read yet.
#[derive(Clone, Debug)]
pub struct Twin {
    /// Its id at Anthropic.
    pub upstream_batch_id: String,
    /// When it was found.
    pub found_at: OffsetDateTime,
    /// Whether Anthropic was asked to stop it.
    pub cancel_asked: bool,
    /// Downloads that came to their end and showed fewer lines than it has.
    pub short_reads: u32,
}

/// The next twin of an upstream that is due for a look.
pub async fn unread(
    system: &System,
    upstream: UpstreamId,
    now: OffsetDateTime,
) -> Result<Option<Twin>> {
    let row = sqlx::query!(
        "SELECT upstream_batch_id, found_at, cancel_asked_at, short_reads
           FROM twin
          WHERE upstream_id = $1 AND read_at IS NULL AND look_at <= $2
          ORDER BY look_at, upstream_batch_id
          LIMIT 1",
        upstream.as_uuid(),
        now,
    )
    .fetch_optional(&system.pool)
    .await?;
    Ok(row.map(|row| Twin {
        upstream_batch_id: row.upstream_batch_id,
        found_at: row.found_at,
        cancel_asked: row.cancel_asked_at.is_some(),
        short_reads: u32::try_from(row.short_reads).unwrap_or(0),
    }))
}

/// When the next unread twin of an upstream is due for a look.
pub async fn next_look(system: &System, upstream: UpstreamId) -> Result<Option<OffsetDateTime>> {
    Ok(sqlx::query_scalar!(
        "SELECT min(look_at) FROM twin WHERE upstream_id = $1 AND read_at IS NULL",
        upstream.as_uuid(),
    )
    .fetch_one(&system.pool)
    .await?)
}

/// Looks at it again at `at`; `short` when its download showed too few lines.
pub async fn look_again(
    system: &System,
    upstream: UpstreamId,
    upstream_batch_id: &str,
    at: OffsetDateTime,
    short: bool,
) -> Result<()> {
    sqlx::query!(
        "UPDATE twin SET look_at = $3, short_reads = short_reads + $4
          WHERE upstream_id = $1 AND upstream_batch_id = $2 AND read_at IS NULL",
        upstream.as_uuid(),
        upstream_batch_id,
        at,
        i32::from(short),
    )
    .write(system)
    .await?;
    Ok(())
}

/// Anthropic was asked to stop it.
pub async fn cancel_asked(
    system: &System,
    upstream: UpstreamId,
    upstream_batch_id: &str,
    at: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "UPDATE twin SET cancel_asked_at = $3
          WHERE upstream_id = $1 AND upstream_batch_id = $2",
        upstream.as_uuid(),
        upstream_batch_id,
        at,
    )
    .write(system)
    .await?;
    Ok(())
}

/// It is no twin: its lines name somebody else, or a send that waits for it.
/// The incident stays and says so.
pub async fn acquit(
    system: &System,
    upstream: UpstreamId,
    upstream_batch_id: &str,
    note: &Note<'_>,
) -> Result<()> {
    let mut tx = system.begin().await?;
    incident::explain(tx.conn(), note).await?;
    sqlx::query!(
        "DELETE FROM twin WHERE upstream_id = $1 AND upstream_batch_id = $2",
        upstream.as_uuid(),
        upstream_batch_id,
    )
    .execute(tx.conn())
    .await?;
    tx.commit().await
}

/// One line that a twin billed.
#[derive(Clone, Debug)]
pub struct Absorbed {
    /// The id that the request was sent under.
    pub custom_id: String,
    /// The model that answered.
    pub model: String,
    /// Usage and money.
    pub measured: Measured,
}

/// Books these lines and adds what is new of them to the incident. A line that
/// was booked before changes nothing, so reading may begin anew at any time.
pub async fn absorb(
    system: &System,
    note: &Note<'_>,
    day: Date,
    lines: &[Absorbed],
) -> Result<u64> {
    let number = |f: fn(&Measured) -> i64| -> Vec<i64> {
        lines.iter().map(|line| f(&line.measured)).collect()
    };
    let text = |f: fn(&Absorbed) -> &String| -> Vec<String> {
        lines.iter().map(|l| f(l).clone()).collect()
    };
    let mut tx = system.begin_write().await?;
    let new = sqlx::query!(
        r#"WITH new AS (
               INSERT INTO absorbed (upstream_id, upstream_batch_id, at, day, custom_id, model,
                                     input_tokens, output_tokens, cache_write_5m, cache_write_1h,
                                     cache_read_tokens, web_searches, cost_pico, sync_pico,
                                     unpriced)
               SELECT $1, $2, $3, $4, *
                 FROM unnest($6::text[], $7::text[], $8::bigint[], $9::bigint[], $10::bigint[],
                             $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[],
                             $15::bigint[], $16::boolean[])
                   ON CONFLICT DO NOTHING
               RETURNING cost_pico, sync_pico),
           sums AS (
               SELECT count(*) AS n, coalesce(sum(cost_pico), 0) AS cost,
                      coalesce(sum(sync_pico), 0) AS sync
                 FROM new),
           told AS (
               UPDATE incident i
                  SET absorbed_pico = absorbed_pico + sums.cost,
                      absorbed_sync_pico = absorbed_sync_pico + sums.sync
                 FROM sums
                WHERE i.kind = $5 AND i.upstream_id = $1 AND i.upstream_batch_id = $2)
           SELECT n AS "n!" FROM sums"#,
        note.upstream.map(UpstreamId::as_uuid),
        note.upstream_batch_id,
        note.at,
        day,
        note.kind.as_str(),
        &text(|line| &line.custom_id),
        &text(|line| &line.model),
        &number(|m| m.input_tokens),
        &number(|m| m.output_tokens),
        &number(|m| m.cache_write_5m),
        &number(|m| m.cache_write_1h),
        &number(|m| m.cache_read),
        &number(|m| m.web_searches),
        &number(|m| m.cost_pico),
        &number(|m| m.sync_pico),
        &lines
            .iter()
            .map(|line| line.measured.unpriced)
            .collect::<Vec<_>>(),
    )
    .fetch_one(tx.conn())
    .await?;
    tx.commit().await?;
    Ok(u64::try_from(new.n).unwrap_or(0))
}

/// Every line that there is was read, and says whose it is, if anybody's of ours.
pub async fn read(
    system: &System,
    upstream: UpstreamId,
    upstream_batch_id: &str,
    note: &Note<'_>,
) -> Result<()> {
    let mut tx = system.begin().await?;
    incident::explain(tx.conn(), note).await?;
    sqlx::query!(
        "UPDATE twin SET read_at = $3, batch_id = coalesce($4, batch_id), of_tenant = $5
          WHERE upstream_id = $1 AND upstream_batch_id = $2",
        upstream.as_uuid(),
        upstream_batch_id,
        note.at,
        note.batch.map(BatchId::as_uuid),
        note.tenant.map(TenantId::as_uuid),
    )
    .execute(tx.conn())
    .await?;
    tx.commit().await
}

/// Up to `limit` twins that were read, that Anthropic still keeps (for `kept`), and that
/// their tenants want deleted there: they said so, or are being erased.
pub async fn to_delete(
    system: &System,
    upstream: UpstreamId,
    now: OffsetDateTime,
    kept: Duration,
    limit: i64,
) -> Result<Vec<String>> {
    Ok(sqlx::query_scalar!(
        "SELECT w.upstream_batch_id
           FROM twin w
          WHERE w.upstream_id = $1 AND w.read_at IS NOT NULL AND w.deleted_at IS NULL
            AND w.found_at > $2 AND (w.delete_at IS NULL OR w.delete_at <= $3)
            AND (EXISTS (SELECT FROM erasure e WHERE e.tenant_id = w.of_tenant)
                 OR EXISTS (SELECT FROM retention r
                             WHERE r.tenant_id = w.of_tenant AND r.delete_upstream))
          ORDER BY w.found_at
          LIMIT $4",
        upstream.as_uuid(),
        now - kept,
        now,
        limit,
    )
    .fetch_all(&system.pool)
    .await?)
}

/// Anthropic does not hold it any more.
pub async fn deleted(
    system: &System,
    upstream: UpstreamId,
    upstream_batch_id: &str,
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "UPDATE twin SET deleted_at = $3, delete_at = NULL
          WHERE upstream_id = $1 AND upstream_batch_id = $2",
        upstream.as_uuid(),
        upstream_batch_id,
        now,
    )
    .write(system)
    .await?;
    Ok(())
}

/// It could not be deleted, and is tried again then.
pub async fn put_off(
    system: &System,
    upstream: UpstreamId,
    upstream_batch_id: &str,
    until: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "UPDATE twin SET delete_at = $3 WHERE upstream_id = $1 AND upstream_batch_id = $2",
        upstream.as_uuid(),
        upstream_batch_id,
        until,
    )
    .write(system)
    .await?;
    Ok(())
}
