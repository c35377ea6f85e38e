//! Batches that Anthropic holds, and sends whose outcome is unknown: what
//! `poll` and `rescue` read and write.

use std::time::Duration;

use offpeak_domain::id::UpstreamId;
use offpeak_domain::job::State;
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::batch::{Key, key};
use crate::lease::interval;
use crate::{Result, System, delta};

/// A batch in progress upstream.
#[derive(Clone, Debug)]
pub struct Open {
    /// Which.
    pub key: Key,
    /// Its id at Anthropic.
    pub upstream_batch_id: String,
    /// When it was made there.
    pub created_at: OffsetDateTime,
}

/// The batches of an upstream that are due for a look at `now`, oldest first.
pub async fn due(
    system: &System,
    upstream: UpstreamId,
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<Open>> {
    let rows = sqlx::query!(
        r#"SELECT tenant_id, id, upstream_batch_id AS "upstream_batch_id!",
                  created_at AS "created_at!"
             FROM batch
            WHERE upstream_id = $1 AND state IN ('in_progress', 'canceling')
              AND next_poll_at <= $2
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
        })
        .collect())
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
           FROM unnest($1::uuid[], $2::uuid[]) AS k (tenant_id, id)
          WHERE b.tenant_id = k.tenant_id AND b.id = k.id
            AND b.state IN ('in_progress', 'canceling')",
        &tenants,
        &batches,
        next,
    )
    .execute(&system.pool)
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

impl Counts {
    /// All of them.
    pub fn total(self) -> u64 {
        [self.succeeded, self.errored, self.canceled, self.expired]
            .into_iter()
            .map(u64::from)
            .sum()
    }
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
        "UPDATE batch
            SET state = 'ended', ended_at = $3,
                succeeded = $4, errored = $5, canceled = $6, expired = $7
          WHERE tenant_id = $1 AND id = $2 AND state IN ('in_progress', 'canceling')",
        key.tenant.as_uuid(),
        key.batch.as_uuid(),
        ended_at,
        int(counts.succeeded),
        int(counts.errored),
        int(counts.canceled),
        int(counts.expired),
    )
    .execute(tx.conn())
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    delta::move_batch(
        tx.conn(),
        key.tenant,
        key.batch,
        State::Submitted,
        State::Processing,
    )
    .await?;
    tx.commit().await?;
    Ok(true)
}

/// A send whose outcome nobody knows.
#[derive(Clone, Debug)]
pub struct Uncertain {
    /// Which.
    pub key: Key,
    /// Jobs in it.
    pub items: u32,
    /// When its create call began, on the database's clock.
    pub sent_at: OffsetDateTime,
    /// When its create call had ended at the latest.
    pub deadline: OffsetDateTime,
    /// Complete listings so far that did not show it.
    pub listings: u32,
    /// When the first of them was made.
    pub first_listing_at: Option<OffsetDateTime>,
}

/// The uncertain sends of an upstream, oldest first.
pub async fn uncertain(
    system: &System,
    upstream: UpstreamId,
    limit: i64,
) -> Result<Vec<Uncertain>> {
    let rows = sqlx::query!(
        r#"SELECT tenant_id, id, items, sent_at AS "sent_at!",
                  coalesce(send_deadline, sent_at) AS "deadline!", listings, first_listing_at
             FROM batch
            WHERE upstream_id = $1 AND state = 'uncertain'
            ORDER BY sent_at, id
            LIMIT $2"#,
        upstream.as_uuid(),
        limit,
    )
    .fetch_all(&system.pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Uncertain {
            key: key(row.tenant_id, row.id),
            items: u32::try_from(row.items).unwrap_or(0),
            sent_at: row.sent_at,
            deadline: row.deadline,
            listings: u32::try_from(row.listings).unwrap_or(0),
            first_listing_at: row.first_listing_at,
        })
        .collect())
}

/// Which of these message batches we know already: as ours, or as foreign.
pub async fn known(
    system: &System,
    upstream: UpstreamId,
    upstream_batch_ids: &[String],
) -> Result<Vec<String>> {
    Ok(sqlx::query_scalar!(
        r#"SELECT upstream_batch_id AS "id!" FROM batch
            WHERE upstream_id = $1 AND upstream_batch_id = ANY ($2)
            UNION
           SELECT upstream_batch_id FROM foreign_batch
            WHERE upstream_id = $1 AND upstream_batch_id = ANY ($2)
            ORDER BY 1
            LIMIT 100000"#,
        upstream.as_uuid(),
        upstream_batch_ids,
    )
    .fetch_all(&system.pool)
    .await?)
}

/// A complete listing, made at `at`, did not show it.
pub async fn not_listed(system: &System, key: Key, at: OffsetDateTime) -> Result<()> {
    sqlx::query!(
        "UPDATE batch
            SET listings = listings + 1, first_listing_at = coalesce(first_listing_at, $3)
          WHERE tenant_id = $1 AND id = $2 AND state = 'uncertain'",
        key.tenant.as_uuid(),
        key.batch.as_uuid(),
        at,
    )
    .execute(&system.pool)
    .await?;
    Ok(())
}

/// Takes an ended batch for reading its results; nobody else reads it for
/// `term`. Each chunk that is settled renews the term.
pub async fn take_ended(system: &System, term: Duration) -> Result<Option<Ended>> {
    let row = sqlx::query!(
        r#"UPDATE batch b
              SET ingest_until = clock_timestamp() + $1::interval, ingest_reads = ingest_reads + 1
             FROM (SELECT tenant_id, id FROM batch
                    WHERE state = 'ended'
                      AND (ingest_until IS NULL OR ingest_until < clock_timestamp())
                    ORDER BY ended_at, id
                    LIMIT 1
                      FOR UPDATE SKIP LOCKED) AS next
            WHERE b.tenant_id = next.tenant_id AND b.id = next.id
           RETURNING b.tenant_id, b.id, b.upstream_id, b.items, b.ingest_reads, b.verified,
                     b.upstream_batch_id AS "upstream_batch_id!""#,
        interval(term),
    )
    .fetch_optional(&system.pool)
    .await?;
    Ok(row.map(|row| Ended {
        key: key(row.tenant_id, row.id),
        upstream: UpstreamId::from_uuid(row.upstream_id),
        upstream_batch_id: row.upstream_batch_id,
        items: u32::try_from(row.items).unwrap_or(0),
        reads: u32::try_from(row.ingest_reads).unwrap_or(0),
        verified: row.verified,
    }))
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
    /// Jobs in it.
    pub items: u32,
    /// How often its results were read, this time included.
    pub reads: u32,
    /// False while an adopted batch has not shown a line of ours.
    pub verified: bool,
}

/// Gives an ended batch back, to be read again after `pause`.
pub async fn give_back(system: &System, key: Key, pause: Duration, why: &str) -> Result<()> {
    sqlx::query!(
        "UPDATE batch SET ingest_until = clock_timestamp() + $3::interval, last_error = $4
          WHERE tenant_id = $1 AND id = $2 AND state = 'ended'",
        key.tenant.as_uuid(),
        key.batch.as_uuid(),
        interval(pause),
        why,
    )
    .execute(&system.pool)
    .await?;
    Ok(())
}

/// The first line of ours was seen: the adoption was right.
pub async fn verified(system: &System, key: Key) -> Result<()> {
    sqlx::query!(
        "UPDATE batch SET verified = true WHERE tenant_id = $1 AND id = $2",
        key.tenant.as_uuid(),
        key.batch.as_uuid(),
    )
    .execute(&system.pool)
    .await?;
    Ok(())
}

/// The adopted message batch belongs to somebody else: it is remembered as
/// foreign, and the send is uncertain again.
pub async fn disown(system: &System, ended: &Ended) -> Result<()> {
    let mut tx = system.begin().await?;
    let done = sqlx::query!(
        "UPDATE batch
            SET state = 'uncertain', upstream_batch_id = NULL, created_at = NULL,
                expires_at = NULL, ended_at = NULL, next_poll_at = NULL, ingest_until = NULL,
                ingest_reads = 0, verified = true, listings = 0, first_listing_at = NULL
          WHERE tenant_id = $1 AND id = $2 AND state = 'ended' AND NOT verified",
        ended.key.tenant.as_uuid(),
        ended.key.batch.as_uuid(),
    )
    .execute(tx.conn())
    .await?;
    if done.rows_affected() == 0 {
        return Ok(());
    }
    remember_foreign(tx.conn(), ended.upstream, &ended.upstream_batch_id).await?;
    delta::move_batch(
        tx.conn(),
        ended.key.tenant,
        ended.key.batch,
        State::Processing,
        State::Queued,
    )
    .await?;
    tx.commit().await
}

/// Every job of it is settled: `ended` becomes `ingested`. False while some
/// are still in flight.
pub async fn finish(system: &System, key: Key) -> Result<bool> {
    let done = sqlx::query!(
        "UPDATE batch b
            SET state = 'ingested', ingested_at = clock_timestamp(), ingest_until = NULL
          WHERE b.tenant_id = $1 AND b.id = $2 AND b.state = 'ended'
            AND NOT EXISTS (SELECT FROM inflight i
                             WHERE i.tenant_id = b.tenant_id AND i.batch_id = b.id)",
        key.tenant.as_uuid(),
        key.batch.as_uuid(),
    )
    .execute(&system.pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// A message batch in our workspace that is not ours: never adopted, never touched.
pub async fn foreign(system: &System, upstream: UpstreamId, upstream_batch_id: &str) -> Result<()> {
    let mut tx = system.begin().await?;
    remember_foreign(tx.conn(), upstream, upstream_batch_id).await?;
    tx.commit().await
}

async fn remember_foreign(
    conn: &mut PgConnection,
    upstream: UpstreamId,
    upstream_batch_id: &str,
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO foreign_batch (upstream_id, upstream_batch_id) VALUES ($1, $2)
             ON CONFLICT DO NOTHING",
        upstream.as_uuid(),
        upstream_batch_id,
    )
    .execute(conn)
    .await?;
    Ok(())
}
