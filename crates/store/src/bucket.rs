//! Buckets: what may share a batch.

use offpeak_domain::cache::Prefix;
use offpeak_domain::id::{BucketId, UpstreamId};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{Result, TenantTx};

/// The bucket of jobs for `model` on `upstream` whose batch carries these beta
/// headers (empty for none) and whose params begin alike, if they do: a hash of
/// all that, so that a submit needs no look-up and every process arrives at the
/// same id.
pub fn id(upstream: UpstreamId, model: &str, betas: &str, prefix: Option<&Prefix>) -> BucketId {
    let mut hash = Sha256::new();
    hash.update(upstream.as_uuid().as_bytes());
    for part in [model, betas] {
        // With its length, so that no two pairs spell the same bytes.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    if let Some(prefix) = prefix {
        hash.update(prefix.hash);
    }
    let digest: [u8; 32] = hash.finalize().into();
    let mut first = [0; 16];
    first.copy_from_slice(&digest[..16]);
    BucketId::from_uuid(Uuid::from_bytes(first))
}

/// What makes a bucket: where its jobs go, their model, what they begin with.
pub(crate) type Kind<'a> = (UpstreamId, &'a str, Option<Prefix>);

/// Makes sure that these buckets are there. It goes before the jobs, so that
/// whoever sees a ready job finds its bucket.
pub(crate) async fn ensure(
    tx: &mut TenantTx,
    buckets: impl IntoIterator<Item = (Kind<'_>, BucketId)>,
) -> Result<()> {
    let (mut ids, mut upstreams, mut models) = (Vec::new(), Vec::new(), Vec::new());
    let (mut shared, mut hashes) = (Vec::new(), Vec::new());
    let (mut places, mut tokens) = (Vec::new(), Vec::new());
    let int = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
    for ((upstream, model, prefix), id) in buckets {
        if let Some(prefix) = prefix {
            shared.push(id.as_uuid());
            hashes.push(prefix.hash.to_vec());
            places.push(int(prefix.mark_at));
            tokens.push(int(prefix.tokens));
        }
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
    if shared.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "INSERT INTO prefix (tenant_id, bucket_id, hash, mark_at, tokens)
         SELECT $1::uuid, bucket_id, hash, mark_at, tokens
           FROM unnest($2::uuid[], $3::bytea[], $4::integer[], $5::integer[])
                AS new (bucket_id, hash, mark_at, tokens)
          ORDER BY bucket_id
             ON CONFLICT DO NOTHING",
        tx.tenant().as_uuid(),
        &shared,
        &hashes,
        &places,
        &tokens,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::id;
    use offpeak_domain::cache::Prefix;
    use offpeak_domain::id::UpstreamId;
    use uuid::Uuid;

    #[test]
    fn whatever_keeps_jobs_apart_is_in_it() {
        let own = UpstreamId::from_uuid(Uuid::nil());
        let other = UpstreamId::from_uuid(Uuid::from_u128(1));
        let plain = |upstream, model, betas| id(upstream, model, betas, None);
        assert_eq!(plain(own, "m", ""), plain(own, "m", ""));
        assert_ne!(plain(own, "m", ""), plain(other, "m", ""));
        assert_ne!(plain(own, "m", ""), plain(own, "n", ""));
        assert_ne!(plain(own, "mb", ""), plain(own, "m", "b"));
        let prefix = |byte| Prefix {
            hash: [byte; 32],
            mark_at: 7,
            tokens: 600,
        };
        let shared = |byte| id(own, "m", "", Some(&prefix(byte)));
        assert_eq!(shared(1), shared(1));
        assert_ne!(shared(1), shared(2));
        assert_ne!(shared(1), plain(own, "m", ""));
    }
}
