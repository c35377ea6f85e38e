//! How a direct call is marked for the prompt cache.

use std::time::Duration;

use offpeak_domain::cache::{Called, Mark, Reason};
use offpeak_domain::id::{JobId, UpstreamId};
use time::OffsetDateTime;

use crate::Result;
use crate::batch::{Key, Marked};
use crate::bounded::Connection;
use crate::job::known;
use crate::lease::interval;

/// Calls that are counted, at most: more of them change no decision.
const COUNTED: i64 = 1000;

/// What is known of the calls that begin as this one.
#[derive(Clone, Debug)]
pub struct Alike {
    /// The model of its job.
    pub model: String,
    /// Tokens of what they share.
    pub tokens: u32,
    /// How many there were within [`Called::WINDOW`].
    pub lately: u32,
    /// The last one that was marked: how, and how long ago.
    pub last: Option<(Mark, Duration)>,
}

/// Decides, and writes down what was decided; nothing where the job shares nothing.
pub(super) async fn mark(
    conn: &mut Connection,
    (call, upstream, job): (Key, UpstreamId, JobId),
    now: OffsetDateTime,
    decide: impl FnOnce(&Alike) -> (Mark, Reason),
) -> Result<Option<Marked>> {
    let Some(row) = sqlx::query!(
        r#"SELECT p.hash, p.mark_at, p.tokens, j.model,
                  (SELECT count(*)
                     FROM (SELECT FROM call c
                            WHERE c.upstream_id = $3 AND c.prefix_hash = p.hash
                              AND c.sent_at > $4::timestamptz - $5::interval
                            LIMIT $6) AS counted) AS "lately!",
                  last.cache_mark AS "last_mark?", last.sent_at AS "last_at?"
             FROM job j
             JOIN prefix p ON p.tenant_id = j.tenant_id AND p.bucket_id = j.bucket_id
             LEFT JOIN LATERAL (
                  SELECT c.cache_mark, c.sent_at
                    FROM call c
                   WHERE c.upstream_id = $3 AND c.prefix_hash = p.hash
                     AND c.sent_at > $4::timestamptz - $5::interval AND c.cache_mark <> 'none'
                   ORDER BY c.sent_at DESC
                   LIMIT 1) AS last ON true
            WHERE j.tenant_id = $1 AND j.id = $2"#,
        call.tenant.as_uuid(),
        job.as_uuid(),
        upstream.as_uuid(),
        now,
        interval(Called::WINDOW),
        COUNTED,
    )
    .fetch_optional(&mut *conn)
    .await?
    else {
        return Ok(None);
    };
    let last = row.last_mark.zip(row.last_at);
    let last = last
        .map(|(mark, at)| {
            let ago = Duration::try_from(now - at).unwrap_or_default();
            Ok::<_, crate::Error>((known("call.cache_mark", mark)?, ago))
        })
        .transpose()?;
    let (mark, reason) = decide(&Alike {
        model: row.model,
        tokens: u32::try_from(row.tokens).unwrap_or(0),
        lately: u32::try_from(row.lately).unwrap_or(u32::MAX),
        last,
    });
    sqlx::query!(
        "UPDATE call SET prefix_hash = $3, cache_mark = $4, cache_reason = $5
          WHERE tenant_id = $1 AND id = $2",
        call.tenant.as_uuid(),
        call.batch.as_uuid(),
        row.hash,
        mark.as_str(),
        reason.as_str(),
    )
    .execute(conn)
    .await?;
    let at = usize::try_from(row.mark_at).unwrap_or(usize::MAX);
    Ok((mark != Mark::None).then_some(Marked { mark, at }))
}
