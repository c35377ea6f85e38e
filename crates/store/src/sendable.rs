//! Which batch is sent next.

use std::time::Duration;

use offpeak_domain::cache::Mark;
use offpeak_domain::id::UpstreamId;
use time::OffsetDateTime;

use crate::batch::{Key, key};
use crate::lease::interval;
use crate::{Result, System};

/// How long a batch lets others go first that are told apart more easily.
const STEP_BACK: Duration = Duration::from_mins(5);

/// A batch that may be sent now.
#[derive(Clone, Debug)]
pub struct Sendable {
    /// Which.
    pub key: Key,
    /// To where.
    pub upstream: UpstreamId,
    /// Jobs in it.
    pub items: u32,
    /// Creates of it that were answered by "not stored".
    pub sends: u32,
    /// When it was looked for.
    pub as_of: OffsetDateTime,
    /// The model of its jobs.
    pub model: String,
    /// How what they begin with is marked.
    pub mark: Mark,
    /// Tokens of that.
    pub prefix_tokens: u32,
    /// Whether a request has to go ahead of it.
    pub priming: Priming,
}

/// Where a batch stands with the request that goes ahead of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priming {
    /// There is none, or it has ended.
    None,
    /// It is still to be sent.
    Due,
    /// It began then, and whoever sent it is gone or beyond its time.
    Abandoned(OffsetDateTime),
}

/// The oldest batches of each tenant that may be sent at `now` to this upstream: none while it
/// is paused, while `max_uncertain` of its sends are uncertain, or before its
/// list was compared for this database; and none with jobs that are kept back.
/// Those that have as many jobs as a send without an answer come last while they
/// are young, and are never held up by it.
pub async fn sendable(
    system: &System,
    upstream: UpstreamId,
    now: OffsetDateTime,
    max_uncertain: u32,
    limit: i64,
) -> Result<Vec<Sendable>> {
    let rows = sqlx::query!(
        "SELECT b.tenant_id, b.id, b.upstream_id, b.items, b.sends, b.model, b.cache_mark,
                b.cache_tokens, b.prime, b.prime_sent_at, b.prime_ended_at
           FROM batch b
           JOIN upstream u ON u.id = b.upstream_id
          WHERE b.upstream_id = $3 AND b.state = 'planned' AND b.not_before <= $1
            AND (u.paused_reason IS NULL OR u.paused_until <= $1)
            AND has_key(u.id)
            AND (SELECT count(*) FROM batch d
                  WHERE d.upstream_id = $3 AND d.state = 'uncertain') < $4
            AND EXISTS (SELECT FROM comparison c
                         WHERE c.upstream_id = $3 AND c.incarnation = incarnation()
                           AND c.started_at = pg_postmaster_start_time())
            AND NOT EXISTS (SELECT FROM hold h
                              JOIN inflight i ON i.tenant_id = b.tenant_id AND i.batch_id = b.id
                                             AND i.id < h.first_free
                             WHERE h.upstream_id = $3)
            -- What goes ahead of it is under way, as far as anybody can tell.
            AND (b.prime_sent_at IS NULL OR b.prime_ended_at IS NOT NULL
                 OR b.prime_deadline < $1
                 OR b.prime_sent_at > $1::timestamptz + interval '10 minutes'
                 OR NOT EXISTS (SELECT FROM lease l
                                 WHERE l.holder = b.primer AND l.expires_at > clock_timestamp()))
          ORDER BY
                -- While it may be the upstream's own fault that a job was refused,
                -- whoever has not met that goes first, so that one tenant's bad
                -- jobs hold up nobody else; then what was tried longest ago.
                u.refused_alone > 0
                AND (b.tenant_id = u.refused_tenant
                     OR EXISTS (SELECT FROM batch t
                                 WHERE t.upstream_id = $3 AND t.state = 'planned'
                                   AND t.tenant_id = b.tenant_id AND t.sends > 0)),
                CASE WHEN u.refused_alone > 0 THEN b.not_before END,
                -- A send in doubt is told from others by its count alone, so a young
                -- batch with another count goes before it. Nothing waits for long.
                b.planned_at > $1::timestamptz - $5::interval
                AND EXISTS (SELECT FROM batch o
                             WHERE o.upstream_id = $3 AND o.state IN ('sending', 'uncertain')
                               AND o.items = b.items),
                -- In turn by tenant: one with a hundred of them keeps nobody waiting
                -- for longer than one takes.
                row_number() OVER (PARTITION BY b.tenant_id ORDER BY b.planned_at, b.id),
                b.planned_at, b.id
          LIMIT $2",
        now,
        limit,
        upstream.as_uuid(),
        i64::from(max_uncertain),
        interval(STEP_BACK),
    )
    .fetch_all(&system.pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Sendable {
            key: key(row.tenant_id, row.id),
            upstream: UpstreamId::from_uuid(row.upstream_id),
            items: u32::try_from(row.items).unwrap_or(0),
            sends: u32::try_from(row.sends).unwrap_or(0),
            as_of: now,
            mark: row.cache_mark.parse().unwrap_or(Mark::None),
            prefix_tokens: row
                .cache_tokens
                .and_then(|tokens| u32::try_from(tokens).ok())
                .unwrap_or(0),
            priming: match (row.prime && row.prime_ended_at.is_none(), row.prime_sent_at) {
                (false, _) => Priming::None,
                (true, None) => Priming::Due,
                (true, Some(at)) => Priming::Abandoned(at),
            },
            model: row.model,
        })
        .collect())
}
