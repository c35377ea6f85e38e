//! By which of our message batches it shows whether a credential still sees the
//! workspace that a batch was sent to.

use offpeak_domain::id::UpstreamId;
use offpeak_domain::incident::Kind;
use time::OffsetDateTime;

use crate::access::Write as _;
use crate::batch::Key;
use crate::incident::{self, Note};
use crate::{Result, System};

/// The message batch that we certainly made last before `sent_at`, or without
/// one the first after it; another one than this batch's, and none from before
/// `since`, which may be deleted, nor one that we had deleted there. What was sent
/// before is the better witness: what came later may have come with another credential.
pub async fn witness(
    system: &System,
    upstream: UpstreamId,
    key: Key,
    sent_at: OffsetDateTime,
    since: OffsetDateTime,
) -> Result<Option<String>> {
    Ok(sqlx::query_scalar!(
        r#"SELECT id AS "id!"
             FROM ((SELECT 1 AS place, upstream_batch_id AS id
                      FROM batch
                     WHERE upstream_id = $1 AND (tenant_id, id) <> ($2, $3)
                       AND sent_at <= $4 AND sent_at > $5
                       AND upstream_batch_id IS NOT NULL AND verified
                       AND upstream_deleted_at IS NULL
                     ORDER BY sent_at DESC
                     LIMIT 1)
                    UNION ALL
                   (SELECT 2, upstream_batch_id
                      FROM batch
                     WHERE upstream_id = $1 AND (tenant_id, id) <> ($2, $3)
                       AND sent_at > $4 AND sent_at > $5
                       AND upstream_batch_id IS NOT NULL AND verified
                       AND upstream_deleted_at IS NULL
                     ORDER BY sent_at
                     LIMIT 1)) AS near
            ORDER BY place
            LIMIT 1"#,
        upstream.as_uuid(),
        key.tenant.as_uuid(),
        key.batch.as_uuid(),
        sent_at,
        since,
    )
    .fetch_optional(&system.pool)
    .await?)
}

/// The credential does not see the workspace, so what it does not list proves
/// nothing.
pub async fn differs(system: &System, note: &Note<'_>) -> Result<()> {
    let mut tx = system.begin().await?;
    incident::note_anew(tx.conn(), note).await?;
    tx.commit().await
}

/// It sees it.
pub async fn is_known(system: &System, upstream: UpstreamId, at: OffsetDateTime) -> Result<()> {
    sqlx::query!(
        "UPDATE incident SET resolved_at = $3
          WHERE kind = $1 AND upstream_id = $2 AND resolved_at IS NULL",
        Kind::OtherWorkspace.as_str(),
        upstream.as_uuid(),
        at,
    )
    .write(system)
    .await?;
    Ok(())
}
