//! What an export reads beyond what lists show: everything of many jobs at once, and
//! every version of a tenant's own job types. Each step is a transaction of its own.

use offpeak_domain::id::{BatchId, JobId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::job_type::Stored;
use crate::result::fitting;
use crate::sealed::Piece;
use crate::{Result, TenantTx};

/// The next jobs of an export, in the order of their ids.
#[derive(Clone, Debug)]
pub struct Step {
    /// Which.
    pub ids: Vec<JobId>,
    /// Where the next step begins; none at the end.
    pub next: Option<JobId>,
}

/// Up to `most` jobs after `after`, whose requests and answers are about `bytes` long
/// together; at least one job.
pub async fn jobs(tx: &mut TenantTx, after: Option<JobId>, most: i64, bytes: u64) -> Result<Step> {
    // Lengths first: a length is read from the row without its content. What is sealed is
    // compressed: of an answer it is known how many tokens it took, about six bytes each.
    let heads = sqlx::query!(
        r#"SELECT j.id,
                  (CASE WHEN p.id IS NULL THEN 0 ELSE j.bytes END
                   + coalesce(greatest(octet_length(o.line),
                                       CASE WHEN o.key_id <> 0 THEN 6 * r.output_tokens END), 0)
                   + coalesce((SELECT sum(octet_length(a.line)
                                          * CASE WHEN a.key_id <> 0 THEN 4 ELSE 1 END)
                                 FROM attempt a
                                WHERE a.tenant_id = j.tenant_id AND a.id = j.id), 0))::bigint
                      AS "bytes!"
             FROM (SELECT tenant_id, id, bytes
                     FROM job
                    WHERE tenant_id = $1 AND id > $2
                    ORDER BY id
                    LIMIT $3) AS j
             LEFT JOIN payload p ON p.tenant_id = j.tenant_id AND p.id = j.id
             LEFT JOIN output o ON o.tenant_id = j.tenant_id AND o.id = j.id
             LEFT JOIN result r ON r.tenant_id = j.tenant_id AND r.id = j.id
            ORDER BY j.id"#,
        tx.tenant().as_uuid(),
        after.map_or(Uuid::nil(), JobId::as_uuid),
        most,
    )
    .fetch_all(tx.conn())
    .await?;
    let full = i64::try_from(heads.len()).unwrap_or(i64::MAX) >= most;
    let fit = fitting(heads.iter().map(|head| head.bytes), bytes);
    let more = full || fit < heads.len();
    let ids: Vec<JobId> = heads[..fit]
        .iter()
        .map(|head| JobId::from_uuid(head.id))
        .collect();
    let next = ids.last().copied().filter(|_| more);
    Ok(Step { ids, next })
}

/// The requests of these jobs that are still there, in the order of their ids.
pub async fn requests(tx: &mut TenantTx, ids: &[JobId]) -> Result<Vec<(JobId, Vec<u8>)>> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.as_uuid()).collect();
    let rows = sqlx::query!(
        "SELECT id, params, key_id
           FROM payload WHERE tenant_id = $1 AND id = ANY ($2) ORDER BY id",
        tx.tenant().as_uuid(),
        &ids,
    )
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter()
        .map(|row| {
            let piece = Piece::Params(row.id);
            let params = tx.seal().open(piece, row.key_id, row.params)?;
            Ok((JobId::from_uuid(row.id), params))
        })
        .collect()
}

/// An attempt that ended without ending its job, or whose result was set aside.
#[derive(Clone, Debug)]
pub struct SetAside {
    /// Whose.
    pub job: JobId,
    /// From 1.
    pub attempt: u32,
    /// How it ended.
    pub outcome: String,
    /// Why.
    pub label: Option<String>,
    /// In which batch.
    pub batch: Option<BatchId>,
    /// When.
    pub ended_at: OffsetDateTime,
    /// Anthropic's line, byte for byte.
    pub line: Option<Vec<u8>>,
}

/// Those of these jobs, in order.
pub async fn set_aside(tx: &mut TenantTx, ids: &[JobId]) -> Result<Vec<SetAside>> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.as_uuid()).collect();
    let rows = sqlx::query!(
        "SELECT id, attempt, outcome, label, batch_id, ended_at, line, key_id
           FROM attempt
          WHERE tenant_id = $1 AND id = ANY ($2)
          ORDER BY id, attempt, outcome",
        tx.tenant().as_uuid(),
        &ids,
    )
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter()
        .map(|row| {
            let open = |line| tx.seal().open(Piece::Line(row.id), row.key_id, line);
            Ok(SetAside {
                job: JobId::from_uuid(row.id),
                attempt: u32::try_from(row.attempt).unwrap_or(0),
                outcome: row.outcome,
                label: row.label,
                batch: row.batch_id.map(BatchId::from_uuid),
                ended_at: row.ended_at,
                line: row.line.map(open).transpose()?,
            })
        })
        .collect()
}

/// Up to `limit` versions of the tenant's own job types after this one, by name and
/// version.
pub async fn job_types(
    tx: &mut TenantTx,
    after: Option<(&str, u32)>,
    limit: i64,
) -> Result<Vec<Stored>> {
    let (name, version) = after.unwrap_or_default();
    let rows = sqlx::query!(
        "SELECT name, version, definition, created_at
           FROM job_type
          WHERE tenant_id = $1 AND (name, version) > ($2, $3)
          ORDER BY name, version
          LIMIT $4",
        tx.tenant().as_uuid(),
        name,
        i32::try_from(version).unwrap_or(i32::MAX),
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Stored {
            name: row.name,
            version: u32::try_from(row.version).unwrap_or(0),
            shipped: false,
            definition: row.definition,
            created_at: row.created_at,
        })
        .collect())
}
