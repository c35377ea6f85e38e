//! Batches that Anthropic holds: what `poll` and `ingest` read and write.

use std::time::Duration;

use offpeak_domain::batch::State;
use offpeak_domain::id::UpstreamId;
use offpeak_domain::job;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::access::Write as _;
use crate::batch::{self, Key, key};
use crate::incident::{self, Note};
use crate::lease::{Term, interval};
use crate::turnaround::{self, Took};
use crate::{Result, System, cache, delta, event, point};

/// A batch in progress upstream.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each says something of its own"
)]
pub struct Open {
    /// Which.
    pub key: Key,
    /// Its id at Anthropic.
    pub upstream_batch_id: String,
    /// When it was made there.
    pub created_at: OffsetDateTime,
    /// When it ends there at the latest.
    pub expires_at: OffsetDateTime,
    /// A listing has shown it, or its create's answer never came: when it
    /// became visible is known, or will not be.
    pub listed: bool,
    /// Due for a look; otherwise only newer than one that is.
    pub due: bool,
    /// False while it was only recognised in a list.
    pub verified: bool,
    /// Anthropic did not know it at the last look.
    pub missing: bool,
}

/// The batches of an upstream that are due for a look at `now`, and those that
/// the listing which looks at them shows anyway: all newer ones. Oldest first.
pub async fn due(
    system: &System,
    upstream: UpstreamId,
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<Open>> {
    let rows = sqlx::query!(
        r#"SELECT tenant_id, id, upstream_batch_id AS "upstream_batch_id!",
                  created_at AS "created_at!", expires_at AS "expires_at!",
                  listed_at IS NOT NULL OR body_hash IS NULL AS "listed!",
                  next_poll_at <= $2 AS "due!", verified,
                  missing_since IS NOT NULL AS "missing!"
             FROM batch
            WHERE upstream_id = $1 AND state IN ('in_progress', 'canceling')
              AND created_at >= (SELECT min(created_at)
                                   FROM batch
                                  WHERE upstream_id = $1 AND state IN ('in_progress', 'canceling')
                                    AND next_poll_at <= $2)
            ORDER BY created_at, id
            LIMIT $3"#,
        upstream.as_uuid(),
        now,
        limit,
    )
    .fetch_all(&system.pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Open {
            key: key(row.tenant_id, row.id),
            upstream_batch_id: row.upstream_batch_id,
            created_at: row.created_at,
            expires_at: row.expires_at,
            listed: row.listed,
            due: row.due,
            verified: row.verified,
            missing: row.missing,
        })
        .collect())
}

/// A listing shows these for the first time.
pub async fn listed(system: &System, keys: &[Key], at: OffsetDateTime) -> Result<()> {
    let tenants: Vec<_> = keys.iter().map(|key| key.tenant.as_uuid()).collect();
    let batches: Vec<_> = keys.iter().map(|key| key.batch.as_uuid()).collect();
    sqlx::query!(
        "UPDATE batch b
            SET listed_at = $3
           -- In one order, as everybody who locks several.
           FROM (SELECT o.tenant_id, o.id
                   FROM unnest($1::uuid[], $2::uuid[]) AS k (tenant_id, id)
                   JOIN batch o ON o.tenant_id = k.tenant_id AND o.id = k.id
                  WHERE o.listed_at IS NULL
                  ORDER BY o.id
                    FOR NO KEY UPDATE OF o) AS locked
          WHERE b.tenant_id = locked.tenant_id AND b.id = locked.id",
        &tenants,
        &batches,
        at,
    )
    .write(system)
    .await?;
    Ok(())
}

/// When the next batch is due for a look, if any is open.
pub async fn next_due(system: &System) -> Result<Option<OffsetDateTime>> {
    Ok(sqlx::query_scalar!(
        "SELECT min(next_poll_at) FROM batch WHERE state IN ('in_progress', 'canceling')"
    )
    .fetch_one(&system.pool)
    .await?)
}

/// Still open: look again at `next`.
pub async fn look_again(system: &System, keys: &[Key], next: OffsetDateTime) -> Result<()> {
    let tenants: Vec<_> = keys.iter().map(|key| key.tenant.as_uuid()).collect();
    let batches: Vec<_> = keys.iter().map(|key| key.batch.as_uuid()).collect();
    sqlx::query!(
        "UPDATE batch b
            SET next_poll_at = $3
           FROM (SELECT o.tenant_id, o.id
                   FROM unnest($1::uuid[], $2::uuid[]) AS k (tenant_id, id)
                   JOIN batch o ON o.tenant_id = k.tenant_id AND o.id = k.id
                  WHERE o.state IN ('in_progress', 'canceling')
                  ORDER BY o.id
                    FOR NO KEY UPDATE OF o) AS locked
          WHERE b.tenant_id = locked.tenant_id AND b.id = locked.id",
        &tenants,
        &batches,
        next,
    )
    .write(system)
    .await?;
    Ok(())
}

/// How the requests of an ended batch came out, as Anthropic counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// With a message.
    pub succeeded: u32,
    /// With an error.
    pub errored: u32,
    /// Canceled before they ran.
    pub canceled: u32,
    /// Not run within 24 hours.
    pub expired: u32,
}

/// Anthropic reports it as ended: its jobs count as processing. False when
/// somebody wrote that down before.
pub async fn ended(
    system: &System,
    key: Key,
    ended_at: OffsetDateTime,
    counts: Counts,
) -> Result<bool> {
    let mut tx = system.begin().await?;
    let int = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
    let done = sqlx::query!(
        r#"UPDATE batch
            SET state = 'ended', ended_at = $3,
                succeeded = $4, errored = $5, canceled = $6, expired = $7
          WHERE tenant_id = $1 AND id = $2 AND state IN ('in_progress', 'canceling')
         RETURNING upstream_id, created_at AS "created_at!", items, verified"#,
        key.tenant.as_uuid(),
        key.batch.as_uuid(),
        ended_at,
        int(counts.succeeded),
        int(counts.errored),
        int(counts.canceled),
        int(counts.expired),
    )
    .fetch_optional(tx.conn())
    .await?;
    let Some(done) = done else {
        return Ok(false);
    };
    // One that nobody saw end took nobody knows how long.
    if done.verified && counts != Counts::default() {
        let took = Took {
            upstream: UpstreamId::from_uuid(done.upstream_id),
            lane: job::Lane::Batch,
            begun: done.created_at,
            items: u64::try_from(done.items).unwrap_or(0),
            time: Duration::try_from(ended_at - done.created_at).unwrap_or_default(),
        };
        turnaround::note(tx.conn(), &took).await?;
    }
    delta::move_batch(
        tx.conn(),
        key.tenant,
        key.batch,
        job::State::Submitted,
        job::State::Processing,
    )
    .await?;
    event::batch(tx.conn(), key, State::Ended).await?;
    point!("poll.ended_open");
    tx.commit().await?;
    Ok(true)
}

/// Takes an ended batch for reading its results, of one of these upstreams; nobody
/// else reads it for `term`, or until this process is seen to be gone, or to have been
/// held up for longer than its lease. Each chunk that is settled renews the term, and so
/// does [`keep`].
///
/// `reading` is what this process is reading at the moment. Whatever else is its
/// own it takes again at once: a reading that came to nothing may not have been
/// able to give the batch back.
pub async fn take_ended(
    system: &System,
    process: Uuid,
    term: Duration,
    readable: &[UpstreamId],
    reading: &[Key],
) -> Result<Option<Ended>> {
    let reading: Vec<Uuid> = reading.iter().map(|key| key.batch.as_uuid()).collect();
    let readable: Vec<Uuid> = readable.iter().map(|one| one.as_uuid()).collect();
    let mut tx = system.begin_write().await?;
    let row = sqlx::query!(
        r#"UPDATE batch b
              SET ingester = $1, ingest_epoch = $4,
                  ingest_until = clock_timestamp() + $2::interval
             FROM (SELECT tenant_id, id FROM batch
                    WHERE state = 'ended'
                      -- Results take room; Anthropic keeps them for weeks.
                      AND NOT EXISTS (SELECT FROM storage WHERE level = 'critical')
                      AND upstream_id = ANY ($3)
                      AND (ingest_until IS NULL OR ingest_until < clock_timestamp()
                           OR (ingester = $1 AND id <> ALL ($5))
                           OR (ingester IS NOT NULL
                               AND NOT EXISTS (SELECT FROM lease l
                                                WHERE l.holder = batch.ingester
                                                  AND l.expires_at > clock_timestamp()
                                                  AND (batch.ingest_epoch IS NULL
                                                       OR (l.name = 'process/' || l.holder
                                                           AND l.epoch = batch.ingest_epoch)))))
                    -- One that could not be read goes behind those that nobody tried.
                    ORDER BY ingest_until NULLS FIRST, ended_at, id
                    LIMIT 1
                      FOR UPDATE SKIP LOCKED) AS next
            WHERE b.tenant_id = next.tenant_id AND b.id = next.id
           RETURNING b.tenant_id, b.id, b.upstream_id, b.short_reads, b.verified, b.items,
                     b.upstream_batch_id AS "upstream_batch_id!", b.ended_at AS "ended_at!",
                     b.expires_at AS "expires_at!",
                     coalesce(b.succeeded::bigint + b.errored + b.canceled + b.expired, 0)
                         AS "counted!""#,
        process,
        interval(term),
        &readable,
        system.term().map(Term::epoch),
        &reading,
    )
    .fetch_optional(tx.conn())
    .await?;
    tx.commit().await?;
    Ok(row.map(|row| Ended {
        key: key(row.tenant_id, row.id),
        upstream: UpstreamId::from_uuid(row.upstream_id),
        upstream_batch_id: row.upstream_batch_id,
        ended_at: row.ended_at,
        expires_at: row.expires_at,
        short_reads: u32::try_from(row.short_reads).unwrap_or(0),
        verified: row.verified,
        items: u32::try_from(row.items).unwrap_or(0),
        counted: u64::try_from(row.counted).unwrap_or(0),
    }))
}

/// Renews the term of a batch that this process reads. False when it has not
/// got it any more: another one reads it, or it is another message batch.
pub async fn keep(system: &System, ended: &Ended, process: Uuid, term: Duration) -> Result<bool> {
    let mut tx = system.begin_write().await?;
    let kept = sqlx::query_scalar!(
        r#"WITH own AS (
               SELECT tenant_id, id FROM batch
                WHERE tenant_id = $1 AND id = $2 AND state = 'ended'
                  AND upstream_batch_id = $3 AND ingester = $4),
           -- Whoever holds the row is settling a chunk, which renews the term too.
           free AS (
               SELECT b.tenant_id, b.id FROM batch b
                 JOIN own ON own.tenant_id = b.tenant_id AND own.id = b.id
                  FOR UPDATE OF b SKIP LOCKED),
           renewed AS (
               UPDATE batch b SET ingest_until = clock_timestamp() + $5::interval
                 FROM free
                WHERE b.tenant_id = free.tenant_id AND b.id = free.id)
           SELECT EXISTS (SELECT FROM own) AS "kept!""#,
        ended.key.tenant.as_uuid(),
        ended.key.batch.as_uuid(),
        ended.upstream_batch_id,
        process,
        interval(term),
    )
    .fetch_one(tx.conn())
    .await?;
    tx.commit().await?;
    Ok(kept)
}

/// An ended batch whose results are to be read.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Which.
    pub key: Key,
    /// From where.
    pub upstream: UpstreamId,
    /// Its id at Anthropic.
    pub upstream_batch_id: String,
    /// When it ended: the day whose prices count.
    pub ended_at: OffsetDateTime,
    /// When it had to end at the latest.
    pub expires_at: OffsetDateTime,
    /// Downloads that were read to their orderly end and still left jobs out.
    pub short_reads: u32,
    /// False while an adopted batch has not shown a line of ours.
    pub verified: bool,
    /// Jobs that were sent in it.
    pub items: u32,
    /// Its requests as Anthropic counted them when it ended; zero when nobody
    /// saw it end.
    pub counted: u64,
}

/// Gives an ended batch back, to be read again after `pause`; `short` when the
/// download came to its orderly end and left jobs out, having shown so many
/// flawed lines.
pub async fn give_back(
    system: &System,
    ended: &Ended,
    pause: Duration,
    short: Option<u32>,
    why: &str,
) -> Result<()> {
    sqlx::query!(
        "UPDATE batch
            SET ingester = NULL,
                ingest_until = clock_timestamp() + $3::interval,
                short_reads = short_reads + $4,
                quarantined = greatest(quarantined, $5),
                last_error = $6
          WHERE tenant_id = $1 AND id = $2 AND state = 'ended' AND upstream_batch_id = $7",
        ended.key.tenant.as_uuid(),
        ended.key.batch.as_uuid(),
        interval(pause),
        i32::from(short.is_some()),
        i32::try_from(short.unwrap_or(0)).unwrap_or(i32::MAX),
        why,
        ended.upstream_batch_id,
    )
    .write(system)
    .await?;
    Ok(())
}

/// The first line of ours was seen: the adoption was right.
pub async fn verified(system: &System, ended: &Ended) -> Result<()> {
    sqlx::query!(
        "UPDATE batch SET verified = true
          WHERE tenant_id = $1 AND id = $2 AND upstream_batch_id = $3",
        ended.key.tenant.as_uuid(),
        ended.key.batch.as_uuid(),
        ended.upstream_batch_id,
    )
    .write(system)
    .await?;
    Ok(())
}

/// Every job of it is settled: `ended` becomes `ingested`, and what is to be
/// noted about it is. False while some are still in flight. `flawed` lines were
/// seen in its last download.
pub async fn finish(
    system: &System,
    ended: &Ended,
    flawed: u32,
    note: Option<&Note<'_>>,
) -> Result<bool> {
    let mut tx = system.begin().await?;
    let done = sqlx::query!(
        "UPDATE batch b
            SET state = 'ingested', ingested_at = clock_timestamp(), ingest_until = NULL,
                quarantined = greatest(quarantined, $3)
          WHERE b.tenant_id = $1 AND b.id = $2 AND b.state = 'ended' AND b.upstream_batch_id = $4
            AND NOT EXISTS (SELECT FROM inflight i
                             WHERE i.tenant_id = b.tenant_id AND i.batch_id = b.id
                               AND NOT i.dropped)",
        ended.key.tenant.as_uuid(),
        ended.key.batch.as_uuid(),
        i32::try_from(flawed).unwrap_or(i32::MAX),
        ended.upstream_batch_id,
    )
    .execute(tx.conn())
    .await?;
    if done.rows_affected() != 1 {
        return Ok(false);
    }
    // It is not the message batch that they would have been in.
    let now = tx.now();
    batch::forget_dropped(tx.conn(), ended.key, now).await?;
    cache::measure(tx.conn(), ended.key).await?;
    if let Some(note) = note {
        incident::note_within(tx.conn(), note).await?;
    }
    event::batch(tx.conn(), ended.key, State::Ingested).await?;
    point!("ingest.finish_open");
    tx.commit().await?;
    Ok(true)
}
