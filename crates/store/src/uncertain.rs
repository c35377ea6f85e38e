//! Sends whose outcome nobody knows: what `rescue` reads and writes.

use std::time::Duration;

use offpeak_domain::batch;
use offpeak_domain::id::UpstreamId;
use offpeak_domain::job::State;
use time::OffsetDateTime;

use crate::access::Write as _;
use crate::batch::{Key, key};
use crate::bounded::Connection;
use crate::lease::interval;
use crate::{Result, System, delta, event};

/// A send that has no answer: not yet, or for good.
#[derive(Clone, Debug)]
pub struct Send {
    /// Which.
    pub key: Key,
    /// Whether its outcome is unknown; otherwise it is under way.
    pub uncertain: bool,
    /// Jobs in it.
    pub items: u32,
    /// When its create call began, on the database's clock.
    pub sent_at: OffsetDateTime,
    /// When its create call has ended at the latest.
    pub deadline: OffsetDateTime,
    /// Complete listings so far that did not show it.
    pub listings: u32,
    /// When the first of them was made.
    pub first_listing_at: Option<OffsetDateTime>,
    /// How far Anthropic's clock was ahead of ours when its create call began, if
    /// that is known.
    pub ahead: Option<time::Duration>,
    /// The same when the first of those listings was made.
    pub listing_ahead: Option<time::Duration>,
}

/// How often it is listed for an uncertain send.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// At first.
    pub often: Duration,
    /// How long that goes on.
    pub young: Duration,
    /// Afterwards.
    pub later: Duration,
}

/// The uncertain sends of an upstream, in sum.
#[derive(Clone, Copy, Debug)]
pub struct Doubt {
    /// When the oldest of them was sent, on Anthropic's clock: of those whose
    /// time there is known.
    pub since_there: Option<OffsetDateTime>,
    /// The same on ours, of the others.
    pub since_here: Option<OffsetDateTime>,
    /// When to list next.
    pub list_at: OffsetDateTime,
}

/// Since when an upstream has uncertain sends, and when to list for them next;
/// nothing when it has none. One listing serves all of them.
pub async fn doubt(
    system: &System,
    upstream: UpstreamId,
    now: OffsetDateTime,
    pace: &Pace,
) -> Result<Option<Doubt>> {
    let row = sqlx::query!(
        r#"SELECT min(sent_at + ahead_us * interval '1 microsecond') AS there,
                  min(sent_at) FILTER (WHERE ahead_us IS NULL) AS here,
                  -- A listing in the future: the clock was set back since.
                  min(coalesce(CASE WHEN last_listing_at <= $2 THEN last_listing_at END
                               + CASE WHEN last_listing_at < first_look_at + $4::interval
                                      THEN $3::interval ELSE $5::interval END,
                               $2)) AS list_at
             FROM batch
            WHERE upstream_id = $1 AND state = 'uncertain'"#,
        upstream.as_uuid(),
        now,
        interval(pace.often),
        interval(pace.young),
        interval(pace.later),
    )
    .fetch_one(&system.pool)
    .await?;
    Ok(row.list_at.map(|list_at| Doubt {
        since_there: row.there,
        since_here: row.here,
        list_at,
    }))
}

/// How many sends of an upstream are uncertain.
pub async fn count(system: &System, upstream: UpstreamId) -> Result<u64> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM batch WHERE upstream_id = $1 AND state = 'uncertain'"#,
        upstream.as_uuid(),
    )
    .fetch_one(&system.pool)
    .await?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Every send of an upstream without an answer, those under way included: what
/// is listed may be theirs. Read after the listing, oldest first.
pub async fn sends(system: &System, upstream: UpstreamId, limit: i64) -> Result<Vec<Send>> {
    let rows = sqlx::query!(
        r#"SELECT tenant_id, id, state = 'uncertain' AS "uncertain!", items,
                  sent_at AS "sent_at!", coalesce(send_deadline, sent_at) AS "deadline!",
                  listings, first_listing_at, ahead_us, listing_ahead_us
             FROM batch
            WHERE upstream_id = $1 AND state IN ('sending', 'uncertain')
            ORDER BY sent_at, id
            LIMIT $2"#,
        upstream.as_uuid(),
        limit,
    )
    .fetch_all(&system.pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Send {
            key: key(row.tenant_id, row.id),
            uncertain: row.uncertain,
            items: u32::try_from(row.items).unwrap_or(0),
            sent_at: row.sent_at,
            deadline: row.deadline,
            listings: u32::try_from(row.listings).unwrap_or(0),
            first_listing_at: row.first_listing_at,
            ahead: row.ahead_us.map(time::Duration::microseconds),
            listing_ahead: row.listing_ahead_us.map(time::Duration::microseconds),
        })
        .collect())
}

/// A message batch that a row of ours names.
#[derive(Clone, Debug)]
pub struct Known {
    /// Anthropic's id of it.
    pub id: String,
    /// Whether a batch of ours has only recognised it by time and count, so
    /// that it may be another's.
    pub guessed: bool,
}

/// Which of these message batches we know already: as ours, or as nothing to adopt.
pub async fn known(
    system: &System,
    upstream: UpstreamId,
    upstream_batch_ids: &[String],
) -> Result<Vec<Known>> {
    Ok(sqlx::query_as!(
        Known,
        r#"SELECT id AS "id!", bool_and(guessed) AS "guessed!"
             FROM (SELECT upstream_batch_id AS id, NOT verified AS guessed FROM batch
                    WHERE upstream_id = $1 AND upstream_batch_id = ANY ($2)
                    UNION ALL
                   SELECT upstream_batch_id, false FROM foreign_batch
                    WHERE upstream_id = $1 AND upstream_batch_id = ANY ($2)
                    UNION ALL
                   SELECT upstream_batch_id, false FROM twin
                    WHERE upstream_id = $1 AND upstream_batch_id = ANY ($2)) AS named
            GROUP BY id
            LIMIT 100000"#,
        upstream.as_uuid(),
        upstream_batch_ids,
    )
    .fetch_all(&system.pool)
    .await?)
}

/// What a complete listing says of a send that stays uncertain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// Nothing: it was made too early, or its times cannot be compared.
    Nothing,
    /// It shows something that may be it: what was counted before is void.
    InSight,
    /// It does not show it.
    Absent,
}

/// Notes a complete listing, made at `at`, when Anthropic's clock was `ahead`.
pub async fn listed(
    system: &System,
    send: &Send,
    at: OffsetDateTime,
    ahead: Option<time::Duration>,
    listed: Listed,
) -> Result<()> {
    sqlx::query!(
        "UPDATE batch
            SET last_listing_at = $4,
                first_look_at = coalesce(first_look_at, $4),
                listings = CASE WHEN $6 THEN 0 WHEN $5 THEN listings + 1 ELSE listings END,
                first_listing_at = CASE WHEN $6 THEN NULL
                                        WHEN $5 THEN coalesce(first_listing_at, $4)
                                        ELSE first_listing_at END,
                -- Of the same listing as the time above.
                listing_ahead_us = CASE WHEN $6 THEN NULL
                                        WHEN $5 AND first_listing_at IS NULL THEN $7
                                        ELSE listing_ahead_us END,
                ahead_us = coalesce(ahead_us, $7)
          WHERE tenant_id = $1 AND id = $2 AND state = 'uncertain' AND sent_at = $3",
        send.key.tenant.as_uuid(),
        send.key.batch.as_uuid(),
        send.sent_at,
        at,
        listed == Listed::Absent,
        listed == Listed::InSight,
        micros(ahead),
    )
    .write(system)
    .await?;
    Ok(())
}

/// A difference of clocks as a column holds it.
pub(crate) fn micros(ahead: Option<time::Duration>) -> Option<i64> {
    ahead.and_then(|ahead| i64::try_from(ahead.whole_microseconds()).ok())
}

/// Proven never to have been stored: `uncertain` becomes `refuted`. False when
/// it is not this send any more.
pub async fn refute(system: &System, send: &Send) -> Result<bool> {
    let mut tx = system.begin_write().await?;
    let done = sqlx::query!(
        "UPDATE batch SET state = 'refuted'
          WHERE tenant_id = $1 AND id = $2 AND state = 'uncertain' AND sent_at = $3",
        send.key.tenant.as_uuid(),
        send.key.batch.as_uuid(),
        send.sent_at,
    )
    .execute(tx.conn())
    .await?;
    if done.rows_affected() != 1 {
        return Ok(false);
    }
    event::batch(tx.conn(), send.key, batch::State::Refuted).await?;
    tx.commit().await?;
    Ok(true)
}

/// A message batch that is somebody else's: nothing to adopt.
pub async fn foreign(system: &System, upstream: UpstreamId, upstream_batch_id: &str) -> Result<()> {
    sqlx::query!(
        "INSERT INTO foreign_batch (upstream_id, upstream_batch_id) VALUES ($1, $2)
             ON CONFLICT DO NOTHING",
        upstream.as_uuid(),
        upstream_batch_id,
    )
    .write(system)
    .await?;
    Ok(())
}

/// How long a message batch that was only recognised has been unknown to Anthropic.
#[derive(Clone, Copy, Debug)]
pub struct Missing {
    /// Looks in a row that did not find it.
    pub looks: u32,
    /// When the first of them was made.
    pub since: OffsetDateTime,
}

/// Notes a look, made at `at`, that did not find what this batch had only
/// recognised. Nothing comes back when it is known for certain meanwhile.
pub async fn missing(system: &System, key: Key, at: OffsetDateTime) -> Result<Option<Missing>> {
    let mut tx = system.begin_write().await?;
    let row = sqlx::query!(
        r#"UPDATE batch
              SET missing_since = coalesce(missing_since, $3), missing_looks = missing_looks + 1
            WHERE tenant_id = $1 AND id = $2 AND NOT verified
              AND state IN ('in_progress', 'canceling', 'ended')
           RETURNING missing_since AS "since!", missing_looks"#,
        key.tenant.as_uuid(),
        key.batch.as_uuid(),
        at,
    )
    .fetch_optional(tx.conn())
    .await?;
    tx.commit().await?;
    Ok(row.map(|row| Missing {
        looks: u32::try_from(row.missing_looks).unwrap_or(0),
        since: row.since,
    }))
}

/// Anthropic knows it: what [`missing`] has counted is void.
pub async fn found(system: &System, key: Key) -> Result<()> {
    sqlx::query!(
        "UPDATE batch SET missing_since = NULL, missing_looks = 0
          WHERE tenant_id = $1 AND id = $2 AND missing_since IS NOT NULL",
        key.tenant.as_uuid(),
        key.batch.as_uuid(),
    )
    .write(system)
    .await?;
    Ok(())
}

/// The adopted message batch does not name this batch: the send is uncertain
/// again. Whose it is instead is found out by `rescue`, from its lines. Nothing
/// happens when the batch has become another message batch meanwhile.
pub async fn disown(system: &System, key: Key, upstream_batch_id: &str) -> Result<()> {
    let mut tx = system.begin().await?;
    give_up_adoption(tx.conn(), key, upstream_batch_id).await?;
    tx.commit().await
}

/// As [`disown`], within a transaction.
pub(crate) async fn give_up_adoption(
    conn: &mut Connection,
    key: Key,
    upstream_batch_id: &str,
) -> Result<()> {
    let was = sqlx::query_scalar!(
        "SELECT state FROM batch
          WHERE tenant_id = $1 AND id = $2 AND upstream_batch_id = $3 AND NOT verified
            AND state IN ('in_progress', 'canceling', 'ended')
            FOR UPDATE",
        key.tenant.as_uuid(),
        key.batch.as_uuid(),
        upstream_batch_id,
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(was) = was else { return Ok(()) };
    sqlx::query!(
        "UPDATE batch
            SET state = 'uncertain', upstream_batch_id = NULL, created_at = NULL,
                expires_at = NULL, ended_at = NULL, next_poll_at = NULL, ingester = NULL,
                ingest_until = NULL, short_reads = 0, verified = true, listings = 0,
                first_listing_at = NULL, last_listing_at = NULL, first_look_at = NULL,
                listing_ahead_us = NULL, listed_at = NULL, missing_since = NULL, missing_looks = 0
          WHERE tenant_id = $1 AND id = $2",
        key.tenant.as_uuid(),
        key.batch.as_uuid(),
    )
    .execute(&mut *conn)
    .await?;
    let from = if was == "ended" {
        State::Processing
    } else {
        State::Submitted
    };
    delta::move_batch(conn, key.tenant, key.batch, from, State::Queued).await?;
    event::batch(conn, key, batch::State::Uncertain).await
}
