//! Minting ids from a time and a random source, both passed in.

use rand::Rng;
use time::{OffsetDateTime, PrimitiveDateTime};
use uuid::Uuid;

/// An id that a [`Minter`] can make.
pub trait Minted {
    /// The id with these bits.
    fn from_uuid(uuid: Uuid) -> Self;
}

/// Makes `UUIDv7` ids whose order is the order of minting.
///
/// The 12 bits after the version count up inside one minter; past 4,096 ids
/// it goes on in the next millisecond. The other 62 bits are random, so ids
/// of different minters of the same millisecond do not meet.
#[derive(Debug)]
pub struct Minter<R> {
    millis: u64,
    counter: u16,
    rng: R,
}

impl<R: Rng> Minter<R> {
    /// Mints as of `now`, which should be the database's time. Times before
    /// 1970 count as 1970.
    pub fn new(now: OffsetDateTime, rng: R) -> Self {
        let millis = now.unix_timestamp_nanos() / 1_000_000;
        Self {
            millis: u64::try_from(millis).unwrap_or(0),
            counter: 0,
            rng,
        }
    }

    /// The next id; greater than every id minted before by this minter.
    pub fn mint<I: Minted>(&mut self) -> I {
        let time = u128::from(self.millis & 0xffff_ffff_ffff) << 80;
        let version = 0x7_u128 << 76;
        let count = u128::from(self.counter) << 64;
        let variant = 0b10_u128 << 62;
        let random = u128::from(self.rng.next_u64() >> 2);
        self.counter += 1;
        if self.counter == 1 << 12 {
            self.counter = 0;
            self.millis += 1;
        }
        I::from_uuid(Uuid::from_u128(time | version | count | variant | random))
    }
}

/// The least bits of the millisecond that `at` is in. Times before 1970 count as 1970.
pub(super) fn first_of(at: OffsetDateTime) -> Uuid {
    let millis = u128::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(0);
    Uuid::from_u128((millis & 0xffff_ffff_ffff) << 80)
}

/// The time in the first 48 bits. Bits that no minter makes can name a time
/// after the year 9999; it counts as the end of that year.
pub(super) fn time_of(uuid: Uuid) -> OffsetDateTime {
    let millis = (uuid.as_u128() >> 80).cast_signed();
    OffsetDateTime::from_unix_timestamp_nanos(millis * 1_000_000)
        .unwrap_or(PrimitiveDateTime::MAX.assume_utc())
}

#[cfg(test)]
mod tests {
    use super::Minter;
    use crate::id::{BatchId, JobId};
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::SmallRng;
    use time::macros::datetime;
    use time::{Duration, OffsetDateTime};
    use uuid::Uuid;

    #[test]
    fn ids_are_version_7_and_tell_their_time() {
        let now = datetime!(2026-11-22 16:48:37.123 UTC);
        let mut minter = Minter::new(now, SmallRng::seed_from_u64(1));
        let (job, batch): (JobId, BatchId) = (minter.mint(), minter.mint());
        assert_eq!(job.as_uuid().get_version_num(), 7);
        assert_eq!(job.as_uuid().get_variant(), uuid::Variant::RFC4122);
        assert_eq!((job.minted_at(), batch.minted_at()), (now, now));
        assert!(job.as_uuid() < batch.as_uuid());
    }

    #[test]
    fn a_large_chunk_stays_in_order_and_moves_into_the_next_millisecond() {
        let now = datetime!(2026-11-22 00:00 UTC);
        let mut minter = Minter::new(now, SmallRng::seed_from_u64(2));
        let ids: Vec<JobId> = (0..10_000).map(|_| minter.mint()).collect();
        assert!(ids.is_sorted_by(|a, b| a < b));
        assert_eq!(ids[4_095].minted_at(), now);
        assert_eq!(ids[4_096].minted_at(), now + Duration::MILLISECOND);
    }

    #[test]
    fn the_first_of_a_time_parts_what_was_minted_before_from_the_rest() {
        let at = datetime!(2026-11-22 16:48:37.123 UTC);
        let mint = |at| -> JobId { Minter::new(at, SmallRng::seed_from_u64(3)).mint() };
        let first = JobId::first_at(at);
        assert!(mint(at - Duration::MILLISECOND) < first && first < mint(at));
        assert_eq!(first.minted_at(), at);
    }

    #[test]
    fn minters_of_the_same_millisecond_do_not_meet() {
        let now = datetime!(2026-11-22 00:00 UTC);
        let one: JobId = Minter::new(now, SmallRng::seed_from_u64(1)).mint();
        let two: JobId = Minter::new(now, SmallRng::seed_from_u64(2)).mint();
        assert_ne!(one, two);
    }

    proptest! {
        #[test]
        fn any_bits_have_a_time(bits in any::<u128>()) {
            let at = JobId::from_uuid(Uuid::from_u128(bits)).minted_at();
            prop_assert!(at >= OffsetDateTime::UNIX_EPOCH);
        }
    }
}
