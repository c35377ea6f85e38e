//! Buckets: what may share a batch.

use offpeak_domain::id::{BucketId, UpstreamId};
use sha2::{Digest, Sha256};
use uuid::Uuid;

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
