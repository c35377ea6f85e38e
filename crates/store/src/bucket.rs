//! Buckets: what may share a batch.

use offpeak_domain::id::{BucketId, UpstreamId};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{Result, TenantTx};

/// The bucket of jobs for `model` on `upstream` whose batch carries these beta
/// headers (empty for none): a hash of the three, so that a submit needs no
/// look-up and every process arrives at the same id.
pub fn id(upstream: UpstreamId, model: &str, betas: &str) -> BucketId {
    let mut hash = Sha256::new();
    hash.update(upstream.as_uuid().as_bytes());
    for part in [model, betas] {
        // With its length, so that no two pairs spell the same bytes.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let digest: [u8; 32] = hash.finalize().into();
    let mut first = [0; 16];
    first.copy_from_slice(&digest[..16]);
    BucketId::from_uuid(Uuid::from_bytes(first))
}

/// Makes sure that these buckets are there. It goes before the jobs, so that
/// whoever sees a ready job finds its bucket.
pub(crate) async fn ensure(
    tx: &mut TenantTx,
    buckets: impl IntoIterator<Item = ((UpstreamId, &str), BucketId)>,
) -> Result<()> {
    let (mut ids, mut upstreams, mut models) = (Vec::new(), Vec::new(), Vec::new());
    for ((upstream, model), id) in buckets {
        ids.push(id.as_uuid());
        upstreams.push(upstream.as_uuid());
        models.push(model);
    }
    // In order of id, so that two submits cannot wait for each other in a ring.
    sqlx::query!(
        "INSERT INTO bucket (tenant_id, id, upstream_id, model)
         SELECT $1::uuid, id, upstream_id, model
           FROM unnest($2::uuid[], $3::uuid[], $4::text[]) AS new (id, upstream_id, model)
          ORDER BY id
             ON CONFLICT DO NOTHING",
        tx.tenant().as_uuid(),
        &ids,
        &upstreams,
        &models as &[&str],
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::id;
    use offpeak_domain::id::UpstreamId;
    use uuid::Uuid;

    #[test]
    fn whatever_keeps_jobs_apart_is_in_it() {
        let own = UpstreamId::from_uuid(Uuid::nil());
        let other = UpstreamId::from_uuid(Uuid::from_u128(1));
        assert_eq!(id(own, "m", ""), id(own, "m", ""));
        assert_ne!(id(own, "m", ""), id(other, "m", ""));
        assert_ne!(id(own, "m", ""), id(own, "n", ""));
        assert_ne!(id(own, "mb", ""), id(own, "m", "b"));
    }
}
