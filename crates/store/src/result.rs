//! Results as clients fetch them: the row that ended a job and the raw line
//! that Anthropic gave for it.

use offpeak_domain::id::{BatchId, GroupId, JobId};
use offpeak_domain::job::Outcome;
use offpeak_domain::money::Pico;
use uuid::Uuid;

use crate::job::{End, known};
use crate::sealed::Piece;
use crate::{Result, TenantTx};

/// How a job ended and what it answered.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Which.
    pub job: JobId,
    /// How.
    pub outcome: Outcome,
    /// Group that it belongs to.
    pub group: Option<GroupId>,
    /// Job type.
    pub job_type: Option<String>,
    /// The app's label.
    pub user: Option<String>,
    /// JSON of the app's own.
    pub metadata: Option<String>,
    /// The model asked for.
    pub model: String,
    /// Batch that brought it; none when it ended without having been sent.
    pub batch: Option<BatchId>,
    /// What the upstream calls that batch; none when it never took it.
    pub upstream_batch: Option<String>,
    /// The job of whose result this is a copy.
    pub source: Option<JobId>,
    /// Number of the attempt that ended it.
    pub attempt: u32,
    /// The rest of how it ended.
    pub end: End,
    /// Whether its params ask for an answer of a certain format.
    pub structured: bool,
    /// The raw result line, byte for byte.
    pub line: Option<Vec<u8>>,
}

impl Ended {
    /// Whether it had an answer that is deleted.
    pub fn is_gone(&self) -> bool {
        self.outcome == Outcome::Completed && self.line.is_none()
    }
}

/// How one job ended; none while it has not.
pub async fn get(tx: &mut TenantTx, id: JobId) -> Result<Option<Ended>> {
    Ok(by_ids(tx, &[id.as_uuid()]).await?.pop())
}

/// One step through the results of a group.
#[derive(Clone, Debug)]
pub struct Page {
    /// Ended jobs of this step, in the order of their ids.
    pub ended: Vec<Ended>,
    /// Where the next step begins; none at the end.
    pub next: Option<JobId>,
}

/// The next results of a group after `after`: it looks at up to `jobs` jobs and
/// reads about `bytes` of result lines, at least one line; of a sealed one it counts six
/// bytes a token.
pub async fn page(
    tx: &mut TenantTx,
    group: GroupId,
    after: Option<JobId>,
    jobs: i64,
    bytes: u64,
) -> Result<Page> {
    // Lengths first: a length is read from the row without its content. What is sealed is
    // compressed, and a model that repeats itself makes much of little.
    let heads = sqlx::query!(
        r#"SELECT j.id, r.id IS NOT NULL AS "ended!",
                  coalesce(greatest(octet_length(o.line),
                                    CASE WHEN o.key_id <> 0 THEN 6 * r.output_tokens END),
                           0)::bigint AS "bytes!"
             FROM (SELECT tenant_id, id
                     FROM job
                    WHERE tenant_id = $1 AND group_id = $2 AND id > $3
                    ORDER BY id
                    LIMIT $4) AS j
             LEFT JOIN result r ON r.tenant_id = j.tenant_id AND r.id = j.id
             LEFT JOIN output o ON o.tenant_id = j.tenant_id AND o.id = j.id
            ORDER BY j.id"#,
        tx.tenant().as_uuid(),
        group.as_uuid(),
        after.map_or(Uuid::nil(), JobId::as_uuid),
        jobs,
    )
    .fetch_all(tx.conn())
    .await?;
    let full = i64::try_from(heads.len()).unwrap_or(i64::MAX) >= jobs;
    let fit = fitting(heads.iter().map(|head| head.bytes), bytes);
    let more = full || fit < heads.len();
    let last = heads[..fit].last().map(|head| JobId::from_uuid(head.id));
    let ids: Vec<Uuid> = heads[..fit]
        .iter()
        .filter(|head| head.ended)
        .map(|head| head.id)
        .collect();
    let mut ended = if ids.is_empty() {
        Vec::new()
    } else {
        by_ids(tx, &ids).await?
    };
    ended.sort_by_key(|ended| ended.job);
    Ok(Page {
        ended,
        next: last.filter(|_| more),
    })
}

/// How many of these lengths fit into so many bytes; at least one, if there is one.
pub(crate) fn fitting(lengths: impl Iterator<Item = i64>, most: u64) -> usize {
    let mut sum = 0;
    lengths
        .map(|length| u64::try_from(length).unwrap_or(0))
        .enumerate()
        .take_while(|(place, length)| {
            sum += length;
            *place == 0 || sum <= most
        })
        .count()
}

/// How these jobs ended, those that have, in the order of their ids.
pub async fn of(tx: &mut TenantTx, ids: &[JobId]) -> Result<Vec<Ended>> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.as_uuid()).collect();
    by_ids(tx, &ids).await
}

async fn by_ids(tx: &mut TenantTx, ids: &[Uuid]) -> Result<Vec<Ended>> {
    let rows = sqlx::query!(
        r#"SELECT r.id, r.outcome, r.group_id, r.type AS "job_type", r.user_label, j.metadata,
                  r.model, r.batch_id, r.attempt, r.label, r.message, r.stop_reason, r.ended_at,
                  r.input_tokens, r.output_tokens, r.cache_write_tokens, r.cache_read_tokens,
                  r.cost_pico, r.sync_pico, r.source_id, j.structured,
                  EXISTS (SELECT FROM ledger l
                           WHERE l.tenant_id = r.tenant_id AND l.batch_id = r.batch_id
                             AND l.id = r.id AND l.unpriced) AS "unpriced!",
                  b.upstream_batch_id AS "upstream_batch?",
                  o.line AS "line?", o.key_id AS "key_id?"
             FROM result r
             JOIN job j ON j.tenant_id = r.tenant_id AND j.id = r.id
             LEFT JOIN batch b ON b.tenant_id = r.tenant_id
                              AND b.id = coalesce(r.batch_id,
                                                  (SELECT s.batch_id FROM result s
                                                    WHERE s.tenant_id = r.tenant_id
                                                      AND s.id = r.source_id))
             LEFT JOIN output o ON o.tenant_id = r.tenant_id AND o.id = r.id
            WHERE r.tenant_id = $1 AND r.id = ANY ($2)
            ORDER BY r.id"#,
        tx.tenant().as_uuid(),
        ids,
    )
    .fetch_all(tx.conn())
    .await?;
    let count = |n: i64| u64::try_from(n).unwrap_or(0);
    rows.into_iter()
        .map(|row| {
            let line = row.line.zip(row.key_id);
            let line = line.map(|(line, key_id)| tx.seal().open(Piece::Line(row.id), key_id, line));
            Ok(Ended {
                job: JobId::from_uuid(row.id),
                outcome: known("result.outcome", row.outcome)?,
                group: row.group_id.map(GroupId::from_uuid),
                job_type: row.job_type,
                user: row.user_label,
                metadata: row.metadata,
                model: row.model,
                batch: row.batch_id.map(BatchId::from_uuid),
                upstream_batch: row.upstream_batch,
                source: row.source_id.map(JobId::from_uuid),
                attempt: u32::try_from(row.attempt).unwrap_or(0),
                end: End {
                    label: row.label,
                    message: row.message,
                    stop_reason: row.stop_reason,
                    ended_at: row.ended_at,
                    input_tokens: count(row.input_tokens),
                    output_tokens: count(row.output_tokens),
                    cache_write_tokens: count(row.cache_write_tokens),
                    cache_read_tokens: count(row.cache_read_tokens),
                    cost: Pico(i128::from(row.cost_pico)),
                    cost_sync: Pico(i128::from(row.sync_pico)),
                    unpriced: row.unpriced,
                },
                structured: row.structured,
                line: line.transpose()?,
            })
        })
        .collect()
}
