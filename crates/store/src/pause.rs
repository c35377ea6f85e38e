//! Pauses of an upstream. Whoever meets the trouble writes one down, and the
//! first call of the same name that goes well ends it: the end of its time only
//! allows one more try.

use offpeak_domain::id::{TenantId, UpstreamId};
use offpeak_domain::incident::Kind;
use time::OffsetDateTime;

use crate::access::Write as _;
use crate::bounded::Connection;
use crate::{Result, System};

/// Why nothing is to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Pause<'a> {
    /// The name of the call that met it.
    pub by: &'static str,
    /// What the operator reads.
    pub reason: &'a str,
    /// Now.
    pub at: OffsetDateTime,
    /// When one more try shows whether somebody has acted.
    pub until: OffsetDateTime,
}

/// Stops sending. Noted as an incident, unless the upstream is paused already.
pub async fn pause(system: &System, id: UpstreamId, pause: &Pause<'_>) -> Result<()> {
    let mut tx = system.begin_write().await?;
    let is_new = sqlx::query_scalar!(
        r#"UPDATE upstream u
              SET paused_reason = $2, paused_until = $3, paused_by = $4
             FROM (SELECT id, paused_reason IS NULL AS is_new
                     FROM upstream
                    WHERE id = $1
                      FOR UPDATE) AS was
            WHERE u.id = was.id
           RETURNING was.is_new AS "is_new!""#,
        id.as_uuid(),
        pause.reason,
        pause.until,
        pause.by,
    )
    .fetch_optional(tx.conn())
    .await?;
    if is_new == Some(true) {
        note(tx.conn(), id, pause).await?;
    }
    tx.commit().await
}

/// One row for each upstream: what was over comes back.
async fn note(conn: &mut Connection, id: UpstreamId, pause: &Pause<'_>) -> Result<()> {
    sqlx::query!(
        "INSERT INTO incident AS i (kind, at, upstream_id, subject_tenant, detail)
         -- A tenant sees what is wrong with its own.
         VALUES ($1, $2, $3, nullif($3, '00000000-0000-0000-0000-000000000000'::uuid), $4)
             ON CONFLICT (kind,
                          coalesce(upstream_id, '00000000-0000-0000-0000-000000000000'::uuid),
                          coalesce(upstream_batch_id, batch_id::text, subject_tenant::text, ''))
             DO UPDATE SET at = excluded.at, detail = excluded.detail, resolved_at = NULL",
        Kind::UpstreamPaused.as_str(),
        pause.at,
        id.as_uuid(),
        pause.reason,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// These calls have just gone well: a pause that one of them met is over, and
/// its incident with it. True if there was one.
pub async fn went_well(
    system: &System,
    id: UpstreamId,
    calls: &[&'static str],
    at: OffsetDateTime,
) -> Result<bool> {
    let calls: Vec<String> = calls.iter().map(|&call| call.to_owned()).collect();
    let done = sqlx::query!(
        "WITH healed AS (
             UPDATE upstream
                SET paused_reason = NULL, paused_until = NULL, paused_by = NULL
              WHERE id = $1 AND paused_reason IS NOT NULL
                AND coalesce(paused_by, 'create') = ANY ($2)
             RETURNING id)
         UPDATE incident
            SET resolved_at = $4
          WHERE kind = $3 AND upstream_id = $1 AND resolved_at IS NULL
            AND (EXISTS (SELECT FROM healed)
                 -- A restart has ended the pause, and this shows that it was right.
                 OR NOT EXISTS (SELECT FROM upstream
                                 WHERE id = $1 AND paused_reason IS NOT NULL))",
        id.as_uuid(),
        &calls,
        Kind::UpstreamPaused.as_str(),
        at,
    )
    .write(system)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// A pause that no call has ended yet.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Of which upstream.
    pub upstream: UpstreamId,
    /// Why.
    pub reason: String,
}

/// Every pause that no call has ended yet, also one that is over by its time.
pub async fn standing(system: &System) -> Result<Vec<Standing>> {
    let mut tx = system.begin_write().await?;
    let rows = sqlx::query!(
        r#"SELECT id, paused_reason AS "reason!"
             FROM upstream
            WHERE paused_reason IS NOT NULL
            ORDER BY id
            LIMIT 1000"#
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Standing {
            upstream: UpstreamId::from_uuid(row.id),
            reason: row.reason,
        })
        .collect())
}

/// Batches of a single job that this upstream has refused one after the other,
/// with none accepted between.
pub async fn refused_in_row(system: &System, id: UpstreamId) -> Result<u32> {
    let mut tx = system.begin_write().await?;
    let count = sqlx::query_scalar!(
        "SELECT refused_alone FROM upstream WHERE id = $1",
        id.as_uuid(),
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(count
        .and_then(|count| u32::try_from(count).ok())
        .unwrap_or(0))
}

/// One more was refused, of this tenant. Within the transaction that rejects it,
/// so that an answer that is written down twice counts once.
pub(crate) async fn refused(conn: &mut Connection, id: UpstreamId, tenant: TenantId) -> Result<()> {
    sqlx::query!(
        "UPDATE upstream SET refused_alone = refused_alone + 1, refused_tenant = $2
          WHERE id = $1",
        id.as_uuid(),
        tenant.as_uuid(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A batch was accepted: what is refused now is at fault itself.
pub async fn accepted(system: &System, id: UpstreamId) -> Result<()> {
    sqlx::query!(
        "UPDATE upstream SET refused_alone = 0, refused_tenant = NULL
          WHERE id = $1 AND refused_alone > 0",
        id.as_uuid(),
    )
    .write(system)
    .await?;
    Ok(())
}
