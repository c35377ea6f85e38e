//! Batches on their way up: intent, body, answer.
//!
//! Every transition names the states it may start from and says whether the row
//! was still there; `offpeak_domain::batch` holds the table they follow.

mod items;

use std::time::Duration;

use offpeak_domain::batch::State;
use offpeak_domain::cache::Mark;
use offpeak_domain::id::{BatchId, TenantId, UpstreamId};
use offpeak_domain::job;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::bounded::Connection;
use crate::lease::interval;
use crate::{Error, Result, System, budget, delta, event, mutant, point, uncertain};

pub use items::{Item, items_after, params};

/// A batch by its full key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Whose.
    pub tenant: TenantId,
    /// Which.
    pub batch: BatchId,
}

/// One send of a batch: what an answer is about, since the same batch may be
/// sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Which batch.
    pub key: Key,
    /// The process that sends.
    pub sender: Uuid,
    /// When it began.
    pub at: OffsetDateTime,
}

/// A batch that this process may send now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sending {
    /// This send of it.
    pub sent: Sent,
    /// Jobs in it.
    pub items: u32,
    /// Exact length of its body.
    pub body_bytes: u64,
    /// What is put into the params of each of them, if they share a prefix.
    pub marked: Option<Marked>,
}

/// How the params of a batch are marked for the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marked {
    /// With this.
    pub mark: Mark,
    /// At this byte of them.
    pub at: usize,
}

/// How a send begins.
#[derive(Clone, Copy, Debug)]
pub struct Begin<'a> {
    /// By whose key it is sent.
    pub upstream: UpstreamId,
    /// When.
    pub now: OffsetDateTime,
    /// The longest that it may last.
    pub within: Duration,
    /// The process that sends.
    pub sender: Uuid,
    /// The lease by which it is seen to be alive.
    pub sender_lease: &'a str,
    /// The API version that it speaks.
    pub api_version: &'a str,
    /// What each job adds to the body beside its params.
    pub item_overhead: u64,
    /// Sends to one upstream that may be uncertain at once.
    pub max_uncertain: u32,
    /// How far Anthropic's clock is ahead of ours, if that is known.
    pub ahead: Option<time::Duration>,
}

/// Commits the intent to send: from here on bytes may leave. Jobs that were
/// canceled meanwhile leave the batch before, so that nobody pays for them.
///
/// Nothing comes back when another process took it, when the sender's own lease
/// has run out, when too many sends are uncertain, when no job is left in it, when it
/// goes by another upstream now or that one's key was removed, or
/// when what the upstream holds was not compared with this very database, or may
/// hold one of the jobs: then nothing may be sent.
pub async fn begin_send(system: &System, key: Key, begin: &Begin<'_>) -> Result<Option<Sending>> {
    let mut tx = system.begin().await?;
    let taken = sqlx::query!(
        r#"UPDATE batch
            SET state = 'sending',
                sender = $3,
                sent_at = $7,
                first_sent_at = coalesce(first_sent_at, $7),
                send_deadline = $7::timestamptz + $4::interval,
                api_version = $5,
                -- What was listed for an earlier send proves nothing about this one.
                listings = 0,
                first_listing_at = NULL,
                last_listing_at = NULL,
                first_look_at = NULL,
                ahead_us = $9,
                listing_ahead_us = NULL,
                last_error = NULL
          WHERE tenant_id = $1 AND id = $2 AND state = 'planned'
            AND upstream_id = $10 AND has_key(upstream_id)
            AND (NOT prime OR prime_ended_at IS NOT NULL)
            AND EXISTS (SELECT FROM lease
                         WHERE name = $6 AND holder = $3 AND expires_at > clock_timestamp())
            -- Once one send is in doubt, those under way count as if they were.
            AND (SELECT count(*) FILTER (WHERE d.state = 'uncertain') = 0 OR count(*) < $8
                   FROM batch d
                  WHERE d.upstream_id = batch.upstream_id
                    AND d.state IN ('sending', 'uncertain'))
            -- Asked here, and so of the database that commits the intent: it may
            -- be another one than a moment ago, and have forgotten a send.
            AND EXISTS (SELECT FROM comparison c
                         WHERE c.upstream_id = batch.upstream_id
                           AND c.incarnation = incarnation()
                           AND c.started_at = pg_postmaster_start_time())
            AND NOT EXISTS (SELECT FROM hold h
                              JOIN inflight i ON i.tenant_id = $1 AND i.batch_id = $2
                                             AND i.id < h.first_free
                             WHERE h.upstream_id = batch.upstream_id)
         RETURNING items, body_bytes, sends, sent_at AS "sent_at!", cache_mark,
                   (SELECT p.mark_at FROM prefix p
                     WHERE p.tenant_id = batch.tenant_id AND p.bucket_id = batch.bucket_id)
                       AS mark_at"#,
        key.tenant.as_uuid(),
        key.batch.as_uuid(),
        begin.sender,
        interval(begin.within),
        begin.api_version,
        begin.sender_lease,
        begin.now,
        i64::from(begin.max_uncertain),
        uncertain::micros(begin.ahead),
        begin.upstream.as_uuid(),
    )
    .fetch_optional(tx.conn())
    .await?;
    let Some(taken) = taken else { return Ok(None) };
    let canceled = drop_canceled(tx.conn(), key).await?;
    let left = i64::from(taken.items) - canceled.items;
    // A create before this one may have been stored against its answer, as long as
    // the batch lives: then what was canceled since has a line, which is booked.
    if canceled.items > 0 && (taken.sends == 0 || left == 0) {
        forget_dropped(tx.conn(), key, begin.now).await?;
    }
    let overhead = i64::try_from(begin.item_overhead).unwrap_or(0);
    let body_bytes = taken.body_bytes - canceled.bytes - canceled.items * overhead;
    if left == 0 {
        sqlx::query!(
            "UPDATE batch
                SET state = 'rejected', sender = NULL, freed_at = clock_timestamp(),
                    last_error = 'every job in it was canceled before it was sent'
              WHERE tenant_id = $1 AND id = $2",
            key.tenant.as_uuid(),
            key.batch.as_uuid(),
        )
        .execute(tx.conn())
        .await?;
    } else if canceled.items > 0 {
        sqlx::query!(
            "UPDATE batch SET items = $3, body_bytes = $4 WHERE tenant_id = $1 AND id = $2",
            key.tenant.as_uuid(),
            key.batch.as_uuid(),
            i32::try_from(left).unwrap_or(i32::MAX),
            body_bytes,
        )
        .execute(tx.conn())
        .await?;
    }
    let state = if left == 0 {
        State::Rejected
    } else {
        State::Sending
    };
    event::batch(tx.conn(), key, state).await?;
    point!("submit.intent_open");
    if !mutant!("skip_sending") {
        tx.commit().await?;
    }
    // A word of a newer version is no reason not to send it.
    let mark: Mark = taken.cache_mark.parse().unwrap_or(Mark::None);
    let at = taken.mark_at.and_then(|at| usize::try_from(at).ok());
    let marked = at
        .filter(|_| mark != Mark::None)
        .map(|at| Marked { mark, at });
    // Its row counts what a process without marks sends.
    let marks = marked.map_or(0, |marked| marked.mark.text().len() as u64)
        * u64::try_from(left).unwrap_or(0);
    Ok((left > 0).then(|| Sending {
        sent: Sent {
            key,
            sender: begin.sender,
            at: taken.sent_at,
        },
        items: u32::try_from(left).unwrap_or(0),
        body_bytes: u64::try_from(body_bytes).unwrap_or(0) + marks,
        marked,
    }))
}

/// What a batch was made without.
struct Dropped {
    items: i64,
    bytes: i64,
}

/// Leaves the jobs out that were canceled since the last create.
async fn drop_canceled(conn: &mut Connection, key: Key) -> Result<Dropped> {
    Ok(sqlx::query_as!(
        Dropped,
        r#"WITH gone AS (
               UPDATE inflight SET dropped = true
                WHERE tenant_id = $1 AND batch_id = $2 AND canceled AND NOT dropped
               RETURNING bytes)
           SELECT count(*) AS "items!", coalesce(sum(bytes), 0)::bigint AS "bytes!" FROM gone"#,
        key.tenant.as_uuid(),
        key.batch.as_uuid(),
    )
    .fetch_one(conn)
    .await?)
}

/// Forgets those that were left out and have no line. Of one that was called for
/// beside this batch nothing else would be known: it leaves an attempt.
pub(crate) async fn forget_dropped(
    conn: &mut Connection,
    key: Key,
    now: OffsetDateTime,
) -> Result<()> {
    let gone = sqlx::query_scalar!(
        r#"WITH gone AS (
             DELETE FROM inflight
              WHERE tenant_id = $1 AND batch_id = $2 AND dropped
             RETURNING id, attempt),
         kept AS (
             INSERT INTO attempt (tenant_id, id, attempt, outcome, batch_id, ended_at)
             SELECT $1, g.id, g.attempt, 'canceled', $2, clock_timestamp()
               FROM gone g
              WHERE NOT EXISTS (SELECT FROM result r
                                 WHERE r.tenant_id = $1 AND r.id = g.id
                                   AND r.attempt = g.attempt)
                 ON CONFLICT DO NOTHING)
         SELECT id AS "id!" FROM gone ORDER BY id"#,
        key.tenant.as_uuid(),
        key.batch.as_uuid(),
    )
    .fetch_all(&mut *conn)
    .await?;
    budget::settle(conn, key.tenant, now, &gone, &[]).await
}

/// Whether the last bytes of this send may still be handed over: nobody has
/// declared it uncertain, and its time is not over.
pub async fn still_sending(system: &System, sent: &Sent, now: OffsetDateTime) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM batch
                           WHERE tenant_id = $1 AND id = $2 AND state = 'sending'
                             AND sender = $3 AND sent_at = $4
                             AND send_deadline > $5) AS "still!""#,
        sent.key.tenant.as_uuid(),
        sent.key.batch.as_uuid(),
        sent.sender,
        sent.at,
        now,
    )
    .fetch_one(&system.pool)
    .await?)
}

/// What Anthropic calls a batch that it holds.
#[derive(Clone, Debug)]
pub struct Stored<'a> {
    /// Its id there.
    pub upstream_batch_id: &'a str,
    /// Its time of creation, on Anthropic's clock.
    pub created_at: OffsetDateTime,
    /// When it ends at the latest.
    pub expires_at: OffsetDateTime,
    /// When to look at it first.
    pub next_poll_at: OffsetDateTime,
    /// False when it was only recognised in a list.
    pub verified: bool,
    /// SHA-256 of the body that was sent, where it is known.
    pub body_hash: Option<&'a [u8]>,
}

/// Writes down that Anthropic holds it: `sending` or `uncertain` become
/// `in_progress`, and its jobs count as submitted. So does `planned`, if that is
/// certain: then an earlier create was stored against its answer, and must not
/// be made again. Running it again with the same id changes nothing.
///
/// One message batch belongs to one batch. Who was told its id by the create's
/// own answer, or by a result line, has it for certain, and takes it from a
/// batch that had only recognised it; a mere recognition takes nothing.
pub async fn stored(system: &System, key: Key, stored: &Stored<'_>) -> Result<()> {
    let mut tx = system.begin().await?;
    alone_with(tx.conn(), stored.upstream_batch_id).await?;
    let holder = sqlx::query!(
        "SELECT h.tenant_id, h.id, h.verified
           FROM batch h
           JOIN batch b ON b.upstream_id = h.upstream_id
          WHERE b.tenant_id = $1 AND b.id = $2 AND h.upstream_batch_id = $3",
        key.tenant.as_uuid(),
        key.batch.as_uuid(),
        stored.upstream_batch_id,
    )
    .fetch_optional(tx.conn())
    .await?;
    if let Some(holder) = holder {
        let held_by = self::key(holder.tenant_id, holder.id);
        if held_by == key {
            return Ok(());
        }
        if holder.verified || !stored.verified {
            return Err(Error::Moved(key.batch));
        }
        uncertain::give_up_adoption(tx.conn(), held_by, stored.upstream_batch_id).await?;
    }
    let done = sqlx::query!(
        "UPDATE batch
            SET state = 'in_progress',
                upstream_batch_id = $3,
                created_at = $4,
                expires_at = $5,
                next_poll_at = $6,
                verified = $7,
                body_hash = coalesce($8, body_hash),
                sent_at = coalesce(sent_at, first_sent_at, $4),
                last_error = NULL
          WHERE tenant_id = $1 AND id = $2
            AND (state IN ('sending', 'uncertain') OR (state = 'planned' AND $7))",
        key.tenant.as_uuid(),
        key.batch.as_uuid(),
        stored.upstream_batch_id,
        stored.created_at,
        stored.expires_at,
        stored.next_poll_at,
        stored.verified,
        stored.body_hash,
    )
    .execute(tx.conn())
    .await?;
    if done.rows_affected() == 0 {
        return Err(Error::Moved(key.batch));
    }
    delta::move_batch(
        tx.conn(),
        key.tenant,
        key.batch,
        job::State::Queued,
        job::State::Submitted,
    )
    .await?;
    event::batch(tx.conn(), key, State::InProgress).await?;
    point!("submit.stored_open");
    tx.commit().await
}

/// Of two that write down the same message batch, the second sees what the first
/// did.
pub(crate) async fn alone_with(conn: &mut Connection, upstream_batch_id: &str) -> Result<()> {
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(hashtextextended($1, 0)) AS locked",
        upstream_batch_id
    )
    .fetch_one(conn)
    .await?;
    Ok(())
}

/// Nothing was stored: back to `planned`, to be sent again at `not_before`.
/// The answer counts also after somebody declared this send uncertain, and never
/// for a later one.
pub async fn not_created(
    system: &System,
    sent: &Sent,
    why: &str,
    not_before: OffsetDateTime,
) -> Result<()> {
    let mut tx = system.pool.begin().await?;
    let done = sqlx::query!(
        "UPDATE batch
            SET state = 'planned', sends = sends + 1, sent_at = NULL, sender = NULL,
                send_deadline = NULL, last_error = $5, not_before = $6
          WHERE tenant_id = $1 AND id = $2 AND sent_at = $4
            AND ((state = 'sending' AND sender = $3) OR state = 'uncertain')",
        sent.key.tenant.as_uuid(),
        sent.key.batch.as_uuid(),
        sent.sender,
        sent.at,
        why,
        not_before,
    )
    .execute(&mut tx)
    .await?;
    if done.rows_affected() != 1 {
        return Err(Error::Moved(sent.key.batch));
    }
    event::batch(&mut tx, sent.key, State::Planned).await?;
    Ok(tx.commit().await?)
}

/// Nobody knows whether this send was stored: `sending` becomes `uncertain`.
pub async fn create_unknown(system: &System, sent: &Sent, why: &str) -> Result<()> {
    let mut tx = system.pool.begin().await?;
    let done = sqlx::query!(
        "UPDATE batch SET state = 'uncertain', sender = NULL, last_error = $5
          WHERE tenant_id = $1 AND id = $2 AND state = 'sending' AND sender = $3 AND sent_at = $4",
        sent.key.tenant.as_uuid(),
        sent.key.batch.as_uuid(),
        sent.sender,
        sent.at,
        why,
    )
    .execute(&mut tx)
    .await?;
    if done.rows_affected() == 1 {
        event::batch(&mut tx, sent.key, State::Uncertain).await?;
    }
    Ok(tx.commit().await?)
}

/// Declares uncertain what was being sent by a process whose lease has run
/// out, or for longer than a send may last; also what seems to be sent in the
/// future, since the clock was set back. Returns how many.
pub async fn abandon_sends(system: &System, now: OffsetDateTime) -> Result<u64> {
    let mut tx = system.begin_write().await?;
    let abandoned = sqlx::query!(
        "UPDATE batch b
            SET state = 'uncertain', sender = NULL, last_error = 'the sending process went away'
          WHERE b.state = 'sending'
            AND (b.send_deadline < $1 OR b.sent_at > $1::timestamptz + interval '10 minutes'
                 OR NOT EXISTS (SELECT FROM lease l
                                 WHERE l.holder = b.sender AND l.expires_at > clock_timestamp()))
         RETURNING tenant_id, id",
        now,
    )
    .fetch_all(tx.conn())
    .await?;
    for row in &abandoned {
        let key = key(row.tenant_id, row.id);
        event::batch(tx.conn(), key, State::Uncertain).await?;
    }
    tx.commit().await?;
    Ok(abandoned.len() as u64)
}

pub(crate) fn key(tenant: Uuid, batch: Uuid) -> Key {
    Key {
        tenant: TenantId::from_uuid(tenant),
        batch: BatchId::from_uuid(batch),
    }
}
