//! The jobs of a batch, as its body is put together of them.

use offpeak_domain::id::{JobId, TenantId};
use uuid::Uuid;

use super::Key;
use crate::sealed::Piece;
use crate::{Result, System};

/// One job of a batch, as the body needs it.
#[derive(Clone, Copy, Debug)]
pub struct Item {
    /// Which.
    pub job: JobId,
    /// Length of its params.
    pub bytes: u64,
}

/// The next jobs of a batch after `after`, in the order of their ids, which is
/// the order of the body.
pub async fn items_after(
    system: &System,
    key: Key,
    after: Option<JobId>,
    limit: i64,
) -> Result<Vec<Item>> {
    let rows = sqlx::query!(
        "SELECT id, bytes
           FROM inflight
          WHERE tenant_id = $1 AND batch_id = $2 AND id > $3 AND NOT dropped
          ORDER BY id
          LIMIT $4",
        key.tenant.as_uuid(),
        key.batch.as_uuid(),
        after.map_or(Uuid::nil(), JobId::as_uuid),
        limit,
    )
    .fetch_all(&system.pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Item {
            job: JobId::from_uuid(row.id),
            bytes: u64::try_from(row.bytes).unwrap_or(0),
        })
        .collect())
}

/// The params of these jobs, in the order of their ids.
pub async fn params(
    system: &System,
    tenant: TenantId,
    jobs: &[JobId],
) -> Result<Vec<(JobId, Vec<u8>)>> {
    let ids: Vec<Uuid> = jobs.iter().map(|job| job.as_uuid()).collect();
    let rows = sqlx::query!(
        "SELECT id, params, key_id
           FROM payload
          WHERE tenant_id = $1 AND id = ANY ($2)
          ORDER BY id
          LIMIT $3",
        tenant.as_uuid(),
        &ids,
        i64::try_from(ids.len()).unwrap_or(i64::MAX),
    )
    .fetch_all(&system.pool)
    .await?;
    let seal = system.opener(tenant).await?;
    rows.into_iter()
        .map(|row| {
            let params = seal.open(Piece::Params(row.id), row.key_id, row.params)?;
            Ok((JobId::from_uuid(row.id), params))
        })
        .collect()
}
